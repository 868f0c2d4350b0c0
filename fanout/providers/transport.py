"""The HTTP client under every model: a pool for each connection, one TLS context, a stamp when a request leaves.

Comes in: whether a proxy stands in the way. Goes out: an `httpx2.AsyncClient` that belongs to the loop it is first used
on. It knows no model.

httpcore2's pool walks all its connections on every request and every response, and asks the socket of each idle one
whether it still lives: 10.8 ms a call at 1,000 in flight in one pool, 3.3 ms in pools of 32. With one connection to a
pool there is nothing to walk, and which connection is next is ours to say: the one used last, which is the warmest.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from ssl import SSLContext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from pydantic_ai.models import create_async_http_client, create_async_httpx2_client

from fanout.providers.bounded import bound

if TYPE_CHECKING:
    import httpx  # a legacy that only some SDKs bring along

KEEPALIVE_S = 90.0
"""Idle connections live this long: httpx2's 5 s made 450 connections where 256 were enough."""
CONNECT_TIMEOUT_S = 10.0
TRANSFER_TIMEOUT_S = 3600.0
"""Above any `timeout_s`: the attempt's own clock covers sending to last byte, also for a server that trickles."""


class Wire:
    """What the wire saw of one attempt: told by the client's hooks, read when the attempt has ended."""

    __slots__ = ("_on_leaving", "beginning", "headers", "left", "sent", "status_code")

    def __init__(self, on_leaving: Callable[[], None]) -> None:
        self._on_leaving = on_leaving
        self.left = False
        """Whether the request was handed to the wire."""
        self.status_code: int | None = None
        """The response's, once its headers have come."""
        self.headers: httpx2.Headers | httpx.Headers | None = None
        """The response's, successful or not."""
        self.sent: httpx2.Headers | httpx.Headers | None = None
        """The request's; the key is among them."""
        self.beginning = b""
        """How the response's body began, unpacked; its first 2,000 bytes or fewer."""

    @property
    def content_type(self) -> str | None:
        """The response's content type once its headers have come ("" where it named none)."""
        return None if self.headers is None else self.headers.get("content-type", "")

    def leave(self, headers: httpx2.Headers | httpx.Headers | None = None) -> None:
        """The request goes out now, with `headers`; `on_leaving` is called the first time."""
        if not self.left:
            self.left, self.sent = True, headers
            self._on_leaving()

    def arrive(self, response: httpx2.Response | httpx.Response) -> None:
        """The response's headers have come."""
        self.status_code, self.headers = response.status_code, response.headers

    def begin(self, piece: bytes) -> None:
        """The response's body begins so, or goes on so shortly after."""
        self.beginning += piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """An answer that has come already, or the error that came instead."""

    status_code: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: bytes = b""
    error: httpx2.TransportError | None = None


replay: ContextVar[Replay | None] = ContextVar("fanout_replay", default=None)
"""Set around a request that must not leave: the transport gives this answer instead (`providers.lean`)."""

learning: ContextVar[list[httpx2.Request] | None] = ContextVar("fanout_learning", default=None)
"""Set around a request that is to be written down as it leaves (`providers.lean`)."""

wire: ContextVar[Wire | None] = ContextVar("fanout_wire", default=None)
"""Set in the task of an attempt, so that the shared client's hooks find the attempt they serve."""


