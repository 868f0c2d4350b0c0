"""How full each limit of an account was over the last minutes, for showing.

Comes in: the limits as they stand, whenever something was taken or given back. Goes out: a `Sample` of each a second at
most, the oldest first. Decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from fanout.events import LimitName
from fanout.quota.meters import Meters
from fanout.quota.view import Sample

EVERY_NS = 1_000_000_000
KEPT = 1_800
"""Ten minutes of three limits."""


class Samples:
    """Of one account. Not thread-safe: its gate's owner holds a lock."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=KEPT)
        self._sampled_ns: int | None = None

    def __repr__(self) -> str:
        return f"<Samples {len(self._kept)}>"

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._kept)

    def note(self, meters: Meters, free: Callable[[LimitName, int], int], at_ns: int) -> None:
        """How much is free now, unless that was noted within the second."""
        if self._sampled_ns is not None and at_ns - self._sampled_ns < EVERY_NS:
            return
        self._sampled_ns = at_ns
        for name, known in meters:
            self._kept.append(Sample(at_ns=at_ns, name=name, free=free(name, at_ns), capacity=known.meter.capacity))
