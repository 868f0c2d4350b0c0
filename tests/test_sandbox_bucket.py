"""What one limit of the simulated account allows, on instants that the test chooses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.sandbox.bucket import NS_PER_MINUTE, NS_PER_S, PPM, Allowance, FixedWindow, TokenBucket


def test_a_full_bucket_gives_its_minute_at_once_and_then_one_at_a_time() -> None:
    bucket = TokenBucket(per_minute=60, at_ns=0)
    for _ in range(60):
        bucket.take(1, at_ns=0)
    assert bucket.wait_ns(1, at_ns=0) == NS_PER_S
    assert bucket.wait_ns(1, at_ns=NS_PER_S - 1) == 1
    assert bucket.wait_ns(1, at_ns=NS_PER_S) == 0


def test_a_bucket_never_holds_more_than_its_minute() -> None:
    bucket = TokenBucket(per_minute=60, at_ns=0)
    assert bucket.remaining(at_ns=10 * NS_PER_MINUTE) == 60
    assert bucket.reset_ns(at_ns=10 * NS_PER_MINUTE) == 0


def test_what_never_fits_has_no_wait() -> None:
    assert TokenBucket(per_minute=10, at_ns=0).wait_ns(11, at_ns=0) is None


def test_taking_what_is_not_there_is_a_bug() -> None:
    bucket = TokenBucket(per_minute=1, at_ns=0)
    bucket.take(1, at_ns=0)
    with pytest.raises(ValueError, match="holds 0"):
        bucket.take(1, at_ns=1)


Asked = Sequence[tuple[int, int]]
"""Requests: after which pause, and at what cost."""

_ASKED = st.lists(st.tuples(st.integers(0, NS_PER_MINUTE), st.integers(1, 50)), min_size=1, max_size=60)
_OTHERS_PPM = st.integers(0, 9 * PPM // 10)


def _taken(allowance: Allowance, asked: Asked) -> list[tuple[int, int]]:
    """When how much was taken, where everybody takes what they can get."""
    now_ns, taken = 0, []
    for pause_ns, cost in asked:
        now_ns += pause_ns
        if allowance.wait_ns(cost, at_ns=now_ns) == 0:
            allowance.take(cost, at_ns=now_ns)
            taken.append((now_ns, cost))
    return taken


@given(per_minute=st.integers(1, 1000), capacity=st.integers(1, 1000), others_ppm=_OTHERS_PPM, asked=_ASKED)
def test_no_window_gets_more_than_the_burst_and_the_refill_that_others_leave(
    per_minute: int, capacity: int, others_ppm: int, asked: Asked
) -> None:
    bucket = TokenBucket(per_minute=per_minute, capacity=capacity, at_ns=0, others_ppm=others_ppm)
    taken = _taken(bucket, asked)
    for first in range(len(taken)):
        got = 0
        for at_ns, cost in taken[first:]:
            got += cost
            refilled = (at_ns - taken[first][0]) * per_minute * (PPM - others_ppm)
            assert (got - capacity) * NS_PER_MINUTE * PPM <= refilled


def test_a_burst_starts_at_once_and_the_rest_at_the_rate() -> None:
    bucket = TokenBucket(per_minute=600, capacity=20, at_ns=0)
    taken = _taken(bucket, [(0, 1)] * 30 + [(NS_PER_S // 10 - 1, 1), (1, 1)] + [(NS_PER_S // 20, 1)] * 4)
    assert [at_ns for at_ns, _ in taken] == [0] * 20 + [n * NS_PER_S // 10 for n in (1, 2, 3)]
    assert bucket.reset_ns(at_ns=3 * NS_PER_S // 10) == 2 * NS_PER_S


@given(per_minute=st.integers(1, 1000), others_ppm=_OTHERS_PPM, pauses_ns=st.lists(st.integers(0, 10**12)))
def test_however_often_one_looks_the_others_have_taken_exactly_their_share(
    per_minute: int, others_ppm: int, pauses_ns: list[int]
) -> None:
    looked_at = TokenBucket(per_minute=per_minute, at_ns=0, others_ppm=others_ppm)
    left_alone = TokenBucket(per_minute=per_minute, at_ns=0, others_ppm=others_ppm)
    for bucket in (looked_at, left_alone):
        bucket.take(per_minute, at_ns=0)
    now_ns = 0
    for pause_ns in pauses_ns:
        now_ns += pause_ns
        looked_at.remaining(at_ns=now_ns)
    assert looked_at.reset_ns(at_ns=now_ns) == left_alone.reset_ns(at_ns=now_ns)
    assert left_alone.reset_ns(at_ns=0) >= looked_at.reset_ns(at_ns=now_ns)


def test_a_share_of_nine_tenths_refills_in_ten_minutes() -> None:
    bucket = TokenBucket(per_minute=60, at_ns=0, others_ppm=9 * PPM // 10)
    bucket.take(60, at_ns=0)
    assert bucket.reset_ns(at_ns=0) == 10 * NS_PER_MINUTE
    assert (bucket.remaining(at_ns=5 * NS_PER_MINUTE), bucket.limit) == (30, 60)


@given(per_minute=st.integers(1, 1000), asked=_ASKED)
def test_the_wait_is_exact_to_the_nanosecond(per_minute: int, asked: list[tuple[int, int]]) -> None:
    bucket, now_ns = TokenBucket(per_minute=per_minute, at_ns=0), 0
    for pause_ns, cost in asked:
        now_ns += pause_ns
        wait_ns = bucket.wait_ns(cost, at_ns=now_ns)
        if wait_ns is None:
            assert cost > per_minute
            continue
        if wait_ns > 0:
            assert bucket.wait_ns(cost, at_ns=now_ns + wait_ns - 1) == 1
        now_ns += wait_ns
        assert bucket.wait_ns(cost, at_ns=now_ns) == 0
        bucket.take(cost, at_ns=now_ns)


@given(limit=st.integers(1, 300), others_ppm=_OTHERS_PPM, asked=_ASKED)
def test_no_hard_window_gets_more_than_the_limit_less_what_others_take(
    limit: int, others_ppm: int, asked: Asked
) -> None:
    window = FixedWindow(limit=limit, period_ns=NS_PER_MINUTE, start_ns=0, others_ppm=others_ppm)
    got: dict[int, int] = {}
    for at_ns, cost in _taken(window, asked):
        got[at_ns // NS_PER_MINUTE] = got.get(at_ns // NS_PER_MINUTE, 0) + cost
    ours = max(1, limit * (PPM - others_ppm) // PPM)
    assert all(taken <= ours <= limit for taken in got.values())


@given(limit=st.integers(1, 300), start_ns=st.integers(0, 10**15), asked=_ASKED)
def test_who_waits_for_the_next_window_is_let_in_and_not_a_nanosecond_before(
    limit: int, start_ns: int, asked: Asked
) -> None:
    window, now_ns = FixedWindow(limit=limit, period_ns=NS_PER_MINUTE, start_ns=start_ns), start_ns
    for pause_ns, cost in asked:
        now_ns += pause_ns
        wait_ns = window.wait_ns(cost, at_ns=now_ns)
        if wait_ns is None:
            assert cost > limit
            continue
        if wait_ns > 0:
            assert window.wait_ns(cost, at_ns=now_ns + wait_ns - 1) == 1
        now_ns += wait_ns
        window.take(cost, at_ns=now_ns)


def test_a_hard_window_does_not_refill_before_its_end() -> None:
    window = FixedWindow(limit=10, period_ns=NS_PER_MINUTE, start_ns=NS_PER_S)
    window.take(10, at_ns=2 * NS_PER_S)
    assert window.remaining(at_ns=NS_PER_MINUTE) == 0
    assert window.reset_ns(at_ns=NS_PER_MINUTE) == NS_PER_S
    assert window.remaining(at_ns=NS_PER_MINUTE + NS_PER_S) == 10
    assert window.reset_ns(at_ns=NS_PER_MINUTE + NS_PER_S) == NS_PER_MINUTE


def test_taking_what_a_window_has_not_is_a_bug() -> None:
    window = FixedWindow(limit=1, period_ns=NS_PER_MINUTE, start_ns=0)
    window.take(1, at_ns=0)
    with pytest.raises(ValueError, match="has 0 left"):
        window.take(1, at_ns=1)


@pytest.mark.parametrize(
    "allowance", [TokenBucket(per_minute=3, at_ns=0), FixedWindow(limit=3, period_ns=NS_PER_MINUTE, start_ns=0)]
)
def test_burning_ends_at_nothing(allowance: Allowance) -> None:
    for left in (2, 1, 0, 0, 0):
        allowance.burn(at_ns=0)
        assert allowance.remaining(at_ns=0) == left
    wait_ns = allowance.wait_ns(1, at_ns=0)
    assert wait_ns is not None
    assert allowance.wait_ns(1, at_ns=wait_ns) == 0
