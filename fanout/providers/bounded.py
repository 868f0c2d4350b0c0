"""How much one response may bring: its body counted as it is read, given up where it grows beyond every answer.

Comes in: the body of any response, an error's too, unpacked or not. Goes out: the same pieces, and its beginning for
whoever must say what came. It raises `BadAnswer`, which hangs up and is not sent again, and knows no model.
Without it a server that never ends its body takes all memory within its timeout, and every run of the process with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx2

from fanout.errors import BadAnswer

if TYPE_CHECKING:
    import httpx

MEGABYTE = 1_000_000
MOST_WHOLE = 32 * MEGABYTE
"""Bytes of a body that is read as a whole. The longest answers are 128,000 tokens: 1 MB, 4 MB where every letter is
written as \\uXXXX."""
MOST_STREAMED = 64 * MEGABYTE
"""Bytes of a stream of events: 500 for each of those 128,000 tokens. They are not kept, only their text is."""
MOST_TOGETHER = 512 * MEGABYTE
"""Bytes that all bodies and unfinished lines now being read may hold; beyond it those above `LARGE` are given up. With
512 calls in flight, what one may hold would otherwise be multiplied by 512."""
LARGE = 2 * MEGABYTE
MOST_BEGINNING = 2_000
"""Bytes kept of how a body begins, in whatever pieces it comes: half a key at its end would not be struck out."""
PLAIN = frozenset({"", "identity"})
"""Content encodings that change nothing."""


@dataclass(slots=True)
class _Together:
    """What all bodies hold. Touched on the loop thread only."""

    held: int = 0


together = _Together()


class Bounded:
    """A body that ends in `BadAnswer` where it grows too large."""

    def __init__(
        self,
        stream: httpx2.AsyncByteStream | httpx.AsyncByteStream,
        pieces: Callable[[], AsyncIterator[bytes]],
        on_beginning: Callable[[bytes], None],
        *,
        streams: bool,
    ) -> None:
        self._stream = stream
        self._pieces = pieces
        self._on_beginning = on_beginning
        self._streams = streams

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        brought = held = 0
        streams = self._streams
        most = MOST_STREAMED if streams else MOST_WHOLE
        pieces = self._pieces()
        try:
            async for piece in pieces:
                size = len(piece)
                if brought < MOST_BEGINNING:
                    self._on_beginning(piece[: MOST_BEGINNING - brought])
                brought += size
                if brought > most:
                    raise too_large(most)
                if not streams or piece[-1:] != b"\n":
                    if streams and (after := piece.rfind(b"\n") + 1):
                        together.held -= held
                        held, size = 0, size - after
                    held += size
                    together.held += size
                    if together.held > MOST_TOGETHER and held > LARGE:
                        raise too_large_together()
                elif held:  # a line's end: whoever reads has let go of what was before
                    together.held -= held
                    held = 0
                yield piece
        finally:
            together.held -= held
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._stream.aclose()


def bound(response: httpx2.Response | httpx.Response, on_beginning: Callable[[bytes], None], *, kind: type) -> None:
    """Count the body of `response`, whose headers have come and nothing else, as it is read.

    What is packed is unpacked here, so that it is counted as large as it becomes: its headers say so no more. `kind`
    is what its library takes for a stream.
    """
    stream: Any = response.stream
    streams = response.headers.get("content-type", "").startswith("text/event-stream")
    pieces: Callable[[], AsyncIterator[bytes]] = stream.__aiter__
    packing = response.headers.get("content-encoding", "")
    if packing.strip().lower() not in PLAIN:
        pieces = type(response)(200, headers={"content-encoding": packing}, stream=stream).aiter_bytes
        del response.headers["content-encoding"]
    response.stream = _of(kind)(stream, pieces, on_beginning, streams=streams)


@cache
def _of(kind: type) -> Any:
    """`Bounded` as a stream of httpx2's, or of httpx's: each insists on its own."""
    return type("Bounded", (Bounded, kind), {})


def too_large(most: int) -> BadAnswer:
    """The failure of a body of more than `most` bytes."""
    return BadAnswer(f"The answer is larger than {most // MEGABYTE} MB and was given up. {_NOT_AGAIN}")


def too_large_together() -> BadAnswer:
    """The failure of a large body that came in beside many."""
    return BadAnswer(
        f"The answer was given up at {LARGE // MEGABYTE} MB, because all that were coming in held more than "
        f"{MOST_TOGETHER // MEGABYTE} MB together. {_NOT_AGAIN}"
    )


_NOT_AGAIN = "It is not sent again by itself, because that costs again. Check the base URL, or lower max_workers."
