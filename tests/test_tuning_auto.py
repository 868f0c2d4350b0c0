"""Little's law sizes the workers: within the ceiling, without flapping, more for more work."""

from __future__ import annotations

from math import ceil, sqrt

from hypothesis import given
from hypothesis import strategies as st

from fanout.tuning.auto import Sized, size, workers_for

RATES = st.floats(0, 1e6)
LATENCIES = st.floats(0, 3600)
CEILINGS = st.integers(1, 512)


def sized(rate_per_s: float, latency_s: float, ceiling: int, now: int) -> int:
    """The workers that there are after it was asked."""
    found = size(rate_per_s=rate_per_s, latency_s=latency_s, ceiling=ceiling, now=now)
    return now if found is None else found.max_workers


def test_ten_calls_a_second_of_800_ms_are_eleven_workers() -> None:
    assert size(rate_per_s=10.0, latency_s=0.8, ceiling=64, now=64) == Sized(
        max_workers=11, why="10 calls a second x 0.8 s = 8 in flight, and 3 to spare"
    )


def test_the_ceiling_is_said_where_it_cuts() -> None:
    assert size(rate_per_s=100.0, latency_s=2.0, ceiling=64, now=8) == Sized(
        max_workers=64, why="100 calls a second x 2 s = 200 in flight, but at most 64"
    )


def test_within_a_tenth_or_one_nothing_changes() -> None:
    assert size(rate_per_s=80.0, latency_s=1.0, ceiling=512, now=110) is None
    assert size(rate_per_s=80.0, latency_s=1.0, ceiling=512, now=112) == Sized(
        max_workers=100, why="80 calls a second x 1 s = 80 in flight, and 20 to spare"
    )
    assert size(rate_per_s=4.0, latency_s=1.0, ceiling=512, now=6) is None


def test_few_workers_have_one_to_spare_at_least() -> None:
    assert sized(2.0, 0.9, 20, 20) == 4  # 1.8 in flight on average, and now and then 3
    assert sized(2.0, 0.9, 20, 3) == 4  # also where fewer are there by now
    assert sized(2.0, 0.9, 20, 5) == 5  # one too many is left alone
    assert sized(0.9, 1.0, 64, 1) == 2
    assert sized(0.1, 0.5, 64, 1) == 1


@given(st.floats(0.2, 1000), st.floats(0.1, 60), st.integers(1, 512))
def test_the_workers_to_spare_are_a_quarter_or_the_square_root(rate: float, latency: float, now: int) -> None:
    in_flight = rate * latency
    spare = sized(rate, latency, 100_000, now) - in_flight
    assert spare >= max(in_flight / 4, sqrt(in_flight)) - 0.1 * (in_flight + spare) - 1e-6


@given(RATES, LATENCIES, CEILINGS, st.integers(1, 512))
def test_the_workers_are_never_above_the_ceiling_and_never_none(
    rate: float, latency: float, ceiling: int, now: int
) -> None:
    assert 1 <= sized(rate, latency, ceiling, now) <= ceiling


@given(RATES, LATENCIES, CEILINGS, st.integers(1, 512))
def test_asked_twice_nothing_changes_the_second_time(rate: float, latency: float, ceiling: int, now: int) -> None:
    once = sized(rate, latency, ceiling, now)
    assert size(rate_per_s=rate, latency_s=latency, ceiling=ceiling, now=once) is None


@given(RATES, RATES, LATENCIES, LATENCIES, CEILINGS, CEILINGS)
def test_more_work_never_asks_for_fewer_workers(
    rate: float, other_rate: float, latency: float, other_latency: float, ceiling: int, other_ceiling: int
) -> None:
    fewer = workers_for(
        rate_per_s=min(rate, other_rate),
        latency_s=min(latency, other_latency),
        ceiling=min(ceiling, other_ceiling),
    )
    more = workers_for(
        rate_per_s=max(rate, other_rate),
        latency_s=max(latency, other_latency),
        ceiling=max(ceiling, other_ceiling),
    )
    assert fewer <= more


@given(st.floats(0.1, 100), st.floats(0.01, 60), CEILINGS, st.integers(1, 512))
def test_within_its_ceiling_the_rate_can_always_be_carried(rate: float, latency: float, ceiling: int, now: int) -> None:
    assert sized(rate, latency, ceiling, now) >= min(ceiling, ceil(rate * latency - 1e-6))
