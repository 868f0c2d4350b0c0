"""The laws of a day's limits, on random calls of two processes around midnight, over several days, in zones whose
clocks go forward or back.

What a day was charged is counted here, by the date that a call was booked on: as reserved, and as used once it has
ended, whenever that is. Midnight is looked for: the first second of another date.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_S
from fanout.events import LimitName
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost
from fanout.quota.limits import Limits
from fanout.quota.meters import DAILY
from fanout.quota.sharers import Reservation
from tests.processes import Process, processes

HOUR_S = 3_600
HOUR_NS = HOUR_S * NS_PER_S
LONGEST_DAY_S = 26 * HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """After a pause a call asks to start, or one that was booked ends."""

    pause_ns: int
    place: int
    """Of the process."""
    percent: int
    """Of the day's tokens: what it reserves."""
    ends: int | None
    """Which of the calls in flight ends; None: one starts."""
    used_percent: int
    """Of what it reserved; 0: it was never sent, and is no request either."""


@dataclass(slots=True, kw_only=True, eq=False)
class Charge:
    """One call, and what it takes of the day that it was booked on."""

    day: date
    place: int
    booked: Reservation
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Processes that share a day's limits, and a count of what each day was charged."""

    made: tuple[Process, ...]
    limits: Limits
    began_s: int
    """When instant 0 is, in s since 1970."""
    charges: list[Charge] = field(default_factory=list)
    flying: list[Charge] = field(default_factory=list)

    def go_on(self, step: Step, at_ns: int) -> Hold | None:
        """Do what the step says; what held the call that asked to start."""
        if step.ends is None:
            return self.start(step.place, self.cost(step), at_ns)
        if self.flying:
            self._end(self.flying.pop(step.ends % len(self.flying)), step.used_percent, at_ns)
        return None

    def cost(self, step: Step) -> Cost:
        """What the call of this step reserves: never more than a day holds."""
        return Cost(output_tokens=(self.limits.tokens_per_day or 100) * step.percent // 100)

    def start(self, place: int, cost: Cost, at_ns: int) -> Hold | None:
        started = self.made[place].try_start(at_ns, cost)
        if isinstance(started, Hold):
            return started
        charge = Charge(day=self.day(at_ns), place=place, booked=started, cost=cost)
        self.charges.append(charge)
        self.flying.append(charge)
        return None

    def left(self, at_ns: int) -> dict[LimitName, int]:
        """What this day has left of each limit, by the count."""
        today = [charge.cost for charge in self.charges if charge.day == self.day(at_ns)]
        found: dict[LimitName, int] = {}
        for name in sorted(DAILY):
            if (limit := self.limits.rate(name)) is not None:
                found[name] = limit - sum(cost.of(name) for cost in today)
        return found

    def free(self, place: int, at_ns: int) -> dict[LimitName, int]:
        """The same, as this process sees it."""
        process = self.made[place]
        with process.file:
            process.gate.look(at_ns)
            return {name: known.meter.free(at_ns) for name, known in process.gate.meters}

    def day(self, at_ns: int) -> date:
        return self._date(self.began_s + at_ns // NS_PER_S)

    def midnight_ns(self, at_ns: int) -> int:
        """The first instant that is of another date."""
        now_s = self.began_s + at_ns // NS_PER_S
        ahead_s = bisect(range(LONGEST_DAY_S), self._date(now_s), key=lambda ahead_s: self._date(now_s + ahead_s))
        return (now_s + ahead_s - self.began_s) * NS_PER_S

    def _end(self, charge: Charge, used_percent: int, at_ns: int) -> None:
        tokens = charge.cost.output_tokens * used_percent // 100
        charge.cost = Cost(requests=1 if used_percent else 0, output_tokens=tokens)
        self.made[charge.place].settle(charge.booked, charge.cost, at_ns)

    def _date(self, at_s: int) -> date:
        return datetime.fromtimestamp(at_s, ZoneInfo(self.limits.day_zone or "UTC")).date()


PAUSES = (
    st.integers(0, NS_PER_S)
    | st.integers(0, 60).map(lambda seconds: seconds * NS_PER_S)
    | st.integers(1, 60).map(lambda minutes: minutes * 60 * NS_PER_S)
    | st.integers(1, 30).map(lambda hours: hours * HOUR_NS)
)
STEPS = st.lists(
    st.builds(
        Step,
        pause_ns=PAUSES,
        place=st.integers(0, 1),
        percent=st.integers(1, 20) | st.integers(50, 100),
        ends=st.none() | st.integers(0, 7),
        used_percent=st.just(0) | st.integers(1, 99) | st.integers(101, 300),
    ),
    min_size=8,
    max_size=24,
)
REQUESTS, TOKENS = st.integers(1, 6), st.integers(1, 2_000)
LIMITS = (
    st.builds(Limits, requests_per_day=REQUESTS)
    | st.builds(Limits, tokens_per_day=TOKENS)
    | st.builds(Limits, requests_per_day=REQUESTS, tokens_per_day=TOKENS)
)
MIDNIGHTS = st.sampled_from(
    [
        ("UTC", "2026-05-01"),
        ("Asia/Kolkata", "2026-05-01"),
        ("America/Los_Angeles", "2025-03-09"),  # the clock goes forward at 2:00
        ("America/Los_Angeles", "2025-11-02"),  # and back
        ("America/Sao_Paulo", "2018-11-04"),  # forward at midnight, which there is not: the day begins at 1:00
        ("America/Sao_Paulo", "2018-02-18"),  # back at midnight: the day before has its last hour twice
        ("America/Havana", "2024-11-03"),  # back at 1:00: midnight comes twice
    ]
)
BEFORE = st.integers(1, 180).map(lambda minutes: minutes * 60)
"""How long before midnight a test begins."""


@contextmanager
def days(limits: Limits, midnight: tuple[str, str], before_s: int) -> Iterator[Days]:
    zone, day = midnight
    limits = replace(limits, day_zone=zone)
    began_s = round(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()) - before_s
    with processes(2, limits, wall_offset_ns=began_s * NS_PER_S) as made:
        yield Days(made=made, limits=limits, began_s=began_s)


@settings(max_examples=80, deadline=None)
@given(LIMITS, MIDNIGHTS, BEFORE, STEPS)
def test_a_day_starts_whatever_it_holds_and_nothing_more(
    limits: Limits, midnight: tuple[str, str], before_s: int, steps: list[Step]
) -> None:
    with days(limits, midnight, before_s) as made:
        at_ns = 0
        for step in steps:
            at_ns += step.pause_ns
            holds = all(made.cost(step).of(name) <= left for name, left in made.left(at_ns).items())
            held = made.go_on(step, at_ns)
            if step.ends is None:
                assert (held is None) == holds


@settings(max_examples=80, deadline=None)
@given(LIMITS, MIDNIGHTS, BEFORE, STEPS)
def test_what_was_booked_yesterday_is_neither_counted_against_today_nor_given_back_to_it(
    limits: Limits, midnight: tuple[str, str], before_s: int, steps: list[Step]
) -> None:
    with days(limits, midnight, before_s) as made:
        at_ns = 0
        for step in steps:
            at_ns += step.pause_ns
            made.go_on(step, at_ns)
            assert [made.free(place, at_ns) for place in range(2)] == [made.left(at_ns)] * 2


@settings(max_examples=80, deadline=None)
@given(LIMITS, MIDNIGHTS, BEFORE, STEPS, st.integers(0, 1))
def test_what_a_day_refuses_waits_for_midnight_and_starts_then(
    limits: Limits, midnight: tuple[str, str], before_s: int, steps: list[Step], asks: int
) -> None:
    with days(limits, midnight, before_s) as made:
        at_ns = 0
        for step in steps:
            at_ns += step.pause_ns
            held = made.go_on(step, at_ns)
            if held is None:
                continue
            midnight_ns = made.midnight_ns(at_ns)
            assert held.held_by in DAILY
            assert held.until_ns == midnight_ns
            assert made.start(asks, made.cost(step), midnight_ns - 1) == held
            at_ns = midnight_ns
            assert made.start(asks, made.cost(step), at_ns) is None
            assert made.free(asks, at_ns) == made.left(at_ns)


@settings(max_examples=40, deadline=None)
@given(
    tokens_per_day=st.integers(2, 2_000),
    booked=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40)), min_size=1, max_size=8),
    percent=st.integers(0, 100),
    pause_ns=st.integers(0, 60).map(lambda seconds: seconds * NS_PER_S),
)
def test_a_call_that_waits_for_midnight_holds_no_other_run_of_its_process_nor_of_another(
    tokens_per_day: int, booked: list[tuple[int, int]], percent: int, pause_ns: int
) -> None:
    with days(Limits(tokens_per_day=tokens_per_day), ("UTC", "2026-05-01"), HOUR_S) as made:
        for place, its_percent in booked:
            made.start(place, Cost(output_tokens=1 + (tokens_per_day - 1) * its_percent // 100), 0)
        left = made.left(0)["tokens_per_day"]
        waits, fits = Cost(output_tokens=left + 1), Cost(output_tokens=left * percent // 100)
        held = Hold(until_ns=made.midnight_ns(0), held_by="tokens_per_day")
        process = made.made[0]
        process.gate.join("beside", weight=1)
        with process.file:
            process.gate.new_round()
            assert process.gate.ask(process.run_id, waits, 0) == held
            assert process.gate.ask("beside", fits, 0) is None
        assert made.start(1, fits, pause_ns) is None
