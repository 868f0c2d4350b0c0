"""One HTTP exchange on its ASGI callables: read, wait while listening, send, or break off.

Comes in: `receive` and `send`. Goes out: the body, and bytes in order. `HungUp` is raised where the client is gone.
Knows no OpenAI and draws nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Send

MAX_BODY_BYTES = 4_000_000

Headers = Sequence[tuple[bytes, bytes]]


class HungUp(Exception):
    """The client closed the connection before its answer."""


class BodyTooLarge(Exception):
    """The body is longer than MAX_BODY_BYTES; it has been read to its end, so that an answer reaches the client."""


class Wire:
    """The server's end of one request."""

    __slots__ = ("_gone", "_listener", "_receive", "_send", "_waiter")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._listener: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False

    async def body(self) -> bytes:
        """The whole body; raises HungUp or BodyTooLarge."""
        parts: list[bytes] = []
        length = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUp
            part: bytes = message.get("body", b"")
            length += len(part)
            if length <= MAX_BODY_BYTES:
                parts.append(part)
            if not message.get("more_body", False):
                break
        if length > MAX_BODY_BYTES:
            raise BodyTooLarge
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait_until(self, at_ns: int | None) -> None:
        """Wait for this instant of the monotonic clock (None: for ever); raises HungUp as soon as the client is gone.

        The instant is absolute, so that a late wake-up does not delay the next one. One listener stands by for all the
        waits of an exchange: `asyncio.timeout_at` around each wait cost a streamed answer a third more.
        """
        loop = asyncio.get_running_loop()
        if self._listener is None:
            self._listener = loop.create_task(self._listen())
        self._waiter = loop.create_future()
        timer = None if at_ns is None else loop.call_at(at_ns / 1e9, _wake, self._waiter)
        try:
            if not self._gone:
                await self._waiter
        finally:
            if timer is not None:
                timer.cancel()
        if self._gone:
            raise HungUp

    async def _listen(self) -> None:
        """Ends when the client hangs up, or else with the answer."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._waiter is not None:
            _wake(self._waiter)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, body: bytes) -> None:
        """Send bytes; more follow."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last bytes."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def json(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole answer."""
        await self.start(status, _json_headers(len(body), headers))
        await self.end(body)

    async def broken_json(self, body: bytes, headers: Headers = ()) -> None:
        """Announce a whole answer and send half of it; the server closes the socket when the endpoint returns."""
        await self.start(200, _json_headers(len(body), headers))
        await self.more(body[: len(body) // 2])


def _json_headers(length: int, headers: Headers) -> Headers:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % length), *headers]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
