"""What somebody else uses of a limit: what its readings say and our own use does not explain.

Comes in: our calls in the order they were booked, what each was charged, and what its response said remains. Goes out:
units a minute, 0 for nobody. Between two readings the limit grows by its rate and shrinks by our charges; what is
missing then, somebody else took. Readings come late and out of order, so they are compared in the order of booking and
summed over a minute, where an error of one reading is taken back by the next. Where it is not certain what a call was
charged (it failed, or was refused: some providers count those, some do not), nothing is concluded from it.

Where somebody takes much, most readings are such. Then the refusals tell by themselves: each of a call that was paced
by the limit as it was told is one unit that somebody else had.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from fanout.quota.bucket import NS_PER_MINUTE

SPAN_NS = NS_PER_MINUTE
LEAST_SPAN_NS = SPAN_NS // 12
FEWEST_STEPS = 8
FEWEST_UNITS = 4
"""Before somebody else's use is spoken of."""
LEAST_SHARE = 0.1
LEAST_SHARE_OF_TOKENS = 0.25
"""Of a limit: less unexplained use than that is rounding; of tokens, that a provider counts otherwise than it says."""
GROWS = 0.15
"""Of its rate: a limit that grows by less is one of a fixed window, or somebody takes it all; the window it is then."""
MOST_OPEN = 2_000
"""Calls that are waited for; the oldest of more counts as uncertain."""


@dataclass(slots=True)
class _Call:
    order: int
    booked_ns: int
    certain: bool = True
    has_ended: bool = False
    charged: int = 0
    remaining: int | None = None


class _Step(NamedTuple):
    """From one reading to the next."""

    at_ns: int
    gap_ns: int
    grown: float
    """What the limit's rate brings in the gap, at least."""
    missing: int
    """What remained before, less our charges, less what remains now: without growth."""


class Elsewhere:
    """Of one limit. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_base", "_began_ns", "_calls", "_charged", "_held", "_open", "_refused", "_steps")

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._open: deque[_Call] = deque()
        self._base: tuple[int, int] | None = None  # what remained at the last reading, and when its call was booked
        self._charged = 0  # since then
        self._held = 0  # the most that was ever there
        self._began_ns: int | None = None  # when all of it was last there again at once, as where a window begins
        self._steps: deque[_Step] = deque()
        self._refused: deque[int] = deque()  # when calls were refused that were paced, once for what flew together

    def booked(self, order: int, at_ns: int, *, certain: bool) -> None:
        """A call of ours takes of this limit; orders only grow. Not `certain`: others of ours take unseen meanwhile."""
        call = self._calls[order] = _Call(order, at_ns, certain)
        self._open.append(call)
        if len(self._open) > MOST_OPEN:
            oldest = self._open[0]
            oldest.certain, oldest.has_ended = False, True

    def said(self, order: int, remaining: int) -> None:
        """The call's response says what remains."""
        if order in self._calls:
            self._calls[order].remaining = remaining

    def doubt(self, order: int) -> None:
        """Whether the call was charged at all is not certain."""
        if order in self._calls:
            self._calls[order].certain = False

    def refused(self, booked_ns: int, at_ns: int) -> None:
        """A call was refused that this limit, as the provider told it, had let start."""
        if not self._refused or booked_ns > self._refused[-1]:
            self._refused.append(at_ns)

    def ended(self, order: int, charged: int, *, certain: bool, cost_ns: int) -> None:
        """The call was charged so much. `cost_ns`: how long the limit takes to grow one unit."""
        call = self._calls.pop(order, None)
        if call is None:
            return
        call.charged, call.has_ended, call.certain = charged, True, call.certain and certain
        while self._open and self._open[0].has_ended:
            head = self._open.popleft()
            self._calls.pop(head.order, None)
            self._follow(head, max(1, cost_ns))

    def _follow(self, call: _Call, cost_ns: int) -> None:
        if not call.certain:
            self._base = None
            return
        self._charged += call.charged
        if call.remaining is None:
            return
        before, charged = self._base, self._charged
        self._base, self._charged = (call.remaining, call.booked_ns), 0
        self._held = max(self._held, call.remaining + call.charged)
        if before is None:
            return
        remained, then_ns = before
        gap_ns = call.booked_ns - then_ns
        grown = gap_ns / cost_ns
        if call.remaining > remained + grown - charged + max(FEWEST_UNITS, SPAN_NS / cost_ns / 10):
            self._began_ns = call.booked_ns  # of what the last window had left no reading tells
            return
        # It may have been full at as much as was ever seen there: what it lost by that is nobody's.
        grown = min(grown, max(0, self._held - remained))
        self._steps.append(_Step(call.booked_ns, gap_ns, grown, remained - charged - call.remaining))

    def per_minute(self, amount: int, at_ns: int, *, of_tokens: bool = False) -> int:
        """Units a minute that somebody else uses, as far as the last minute tells; 0 is nobody."""
        share = LEAST_SHARE_OF_TOKENS if of_tokens else LEAST_SHARE
        refused = 0 if of_tokens else self._by_refusals(amount, at_ns)
        return max(refused, self._by_readings(amount, at_ns, share=share))

    def _by_refusals(self, amount: int, at_ns: int) -> int:
        while self._refused and self._refused[0] < at_ns - SPAN_NS:
            self._refused.popleft()
        if len(self._refused) < 2 * FEWEST_UNITS:
            return 0
        span_ns = max(LEAST_SPAN_NS, at_ns - self._refused[0])
        used = min(amount, (len(self._refused) - 1) * NS_PER_MINUTE // span_ns)
        return used if used >= LEAST_SHARE * amount else 0

    def _by_readings(self, amount: int, at_ns: int, *, share: float) -> int:
        """The same, as far as what remained tells."""
        while self._steps and self._steps[0].at_ns < at_ns - SPAN_NS:
            self._steps.popleft()
        span_ns = sum(step.gap_ns for step in self._steps)
        if len(self._steps) < FEWEST_STEPS or span_ns < LEAST_SPAN_NS:
            return 0
        grown, missing = sum(step.grown for step in self._steps), sum(step.missing for step in self._steps)
        grows = -missing > GROWS * grown and (self._began_ns is None or self._began_ns < at_ns - 2 * SPAN_NS)
        units = grown + missing if grows else missing
        if units < max(FEWEST_UNITS, share / 2 * amount * span_ns / SPAN_NS):
            return 0
        used = round(units * NS_PER_MINUTE / span_ns)
        return used if used >= max(2, share * amount) else 0
