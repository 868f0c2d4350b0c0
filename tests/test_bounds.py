"""No run beats its bounds, a perfect one meets them, and what is expected follows from latencies alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import nanoseconds
from fanout.fold import fold
from fanout.tuning.bounds import Bound, bounds, estimate, makespan_s, remaining_s
from tests.runs import history, make_run, now_ns
from tests.test_metrics import ONE_BY_ONE, opened, side_by_side


def test_before_anything_was_sent_there_is_no_bound() -> None:
    found = bounds(fold(opened(2)))
    assert (found.lower_s, found.binds, found.closeness, found.longest_call) == (0.0, None, None, None)


def test_side_by_side_the_longest_call_binds() -> None:
    found = bounds(side_by_side((0, 100), (0, 300), (0, 200), workers=3))
    assert found.bounds == (Bound(name="longest_call", seconds=0.3), Bound(name="workers", seconds=0.2))
    assert (found.lower_s, found.binds, found.wall_s, found.closeness) == (0.3, "longest_call", 0.3, 1.0)
    assert found.longest_call == 1


def test_one_after_another_the_workers_bind() -> None:
    found = bounds(ONE_BY_ONE)
    assert (found.binds, found.lower_s, found.closeness) == ("workers", 0.4, 1.0)


def test_once_the_slider_moved_the_workers_bound_is_when_their_time_adds_up() -> None:
    run = make_run(n=48, latency_s=1.0, sigma=0.0, max_workers=4, limits=[(2.0, 8)])
    found = bounds(run)
    # 48 s of work: 4 workers carry 8 s in 2 s, 8 carry the other 40 s in 5 s.
    assert found.binds == "workers"
    assert found.lower_s == pytest.approx(7.0)


def test_a_lowered_slider_never_puts_the_bound_above_the_wall() -> None:
    run = make_run(n=8, latency_s=5.0, sigma=0.0, max_workers=8, limits=[(0.1, 1)])
    found = bounds(run)
    assert found.closeness is not None
    assert found.closeness >= 1.0


def test_the_way_of_a_retried_call_has_its_attempts_and_the_backing_off() -> None:
    run = make_run(n=1, latency_s=1.0, sigma=0.0, retrying=[0], max_workers=4)
    found = bounds(run)
    assert found.lower_s == pytest.approx(1.0 + 0.6 + 1.0)
    assert found.closeness == pytest.approx(1.0, abs=0.01)


def test_stretches_are_bounded_one_by_one_and_added_up() -> None:
    run = make_run(n=20, failing=[4], stretches=2, latency_s=1.0, sigma=0.0, max_workers=10)
    second = run.stretches[1]
    assert len(second.calls) == 1
    assert bounds(run).lower_s == pytest.approx(2.0 + 1.0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(0, 99),
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 16)), max_size=3),
    st.integers(1, 3),
)
def test_no_run_beats_its_bounds(
    n: int, workers: int, seed: int, limits: list[tuple[float, int]], stretches: int
) -> None:
    run = make_run(n=n, max_workers=workers, seed=seed, limits=limits, failing=0.2, retrying=0.2, stretches=stretches)
    found = bounds(run)
    assert found.lower_s <= found.wall_s + 1e-9
    assert all(bound.seconds <= found.lower_s + 1e-9 for bound in found.bounds)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.floats(0, 20))
def test_a_run_that_goes_on_never_beats_its_bounds_so_far(n: int, workers: int, at_s: float) -> None:
    run = make_run(n=n, max_workers=workers, at_s=at_s)
    found = bounds(run, now_ns=now_ns(at_s))
    assert found.lower_s <= found.wall_s + 1e-9


def test_makespan_is_greedy_in_order() -> None:
    assert makespan_s([3.0, 1.0, 1.0, 3.0], 2) == 5.0
    assert makespan_s([], 4) == 0.0
    assert makespan_s([1.0], 2, free_s=[5.0]) == 5.0
    assert makespan_s([1.0], 1, free_s=[5.0, 2.0]) == 6.0
    assert makespan_s([1.0, 1.0, 1.0], 2, ready_s=[4.0, 9.0]) == 10.0
    assert makespan_s([1.0, 1.0], 1, ready_s=[4.0, 4.5]) == 6.0


def test_an_estimate_needs_a_latency() -> None:
    assert estimate(10, 2, []) is None
    assert estimate(10, 2, [1.0]) == 5.0
    assert estimate(3, 8, [1.0]) == 1.0


def test_an_estimate_lies_between_the_bounds_and_one_after_another() -> None:
    known = [0.5, 0.7, 1.0, 1.4, 4.0]
    expected = estimate(500, 8, known)
    assert expected is not None
    mean = sum(known) / len(known)
    assert 500 * mean / 8 <= expected * 1.02
    assert expected <= 500 * mean / 8 + 4.0


def test_an_estimate_for_many_calls_grows_with_them() -> None:
    small, large = estimate(10_000, 10, [1.0, 3.0]), estimate(20_000, 10, [1.0, 3.0])
    assert small is not None
    assert large is not None
    assert large - small == pytest.approx(2_000.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.lists(st.floats(0.01, 10), min_size=1, max_size=20), st.integers(1, 63))
def test_a_worker_more_never_makes_an_estimate_much_worse(n: int, known: list[float], workers: int) -> None:
    fewer, more = estimate(n, workers, known), estimate(n, workers + 1, known)
    assert fewer is not None
    assert more is not None
    assert more <= fewer + max(known)  # list scheduling has its anomalies, but no larger ones


def test_what_remains_is_near_what_it_takes() -> None:
    events = history(n=200, max_workers=8, sigma=0.3)
    whole_s = bounds(fold(events)).wall_s
    left = remaining_s(make_run(events, at_s=whole_s / 2), now_ns(whole_s / 2))
    assert left == pytest.approx(whole_s / 2, rel=0.15)


def test_nobody_knows_what_remains_before_the_first_answer_in_a_pause_or_after_the_end() -> None:
    assert remaining_s(make_run(n=8, at_s=0.0), now_ns(0.0)) is None
    paused = make_run(n=40, pauses=[(3.0, 9.0)], at_s=5.0)
    assert paused.state == "paused"
    assert remaining_s(paused, now_ns(5.0)) is None
    assert remaining_s(make_run(n=4), now_ns(99.0)) is None


def test_nobody_knows_how_long_a_call_hangs_that_took_longer_than_all_others() -> None:
    events = history(n=8, max_workers=8, latency_s=1.0, sigma=0.4)
    longest_s = bounds(fold(events)).wall_s
    almost = make_run(events, at_s=longest_s - 0.001)
    assert [call.status for call in almost.calls].count("running") == 1
    assert remaining_s(almost, now_ns(0) + nanoseconds(longest_s)) is None
