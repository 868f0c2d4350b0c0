"""Who may reach the pages, and what the pages may reach: two pure ASGI middlewares.

Comes in: a connection's own address and Host header, and Streamlit's index.html. Goes out: the connection passed on, or
refused with a sentence; and the headers (a Content-Security-Policy above all) that keep text from a model from
asking anything of another server. Knows no page.

The address is the one the connection arrived at (`scope["server"]`), not the option `server.address`: under another
launcher the option proves nothing. The Host header is held to this machine's names against DNS rebinding.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fanout.errors import BadInput

REFUSED = (
    "Fanout answers this machine only, because it has no login. "
    "Set FANOUT_ALLOW_REMOTE=1 if something before it decides who may come in.\n"
)
POLICY_VIOLATION = 1008
"""The websocket close code that says: not you."""


def is_loopback(host: str | None) -> bool:
    """Whether `host` (an address or a name, with or without brackets) is this machine and no other."""
    if host is None:
        return False
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_address(address: object, *, allow_remote: bool) -> None:
    """Raise BadInput where the server is told to listen on an address that other machines reach."""
    if allow_remote or is_loopback(None if address is None else str(address)):
        return
    raise BadInput(
        f"server.address is {address or 'every interface'}: {REFUSED.strip()} Or start with --server.address 127.0.0.1."
    )


class LoopbackOnly:
    """Refuses what did not come over loopback, http and websocket alike."""

    def __init__(self, app: ASGIApp, *, allow_remote: bool) -> None:
        self._app = app
        self._allow_remote = allow_remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403 (close 1008)."""
        if self._allow_remote or scope["type"] == "lifespan" or _from_here(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "this machine only"})
        else:
            await PlainTextResponse(REFUSED, status_code=403)(scope, receive, send)


def _from_here(scope: Scope) -> bool:
    server = scope.get("server")
    host = Headers(scope=scope).get("host", "")
    name = re.sub(r":\d+$", "", host)
    return server is not None and is_loopback(server[0]) and is_loopback(name)


class SafeHeaders:
    """Adds the policy and its companions to every response."""

    def __init__(self, app: ASGIApp, *, policy: str) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers put on what comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def content_security_policy() -> str:
    """What the pages may load and reach: this server only.

    `blob:` scripts are how Streamlit runs a component's code; the hashes are of the inline scripts in Streamlit's
    own index.html, read at start because they change with its version.
    """
    hashes = " ".join(f"'sha256-{digest}'" for digest in inline_script_hashes(_index_html()))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: {hashes}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "object-src 'none'",
            "base-uri 'self'",
        )
    )


def inline_script_hashes(html: str) -> tuple[str, ...]:
    """SHA-256, in base64, of every inline script of a page, in its order."""
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    return tuple(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)


def _index_html() -> str:
    return (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
