"""A rate that nobody told us, learnt from 429s: additive increase, multiplicative decrease, on the pace of sending.

Comes in: instants of starts, answers and refusals. Goes out: requests a minute, None while nothing was refused. It is
the rate that is moved and not the calls in flight: a 429 speaks of the pace, and output length, not queueing, makes the
difference between latencies (Chiu and Jain, 1989, on the rate; TCP's BBR paces for the same reason).

After the first 429 the rate is what was let pass in the time since the first start. A refusal of something sent
after the last change is a new episode: the rate falls by 15 %, or to what was really let pass since the last episode
where that is less (to half at most). While calls wait for it, it grows by 4 % every 3 s; after four such steps without
a refusal each step is twice the last one, until it doubles the rate: the first guess may have been far too low.

Where going slower turns out not to help (`RefusedShare`), the share that is refused at any pace is no episode: the rate
goes back to where it was as good, and grows from there. More than that share is an episode again, and all is open.
"""

from __future__ import annotations

from fanout.clock import NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.refused_share import FEWEST_SENT, LEAST_WINDOW_NS, AnyPace, RefusedShare

DECREASE = 0.85
MOST_DECREASE = 0.5
INCREASE = 0.04
INCREASE_EVERY_NS = 3 * NS_PER_S
FIRST_LEAST_PER_MINUTE = 60
"""The first guess is no lower: a refusal of the first request tells nothing of the rate."""
LEAST_PER_MINUTE = 6
SMALL_STEPS = 4
DOUBLING_STEPS = 9
"""From this one on each growth doubles the rate."""
LOOKS_EVERY_SENT = 32
"""How many are sent before the shares of two paces are compared again, where nothing else asks for it."""
TRIES_EVERY_NS = 2 * NS_PER_MINUTE
"""How often a faster pace is tried at the most, where the slowest one is refused too."""
HOLDS_NS = 5 * NS_PER_MINUTE
"""So long it is believed that refusals come at any pace, where nothing was sent at another one since."""


