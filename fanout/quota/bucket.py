"""One limit, in exact integers: a bucket that fills continuously, and a count that ends with its day.

Comes in: instants in ns and whole costs. Goes out: how long until a cost is there, and what is left. Knows no clock, no
provider and no other limit. A token bucket of rate r and capacity B lets at most B + r x W pass in any window W (plus
what one cost alone exceeds B); source: Turner, "New directions in communications", IEEE Communications, 1986.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from fanout.clock import NS_PER_S

NS_PER_MINUTE = 60 * NS_PER_S
EASED_NS = NS_PER_S // 50
EASED_MOST = 1.08
"""How much longer than told a period may be before it is not lengthened once more."""


class MeterState(NamedTuple):
    """A meter's level and the instant it is of: a bucket's, last filled then; a day's use, and its end."""

    level: int
    instant_ns: int
    """Of a bucket: by the clock that all processes of a host share. Of a day: ns since 1970."""


class Meter(Protocol):
    """A limit that costs are taken from."""

    amount: int
    """What it allows in its window."""

    @property
    def capacity(self) -> int:
        """The most that may be taken at one instant."""
        ...

    def wait_ns(self, cost: int, at_ns: int) -> int:
        """How long until `cost` may be taken; 0 is now. Never longer at a later instant, if nobody takes."""
        ...

    def take(self, cost: int, at_ns: int) -> None:
        """Take it; a cost that turned out larger may take more than is there (it is owed then)."""
        ...

    def give(self, cost: int, at_ns: int) -> None:
        """Give back what was taken and not used."""
        ...

    def free(self, at_ns: int) -> int:
        """Whole units there now; negative where more is owed than has come back."""
        ...

    def set_amount(self, amount: int, at_ns: int, *, capacity: int | None = None) -> None:
        """From now on it allows this much."""
        ...

    def clamp(self, free: int, at_ns: int, *, grown_ns: int = 0) -> None:
        """At most `free` is there now, and what the limit gains in `grown_ns`, to the fraction of a unit."""
        ...

    def raise_to(self, free: int, at_ns: int) -> None:
        """At least `free` is there now, as far as it holds that much."""
        ...

    def cost_ns(self, cost: int) -> int:
        """How long the limit takes to grow `cost` back: what fair queueing counts."""
        ...

    def state(self) -> MeterState:
        """What of it changes as costs are taken."""
        ...

    def restore(self, state: MeterState, *, shift_ns: int = 0) -> None:
        """Go on where another process stopped; instants of this clock lie `shift_ns` before those of `state`."""
        ...


