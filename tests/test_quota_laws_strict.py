"""Laws of limits that nothing may exceed, in any window: whatever is given back, and whichever process takes."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.estimate import Cost
from fanout.quota.limits import Limits
from fanout.quota.sharers import Reservation
from tests.processes import processes

LIMIT = 1_000
STEP = st.tuples(
    st.integers(0, 2),  # which process
    st.one_of(st.integers(0, 100), st.integers(0, 20_000)),  # ms since the step before
    st.integers(1, 950),  # tokens that it asks for
    st.booleans(),  # or it settles its oldest call
    st.floats(0.0, 1.0),  # to this share of what was reserved
)


def asks(process: int, at_ms: int, tokens: int) -> tuple[int, int, int, bool, float]:
    return (process, at_ms, tokens, False, 0.0)


def settles(process: int, at_ms: int, share: float) -> tuple[int, int, int, bool, float]:
    return (process, at_ms, 1, True, share)


@example(count=2, steps=[*(asks(1, 4_000, 50) for _ in range(15)), asks(0, 0, 900)])
@example(count=2, steps=[asks(1, 0, 20), *(asks(0, 3_400, 50) for _ in range(17)), asks(1, 4_000, 900)])
@example(
    count=1,
    steps=[
        asks(0, 0, 100),
        asks(0, 3_000, 45),
        settles(0, 0, 0.0),
        asks(0, 0, 100),
        *(asks(0, 1_000, 15) for _ in range(58)),
    ],
)
@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 3), steps=st.lists(STEP, max_size=60))
def test_no_minute_holds_more_than_the_limit_whatever_comes_back_and_whoever_takes(
    count: int, steps: list[tuple[int, int, int, bool, float]]
) -> None:
    at_ns = NS_PER_S
    taken: list[list[int]] = []  # [when, tokens as they are known by now]
    with processes(count, Limits(tokens_per_minute=LIMIT, never_exceed=True)) as team:
        in_flight: list[list[tuple[Reservation, list[int]]]] = [[] for _ in team]
        for which, after_ms, tokens, is_settling, share in steps:
            one, mine = team[which % count], in_flight[which % count]
            at_ns += after_ms * 1_000_000
            if is_settling and mine:
                booked, entry = mine.pop(0)
                used = int(entry[1] * share)
                one.settle(booked, Cost(input_tokens=used, output_tokens=0), at_ns)
                entry[1] = used
                continue
            started = one.try_start(at_ns, Cost(input_tokens=tokens, output_tokens=0))
            if isinstance(started, Reservation):
                entry = [at_ns, tokens]
                taken.append(entry)
                mine.append((started, entry))
                held = sum(units for when_ns, units in taken if when_ns > at_ns - NS_PER_MINUTE)
                assert held <= LIMIT


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 3), wants=st.lists(st.integers(1, LIMIT), min_size=1, max_size=12))
def test_whoever_waits_for_the_window_is_let_through_in_the_end(count: int, wants: list[int]) -> None:
    at_ns = NS_PER_S
    with processes(count, Limits(tokens_per_minute=LIMIT, never_exceed=True)) as team:
        for place, tokens in enumerate(wants):
            one = team[place % count]
            for _ in range(400):
                started = one.try_start(at_ns, Cost(input_tokens=tokens, output_tokens=0))
                if isinstance(started, Reservation):
                    break
                assert started.until_ns is not None
                assert started.until_ns > at_ns
                at_ns = started.until_ns
            assert isinstance(started, Reservation)
            at_ns += 1_000_000
            one.settle(started, Cost(input_tokens=tokens, output_tokens=0), at_ns)