class LearntRate:
    """One account's rate of requests. Not thread-safe: its owner holds a lock."""

    __slots__ = (
        "_changed_ns",
        "_found_ns",
        "_grown_ns",
        "_is_trial",
        "_passed",
        "_refused",
        "_sent",
        "_shares",
        "_since_ns",
        "_steps",
        "_tried_ns",
        "any_pace",
        "came_at_any_pace",
        "per_minute",
    )

    def __init__(self) -> None:
        self.per_minute: int | None = None
        self._since_ns: int | None = None  # since when `_passed` counts
        self._passed = 0
        self._changed_ns = 0
        self._grown_ns = 0
        self._steps = 0  # growths since the last refusal that counted
        # What this process alone has seen: other processes make up their own minds.
        self.any_pace = AnyPace()
        self.came_at_any_pace = False  # the last refusal that was judged
        self._found_ns = 0
        self._sent = self._refused = 0  # since the last change
        self._shares = RefusedShare()
        self._is_trial = False
        self._tried_ns: int | None = None

    def __repr__(self) -> str:
        return f"<LearntRate {self.per_minute} a minute>"

    def state(self) -> tuple[int | None, int | None, int, int, int, int]:
        """All it knows, for `restore`."""
        return self.per_minute, self._since_ns, self._passed, self._changed_ns, self._grown_ns, self._steps

    def restore(self, state: tuple[int | None, int | None, int, int, int, int], *, shift_ns: int = 0) -> None:
        """Go on where another process stopped; instants of this clock lie `shift_ns` before those of `state`."""
        self.per_minute, since_ns, self._passed, changed_ns, grown_ns, self._steps = state
        self._since_ns = None if since_ns is None else since_ns - shift_ns
        if changed_ns - shift_ns != self._changed_ns:  # another process changed it
            self._shares.note(changed_ns - shift_ns)
            self._sent = self._refused = 0
            self._is_trial = False
        self._changed_ns, self._grown_ns = changed_ns - shift_ns, grown_ns - shift_ns

    def started(self, at_ns: int) -> None:
        """A request was sent: counted as let pass until it is refused."""
        if self._since_ns is None:
            self._since_ns = at_ns
        self._passed += 1
        self._sent += 1
        self._shares.started(at_ns)

    def refused(self, *, started_ns: int, at_ns: int) -> bool:
        """A request that started at `started_ns` was refused; whether that changed the rate."""
        self._passed = max(0, self._passed - 1)
        if self.per_minute is None:
            self._shares = RefusedShare()  # what a limit lets pass at once after a quiet while tells nothing of a pace
        self._shares.refused(started_ns=started_ns)
        if self.per_minute is not None and started_ns <= self._changed_ns:
            return False  # sent before the last change: the same episode
        self._refused += 1
        self.came_at_any_pace = False
        if self._is_trial and self._sent < FEWEST_SENT:
            return False
        if self._shares.sent >= LOOKS_EVERY_SENT or not self._is_explained():
            self._compare(at_ns)
        if self.per_minute is not None and self._is_explained():
            self.came_at_any_pace = True
            if self.per_minute >= self.any_pace.per_minute:
                return False
            self._change(self.any_pace.per_minute, at_ns)
            self._steps = DOUBLING_STEPS
            return True
        if self.any_pace.share:  # more than was refused at any pace: there is a limit, or it is another provider by now
            self.any_pace, self._shares = AnyPace(), RefusedShare()
        since_ns = at_ns if self._since_ns is None else self._since_ns
        passed_a_minute = self._passed * NS_PER_MINUTE // max(LEAST_WINDOW_NS, at_ns - since_ns)
        if self.per_minute is None:
            lowered = max(FIRST_LEAST_PER_MINUTE, passed_a_minute)
        else:
            lowered = max(
                round(self.per_minute * MOST_DECREASE), min(round(self.per_minute * DECREASE), passed_a_minute)
            )
        if lowered <= LEAST_PER_MINUTE and self._may_try(at_ns):
            self._change(FIRST_LEAST_PER_MINUTE, at_ns)
            self._is_trial, self._tried_ns = True, at_ns
        else:
            self._change(max(LEAST_PER_MINUTE, lowered), at_ns)
        return True

    def _may_try(self, at_ns: int) -> bool:
        """Whether a faster pace is tried because the slowest one is refused too: nothing else would tell why."""
        long_ago = self._tried_ns is None or at_ns - self._tried_ns >= TRIES_EVERY_NS
        return long_ago and self._shares.comes_at(2 * LEAST_PER_MINUTE)

    def _is_explained(self) -> bool:
        """Whether as many as were refused since the last change are refused at any pace."""
        return self.any_pace.explains(sent=self._sent, refused=self._refused)

    def _compare(self, at_ns: int) -> None:
        self._shares.note(at_ns)
        found = self._shares.any_pace()
        if found is not None:
            self.any_pace, self._found_ns = found, at_ns
        elif at_ns - self._found_ns > HOLDS_NS:
            self.any_pace = AnyPace()

    def _change(self, per_minute: int, at_ns: int) -> None:
        self.per_minute = per_minute
        self._changed_ns = self._grown_ns = self._since_ns = at_ns
        self._passed = self._steps = self._sent = self._refused = 0
        self._is_trial = False

    @property
    def why(self) -> str:
        """Why a refusal changed it."""
        if self._is_trial:
            return "the slowest pace was refused too: a faster one is tried"
        if self.came_at_any_pace:
            return "going slower did not help"
        return "the provider refused and did not say its limit"

    def grow(self, at_ns: int) -> bool:
        """Calls wait for it at this instant: whether that raised the rate."""
        if self.per_minute is None or at_ns - self._grown_ns < INCREASE_EVERY_NS:
            return False
        self._grown_ns = at_ns
        self._steps += 1
        share = min(1.0, INCREASE * 2.0 ** max(0, self._steps - SMALL_STEPS))
        self.per_minute = max(self.per_minute + 1, round(self.per_minute * (1 + share)))
        return True
