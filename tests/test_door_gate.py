import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette import starlette_auth_routes, starlette_websocket
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from dashboard.door.cookie import claims_of
from dashboard.door.gate import BROWSER, CLOSED, Gate
from dashboard.door.rules import Login, Policy
from dashboard.door.state import ATTEMPTS, Asked, Door
from tests.test_door_rules import ANNA, NOW_S

SECRET = "0123456789abcdef0123456789abcdef"
ORIGIN = "http://testserver"
EVE = {**ANNA, "sub": "9", "email": "eve@evil.org"}


@pytest.fixture(autouse=True)
def signed_with_our_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (starlette_websocket, starlette_auth_routes):
        monkeypatch.setattr(module, "get_cookie_secret", lambda: SECRET)


def cookie(claims: dict[str, Any], *, origin: str = ORIGIN, secret: str = SECRET) -> str:
    value = json.dumps({**claims, "origin": origin})
    return create_signed_value(secret, USER_COOKIE_NAME, value).decode()


def door(*, https: bool = False, **policy: Any) -> Door:
    login = Login(redirect_uri=f"{ORIGIN.replace('http', 'https') if https else ORIGIN}/oauth2callback")
    return Door(Policy(login=login, members=("example.com",), **policy), now_s=lambda: NOW_S)


async def _answer(request: Request) -> Response:
    if request.url.path.endswith("/oauth2callback"):
        answer: Response = RedirectResponse("/", status_code=302)
        if "error" in request.query_params:
            starlette_auth_routes._clear_auth_cookie(answer, request)
            return answer
        answer.set_cookie(USER_COOKIE_NAME, "fresh")
        return answer
    return PlainTextResponse("of a run")


PATHS = (
    "/",
    "/runs",
    "/auth/login",
    "/auth/logout",
    "/oauth2callback",
    "/media/{file}",
    "/_stcore/upload_file/{a}/{b}",
)


def client(guarded: Door, *, base: str = "", **cookies: str) -> TestClient:
    inner = Starlette(routes=[Route(base + path, _answer, methods=["GET", "PUT"]) for path in PATHS])
    return TestClient(Gate(inner, door=guarded, base=base), base_url=ORIGIN, cookies=cookies, follow_redirects=False)


# The cookie: what Streamlit signs is what we read


