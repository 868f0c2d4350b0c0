"""Every route answers a stranger with nothing of a run, nor does a socket, under whatever name they ask."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from dashboard.gantt.assets import address
from tests.browser.journeys.team import somebodies
from tests.browser.serving import UP_WITHIN_S, Served

MARK = "zanzibar"
"""Stands in every prompt, and so in every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A run that somebody looks at, and what a thief may know of it."""

    team: Served
    run: str
    media: str
    answer: bytes


@pytest.fixture(scope="module")
def scene(team: Served, browser: Browser, shots: Path, provider_url: str) -> Iterator[Scene]:
    with somebodies(browser, shots, provider_url) as somebody:
        anna = somebody(team).comes_in("anna")
        anna.choose_model("openai-chat:echo")
        anna.type_prompts(f"{MARK} one", f"{MARK} two")
        run = anna.run()
        anna.counts("2 of 2 answered")
        with anna.page.expect_request(lambda request: "/media/" in request.url) as asked:
            assert MARK.encode() in anna.download("csv")
        media = urlsplit(asked.value.url).path
        answer = anna.page.request.get(team.url + media).body()
        assert MARK.encode() in answer
        yield Scene(team=team, run=run, media=media, answer=answer)


def _ask(scene: Scene, method: str, path: str, *, host: str | None = None, **headers: str) -> tuple[int, bytes]:
    netloc = urlsplit(scene.team.url).netloc
    connection = http.client.HTTPConnection(netloc, timeout=UP_WITHIN_S)
    try:
        connection.request(method, path, headers={"Host": host or netloc, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read() + str(answer.headers).encode()
    finally:
        connection.close()


def _paths(scene: Scene) -> list[str]:
    stcore = ("health", "host-config", "metrics", "stream", "script-health-check", "upload_file/a/b", "agent/interact")
    return [
        "/",
        f"/?run={scene.run}",
        f"/runs?run={scene.run}",
        "/sandbox",
        "/quota",
        "/health",
        scene.media,
        f"/{scene.media}",
        scene.media.replace("/media/", "/media/../media/"),
        scene.media.replace("/media/", "/%6dedia/"),
        scene.media.replace("/media/", "/media/./"),
        f"{scene.media}?run={scene.run}",
        address("gantt.js"),
        "/assets/x/../../fanout.toml",
        *(f"/_stcore/{name}" for name in stcore),
        "/component/fanout/x.js",
        "/_stcore/bidi-components/fanout_gantt/x.js",
        "/app/static/x",
        "/.streamlit/secrets.toml",
        "/auth/logout",
        "/oauth2callback?code=x&state=y",
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_no_route_tells_a_stranger_anything_of_a_run(scene: Scene, method: str) -> None:
    for path in _paths(scene):
        status, answer = _ask(scene, method, path, **{"X-Forwarded-For": "198.51.100.7"})
        assert MARK.encode() not in answer, path
        assert status < 500, path
        if "/media/" in path and method == "GET":
            assert scene.answer not in answer
    status, answer = _ask(scene, "GET", scene.media)
    assert (status, b"Log in first" in answer) == (403, True)
    assert b"runs_going" not in _ask(scene, "GET", "/health")[1]


def test_a_forged_or_copied_cookie_opens_nothing(scene: Scene) -> None:
    for cookie in ("_streamlit_user=x", "_streamlit_user=eyJpc19sb2dnZWRfaW4iOnRydWV9.x.y", "fanout_browser=x"):
        assert _ask(scene, "GET", scene.media, Cookie=cookie)[0] == 403


def test_under_a_name_that_is_not_ours_nothing_is_answered(scene: Scene) -> None:
    for path in _paths(scene):
        status, answer = _ask(scene, "GET", path, host="evil.example")
        assert (status, MARK.encode() in answer) == (403, False), path


def test_too_many_logins_from_one_address_are_told_to_wait(scene: Scene) -> None:
    told = [
        _ask(scene, "GET", "/oauth2callback?code=x&state=y", **{"X-Forwarded-For": "198.51.100.9"}) for _ in range(35)
    ]
    assert [status for status, _ in told].count(429) >= 1
    assert b"Too many attempts" in told[-1][1]
    assert _ask(scene, "GET", "/auth/login", **{"X-Forwarded-For": "198.51.100.10"})[0] != 429


def _heard(scene: Scene, query: str, headers: Mapping[str, str]) -> bytes:
    """All that a socket says to somebody who asks for a run, until the script ends."""
    parts = urlsplit(scene.team.url)
    heard = b""
    with connect(
        f"ws://{parts.netloc}/_stcore/stream",
        origin=Origin(scene.team.url),
        subprotocols=[Subprotocol("streamlit")],
        additional_headers=headers,
        open_timeout=UP_WITHIN_S,
    ) as talk:
        asks = BackMsg()
        asks.rerun_script.query_string = query
        talk.send(asks.SerializeToString())
        while True:
            said = talk.recv(timeout=UP_WITHIN_S)
            assert isinstance(said, bytes)
            heard += said
            if ForwardMsg.FromString(said).WhichOneof("type") == "script_finished":
                return heard


@pytest.mark.parametrize("cookie", ["", "_streamlit_user=eyJpc19sb2dnZWRfaW4iOnRydWV9.x.y"])
def test_a_strangers_socket_hears_nothing_of_a_run(scene: Scene, cookie: str) -> None:
    heard = _heard(scene, f"run={scene.run}", {"Cookie": cookie} if cookie else {})
    assert b"Log in to Fanout" in heard
    assert MARK.encode() not in heard
    assert b"/media/" not in heard


def test_a_socket_under_another_name_or_from_another_page_is_refused(scene: Scene) -> None:
    parts = urlsplit(scene.team.url)
    for host, origin in (("evil.example", "http://evil.example"), (parts.netloc, "http://evil.example")):
        line = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=UP_WITHIN_S)
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(
                f"ws://{host}/_stcore/stream", sock=line, origin=Origin(origin), subprotocols=[Subprotocol("streamlit")]
            ),
        ):
            pass
        assert refused.value.response.status_code == 403
        line.close()
