"""The login at the server's edge: a pure ASGI middleware around Streamlit, for http and websocket alike.

Comes in: connections. Goes out: the same, with what Streamlit leaves open closed: attempts to log in are bounded, the
link that was asked for survives the login, a login that is over reaches no page and its open sockets are closed at
that instant, files are given and taken from people who are in only, cookies are for TLS only where there is TLS.
Where no login is set up it does nothing. Knows no page: who may do what on one is decided there.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dashboard.door.cookie import claims_of, sets_login
from dashboard.door.rules import Admitted, Login
from dashboard.door.state import PAGE, Door

BROWSER: Final = "fanout_browser"
"""The cookie by which a browser is known through a login; it says nothing of who uses it."""
SOCKET_KEY: Final = "sec-websocket-key"
LOGIN, LOGOUT, CALLBACK = "/auth/login", "/auth/logout", "/oauth2callback"
FILES: Final = ("/media/", "/_stcore/upload_file/")
"""What people download and upload: a path is enough for Streamlit, whoever asks."""
CLOSED: Final = 1008
"""The websocket close code that says: not you."""
TOO_MANY: Final = "Too many attempts to log in from this address. Wait a minute, then try again.\n"
NOT_IN: Final = "Log in first.\n"


class Gate:
    """Guards one application below one base path."""

    def __init__(self, app: ASGIApp, *, door: Door, base: str = "") -> None:
        self._app = app
        self._door = door
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer."""
        login = self._door.policy.login
        if login is None or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send, login)
        else:
            await self._http(scope, receive, send, login)

    async def _http(self, scope: Scope, receive: Receive, send: Send, login: Login) -> None:
        asks = HTTPConnection(scope)
        path = self._below_base(scope["path"])
        if path in (LOGIN, CALLBACK):
            wait_s = self._door.attempts.wait_s(asks.client.host if asks.client else None)
            if wait_s > 0:
                headers = {"Retry-After": str(math.ceil(wait_s)), "Cache-Control": "no-store"}
                await PlainTextResponse(TOO_MANY, status_code=429, headers=headers)(scope, receive, send)
                return
        claims = claims_of(asks.cookies, origin=login.origin)
        if path.startswith(FILES) and not isinstance(self._door.judge(claims), Admitted):
            await PlainTextResponse(NOT_IN, status_code=403)(scope, receive, send)
            return
        if path == LOGOUT:
            self._door.end(claims)

        async def send_changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if path == CALLBACK:
                    self._lead_back(headers, asks.cookies.get(BROWSER))
                    if not isinstance(self._door.judge(claims), Admitted):  # else an old address was come back to
                        self._note(asks.cookies.get(BROWSER), is_in=sets_login(headers.getlist("set-cookie")))
                if scope["method"] == "GET" and PAGE.fullmatch(path.strip("/")) and BROWSER not in asks.cookies:
                    headers.append("set-cookie", self._browser_cookie())
                if login.https:
                    _for_tls_only(message)
            await send(message)

        await self._app(scope, receive, send_changed)

    def _below_base(self, path: str) -> str:
        if self._base and (path == self._base or path.startswith(f"{self._base}/")):
            return path[len(self._base) :] or "/"
        return path

    def _lead_back(self, headers: MutableHeaders, browser: str | None) -> None:
        """Streamlit sends everybody who logged in to its first page: make it the one they asked for."""
        asked = None if browser is None else self._door.links.take(browser)
        if asked is not None and "location" in headers:
            headers["location"] = self._base + asked.path()

    def _note(self, browser: str | None, *, is_in: bool) -> None:
        """Streamlit leads back whoever was denied without a word: the page says it."""
        if browser is not None:
            (self._door.missed.discard if is_in else self._door.missed.add)(browser)

    def _browser_cookie(self) -> str:
        return f"{BROWSER}={secrets.token_urlsafe(24)}; Path={self._base or '/'}; HttpOnly; SameSite=Lax"

    async def _socket(self, scope: Scope, receive: Receive, send: Send, login: Login) -> None:
        """Hand the socket on; one whose login does not hold takes up no session, and one whose login ends is closed.

        Streamlit resumes a session by an id that the browser sends, and its first message may be a press on the page
        that was open: so whoever is not in begins anew, at the door's page.
        """
        found = self._door.judge(claims_of(HTTPConnection(scope).cookies, origin=login.origin))
        if not isinstance(found, Admitted):
            await self._app({**scope, "headers": [_begin_anew(*header) for header in scope["headers"]]}, receive, send)
            return
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(over.set)

        unwatch = self._door.ended.watch(found.login_id or "", wake)
        timer = loop.call_later(max(0.0, found.until_s - self._door.now_s()), over.set)
        watched = _Watched(receive, send, over, leaving=lambda: self._door.leaving.discard(_key_of(scope)))
        try:
            await self._app(scope, watched.receive, watched.send)
        finally:
            timer.cancel()
            unwatch()
            watched.close()


class _Watched:
    """A socket that ends when its login does: nothing that was sent afterwards is read, nothing more is said.

    Its last word makes the tab load itself again, so that what it showed is gone and the door's page stands there.
    """

    def __init__(self, receive: Receive, send: Send, over: asyncio.Event, *, leaving: Callable[[], bool]) -> None:
        self._leaving = leaving
        self._receive = receive
        self._send = send
        self._over = over
        self._waiting = asyncio.ensure_future(over.wait())

    async def receive(self) -> Message:
        """The next message; a disconnection once the login is over, and the socket is closed."""
        coming = asyncio.ensure_future(_awaited(self._receive))
        await asyncio.wait({coming, self._waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not self._over.is_set():
            return coming.result()
        if self._leaving():  # the tab in which "Log out" was pressed is on its way: to load it again would stop it
            message = await coming
            while message["type"] != "websocket.disconnect":
                message = await self._receive()
            return message
        coming.cancel()
        await self._send({"type": "websocket.send", "bytes": _load_again()})
        await self._send({"type": "websocket.close", "code": CLOSED, "reason": "logged out"})
        return {"type": "websocket.disconnect", "code": CLOSED}

    async def send(self, message: Message) -> None:
        """Send, unless the login is over."""
        if not self._over.is_set():
            await self._send(message)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._waiting.cancel()


async def _awaited(receive: Callable[[], Awaitable[Message]]) -> Message:
    return await receive()


def _begin_anew(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Streamlit's browser names, in this header: its protocol, its XSRF token, and the session it had."""
    if name.lower() != b"sec-websocket-protocol":
        return name, value
    return name, b",".join(value.split(b",")[:2])


def _load_again() -> bytes:
    """Streamlit's message that leads a browser elsewhere; an empty address is the page it is on."""
    message = ForwardMsg()
    message.auth_redirect.SetInParent()
    return bytes(message.SerializeToString())


def _key_of(scope: Scope) -> str:
    """What tells one socket from all others: the key of its handshake, which its page can read too."""
    return HTTPConnection(scope).headers.get(SOCKET_KEY, "")


def _for_tls_only(message: Message) -> None:
    """Streamlit leaves Secure off its cookies, because some browsers keep none then on http."""
    message["headers"] = [
        (name, value + b"; Secure" if name.lower() == b"set-cookie" and b"; secure" not in value.lower() else value)
        for name, value in message["headers"]
    ]