@pytest.mark.parametrize("weight", [10, 6_000])
def test_what_streamlit_writes_at_a_login_is_read_whole(weight: int) -> None:
    groups = Random(1).randbytes(weight // 2).hex()  # what is all alike is written small
    answer = Response()
    written = {**ANNA, "origin": ORIGIN, "groups": groups}
    asyncio.run(starlette_auth_routes._set_auth_cookie(answer, written, {}))
    cookies = {}
    for header in answer.headers.getlist("set-cookie"):
        name, _, value = header.partition(";")[0].partition("=")
        cookies[name] = value.strip('"')
    assert len(cookies) > (3 if weight > 4_000 else 1)
    found = dict(claims_of(cookies, origin=ORIGIN))
    assert found == {**ANNA, "groups": groups}


@pytest.mark.parametrize(
    "made",
    [
        lambda: cookie(ANNA, secret="another secret of the same length"),
        lambda: cookie(ANNA, origin="http://elsewhere"),
        lambda: cookie(ANNA)[:-1],
        lambda: create_signed_value(SECRET, "_streamlit_other", json.dumps({**ANNA, "origin": ORIGIN})).decode(),
        lambda: "",
        lambda: json.dumps(ANNA),
    ],
)
def test_what_streamlit_did_not_sign_for_this_place_is_nobodys(made: Callable[[], str]) -> None:
    assert claims_of({USER_COOKIE_NAME: made()}, origin=ORIGIN).get("is_logged_in") is not True


# Files


@pytest.mark.parametrize("base", ["", "/fan"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/media/1.csv"), ("PUT", "/_stcore/upload_file/a/b")])
def test_files_are_for_those_who_are_in(method: str, path: str, base: str) -> None:
    guarded = door()
    asks: dict[str, dict[str, str]] = {
        "in": {USER_COOKIE_NAME: cookie(ANNA)},
        "stranger": {},
        "not allowed": {USER_COOKIE_NAME: cookie(EVE)},
        "forged": {USER_COOKIE_NAME: cookie(ANNA, secret="another secret of the same length")},
        "over": {USER_COOKIE_NAME: cookie({**ANNA, "iat": NOW_S - 13 * 3600})},
    }
    told = {who: client(guarded, base=base, **cookies).request(method, base + path) for who, cookies in asks.items()}
    assert {who: answer.status_code for who, answer in told.items()} == {
        "in": 200,
        "stranger": 403,
        "not allowed": 403,
        "forged": 403,
        "over": 403,
    }
    assert all("of a run" not in answer.text for who, answer in told.items() if who != "in")


def test_after_the_logout_the_same_cookie_opens_nothing() -> None:
    guarded = door()
    browser = client(guarded, **{USER_COOKIE_NAME: cookie(ANNA)})
    assert browser.get("/media/1.csv").status_code == 200
    browser.get("/auth/logout")
    assert browser.get("/media/1.csv").status_code == 403


# The link


@pytest.mark.parametrize("base", ["", "/fan"])
def test_the_link_survives_the_login_once(base: str) -> None:
    guarded = door()
    browser = client(guarded, base=base)
    browser.get(f"{base}/")
    guarded.links.keep(browser.cookies[BROWSER], Asked.of("runs", {"run": "abc"}))
    assert browser.get(f"{base}/oauth2callback").headers["location"] == f"{base}/runs?run=abc"
    assert browser.get(f"{base}/oauth2callback").headers["location"] == "/"


def test_a_browser_keeps_its_cookie_and_another_ones_link_is_not_its_own() -> None:
    guarded = door()
    anna, ben = client(guarded), client(guarded)
    first = anna.get("/").headers["set-cookie"]
    assert "HttpOnly" in first
    assert "SameSite=Lax" in first
    assert "set-cookie" not in anna.get("/runs").headers
    ben.get("/")
    guarded.links.keep(anna.cookies[BROWSER], Asked.of("", {"run": "annas"}))
    assert ben.get("/oauth2callback").headers["location"] == "/"


def test_a_login_that_was_denied_is_remembered_until_the_next_one_and_leads_to_the_same_page() -> None:
    guarded = door()
    browser = client(guarded)
    browser.get("/")
    name = browser.cookies[BROWSER]
    guarded.links.keep(name, Asked.of("runs", {}))
    assert browser.get("/oauth2callback?error=access_denied").headers["location"] == "/runs"
    assert name in guarded.missed
    assert "another" not in guarded.missed
    browser.get("/oauth2callback")
    assert name not in guarded.missed


def test_who_is_in_and_comes_back_to_an_old_callback_has_missed_nothing() -> None:
    guarded = door()
    browser = client(guarded, **{USER_COOKIE_NAME: cookie(ANNA)})
    browser.get("/")
    browser.get("/oauth2callback?error=access_denied")
    assert browser.cookies[BROWSER] not in guarded.missed


# Attempts


def test_too_many_attempts_are_answered_with_a_sentence() -> None:
    guarded = door()
    browser = client(guarded)
    told = [browser.get(path) for path in ("/auth/login", "/oauth2callback") for _ in range(ATTEMPTS)]
    assert [answer.status_code for answer in told].count(429) == ATTEMPTS
    refused = told[-1]
    assert "Too many attempts" in refused.text
    assert int(refused.headers["retry-after"]) >= 1
    assert browser.get("/").status_code == 200


# Cookies over TLS


@pytest.mark.parametrize("https", [False, True])
def test_cookies_are_for_tls_only_where_there_is_tls(https: bool) -> None:
    browser = client(door(https=https))
    for path in ("/", "/oauth2callback"):
        assert ("; Secure" in browser.get(path).headers["set-cookie"]) is https


def test_without_a_login_the_gate_does_nothing() -> None:
    browser = client(Door(Policy()))
    assert browser.get("/media/1.csv").status_code == 200
    assert "set-cookie" not in browser.get("/").headers
    assert all(browser.get("/auth/login").status_code == 200 for _ in range(ATTEMPTS + 1))


# Sockets


class Socket:
    """One websocket through the gate; the application hands on what it gets to `heard`."""

    def __init__(self, guarded: Door, *, claims: dict[str, Any] | None, key: str = "k1") -> None:
        self.heard: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        headers = [(b"sec-websocket-protocol", b"streamlit, token, session"), (b"sec-websocket-key", key.encode())]
        if claims is not None:
            headers.append((b"cookie", f"{USER_COOKIE_NAME}={cookie(claims)}".encode()))
        scope = {"type": "websocket", "path": "/_stcore/stream", "headers": headers, "query_string": b""}
        self.coming.put_nowait({"type": "websocket.connect"})
        self.ends = asyncio.ensure_future(Gate(self._app, door=guarded)(scope, self.coming.get, self.sent.put))

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = dict(scope["headers"])
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                await send({"type": "websocket.send", "bytes": b"too late"})
                return
            self.heard.append(message["bytes"])
            await send({"type": "websocket.send", "bytes": b"of a run"})

    async def say(self, what: bytes) -> Message:
        await self.coming.put({"type": "websocket.receive", "bytes": what})
        return await self.sent.get()


def test_a_socket_is_closed_the_instant_its_login_is_ended_and_hears_nothing_more() -> None:
    async def story() -> None:
        guarded = door()
        tab, other = Socket(guarded, claims=ANNA), Socket(guarded, claims={**ANNA, "sub": "8"})
        assert (await tab.sent.get())["type"] == (await other.sent.get())["type"] == "websocket.accept"
        assert (await tab.say(b"run"))["bytes"] == b"of a run"
        guarded.end(ANNA)
        await tab.coming.put({"type": "websocket.receive", "bytes": b"stop"})
        last, closing = await tab.sent.get(), await tab.sent.get()
        assert ForwardMsg.FromString(last["bytes"]).WhichOneof("type") == "auth_redirect"
        assert (closing["type"], closing["code"]) == ("websocket.close", CLOSED)
        await tab.ends
        assert (tab.heard, tab.sent.qsize()) == ([b"run"], 0)
        assert (await other.say(b"run"))["bytes"] == b"of a run"
        await other.coming.put({"type": "websocket.disconnect", "code": 1000})
        await other.ends
        assert guarded.ended._watching == {}

    asyncio.run(story())


def test_the_tab_in_which_log_out_was_pressed_is_not_loaded_again() -> None:
    async def story() -> None:
        guarded = door()
        tab = Socket(guarded, claims=ANNA, key="leaves")
        await tab.sent.get()
        guarded.leaving.add("leaves")
        guarded.end(ANNA)
        await tab.coming.put({"type": "websocket.receive", "bytes": b"stop"})
        await tab.coming.put({"type": "websocket.disconnect", "code": 1001})
        await tab.ends
        assert (tab.heard, tab.sent.qsize()) == ([], 0)

    asyncio.run(story())


def test_a_socket_is_closed_when_its_login_runs_out() -> None:
    async def story() -> None:
        tab = Socket(door(session_s=60.05), claims={**ANNA, "iat": NOW_S - 60})
        await tab.sent.get()
        await tab.sent.get()
        assert (await tab.sent.get())["type"] == "websocket.close"
        await tab.ends

    asyncio.run(story())


@pytest.mark.parametrize("claims", [None, {**ANNA, "iat": NOW_S - 13 * 3600}, EVE])
def test_whoever_is_not_in_takes_up_no_session(claims: dict[str, Any] | None) -> None:
    async def story() -> None:
        tab = Socket(door(), claims=claims)
        await tab.sent.get()
        assert tab.headers[b"sec-websocket-protocol"] == b"streamlit, token"
        await tab.coming.put({"type": "websocket.disconnect", "code": 1000})
        await tab.ends

    asyncio.run(story())


def test_whoever_is_in_takes_up_the_session_they_had() -> None:
    async def story() -> None:
        tab = Socket(door(), claims=ANNA)
        await tab.sent.get()
        assert tab.headers[b"sec-websocket-protocol"] == b"streamlit, token, session"
        await tab.coming.put({"type": "websocket.disconnect", "code": 1000})
        await tab.ends

    asyncio.run(story())
