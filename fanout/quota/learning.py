"""A rate that nobody told us, learnt from 429s: additive increase, multiplicative decrease, on the pace of sending.

Comes in: instants of starts, answers and refusals. Goes out: requests a minute, None while nothing was refused. It is
the rate that is moved and not the calls in flight: a 429 speaks of the pace, and output length, not queueing, makes the
difference between latencies (Chiu and Jain, 1989, on the rate; TCP's BBR paces for the same reason).

After the first 429 the rate is what was let pass in the time since the first start. A refusal of something sent
after the last change is a new episode: the rate falls by 15 %, or to what was really let pass since the last episode
where that is less (to half at most). While calls wait for it, it grows by 4 % every 3 s; after four such steps without
a refusal each step is twice the last one, until it doubles the rate: the first guess may have been far too low.
"""

from __future__ import annotations

from fanout.clock import NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE

DECREASE = 0.85
MOST_DECREASE = 0.5
INCREASE = 0.04
INCREASE_EVERY_NS = 3 * NS_PER_S
LEAST_WINDOW_NS = NS_PER_S
"""Over less, a burst that was let pass would be taken for a rate."""
FIRST_LEAST_PER_MINUTE = 60
"""The first guess is no lower: a refusal of the first request tells nothing of the rate."""
LEAST_PER_MINUTE = 6
SMALL_STEPS = 4


class LearntRate:
    """One account's rate of requests. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_changed_ns", "_grown_ns", "_passed", "_since_ns", "_steps", "per_minute")

    def __init__(self) -> None:
        self.per_minute: int | None = None
        self._since_ns: int | None = None  # since when `_passed` counts
        self._passed = 0
        self._changed_ns = 0
        self._grown_ns = 0
        self._steps = 0  # growths since the last refusal that counted

    def __repr__(self) -> str:
        return f"<LearntRate {self.per_minute} a minute>"

    def state(self) -> tuple[int | None, int | None, int, int, int, int]:
        """All it knows, for `restore`."""
        return self.per_minute, self._since_ns, self._passed, self._changed_ns, self._grown_ns, self._steps

    def restore(self, state: tuple[int | None, int | None, int, int, int, int], *, shift_ns: int = 0) -> None:
        """Go on where another process stopped; instants of this clock lie `shift_ns` before those of `state`."""
        self.per_minute, since_ns, self._passed, changed_ns, grown_ns, self._steps = state
        self._since_ns = None if since_ns is None else since_ns - shift_ns
        self._changed_ns, self._grown_ns = changed_ns - shift_ns, grown_ns - shift_ns

    def started(self, at_ns: int) -> None:
        """A request was sent: counted as let pass until it is refused."""
        if self._since_ns is None:
            self._since_ns = at_ns
        self._passed += 1

    def refused(self, *, started_ns: int, at_ns: int) -> bool:
        """A request that started at `started_ns` was refused; whether that lowered the rate."""
        self._passed = max(0, self._passed - 1)
        if self.per_minute is not None and started_ns <= self._changed_ns:
            return False  # sent before the last change: the same episode
        since_ns = at_ns if self._since_ns is None else self._since_ns
        passed_a_minute = self._passed * NS_PER_MINUTE // max(LEAST_WINDOW_NS, at_ns - since_ns)
        if self.per_minute is None:
            lowered = max(FIRST_LEAST_PER_MINUTE, passed_a_minute)
        else:
            lowered = max(
                round(self.per_minute * MOST_DECREASE), min(round(self.per_minute * DECREASE), passed_a_minute)
            )
        self.per_minute = max(LEAST_PER_MINUTE, lowered)
        self._changed_ns = self._grown_ns = self._since_ns = at_ns
        self._passed = self._steps = 0
        return True

    def grow(self, at_ns: int) -> bool:
        """Calls wait for it at this instant: whether that raised the rate."""
        if self.per_minute is None or at_ns - self._grown_ns < INCREASE_EVERY_NS:
            return False
        self._grown_ns = at_ns
        self._steps += 1
        share = min(1.0, INCREASE * 2.0 ** max(0, self._steps - SMALL_STEPS))
        self.per_minute = max(self.per_minute + 1, round(self.per_minute * (1 + share)))
        return True
