import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.guard import (
    POLICY_VIOLATION,
    Guard,
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


HERE = Guard(APP, here_only=True, hosts=())


def _ask(
    app: Any,
    *,
    server: str,
    host: str,
    kind: str = "http",
    path: str = "/",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> list[Message]:
    scope: Scope = {
        "type": kind,
        "path": path,
        "method": "GET",
        "query_string": b"",
        "headers": [(b"host", host.encode()), *headers],
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
    first = _ask(HERE, server=server, host=host, kind=kind)[0]
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
    guarded = HERE
    assert _ask(guarded, server=server, host=host)[0]["status"] == 403
    closed = _ask(guarded, server=server, host=host, kind="websocket")
    assert [(m["type"], m.get("code")) for m in closed] == [("websocket.close", POLICY_VIOLATION)]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "x-forwarded-host"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_a_proxy_hands_on_is_not_of_this_machine(name: str, kind: str) -> None:
    handed = ((name.lower().encode(), b"203.0.113.9"),)
    first = _ask(HERE, server="127.0.0.1", host="127.0.0.1:8501", kind=kind, headers=handed)[0]
    assert (first.get("status"), first.get("code")) in ((403, None), (None, POLICY_VIOLATION))


def test_everybody_is_let_in_where_the_operator_says_so() -> None:
    open_to_all = Guard(APP, here_only=False, hosts=None)
    assert _ask(open_to_all, server="192.168.1.7", host="fanout.example")[0]["status"] == 200


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("fanout.example.com", True),
        ("Fanout.Example.com:443", True),
        ("127.0.0.1:8501", True),
        ("[::1]:8501", True),
        ("evil.example", False),
        ("fanout.example.com.evil.example", False),
        ("evil.example:443", False),
        ("", False),
    ],
)
def test_only_names_that_are_known_are_answered(host: str, let_in: bool, kind: str) -> None:
    guarded = Guard(APP, here_only=False, hosts=("fanout.example.com",))
    first = _ask(guarded, server="192.168.1.7", host=host, kind=kind)[0]
    assert first.get("status", first["type"]) in ((200, "websocket.accept") if let_in else (403, "websocket.close"))


async def _goes_on(websocket: WebSocket) -> None:
    """As Streamlit does: it sends from elsewhere and is not told that the tab was closed, and reads once more."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        await websocket.send_bytes(b"drawn")
    await websocket.receive_bytes()


async def _is_wrong(websocket: WebSocket) -> None:
    await websocket.accept()
    raise RuntimeError("our own fault")


def _open_and_leave(endpoint: Callable[[WebSocket], Awaitable[None]], *, leaves: bool) -> None:
    app = Guard(Starlette(routes=[WebSocketRoute("/", endpoint)]), here_only=True, hosts=())
    asked = {"type": "websocket", "path": "/", "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 1)}
    scope: Scope = {**asked, "query_string": b"", "subprotocols": []}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if leaves and message["type"] == "websocket.send":
            raise OSError("the tab is closed")

    asyncio.run(app(scope, receive, send))


def test_a_tab_that_is_closed_while_it_is_drawn_is_no_error() -> None:
    _open_and_leave(_goes_on, leaves=True)
    with pytest.raises(RuntimeError, match="our own fault"):
        _open_and_leave(_is_wrong, leaves=True)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.7", "fanout.example"])
def test_listening_for_other_machines_is_refused_unless_somebody_decides_who_comes_in(address: str | None) -> None:
    with pytest.raises(BadInput, match="FANOUT_INSECURE"):
        check_address(address, login=False, insecure=False)
    check_address(address, login=True, insecure=False)
    check_address(address, login=False, insecure=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_listening_on_loopback_is_right(address: str) -> None:
    check_address(address, login=False, insecure=False)
    assert is_loopback(address)


def test_every_response_carries_the_policy_and_refusals_do_too() -> None:
    app = SafeHeaders(HERE, policy="default-src 'self'")
    for server in ("127.0.0.1", "192.168.1.7"):
        headers = dict(_ask(app, server=server, host="127.0.0.1")[0]["headers"])
        assert headers[b"content-security-policy"] == b"default-src 'self'"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"referrer-policy"] == b"no-referrer"
        assert headers[b"x-frame-options"] == b"DENY"
        assert headers[b"cross-origin-opener-policy"] == b"same-origin"
        assert b"camera=()" in headers[b"permissions-policy"]
        assert b"strict-transport-security" not in headers


def test_over_tls_browsers_are_told_to_come_over_tls() -> None:
    app = SafeHeaders(APP, policy="default-src 'self'", https=True)
    headers = dict(_ask(app, server="127.0.0.1", host="fanout.example.com")[0]["headers"])
    assert headers[b"strict-transport-security"] == b"max-age=31536000"


@pytest.mark.parametrize("base", ["", "/fan"])
def test_what_is_downloaded_is_kept_by_no_cache(base: str) -> None:
    app = SafeHeaders(APP, policy="default-src 'self'", base=base)
    for path, kept in ((f"{base}/media/1.csv", b"no-store"), (f"{base}/", None)):
        headers = dict(_ask(app, server="127.0.0.1", host="127.0.0.1", path=path)[0]["headers"])
        assert headers.get(b"cache-control") == kept


@pytest.mark.parametrize("base", ["", "/fan"])
def test_who_logs_out_leaves_nothing_in_the_browser(base: str) -> None:
    app = SafeHeaders(APP, policy="default-src 'self'", base=base, logout="/auth/logout")
    for path, cleared in ((f"{base}/auth/logout", b'"storage"'), (f"{base}/auth/login", None), (f"{base}/", None)):
        headers = dict(_ask(app, server="127.0.0.1", host="127.0.0.1", path=path)[0]["headers"])
        assert headers.get(b"clear-site-data") == cleared


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
