"""The laws of a quota that processes share when one of them dies with calls in flight, on random schedules.

A schedule says which calls each process gets and when one of the processes dies: at a random instant of one of its
calls, or in the middle of the transaction that books it. What was booked and when is the product's own choice: each
process asks when it was told to ask again, and whenever one of its calls has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.limits import Limits
from fanout.quota.rows import LEASE_GRACE_NS
from fanout.quota.sharers import Reservation
from tests.gates import gate, most_within
from tests.processes import Process, processes

TIMEOUT_NS = 4 * NS_PER_S
SERVED_NS = 300 * NS_PER_S
"""Every call of a schedule has ended by then; later only ever means failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call is to be: it reserves `tokens` and turns out to have used `used`."""

    arrives_ns: int
    tokens: int
    used: int
    lasts_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The process of this place dies while its n-th call is in flight, or while it books it."""

    place: int
    booking: int
    permille: int
    """Of the time that the call would have lasted."""
    while_booking: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flight:
    """One call that was booked."""

    call: Call
    booked: Reservation
    at_ns: int

    @property
    def ends_ns(self) -> int:
        return self.at_ns + self.call.lasts_ns


@dataclass(slots=True, kw_only=True)
class Told:
    """What one transaction told the other processes."""

    at_ns: int
    ended: list[Flight]
    booked: list[Flight]


class Life:
    """One process and its calls, the first to come first."""

    def __init__(self, process: Process, calls: list[Call]) -> None:
        self.process = process
        self.waiting = deque(sorted(calls, key=lambda call: call.arrives_ns))
        self.flying: list[Flight] = []
        self.booked = 0
        self._asks_ns = self.waiting[0].arrives_ns if self.waiting else None

    @property
    def wakes_ns(self) -> int | None:
        """When it next does something."""
        ends = [flight.ends_ns for flight in self.flying]
        return min(ends if self._asks_ns is None else [*ends, self._asks_ns], default=None)

    def go_on(self, at_ns: int, *, dies_booking: int | None) -> Told | None:
        """One transaction; None where it died in it."""
        told = Told(at_ns=at_ns, ended=[flight for flight in self.flying if flight.ends_ns <= at_ns], booked=[])
        with self.process.file:
            for flight in told.ended:
                used = Cost(output_tokens=flight.call.used)
                self.process.gate.settle(flight.booked, used, at_ns)
            self._asks_ns = None
            self.process.gate.new_round()
            while self.waiting and self._asks_ns is None:
                self._ask(told)
                if dies_booking is not None and self.booked > dies_booking:
                    self.process.file.close()
                    return None
        self.flying = [flight for flight in self.flying if flight not in told.ended] + told.booked
        return told

    def _ask(self, told: Told) -> None:
        """For the call that came first: book it, or remember when to ask again."""
        call, at_ns, made = self.waiting[0], told.at_ns, self.process.gate
        if at_ns < call.arrives_ns:
            self._asks_ns = call.arrives_ns
            return
        cost = Cost(output_tokens=call.tokens)
        hold = made.ask(self.process.run_id, cost, at_ns)
        if hold is None:
            told.booked.append(Flight(call=call, booked=made.book(self.process.run_id, cost, at_ns), at_ns=at_ns))
            self.booked += 1
            self.waiting.popleft()
        elif hold.until_ns is None:
            ends = [flight.ends_ns for flight in [*self.flying, *told.booked] if flight.ends_ns > at_ns]
            assert ends, "nothing here will wake it"
            self._asks_ns = min(ends)
        else:
            assert hold.until_ns > at_ns
            self._asks_ns = hold.until_ns


class World:
    """Several processes, of which one dies."""

    def __init__(self, made: tuple[Process, ...], calls: list[list[Call]], death: Death) -> None:
        self.lives = [Life(process, its) for process, its in zip(made, calls, strict=True)]
        self.victim = self.lives[death.place]
        self.survivors = [life for life in self.lives if life is not self.victim]
        self.bookings: list[Flight] = []
        self.ends: list[tuple[int, Flight]] = []
        self.died_ns: int | None = None
        self._death = death
        self._booking = min(death.booking, len(self.victim.waiting) - 1)
        self._dies_ns: int | None = None

    def moments(self, *, until_ns: int = SERVED_NS) -> Iterator[Told]:
        """Each transaction and the death in turn, until there is nothing to do, or this instant has passed."""
        while (at_ns := self._next_ns()) is not None and at_ns <= until_ns:
            if self._dies_ns == at_ns:
                yield self._die(at_ns)
                continue
            life = next(life for life in self._alive() if life.wakes_ns == at_ns)
            last = self._booking if self._death.while_booking and life is self.victim else None
            told = life.go_on(at_ns, dies_booking=last)
            if told is None:
                yield self._die(at_ns)
                continue
            self.bookings += told.booked
            self.ends += [(at_ns, flight) for flight in told.ended]
            if self._dies_ns is None and life is self.victim and life.booked > self._booking:
                lasts_ns = told.booked[self._booking - life.booked].call.lasts_ns
                self._dies_ns = at_ns + lasts_ns * self._death.permille // 1000
            yield told

    def freed_ns(self) -> int:
        """When the lease of the one that died is over; at once where it held no place."""
        assert self.died_ns is not None
        if not self.victim.flying:
            return self.died_ns + 1
        run_id = self.victim.process.run_id
        last_ns = max(flight.at_ns for flight in self.bookings if flight.booked.run_id == run_id)
        return last_ns + TIMEOUT_NS + LEASE_GRACE_NS

    def in_flight(self) -> int:
        """Calls of the survivors."""
        return sum(len(life.flying) for life in self.survivors)

    def _alive(self) -> list[Life]:
        return self.lives if self.died_ns is None else self.survivors

    def _next_ns(self) -> int | None:
        wakes = [wake_ns for life in self._alive() if (wake_ns := life.wakes_ns) is not None]
        return min(wakes if self._dies_ns is None else [*wakes, self._dies_ns], default=None)

    def _die(self, at_ns: int) -> Told:
        self.died_ns, self._dies_ns = at_ns, None
        self.victim.process.file.close()
        return Told(at_ns=at_ns, ended=[], booked=[])