class ShardedTransport(httpx2.AsyncBaseTransport):
    """As many connections as requests were ever in flight at once; each is an httpx2 pool of one."""

    def __init__(self, *, tls: SSLContext) -> None:
        self._tls = tls
        self._pools: list[httpx2.AsyncHTTPTransport] = []
        self._free: list[httpx2.AsyncHTTPTransport] = []

    def __repr__(self) -> str:
        busy = len(self._pools) - len(self._free)
        return f"<ShardedTransport {len(self._pools)} connections, {busy} in flight>"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request` on a free connection, or a new one; or give what is to be replayed."""
        given = replay.get()
        if given is not None:
            return _replayed(given, request)
        pool = self._free.pop() if self._free else self._one_more()
        try:
            response = await pool.handle_async_request(request)
        except BaseException:
            self._free.append(pool)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Body(response.stream, pool, self._free)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        pools, self._pools, self._free = self._pools, [], []
        for pool in pools:
            await pool.aclose()

    def _one_more(self) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S)
        self._pools.append(httpx2.AsyncHTTPTransport(verify=self._tls, limits=limits))
        return self._pools[-1]


class _Body(httpx2.AsyncByteStream):
    """The body of a response; its connection is free again once this is closed."""

    __slots__ = ("_closed", "_free", "_pool", "_stream")

    def __init__(
        self,
        stream: httpx2.AsyncByteStream,
        pool: httpx2.AsyncHTTPTransport,
        free: list[httpx2.AsyncHTTPTransport],
    ) -> None:
        self._stream = stream
        self._pool = pool
        self._free = free
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # no generator of ours between: this runs for every chunk of a stream

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            if not self._closed:
                self._closed = True
                self._free.append(self._pool)


def _replayed(given: Replay, request: httpx2.Request) -> httpx2.Response:
    if given.error is not None:
        raise given.error
    return httpx2.Response(given.status_code, headers=given.headers, content=given.content, request=request)


_tls_lock = threading.Lock()  # protects the first building of the TLS context: 27 ms each, and it holds the GIL


@cache
def _built_tls() -> SSLContext:
    return httpx2.create_ssl_context()


def shared_tls() -> SSLContext:
    """The one TLS context of the process (CA bundle as httpx2 finds it); from any thread."""
    with _tls_lock:
        return _built_tls()


def http_client(*, proxied: bool) -> httpx2.AsyncClient:
    """A client on a ShardedTransport; with `proxied`, httpx2's own, which goes through the environment's proxies.

    A client that is given a transport ignores HTTP_PROXY, HTTPS_PROXY and ALL_PROXY. Used and closed on one loop.
    """
    timeout = httpx2.Timeout(TRANSFER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    sharded = None if proxied else ShardedTransport(tls=shared_tls())
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_S)
    client = create_async_httpx2_client(timeout=timeout, limits=limits, transport=sharded)
    _hook(client, kind=httpx2.AsyncByteStream)
    return client


def legacy_http_client() -> httpx.AsyncClient:
    """A client for an SDK that is on httpx and not on httpx2: its pool is httpx's own, its hooks are the same.

    Goes through the environment's proxies. Raises ImportError where httpx is not installed.
    """
    import httpx

    client = create_async_http_client(timeout=int(TRANSFER_TIMEOUT_S), connect=int(CONNECT_TIMEOUT_S))
    _hook(client, kind=httpx.AsyncByteStream)
    return client


def _hook(client: httpx2.AsyncClient | httpx.AsyncClient, *, kind: type) -> None:
    # Hooks and not the transport, so that they fire behind a proxy too.
    client.event_hooks["request"].append(_leaves)
    client.event_hooks["response"].append(partial(_headers_came, kind))


async def _leaves(request: httpx2.Request | httpx.Request) -> None:
    attempt, notebook = wire.get(), learning.get()
    if attempt is not None:
        attempt.leave(request.headers)
    if notebook is not None and isinstance(request, httpx2.Request):
        notebook.append(request)


async def _headers_came(kind: type, response: httpx2.Response | httpx.Response) -> None:
    attempt = wire.get()
    if attempt is None:
        bound(response, _unseen, kind=kind)
    else:
        attempt.arrive(response)
        bound(response, attempt.begin, kind=kind)


def _unseen(piece: bytes) -> None:
    return


def behind_proxy(url: str) -> bool:
    """Whether the environment names a proxy for `url`, NO_PROXY considered. Sends nothing."""
    parts = urlsplit(url)
    proxies = getproxies()
    if not (proxies.get(parts.scheme) or proxies.get("all")):
        return False
    return not proxy_bypass(parts.hostname or "")


def names_a_proxy() -> bool:
    """Whether the environment names a proxy for any address that a provider may have."""
    proxies = getproxies()
    return any(proxies.get(scheme) for scheme in ("http", "https", "all"))
