"""How much of a run its quota decided, in shares of its wall time and in workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import events as ev
from fanout.fold import fold
from fanout.tuning.quota_bound import QuotaBound, quota_bound
from fanout.tuning.rates import Allowed
from tests.test_metrics import opened
from tests.test_tuning_rates import at, held, known, paced


def test_before_anything_began_nothing_is_known() -> None:
    assert quota_bound(fold(opened(2)), at(9)) == QuotaBound(
        share=0.0, by=None, rate=None, workers_suffice=None, earliest_s=None, pace_s=None
    )


def test_the_share_is_of_the_time_in_which_a_quota_held_the_next_call() -> None:
    run = paced(
        [0, 1, 2, 9.5],
        held(1, "requests"),
        held(3, "workers"),
        held(4, "tokens"),
        held(7, "paused"),
        held(8, "turn"),
        held(9, None),
    )
    found = quota_bound(run, at(99))
    assert found.share == (2 + 3 + 1) / 10
    assert found.by == "tokens"
    assert found.workers_share == 1 / 10


@pytest.mark.parametrize("by", ["workers", "concurrency", "cap", "paused", None])
def test_what_is_no_quota_is_not_in_the_share(by: ev.Held | None) -> None:
    found = quota_bound(paced([0, 9.5], held(1, by)), at(99))
    assert (found.share, found.by) == (0.0, None)


def test_a_hold_that_goes_on_is_cut_at_now() -> None:
    run = paced([0], held(2, "penalty"), waiting=3)
    assert quota_bound(run, at(8)).share == 6 / 8
    assert quota_bound(run, at(8)).by == "penalty"


def test_the_time_between_stretches_is_nobodys() -> None:
    events = [
        *opened(1),
        ev.StretchBegan(at_ns=0, stretch=0, purpose="first", max_workers=2, calls=(0,)),
        held(1, "requests"),
        ev.Cancelled(at_ns=at(2), call=0),
        ev.StretchEnded(at_ns=at(2), stretch=0, reason="stopped"),
        ev.StretchBegan(at_ns=at(50), stretch=1, purpose="retry", max_workers=2, calls=(0,)),
        held(50, None),
    ]
    found = quota_bound(fold(events), at(52))
    assert found.share == 1 / 4


def test_the_workers_that_suffice_follow_from_the_tightest_rate_and_the_mean_latency() -> None:
    run = paced([0, 1, 2, 3], known(0, "requests", 600), known(0, "tokens", 9000), latency_s=2.0)
    found = quota_bound(run, at(99))
    assert found.rate == Allowed(rate_per_s=5.0, by="tokens")  # 9,000 a minute in calls of 30
    assert found.workers_suffice == 14  # 10, and their square root
    assert quota_bound(paced([0, 1]), at(99)).workers_suffice is None


def test_what_is_left_ends_no_earlier_than_its_quota_allows_and_as_late_as_its_pace_says() -> None:
    run = paced([0, 1, 2, 3], known(0, "requests", 60), held(1, "requests"), waiting=20)
    found = quota_bound(run, at(4))
    assert found.earliest_s == 20.0
    assert found.pace_s == 20.0  # 4 answers in 4 s
    assert quota_bound(run, at(8)).pace_s == 40.0  # and none since
    assert quota_bound(paced([0, 1, 2, 3], known(0, "requests", 60)), at(9)).earliest_s is None


def test_a_pace_that_the_burst_made_promises_nothing_that_the_quota_forbids() -> None:
    run = paced([0, 0.1, 0.2, 0.3], known(0, "requests", 60), held(1, "requests"), waiting=20)
    found = quota_bound(run, at(1))
    assert found.earliest_s is not None
    assert found.pace_s is not None
    assert found.pace_s >= found.earliest_s


def test_the_pace_is_that_of_the_last_answers() -> None:
    slow = [10.0 * place for place in range(30)]
    fast = [300 + 0.5 * place for place in range(60)]
    run = paced([*slow, *fast], waiting=60, latency_s=0.5)
    assert quota_bound(run, at(330)).pace_s == 30.0


def test_there_is_no_pace_before_three_answers_in_a_pause_or_after_the_end() -> None:
    assert quota_bound(paced([0, 1], waiting=9), at(3)).pace_s is None
    assert quota_bound(paced([0, 1, 2, 3], held(4, "paused"), waiting=9), at(5)).pace_s is None
    assert quota_bound(paced([0, 1, 2, 3]), at(5)).pace_s is None


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.none() | st.sampled_from(["requests", "turn", "workers", "paused"])),
        max_size=8,
    ),
    st.floats(0, 40),
)
def test_a_share_is_a_share(holds: list[tuple[float, ev.Held | None]], now_s: float) -> None:
    run = paced([0], *(held(*one) for one in holds), waiting=2, now_s=now_s)
    found = quota_bound(run, at(now_s))
    assert 0.0 <= found.share <= 1.0
    assert (found.by is None) == (found.share == 0.0)
