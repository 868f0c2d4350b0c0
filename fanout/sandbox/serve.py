"""The sandbox on a socket: what the command line and the app's child process run.

Comes in: an address and a profile. Goes out: nothing until it is stopped. Refuses addresses that others can reach,
unless told. Imports neither pydantic-ai nor Streamlit, so that it is up in a fraction of a second.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fanout.errors import BadInput
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.server import Sandbox, make_app

KEEP_ALIVE_S = (
    600  # longer than any client of ours keeps a connection, so that it is never the server that lets go first
)


def serve(
    *,
    port: int,
    host: str = "127.0.0.1",
    profile: SandboxProfile | None = None,
    allow_remote: bool = False,
    on_ready: Callable[[str], None] | None = None,
    ends_with_fd: int | None = None,
) -> None:
    """Serve the sandbox until SIGTERM, or SIGINT, which then raises KeyboardInterrupt. For the main thread.

    Port 0 takes a free one; `on_ready` is told the URL once it answers. Plain `/v1/...` answers by `profile`. With
    `ends_with_fd`, the process ends at once when this pipe does. Raises BadInput where the port is taken, or the host
    is not of this machine and `allow_remote` is not set.
    """
    if not allow_remote and not is_loopback(host):
        raise BadInput(f"the sandbox serves this machine only: {host!r} is reachable from others, use 127.0.0.1")
    sandbox = Sandbox(profile or SandboxProfile())
    bound = _bound(host, port)
    config = uvicorn.Config(
        make_app(sandbox),
        http=_counting(sandbox),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_our_bug)
    with bound:
        _Server(config, on_ready=lambda: _ready(bound, on_ready), ends_with_fd=ends_with_fd).run(sockets=[bound])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """A server that says when it is up, and ends with its parent."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None], ends_with_fd: int | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._ends_with_fd = ends_with_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ends_with_fd is not None:
            asyncio.get_running_loop().add_reader(self._ends_with_fd, _end_at_eof, self._ends_with_fd)
        gc.collect()
        gc.freeze()  # what is there now stays: it need not be walked at each collection
        self._on_ready()


def _end_at_eof(fd: int) -> None:
    if not os.read(fd, 1024):
        os._exit(0)  # nothing is kept that could be lost, and a hung request must not hold the process


def _ready(bound: socket.socket, on_ready: Callable[[str], None] | None) -> None:
    if on_ready is not None:
        host, port = bound.getsockname()[:2]
        on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # unnamed, asyncio leaves Nagle on: 40 ms a call
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as exc:
        bound.close()
        raise BadInput(_why_not(host, port, exc)) from exc
    return bound


def _why_not(host: str, port: int, exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
        return f"port {port} is in use on {host}: choose another, or 0 for a free one"
    return f"the sandbox cannot listen on {host} port {port}: {exc}"


def _counting(sandbox: Sandbox) -> type[asyncio.Protocol]:
    """uvicorn's protocol (httptools where it is installed, else h11), which also counts connections."""

    class Counting(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            sandbox.connections += 1
            super().connection_made(transport)

    return Counting


def _is_our_bug(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is a traceback of ours.

    The others are what the sandbox does on purpose: answers broken off half-way, and requests let go when it ends.
    """
    raised = record.exc_info[1] if record.exc_info else None
    return raised is not None and not isinstance(raised, asyncio.CancelledError)
