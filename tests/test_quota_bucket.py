"""The laws of one limit, on instants that are given: windows, refunds, waits, days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_S
from fanout.quota.account import Account
from fanout.quota.bucket import NS_PER_MINUTE, Bucket, Day, midnight_ns
from fanout.quota.estimate import Cost
from fanout.quota.gates import Gates
from fanout.quota.limits import Limits

HOUR_NS = 3_600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """After a pause: reserve so much, or settle what was reserved so long ago to a share of it."""

    pause_ns: int
    reserve: int | None
    used_share: float = 0.0


STEPS = st.lists(
    st.builds(
        Step,
        pause_ns=st.integers(0, 3 * NS_PER_S),
        reserve=st.none() | st.integers(0, 30),
        used_share=st.floats(0, 1),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(steps=STEPS, amount=st.integers(1, 1_200), capacity=st.integers(1, 40))
def test_what_is_taken_less_what_is_given_back_fits_the_burst_and_the_rate_in_every_window(
    steps: list[Step], amount: int, capacity: int
) -> None:
    bucket, at_ns, open_ = Bucket(amount=amount, capacity=capacity, at_ns=0), 0, list[int]()
    moved: list[tuple[int, int]] = []
    for step in steps:
        at_ns += step.pause_ns
        if step.reserve is not None:
            cost = min(step.reserve, capacity)
            at_ns += bucket.wait_ns(cost, at_ns)
            bucket.take(cost, at_ns)
            open_.append(cost)
            moved.append((at_ns, cost))
        elif open_:
            cost = open_.pop(0)
            back = cost - int(step.used_share * cost)
            bucket.give(back, at_ns)
            moved.append((at_ns, -back))
    for since, (since_ns, _) in enumerate(moved):
        net = 0
        for until_ns, units in moved[since:]:
            net += units
            assert net * NS_PER_MINUTE <= capacity * NS_PER_MINUTE + amount * (until_ns - since_ns)


@settings(max_examples=60)
@given(steps=STEPS, amount=st.integers(1, 1_200))
def test_settled_it_stands_where_taking_only_what_was_used_would_have_left_it(steps: list[Step], amount: int) -> None:
    # A capacity that is never full again: what a full bucket cannot gain is lost to both, at other instants.
    capacity = 1_000_000
    bucket, replay = (Bucket(amount=amount, capacity=capacity, at_ns=0) for _ in range(2))
    for each in (bucket, replay):
        each.take(capacity // 2, 0)
    at_ns, open_ = 0, list[tuple[int, int]]()
    for step in steps:
        at_ns += step.pause_ns
        if step.reserve is not None:
            used = int(step.used_share * step.reserve)
            bucket.take(step.reserve, at_ns)
            replay.take(used, at_ns)
            open_.append((step.reserve, used))
        elif open_:
            reserved, used = open_.pop(0)
            bucket.give(reserved - used, at_ns)
    for reserved, used in open_:
        bucket.give(reserved - used, at_ns)
    assert bucket.free(at_ns) == replay.free(at_ns)
    assert bucket.level == replay.level


@given(amount=st.integers(1, 10**10), capacity=st.integers(1, 10**6), cost=st.integers(1, 2 * 10**6))
def test_after_its_wait_a_cost_is_there_and_an_instant_before_it_is_not(amount: int, capacity: int, cost: int) -> None:
    bucket = Bucket(amount=amount, capacity=capacity, at_ns=0)
    bucket.take(capacity, 0)
    wait_ns = bucket.wait_ns(cost, 0)
    assert bucket.wait_ns(cost, wait_ns - 1) == 1
    assert bucket.wait_ns(cost, wait_ns) == 0


@given(taken=st.integers(0, 20), cost=st.integers(1, 40), pauses=st.lists(st.integers(0, 9 * HOUR_NS), max_size=8))
def test_a_wait_for_a_day_never_ends_later_for_asking_again(taken: int, cost: int, pauses: list[int]) -> None:
    day, at_ns = Day(amount=10, at_ns=0, wall_offset_ns=5 * HOUR_NS), 0
    day.take(taken, 0)
    until_ns = day.wait_ns(cost, 0)
    for pause_ns in pauses:
        at_ns += pause_ns
        again_ns = at_ns + day.wait_ns(cost, at_ns)
        assert again_ns <= max(until_ns, at_ns)
        until_ns = again_ns


def test_what_was_reserved_before_midnight_is_not_given_back_to_the_new_day() -> None:
    limits, account = Limits(tokens_per_day=1_000), Account(account="a", model="m", provider="p")
    made = Gates(wall_offset_ns=23 * HOUR_NS).at(account, limits, 0)
    made.join("run", weight=1)
    before = made.book("run", Cost(output_tokens=400), 0)
    after = made.book("run", Cost(output_tokens=300), 2 * HOUR_NS)
    made.settle(before, Cost(output_tokens=100), 2 * HOUR_NS)
    known = made.meters.known["tokens_per_day"]
    assert known.meter.free(2 * HOUR_NS) == 700
    made.settle(after, Cost(output_tokens=100), 2 * HOUR_NS)
    assert known.meter.free(2 * HOUR_NS) == 900
    assert known.reserved == 0


@pytest.mark.parametrize(
    ("zone", "wall", "hours"),
    [
        ("UTC", "2026-05-01T20:00", 4),
        ("America/Los_Angeles", "2026-03-08T00:00", 23),  # the clock goes forward
        ("America/Los_Angeles", "2026-11-01T00:00", 25),  # and back
        ("Asia/Kolkata", "2026-05-01T18:30", 5.5),
    ],
)
def test_a_day_ends_at_its_zones_next_midnight_however_long_it_is(zone: str, wall: str, hours: float) -> None:
    at_ns = round(datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS_PER_S
    assert midnight_ns(at_ns, zone) == at_ns + hours * HOUR_NS
