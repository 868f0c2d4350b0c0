import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from dashboard.guard import (
    POLICY_VIOLATION,
    LoopbackOnly,
    SafeHeaders,
    check_address,
    content_security_policy,
    inline_script_hashes,
    is_loopback,
)
from fanout.errors import BadInput


async def _hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


APP = Starlette(routes=[Route("/", _hello), WebSocketRoute("/", _talk)])


def _ask(app: Any, *, server: str, host: str, kind: str = "http") -> list[Message]:
    scope: Scope = {
        "type": kind,
        "path": "/",
        "method": "GET",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": (server, 8501),
        "subprotocols": [],
    }
    sent: list[Message] = []
    received = [{"type": "websocket.connect"}] if kind == "websocket" else [{"type": "http.request", "body": b""}]

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("server", "host"),
    [("127.0.0.1", "127.0.0.1:8501"), ("::1", "[::1]:8501"), ("::ffff:127.0.0.1", "localhost:8501")],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_comes_over_loopback_is_let_in(server: str, host: str, kind: str) -> None:
    first = _ask(LoopbackOnly(APP, allow_remote=False), server=server, host=host, kind=kind)[0]
    assert first.get("status", first["type"]) in (200, "websocket.accept")


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("192.168.1.7", "192.168.1.7:8501"),
        ("192.168.1.7", "localhost:8501"),
        ("127.0.0.1", "evil.example"),
        ("127.0.0.1", "127.0.0.1.evil.example:8501"),
        ("127.0.0.1", ""),
    ],
)
def test_another_machine_and_another_name_are_refused(server: str, host: str) -> None:
    guarded = LoopbackOnly(APP, allow_remote=False)
    assert _ask(guarded, server=server, host=host)[0]["status"] == 403
    closed = _ask(guarded, server=server, host=host, kind="websocket")
    assert [(m["type"], m.get("code")) for m in closed] == [("websocket.close", POLICY_VIOLATION)]


def test_remote_is_let_in_where_the_operator_says_so() -> None:
    first = _ask(LoopbackOnly(APP, allow_remote=True), server="192.168.1.7", host="fanout.example")[0]
    assert first["status"] == 200


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.7", "fanout.example"])
def test_listening_for_other_machines_is_refused_unless_told(address: str | None) -> None:
    with pytest.raises(BadInput, match="FANOUT_ALLOW_REMOTE"):
        check_address(address, allow_remote=False)
    check_address(address, allow_remote=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_listening_on_loopback_is_right(address: str) -> None:
    check_address(address, allow_remote=False)
    assert is_loopback(address)


def test_every_response_carries_the_policy_and_refusals_do_too() -> None:
    app = SafeHeaders(LoopbackOnly(APP, allow_remote=False), policy="default-src 'self'")
    for server in ("127.0.0.1", "192.168.1.7"):
        headers = dict(_ask(app, server=server, host="127.0.0.1")[0]["headers"])
        assert headers[b"content-security-policy"] == b"default-src 'self'"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"referrer-policy"] == b"no-referrer"


def test_the_policy_names_streamlits_inline_script_and_no_other_server() -> None:
    policy = content_security_policy()
    assert "'sha256-" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert "unsafe-eval" not in policy
    assert "img-src 'self' data: blob:" in policy


def test_a_scripts_hash_is_of_its_exact_text() -> None:
    # echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert inline_script_hashes("<script>alert(1)</script><script src='x'></script>") == (
        "bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=",
    )