CALLS = st.lists(
    st.builds(
        Call,
        arrives_ns=st.integers(0, 3 * NS_PER_S) | st.integers(15 * NS_PER_S, 20 * NS_PER_S),
        tokens=st.integers(1, 150),
        used=st.integers(0, 200),
        lasts_ns=st.integers(NS_PER_MS, 3 * NS_PER_S),
    ),
    min_size=4,
    max_size=8,
)
DEATHS = st.builds(
    Death,
    place=st.integers(0, 2),
    booking=st.integers(0, 7),
    permille=st.integers(0, 999),
    while_booking=st.booleans(),
)
LIMITS = st.builds(
    Limits,
    requests_per_day=st.just(1_000),
    tokens_per_day=st.just(100_000),
    requests_per_minute=st.integers(60, 300),
    tokens_per_minute=st.none() | st.integers(3_000, 12_000),
    burst=st.integers(1, 5),
    max_in_flight=st.none() | st.integers(1, 4),
)
"""Those of a day are never reached; what is taken of them stays taken, while a minute's has soon grown back."""
WORLDS = st.lists(CALLS, min_size=3, max_size=3)


@contextmanager
def world(limits: Limits, calls: list[list[Call]], death: Death) -> Iterator[World]:
    with processes(3, limits, timeout_ns=TIMEOUT_NS) as made:
        yield World(made, calls, death)


@settings(max_examples=20, deadline=None)
@given(LIMITS, WORLDS, DEATHS)
def test_what_a_process_booked_stays_taken_when_it_dies(limits: Limits, calls: list[list[Call]], death: Death) -> None:
    """To the survivors every limit is as though one process alone had done all, and never heard of some calls again."""
    alone, booked = gate(limits), dict[Flight, Reservation]()
    with world(limits, calls, death) as made:
        for told in made.moments():
            for flight in told.ended:
                alone.settle(booked[flight], Cost(output_tokens=flight.call.used), told.at_ns)
            for flight in told.booked:
                booked[flight] = alone.book("run", flight.booked.cost, told.at_ns)
            if made.died_ns is not None:
                assert [free_of(life.process, told.at_ns) for life in made.survivors] == [levels(alone, told.at_ns)] * 2


def free_of(process: Process, at_ns: int) -> dict[str, int]:
    with process.file:
        process.gate.look(at_ns)
        return levels(process.gate, at_ns)


def levels(made: Gate, at_ns: int) -> dict[str, int]:
    return {name: known.meter.free(at_ns) for name, known in made.meters}


@settings(max_examples=20, deadline=None)
@given(LIMITS, WORLDS, DEATHS, st.integers(1, 60))
def test_no_window_is_over_its_limit_when_a_process_dies(
    limits: Limits, calls: list[list[Call]], death: Death, window_s: int
) -> None:
    with world(limits, calls, death) as made:
        for _ in made.moments():
            pass
    window_ns = window_s * NS_PER_S
    per_minute, burst = limits.requests_per_minute or 0, limits.burst or 0
    requests = [(flight.at_ns, 1) for flight in made.bookings]
    assert most_within(window_ns, requests) <= burst + per_minute * window_ns // NS_PER_MINUTE + 1
    if limits.tokens_per_minute is not None:
        given_back = [(at_ns, max(0, flight.call.tokens - flight.call.used)) for at_ns, flight in made.ends]
        capacity = made.survivors[0].process.gate.meters.known["tokens"].meter.capacity
        over = max(0, max(call.tokens for its in calls for call in its) - capacity)
        tokens = [(flight.at_ns, flight.call.tokens) for flight in made.bookings]
        grown = limits.tokens_per_minute * window_ns // NS_PER_MINUTE + 1
        assert most_within(window_ns, tokens) <= capacity + grown + over + most_within(window_ns, given_back)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), WORLDS, DEATHS)
def test_places_of_a_process_that_died_are_free_once_its_lease_is_over_and_not_before(
    most: int, calls: list[list[Call]], death: Death
) -> None:
    with world(Limits(max_in_flight=most), calls, death) as made:
        for _ in made.moments():
            assert made.in_flight() + len(made.victim.flying) <= most
            if made.died_ns is not None:
                break
        freed_ns = made.freed_ns()
        for _ in made.moments(until_ns=freed_ns - 1):
            assert made.in_flight() + len(made.victim.flying) <= most
        left = most - made.in_flight()
        assert places_left(made, freed_ns - 1) == [left - len(made.victim.flying)] * 2
        assert places_left(made, freed_ns) == [left] * 2
        for _ in made.moments():
            assert made.in_flight() <= most


def places_left(made: World, at_ns: int) -> list[int]:
    """As each survivor sees it."""
    return [life.process.view(at_ns).limits[-1].free for life in made.survivors]


@settings(max_examples=20, deadline=None)
@given(LIMITS, WORLDS, DEATHS)
def test_every_waiter_is_served_in_the_end_though_a_process_died(
    limits: Limits, calls: list[list[Call]], death: Death
) -> None:
    with world(limits, calls, death) as made:
        for _ in made.moments():
            pass
        assert made.died_ns is not None
        assert [(len(life.waiting), len(life.flying)) for life in made.survivors] == [(0, 0)] * 2
