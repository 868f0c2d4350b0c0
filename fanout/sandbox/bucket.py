"""What one limit of the simulated account still allows: a token bucket or a fixed window, in exact integers.

Comes in: what a request costs, and an instant that is given. Goes out: how long until it passes, and what is left.
Knows no clock, and not what it counts.
"""

from __future__ import annotations

from typing import Protocol

NS_PER_MINUTE = 60_000_000_000
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_DAY = 24 * 60 * NS_PER_MINUTE

PPM = 1_000_000
"""Shares are counted in millionths: a float's share would not add up over a million refills."""


class Allowance(Protocol):
    """What one limit still allows. Instants that go back are taken for the latest one."""

    @property
    def limit(self) -> int:
        """What the account is told: so many a minute, or a day."""

    @property
    def capacity(self) -> int:
        """The most that one request may cost."""

    def wait_ns(self, cost: int, *, at_ns: int) -> int | None:
        """How long until `cost` is there: 0 now, None never (more than the capacity)."""

    def take(self, cost: int, *, at_ns: int) -> None:
        """Take what `wait_ns` said is there."""

    def burn(self, *, at_ns: int) -> None:
        """Take one, or what is left of one; never below nothing, so that a wait told afterwards holds."""

    def remaining(self, *, at_ns: int) -> int:
        """Whole ones there now."""

    def used(self, *, at_ns: int) -> int:
        """Whole ones gone, by whomever."""

    def reset_ns(self, *, at_ns: int) -> int:
        """How long until all is there again, if nobody takes."""


class TokenBucket:
    """Holds at most `capacity` tokens (a minute's worth where not given), full at first, and refills continuously.

    Of its rate of `per_minute`, another user takes `others_ppm` millionths as they come: that much it does not gain.
    The level is counted in 1/60,000,000,000,000,000 of a token (nanoseconds of a minute times millionths), so that one
    nanosecond's gain is a whole number and no sequence of calls rounds anything away.
    """

    __slots__ = ("_at_ns", "_gain", "_level", "capacity", "limit")

    _ONE = NS_PER_MINUTE * PPM

    def __init__(self, *, per_minute: int, at_ns: int, capacity: int | None = None, others_ppm: int = 0) -> None:
        self.limit = per_minute
        self.capacity = per_minute if capacity is None else capacity
        self._gain = per_minute * (PPM - others_ppm)  # of the level, a nanosecond
        self._level = self.capacity * self._ONE
        self._at_ns = at_ns

    def _refill(self, at_ns: int) -> None:
        gained = max(0, at_ns - self._at_ns) * self._gain
        self._level = min(self.capacity * self._ONE, self._level + gained)
        self._at_ns = max(self._at_ns, at_ns)

    def wait_ns(self, cost: int, *, at_ns: int) -> int | None:
        """How long until `cost` tokens are there: 0 now, None never (more than the bucket holds)."""
        if cost > self.capacity:
            return None
        self._refill(at_ns)
        return max(0, -(-(cost * self._ONE - self._level) // self._gain))

    def take(self, cost: int, *, at_ns: int) -> None:
        """Take `cost` tokens that `wait_ns` said are there."""
        self._refill(at_ns)
        if cost * self._ONE > self._level:
            raise ValueError(f"{cost} tokens asked of a bucket that holds {self.remaining(at_ns=at_ns)}")
        self._level -= cost * self._ONE

    def burn(self, *, at_ns: int) -> None:
        """Take one token, or what is left of one."""
        self._refill(at_ns)
        self._level = max(0, self._level - self._ONE)

    def remaining(self, *, at_ns: int) -> int:
        """Whole tokens there now."""
        self._refill(at_ns)
        return self._level // self._ONE

    def used(self, *, at_ns: int) -> int:
        """Tokens that are missing from the full bucket."""
        return self.capacity - self.remaining(at_ns=at_ns)

    def reset_ns(self, *, at_ns: int) -> int:
        """How long until the bucket is full, if nobody takes."""
        self._refill(at_ns)
        return -(-(self.capacity * self._ONE - self._level) // self._gain)


class FixedWindow:
    """Allows `limit` in each window of `period_ns`, counted from `start_ns`; what is left at its end is lost.

    Another user has taken `others_ppm` millionths at each window's first instant, in whole ones and never the last one:
    spread over the window, an account that hurried would leave that user nothing.
    """

    __slots__ = ("_left", "_number", "_period_ns", "_start_ns", "capacity", "limit")

    def __init__(self, *, limit: int, period_ns: int, start_ns: int, others_ppm: int = 0) -> None:
        self.limit = limit
        self.capacity = max(1, limit * (PPM - others_ppm) // PPM)
        self._period_ns = period_ns
        self._start_ns = start_ns
        self._number = 0
        self._left = self.capacity

    def _turn(self, at_ns: int) -> None:
        number = (at_ns - self._start_ns) // self._period_ns
        if number > self._number:
            self._number, self._left = number, self.capacity

    def wait_ns(self, cost: int, *, at_ns: int) -> int | None:
        """0 where this window has `cost` left; else how long until the next one; None where no window has it."""
        if cost > self.capacity:
            return None
        self._turn(at_ns)
        return 0 if cost <= self._left else self.reset_ns(at_ns=at_ns)

    def take(self, cost: int, *, at_ns: int) -> None:
        """Take `cost` that `wait_ns` said this window has left."""
        self._turn(at_ns)
        if cost > self._left:
            raise ValueError(f"{cost} asked of a window that has {self._left} left")
        self._left -= cost

    def burn(self, *, at_ns: int) -> None:
        """Take one, if one is left."""
        self._turn(at_ns)
        self._left = max(0, self._left - 1)

    def remaining(self, *, at_ns: int) -> int:
        """What this window has left."""
        self._turn(at_ns)
        return self._left

    def used(self, *, at_ns: int) -> int:
        """What is gone of the limit in this window."""
        return self.limit - self.remaining(at_ns=at_ns)

    def reset_ns(self, *, at_ns: int) -> int:
        """How long until this window ends."""
        self._turn(at_ns)
        return self._start_ns + (self._number + 1) * self._period_ns - at_ns