class Bucket:
    """Gains `amount` a window, continuously, and holds `capacity` at most.

    The level is counted in 1/window_ns of a unit, so that one nanosecond's gain is a whole number and no sequence of
    operations rounds anything away. A cost above the capacity passes when the bucket is full, and leaves it in debt.
    """

    __slots__ = ("amount", "at_ns", "capacity_", "level", "window_ns")

    def __init__(self, *, amount: int, capacity: int, at_ns: int, window_ns: int = NS_PER_MINUTE) -> None:
        self.amount = amount
        self.window_ns = window_ns
        self.capacity_ = max(1, capacity)
        self.level = self.capacity_ * window_ns
        self.at_ns = at_ns

    def __repr__(self) -> str:
        return f"<Bucket {self.level // self.window_ns} of {self.capacity_}, {self.amount} a window>"

    @property
    def capacity(self) -> int:
        """What it holds when full."""
        return self.capacity_

    def _refill(self, at_ns: int) -> None:
        if at_ns > self.at_ns:
            full = self.capacity_ * self.window_ns
            if self.level < full:
                self.level = min(full, self.level + (at_ns - self.at_ns) * self.amount)
            self.at_ns = at_ns

    def wait_ns(self, cost: int, at_ns: int) -> int:
        """0 while `cost` is there, else the time its missing part takes to grow."""
        self._refill(at_ns)
        missing = min(cost, self.capacity_) * self.window_ns - self.level
        return 0 if missing <= 0 else -(-missing // self.amount)

    def take(self, cost: int, at_ns: int) -> None:
        """The level falls by `cost`, below zero where less is there."""
        self._refill(at_ns)
        self.level -= cost * self.window_ns

    def give(self, cost: int, at_ns: int) -> None:
        """The level rises by `cost`, to the capacity at most."""
        self._refill(at_ns)
        self.level = min(self.capacity_ * self.window_ns, self.level + cost * self.window_ns)

    def free(self, at_ns: int) -> int:
        """Whole units there now."""
        self._refill(at_ns)
        return self.level // self.window_ns

    def set_amount(self, amount: int, at_ns: int, *, capacity: int | None = None) -> None:
        """Grow by `amount` a window from now on. What is there stays, as far as a smaller capacity holds it."""
        self._refill(at_ns)
        self.amount = amount
        if capacity is not None:
            self.capacity_ = max(1, capacity)
            self.level = min(self.level, self.capacity_ * self.window_ns)

    def clamp(self, free: int, at_ns: int, *, grown_ns: int = 0) -> None:
        """Lower the level to `free`, and what grows in `grown_ns`, where it is above."""
        self._refill(at_ns)
        self.level = min(self.level, free * self.window_ns + grown_ns * self.amount)

    def raise_to(self, free: int, at_ns: int) -> None:
        """Raise the level to `free` where it is below, to the capacity at most."""
        self._refill(at_ns)
        self.level = max(self.level, min(free, self.capacity_) * self.window_ns)

    def ease(self, at_ns: int) -> None:
        """Two calls that left a period apart may arrive closer: keep one back of the burst, or lengthen the period.

        The period grows by 3 %, by 20 ms at most; three times at most.
        """
        self._refill(at_ns)
        if self.capacity_ > 1:
            self.capacity_ -= 1
            self.level = min(self.level, self.capacity_ * self.window_ns)
        elif self.window_ns < EASED_MOST * NS_PER_MINUTE:
            window_ns = self.window_ns + min(3 * NS_PER_MINUTE // 100, EASED_NS * self.amount)
            self.level, self.window_ns = self.level * window_ns // self.window_ns, window_ns

    def cost_ns(self, cost: int) -> int:
        """`cost` / rate."""
        return cost * self.window_ns // self.amount

    def state(self) -> MeterState:
        """The level, in 1/60e9 of a unit whatever the period, and when it was last filled."""
        return MeterState(level=self.level * NS_PER_MINUTE // self.window_ns, instant_ns=self.at_ns)

    def restore(self, state: MeterState, *, shift_ns: int = 0) -> None:
        """That level, as far as this capacity holds it; it grows from that instant at this bucket's rate."""
        self.level = min(state.level * self.window_ns // NS_PER_MINUTE, self.capacity_ * self.window_ns)
        self.at_ns = state.instant_ns - shift_ns


class Strict(Bucket):
    """A bucket beside a window of `limit` that nothing may exceed.

    A bucket alone lets more pass where a cost is above its capacity, and where something comes back that has grown back
    already: a cost waits until what was taken in the window before leaves room too. One above `limit` itself waits
    until nothing was taken at all.
    """

    __slots__ = ("_in_window", "_taken", "limit")

    def __init__(self, *, limit: int, amount: int, capacity: int, at_ns: int) -> None:
        super().__init__(amount=amount, capacity=capacity, at_ns=at_ns)
        self.limit = limit
        self._taken: deque[list[int]] = deque()  # [when, how much], the oldest first
        self._in_window = 0

    def wait_ns(self, cost: int, at_ns: int) -> int:
        """As a bucket's, and until the window has room."""
        wait_ns = super().wait_ns(cost, at_ns)
        if cost <= 0:
            return wait_ns
        self._forget(at_ns)
        over = self._in_window + cost - self.limit
        until_ns = at_ns
        for taken_ns, units in self._taken:
            if over <= 0:
                break
            over -= units
            until_ns = taken_ns + self.window_ns
        return max(wait_ns, until_ns - at_ns)

    def take(self, cost: int, at_ns: int) -> None:
        """Taken of both."""
        super().take(cost, at_ns)
        self._note(cost, at_ns)

    def give_of(self, cost: int, taken_ns: int, at_ns: int) -> None:
        """Give back of what was taken at `taken_ns`; of a window that is over there is nothing to give back."""
        self.give(cost, at_ns)
        self._forget(at_ns)
        for taken in reversed(self._taken):
            if cost <= 0 or taken[0] < taken_ns:
                break
            if taken[0] == taken_ns:
                part = min(cost, taken[1])
                taken[1] -= part
                self._in_window -= part
                cost -= part

    def restore(self, state: MeterState, *, shift_ns: int = 0, taken: int = 0) -> None:
        """As a bucket's; what other processes have `taken` meanwhile counts as taken at the last instant of it.

        What the level fell by, where that is more: another process may know of more than it took.
        """
        at_ns = max(self.at_ns, state.instant_ns - shift_ns)
        before = self.free(at_ns)
        super().restore(state, shift_ns=shift_ns)
        self._note(max(taken, before - self.free(at_ns)), at_ns)

    def _note(self, cost: int, at_ns: int) -> None:
        self._forget(at_ns)
        if cost > 0:
            self._taken.append([at_ns, cost])
            self._in_window += cost

    def _forget(self, at_ns: int) -> None:
        while self._taken and self._taken[0][0] <= at_ns - self.window_ns:
            self._in_window -= self._taken.popleft()[1]


class Day:
    """A count that starts again at midnight of `zone`; the gate says where the wall clock stands."""

    __slots__ = ("amount", "ends_ns", "used", "wall_offset_ns", "zone")

    def __init__(self, *, amount: int, at_ns: int, wall_offset_ns: int, zone: str = "UTC") -> None:
        """`wall_offset_ns`: ns since 1970 at instant 0 of the clock that the other instants are of."""
        self.amount = amount
        self.used = 0
        self.zone = zone
        self.wall_offset_ns = wall_offset_ns
        self.ends_ns = midnight_ns(at_ns + wall_offset_ns, zone) - wall_offset_ns

    def __repr__(self) -> str:
        return f"<Day {self.used} of {self.amount} used>"

    @property
    def capacity(self) -> int:
        """A whole day's."""
        return self.amount

    def began_after(self, taken_ns: int, at_ns: int) -> bool:
        """Whether midnight has passed since what was taken at `taken_ns`."""
        self._turn(at_ns)
        return midnight_ns(taken_ns + self.wall_offset_ns, self.zone) - self.wall_offset_ns < self.ends_ns

    def _turn(self, at_ns: int) -> None:
        if at_ns >= self.ends_ns:
            self.used = 0
            self.ends_ns = midnight_ns(at_ns + self.wall_offset_ns, self.zone) - self.wall_offset_ns

    def wait_ns(self, cost: int, at_ns: int) -> int:
        """0 while the day holds `cost` more, else the time to midnight."""
        self._turn(at_ns)
        fits = self.used + min(cost, self.amount) <= self.amount
        return 0 if fits else self.ends_ns - at_ns

    def take(self, cost: int, at_ns: int) -> None:
        """`cost` more is used."""
        self._turn(at_ns)
        self.used += cost

    def give(self, cost: int, at_ns: int) -> None:
        """`cost` less is used, never less than nothing."""
        self._turn(at_ns)
        self.used = max(0, self.used - cost)

    def free(self, at_ns: int) -> int:
        """What the day has left."""
        self._turn(at_ns)
        return self.amount - self.used

    def set_amount(self, amount: int, at_ns: int, *, capacity: int | None = None) -> None:
        """The day holds `amount` from now on."""
        self._turn(at_ns)
        self.amount = amount

    def clamp(self, free: int, at_ns: int, *, grown_ns: int = 0) -> None:
        """At most `free` is left; a day gains nothing."""
        self._turn(at_ns)
        self.used = max(self.used, self.amount - free)

    def raise_to(self, free: int, at_ns: int) -> None:
        """At least `free` is left."""
        self._turn(at_ns)
        self.used = max(0, min(self.used, self.amount - free))

    def cost_ns(self, cost: int) -> int:
        """The share of the day."""
        return cost * 24 * 3600 * NS_PER_S // self.amount

    def state(self) -> MeterState:
        """What is used, and the wall-clock end of its day."""
        return MeterState(level=self.used, instant_ns=self.ends_ns + self.wall_offset_ns)

    def restore(self, state: MeterState, *, shift_ns: int = 0) -> None:
        """That use of that day; a reboot shifts no midnight."""
        self.used = state.level
        self.ends_ns = state.instant_ns - self.wall_offset_ns


def midnight_ns(wall_ns: int, zone: str) -> int:
    """The next midnight of `zone` after this wall time, both in ns since 1970.

    >>> midnight_ns(0, "UTC") == 24 * 3600 * NS_PER_S
    True
    """
    there = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).astimezone(ZoneInfo(zone))
    following = datetime.combine(there.date() + timedelta(days=1), datetime.min.time(), tzinfo=there.tzinfo)
    return round(following.timestamp()) * NS_PER_S
