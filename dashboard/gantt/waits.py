"""When a call waited: the pieces of its life that no attempt fills.

Comes in: a `Call`. Goes out: rows of stamps, for the row view. Knows no axis and no pixels.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fanout.run import Attempt, Call

UNKNOWN: Final = int(np.iinfo(np.int64).min)
"""A stamp that is not there (yet)."""
WAIT_KINDS: Final = ("waiting", "backoff")


def waits_of(call: Call, stretch_of: dict[int, int]) -> list[tuple[int, ...]]:
    """(call, stretch, kind, from, to) of each piece of waiting, in order; `to` is UNKNOWN while it goes on."""
    found: list[tuple[int, ...]] = []
    for place, queued_ns in enumerate(call.queued_ns):
        stretch = stretch_of[queued_ns]
        until_ns = call.ended_ns[place] if place < len(call.ended_ns) else None
        since_ns: int | None = queued_ns
        for attempt in call.attempts:
            if attempt.stretch != stretch or since_ns is None:
                continue
            found.append((call.index, stretch, 0, since_ns, max(since_ns, attempt.started_ns)))
            since_ns = attempt.ended_ns
            if since_ns is not None and attempt.ready_ns is not None:
                ready_ns = max(since_ns, _ready_ns(call, attempt, until_ns))
                found.append((call.index, stretch, 1, since_ns, ready_ns))
                since_ns = ready_ns
        if since_ns is not None:
            found.append((call.index, stretch, 0, since_ns, UNKNOWN if until_ns is None else max(since_ns, until_ns)))
    return found


def _ready_ns(call: Call, attempt: Attempt, until_ns: int | None) -> int:
    """When the backoff was over: as planned, or earlier where the next attempt or the call's end came first."""
    assert attempt.ready_ns is not None
    following = [a.started_ns for a in call.attempts if a.number == attempt.number + 1 and a.stretch == attempt.stretch]
    return min([attempt.ready_ns, *following, *([] if until_ns is None else [until_ns])])
