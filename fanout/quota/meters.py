"""The limits of one account as they are known now, and what responses teach about them.

Comes in: `Limits` of the settings, readings of responses. Goes out: waits over all limits at one instant, and
the changes that were made, each with its reason. Knows no run and no turn: `gate` does.

A reading is of the past: between the booking of its call and now the limit has grown back, and calls were booked after
it. So what a response that says `remaining` means for now is `remaining + rate x (now - booked) - booked since`. That
may lower the level at any time; it raises it only while nothing else is in flight, or where the limit was not known
before: readings are late and rounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fanout.events import LimitName
from fanout.quota.bucket import Bucket, Day, Meter, MeterState, Strict, midnight_ns
from fanout.quota.elsewhere import Elsewhere
from fanout.quota.estimate import Cost
from fanout.quota.limits import RATES, Limits, Source
from fanout.quota.report import Reading

DAILY: frozenset[LimitName] = frozenset({"requests_per_day", "tokens_per_day"})
MOST_EASED = 8
SAFETY = 1
"""Requests kept back of a burst of more than 8: two requests that left a while apart may arrive together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A limit came to be known, or moved."""

    name: LimitName
    old: int | None
    new: int
    source: Source
    why: str | None = None


class KeptLimit(NamedTuple):
    """One limit as the processes of a host share it; a tuple, since two are made and two are read a transaction."""

    source: Source
    amount: int
    capacity: int
    total: int
    taken: int
    readings: int
    level: int
    instant_ns: int
    """Both as in `MeterState`."""


class AtMost(NamedTuple):
    """What is there at most: whole units, and what the limit gains in so long, to the fraction of a unit."""

    units: int
    grown_ns: int

    def clamp(self, meter: Meter, at_ns: int) -> None:
        """Hold a meter to it."""
        meter.clamp(self.units, at_ns, grown_ns=self.grown_ns)


@dataclass(slots=True, kw_only=True)
class Known:
    """One limit, and what is known of it."""

    meter: Meter
    source: Source
    told: int | None = None
    """The number as it was told, where `never_exceed` paces by less."""
    most: int | None = None
    """What the settings allow: headers lower it, never raise it."""
    fixed_burst: bool = False
    known_ns: int | None = None
    """Since when it is known; None: before anything was sent."""
    eased_ns: int = 0
    """When a refusal of what was paced by it was last answered by a slower pace."""
    total: int = 0
    """Taken so far, settled; only differences of it mean something."""
    shared_total: int = 0
    """`total` when it was last the same for all processes: what is above it, they do not know of yet."""
    taken: int = 0
    """Taken so far, whatever was given back; only differences of it mean something."""
    shared_taken: int = 0
    """`taken` when it was last the same for all processes."""
    reserved: int = 0
    said_remaining: int | None = None
    said_ns: int | None = None
    readings: int = 0
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    """What somebody else uses of it."""

    def take(self, units: int, at_ns: int) -> None:
        """Take so much off it."""
        self.meter.take(units, at_ns)
        self.total += units
        self.taken += units


class Meters:
    """All rates of one account. Not thread-safe: its owner holds a lock."""

    def __init__(self, limits: Limits, *, burst_s: float, at_ns: int, wall_offset_ns: int) -> None:
        """`burst_s`: the seconds' worth of a rate that may start at one instant where no burst is set."""
        self._limits = limits
        self._burst_s = burst_s
        self._wall_offset_ns = wall_offset_ns
        self.known: dict[LimitName, Known] = {}
        for name in RATES:
            amount = limits.rate(name)
            if amount is not None:
                self.known[name] = Known(
                    meter=self._meter(name, amount, at_ns),
                    source="setting",
                    told=amount,
                    most=amount,
                    fixed_burst=limits.burst is not None or limits.never_exceed,
                )

    def __iter__(self) -> Iterator[tuple[LimitName, Known]]:
        return iter(self.known.items())

    def wait_ns(self, cost: Cost, at_ns: int, *, besides: Collection[LimitName] = ()) -> tuple[int, LimitName | None]:
        """How long until every limit holds `cost`, and the one that takes longest; (0, None) is now.

        `besides`: limits that are not asked.
        """
        longest, by = 0, None
        for name, known in self.known.items():
            if name in besides:
                continue
            wait_ns = known.meter.wait_ns(cost.of(name), at_ns)
            if wait_ns > longest:
                longest, by = wait_ns, name
        return longest, by

    def take(self, cost: Cost, at_ns: int) -> None:
        """Take `cost` off every limit, as reserved."""
        for name, known in self.known.items():
            units = cost.of(name)
            known.take(units, at_ns)
            known.reserved += units

    def settle(self, reserved: Cost, used: Cost, names: frozenset[LimitName], at_ns: int, *, booked_ns: int) -> None:
        """What was reserved of these limits at `booked_ns` turned out to be `used`."""
        for name in names:
            known = self.known[name]
            was, came = reserved.of(name), used.of(name)
            known.reserved -= was
            if isinstance(known.meter, Day) and known.meter.began_after(booked_ns, at_ns):
                continue  # its day is over: it gives nothing back to this one, nor takes more of it
            known.total += came - was
            if came < was:
                if isinstance(known.meter, Strict):
                    known.meter.give_of(was - came, booked_ns, at_ns)
                else:
                    known.meter.give(was - came, at_ns)
            elif came > was:
                known.meter.take(came - was, at_ns)
                known.taken += came - was

    def cost_ns(self, cost: Cost) -> int:
        """The time that the scarcest limit takes to grow `cost` back: dominant-resource fairness counts in it."""
        return max((known.meter.cost_ns(cost.of(name)) for name, known in self.known.items()), default=0)

    def learn(
        self, name: LimitName, amount: int, source: Source, at_ns: int, *, why: str | None = None
    ) -> Change | None:
        """The limit is `amount` from now on, as `source` says; None where it was so before."""
        known = self.known.get(name)
        if known is None:
            self.known[name] = Known(
                meter=self._meter(name, amount, at_ns),
                source=source,
                told=amount,
                fixed_burst=self._sets_burst(name),
                known_ns=at_ns,
            )
            return Change(name=name, old=None, new=amount, source=source, why=why)
        if known.most is not None and amount >= known.most:
            amount, source = known.most, "setting"
        old = self._shown(known)
        if amount == old:
            return None
        keeps_burst = known.fixed_burst and not self._limits.never_exceed
        capacity = None if keeps_burst else self._capacity(name, amount)
        if capacity is not None and source == "header" and not self._limits.never_exceed:
            capacity = max(capacity, known.meter.capacity)  # what a response said is there, is there
        known.meter.set_amount(self._paced(amount), at_ns, capacity=capacity)
        if isinstance(known.meter, Strict):
            known.meter.limit = amount
        known.source, known.told = source, amount
        return Change(name=name, old=old, new=amount, source=source, why=why)

    def read(
        self, name: LimitName, reading: Reading, *, booked_ns: int, since: int, alone: bool, at_ns: int
    ) -> AtMost | None:
        """A response says what remains. `since`: units booked after its call; `alone`: nothing else is in flight.

        What is there at most, by this reading; None where it does not say.
        """
        known = self.known[name]
        in_window = None if reading.window_s is None else max(1, int(known.meter.amount * reading.window_s / 60))
        if in_window is not None and not known.fixed_burst and known.meter.capacity > in_window:
            known.meter.set_amount(known.meter.amount, at_ns, capacity=in_window)
        if reading.remaining is None:
            return None
        first = known.readings == 0
        known.readings += 1
        known.said_remaining, known.said_ns = reading.remaining, at_ns
        grown_ns = 0 if name in DAILY else at_ns - booked_ns
        grown = grown_ns // max(1, known.meter.cost_ns(1))
        told = reading.remaining + reading.rounded_to - 1
        # Nothing grows beyond what the provider's bucket holds: as much as ours, or as it said at once.
        free, ceiling = told + grown - since, max(told, known.meter.capacity)
        most = AtMost(told - since, grown_ns) if free < ceiling else AtMost(ceiling, 0)
        if known.most is not None and known.most < (reading.limit or known.most):
            most.clamp(known.meter, at_ns)  # the settings allow less than the account has: only the smaller counts
            return most
        free = min(free, ceiling)
        if in_window is None and not known.fixed_burst and name not in DAILY and free > known.meter.capacity:
            known.meter.set_amount(known.meter.amount, at_ns, capacity=free)
        if name == "requests" and known.meter.capacity > 8:
            free, most = free - SAFETY, most._replace(units=most.units - SAFETY)
        # What remains of a minute does not say what remains of the shorter window that the limit is judged by.
        if in_window is None and ((first and known.source == "header") or alone):
            known.meter.raise_to(free, at_ns)
        most.clamp(known.meter, at_ns)
        return most

    def state(self) -> dict[LimitName, KeptLimit]:
        """Every limit, for the other processes."""
        return {
            name: KeptLimit(
                known.source,
                known.meter.amount,
                known.meter.capacity,
                known.total,
                known.taken,
                known.readings,
                *known.meter.state(),
            )
            for name, known in self.known.items()
        }

    def told(self) -> None:
        """The other processes know of all that was taken."""
        for known in self.known.values():
            known.shared_total, known.shared_taken = known.total, known.taken

    def restore(self, name: LimitName, kept: KeptLimit, *, shift_ns: int, at_ns: int) -> Change | None:
        """Go on with this limit where another process stopped; what became of its number, None where nothing did.

        Each process holds to its own settings: of another's settings only the level is taken over, where this one has
        some too. What was taken here while the file could not be reached is taken off the level now.
        """
        known = self.known.get(name)
        old = None if known is None else self._shown(known)
        if known is None:
            known = self.known[name] = Known(
                meter=self._meter(name, kept.amount, at_ns),
                source=kept.source,
                fixed_burst=self._sets_burst(name),
                known_ns=at_ns,
            )
        unshared = known.total - known.shared_total
        if known.most is None or (kept.source != "setting" and kept.amount <= self._paced(known.most)):
            capacity = None if known.fixed_burst else kept.capacity
            known.meter.set_amount(kept.amount, at_ns, capacity=capacity)
            known.source = kept.source
        state = MeterState(kept.level, kept.instant_ns)
        if isinstance(known.meter, Strict):
            known.meter.restore(state, shift_ns=shift_ns, taken=max(0, kept.taken - known.shared_taken))
        else:
            known.meter.restore(state, shift_ns=shift_ns)
        known.shared_taken, known.taken = kept.taken, kept.taken + known.taken - known.shared_taken
        known.readings = max(known.readings, kept.readings)
        known.shared_total, known.total = kept.total, kept.total + unshared
        if unshared:
            (known.meter.take if unshared > 0 else known.meter.give)(abs(unshared), at_ns)
        new = self._shown(known)
        return None if new == old else Change(name=name, old=old, new=new, source=known.source)

    def others_per_minute(self, name: LimitName, at_ns: int) -> int:
        """Units a minute of this limit that somebody else uses; 0 is nobody, or not known."""
        known = self.known.get(name)
        if known is None or name in DAILY:
            return 0
        return known.elsewhere.per_minute(self._shown(known), at_ns, of_tokens=name != "requests")

    def refused_though_paced(self, name: LimitName, *, booked_ns: int, at_ns: int) -> None:
        """A call that this limit had let start was refused all the same: somebody else takes of it, or two calls that
        left a period apart arrived closer. For the latter it is eased, once for each episode."""
        known = self.known.get(name)
        if known is None or known.source == "learnt" or not isinstance(known.meter, Bucket):
            return
        if booked_ns <= (known.known_ns or 0):
            return  # it was not paced
        if known.readings:
            known.elsewhere.refused(booked_ns, at_ns)
        is_tight = known.meter.capacity <= MOST_EASED and not self._limits.never_exceed
        if is_tight and booked_ns > known.eased_ns and not self.others_per_minute(name, at_ns):
            known.eased_ns = at_ns
            known.meter.ease(at_ns)

    def unsay(self, names: Iterable[LimitName]) -> None:
        """What the provider said is left of these limits holds no more."""
        for name in names:
            if name in self.known:
                self.known[name].said_remaining = None

    def begin_days(self, at_ns: int, *, besides: Collection[LimitName]) -> None:
        """A call was answered although these days were used up as they were told: they have begun anew.

        `besides`: limits of which its response said what is left.
        """
        for name in DAILY.difference(besides).intersection(self.known):
            known = self.known[name]
            if known.source == "header" and known.meter.free(at_ns) <= 0:
                known.meter.raise_to(known.meter.amount, at_ns)

    def day_ends_ns(self, at_ns: int) -> int:
        """When the day of the account's limits ends: at midnight of its zone, UTC where nobody says another."""
        return midnight_ns(at_ns + self._wall_offset_ns, self._limits.day_zone or "UTC") - self._wall_offset_ns

    def amount(self, name: LimitName) -> int | None:
        """What the limit allows, as it is shown; None where it is not known."""
        known = self.known.get(name)
        return None if known is None else self._shown(known)

    def _shown(self, known: Known) -> int:
        """The number of the limit: a pace that never exceeds leaves a tenth of it to the burst."""
        if not self._limits.never_exceed or not isinstance(known.meter, Bucket):
            return known.meter.amount
        if known.told is not None and self._paced(known.told) == known.meter.amount:
            return known.told
        return known.meter.amount + known.meter.capacity  # another process moved it

    def _paced(self, amount: int) -> int:
        return max(1, amount - _tenth(amount)) if self._limits.never_exceed else amount

    def _meter(self, name: LimitName, amount: int, at_ns: int) -> Meter:
        if name in DAILY:
            return Day(
                amount=amount, at_ns=at_ns, wall_offset_ns=self._wall_offset_ns, zone=self._limits.day_zone or "UTC"
            )
        paced, capacity = self._paced(amount), self._capacity(name, amount)
        if self._limits.never_exceed:
            return Strict(limit=amount, amount=paced, capacity=capacity, at_ns=at_ns)
        return Bucket(amount=paced, capacity=capacity, at_ns=at_ns)

    def _sets_burst(self, name: LimitName) -> bool:
        """Whether the settings say how much of this limit may start at one instant."""
        return self._limits.never_exceed or (name == "requests" and self._limits.burst is not None)

    def _capacity(self, name: LimitName, amount: int) -> int:
        if self._limits.never_exceed:
            return _tenth(amount)
        if name == "requests" and self._limits.burst is not None:
            burst = self._limits.burst
        else:
            burst = round(amount * self._burst_s / 60)
        return max(1, burst - SAFETY if name == "requests" and burst > 8 else burst)


def _tenth(amount: int) -> int:
    """Of a window's limit: what may come at once where no window may hold more (the pace is the rest)."""
    return max(1, amount // 10)
