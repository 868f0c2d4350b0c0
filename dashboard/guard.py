"""Who may reach the pages, and what the pages may reach: two pure ASGI middlewares.

Comes in: a connection's own address and Host header, and Streamlit's index.html. Goes out: the connection passed on, or
refused with a sentence; and the headers (a Content-Security-Policy above all) that keep text from a model from
asking anything of another server. Knows no page.

The address is the one the connection arrived at (`scope["server"]`), not the option `server.address`: under another
launcher the option proves nothing. The Host header is held to known names against DNS rebinding. Who a person is, the
door decides (`dashboard.door`).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Collection
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fanout.errors import BadInput

REFUSED = (
    "Fanout answers this machine only, because no login is set up. "
    "Set one up (docs/deploy.md), or FANOUT_INSECURE=1 to let in whoever reaches it.\n"
)
UNKNOWN_HOST = "Fanout does not answer under this name. FANOUT_ALLOWED_HOSTS names those it answers under.\n"
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip")
"""What a proxy adds: then the connection is of this machine, and who asks is not."""
POLICY_VIOLATION = 1008
"""The websocket close code that says: not you."""
PERMISSIONS = ", ".join(
    f"{name}=()" for name in ("camera", "microphone", "geolocation", "payment", "usb", "serial", "midi")
)
"""What a page of ours never asks of a browser. Copying to the clipboard is left: the page has buttons for it."""


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


def check_address(address: object, *, login: bool, insecure: bool) -> None:
    """Raise BadInput where the server is told to listen for other machines and nobody decides who may come in."""
    if login or insecure or is_loopback(None if address is None else str(address)):
        return
    raise BadInput(
        f"server.address is {address or 'every interface'}: {REFUSED.strip()} Or start with --server.address 127.0.0.1."
    )


class Guard:
    """Refuses what did not come over loopback (where `here_only`), or asks for another host; http and websocket alike.

    `hosts` are names beside this machine's own; None lets any name in.
    """

    def __init__(self, app: ASGIApp, *, here_only: bool, hosts: Collection[str] | None) -> None:
        self._app = app
        self._here_only = here_only
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403 (close 1008)."""
        refused = None if scope["type"] == "lifespan" else self._refused(scope)
        if refused is None and scope["type"] == "websocket":
            await self._talk(scope, receive, send)
        elif refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "not here"})
        else:
            await PlainTextResponse(refused, status_code=403)(scope, receive, send)

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a websocket on. One that is over may be read once more: a tab was closed, which is no error."""
        is_over = False

        async def send_on(message: Message) -> None:
            nonlocal is_over
            is_over = is_over or message["type"] == "websocket.close"
            try:
                await send(message)
            except OSError:
                is_over = True
                raise

        try:
            await self._app(scope, receive, send_on)
        except RuntimeError:
            if not is_over:
                raise

    def _refused(self, scope: Scope) -> str | None:
        server = scope.get("server")
        if self._here_only and (server is None or not is_loopback(server[0]) or _forwarded(scope)):
            return REFUSED
        if self._hosts is None:
            return None
        host = host_name(Headers(scope=scope).get("host", ""))
        if is_loopback(host) or host in self._hosts:
            return None
        return REFUSED if self._here_only else UNKNOWN_HOST


def host_name(header: str) -> str:
    """The name in a Host header, without its port, lower-cased."""
    return re.sub(r":\d+$", "", header).lower()


def _forwarded(scope: Scope) -> bool:
    return any(name.lower() in FORWARDED for name, _ in scope["headers"])


class SafeHeaders:
    """Adds the policy and its companions to every response.

    `https` tells browsers to come over TLS from now on. What people download and upload is kept by no cache. Who comes
    by `logout` leaves nothing in the browser: a tab keeps the form that was typed into it.
    """

    def __init__(
        self, app: ASGIApp, *, policy: str, https: bool = False, base: str = "", logout: str | None = None
    ) -> None:
        self._app = app
        self._logout = None if logout is None else f"{base}{logout}"
        self._private = tuple(f"{base}{path}" for path in ("/media/", "/_stcore/upload_file/"))
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
            "Permissions-Policy": PERMISSIONS,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers put on what comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = {"Cache-Control": "no-store"} if scope["path"].startswith(self._private) else {}
        if scope["path"] == self._logout:
            kept["Clear-Site-Data"] = '"storage"'

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**self._headers, **kept})
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
