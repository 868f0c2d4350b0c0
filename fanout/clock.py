"""Time as integers of nanoseconds, from a clock that is given and never looked for.

Goes out: `Clock` (what the core asks for), `MonotonicClock` (the machine's) and `VirtualClock` (moves when told:
the tests and the what-if replay). Nanoseconds never leave the library as floats of seconds except at its edges.
"""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Anything that says what time it is, in nanoseconds from an origin of its own."""

    def now_ns(self) -> int:
        """Now, in nanoseconds; never less than before."""
        ...


class MonotonicClock:
    """The machine's monotonic clock: the one clock of a process, readable from every thread."""

    def now_ns(self) -> int:
        """Nanoseconds from an arbitrary origin, the same in all threads of the process."""
        return time.monotonic_ns()


class VirtualClock:
    """A clock that stands still until `advance_to` or `advance` moves it."""

    def __init__(self, *, at_ns: int = 0) -> None:
        self._at_ns = at_ns

    def now_ns(self) -> int:
        """Where the clock was last moved to."""
        return self._at_ns

    def advance(self, by_ns: int) -> None:
        """Move forward by `by_ns` >= 0."""
        self.advance_to(self._at_ns + by_ns)

    def advance_to(self, at_ns: int) -> None:
        """Move forward to `at_ns`; time never goes back."""
        if at_ns < self._at_ns:
            raise ValueError(f"time does not go back: now {self._at_ns}, asked {at_ns}")
        self._at_ns = at_ns


def seconds(duration_ns: int) -> float:
    """Nanoseconds as seconds: for the edges of the library only."""
    return duration_ns / NS_PER_S


def nanoseconds(duration_s: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(duration_s * NS_PER_S)
