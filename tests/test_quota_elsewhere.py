"""Somebody else's use of a limit: told about right, never made up, and forgotten when the readings are old."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.elsewhere import MOST_OPEN, Elsewhere

LIMIT = 600
COST_NS = NS_PER_MINUTE // LIMIT


def heard(found: Elsewhere, order: int, at_ns: int, remaining: int, *, charged: int = 1) -> None:
    """One call that was answered at once."""
    found.booked(order, at_ns, certain=True)
    found.said(order, remaining)
    found.ended(order, charged, certain=True, cost_ns=COST_NS)


def of_a_window(*, theirs_a_second: int, seconds: int, ours_a_second: int = 6) -> Elsewhere:
    """After so long on a limit of 600 in each minute, which begins anew at its end."""
    found = Elsewhere()
    for tick in range(seconds * ours_a_second):
        at_ns = tick * NS_PER_S // ours_a_second
        into_s = at_ns % NS_PER_MINUTE / NS_PER_S
        remaining = LIMIT - int(into_s * ours_a_second + 1) - int(into_s * theirs_a_second)
        heard(found, tick, at_ns, remaining)
    return found


@pytest.mark.parametrize("seconds", [20, 59, 61, 90, 150])
def test_a_fixed_window_that_does_not_grow_is_nobody(seconds: int) -> None:
    assert of_a_window(theirs_a_second=0, seconds=seconds).per_minute(LIMIT, seconds * NS_PER_S) == 0


@pytest.mark.parametrize("seconds", [20, 59, 90, 150])
def test_somebody_in_a_fixed_window_is_told_about_right(seconds: int) -> None:
    found = of_a_window(theirs_a_second=3, seconds=seconds).per_minute(LIMIT, seconds * NS_PER_S)
    assert found == pytest.approx(180, rel=0.25)


def test_what_was_read_a_while_ago_says_nothing_of_now() -> None:
    found = of_a_window(theirs_a_second=3, seconds=30)
    assert found.per_minute(LIMIT, 30 * NS_PER_S) > 0
    assert found.per_minute(LIMIT, 95 * NS_PER_S) == 0


@settings(max_examples=40, deadline=None)
@given(share=st.sampled_from([0.0, 0.25, 0.5]), burns=st.booleans(), seed=st.integers(0, 10**6))
def test_refused_calls_are_held_against_nobody(share: float, burns: bool, seed: int) -> None:
    """A provider that refuses many of ours, whether it counts those or not."""
    draw, found = Random(seed), Elsewhere()
    provider, taken, order = Bucket(amount=LIMIT, capacity=20, at_ns=0), 0, 0
    at_ns = 0
    while at_ns < 50 * NS_PER_S:
        at_ns += draw.randrange(40, 160) * NS_PER_S // 1_000
        due = round(LIMIT * share * at_ns / NS_PER_MINUTE)
        provider.take(due - taken, at_ns)
        taken, order = due, order + 1
        found.booked(order, at_ns, certain=True)
        if provider.wait_ns(1, at_ns) == 0:
            provider.take(1, at_ns)
        else:
            found.doubt(order)
            if burns:
                provider.take(1, at_ns)
        found.said(order, max(0, provider.free(at_ns)))
        found.ended(order, 1, certain=True, cost_ns=COST_NS)
    said = found.per_minute(LIMIT, at_ns)
    assert said <= LIMIT * share * 1.25 + 2
    if share == 0:
        assert said == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_tokens_that_are_reserved_by_an_estimate_are_nobody_elses(seed: int) -> None:
    """Calls overlap, each is charged what it used, and what it used is known when it ends."""
    draw, found = Random(seed), Elsewhere()
    provider = Bucket(amount=3_000, capacity=300, at_ns=0)
    flying: list[tuple[int, int, int, int]] = []
    at_ns = order = 0
    while at_ns < 60 * NS_PER_S:
        at_ns += draw.randrange(200, 3_000) * NS_PER_S // 1_000
        used = draw.randrange(20, 250)
        order += 1
        found.booked(order, at_ns, certain=True)
        if provider.wait_ns(used, at_ns) == 0:
            provider.take(used, at_ns)
        else:
            found.doubt(order)
        flying.append((at_ns + draw.randrange(100, 4_000) * NS_PER_S // 1_000, order, used, provider.free(at_ns)))
        for ended in sorted(flying):
            if ended[0] <= at_ns:
                flying.remove(ended)
                found.said(ended[1], max(0, ended[3]))
                found.ended(ended[1], ended[2], certain=True, cost_ns=NS_PER_MINUTE // 3_000)
        assert found.per_minute(3_000, at_ns, of_tokens=True) == 0


def test_a_call_that_never_ends_is_waited_for_only_so_long() -> None:
    found = Elsewhere()
    found.booked(0, 0, certain=True)
    for order in range(1, 2 * MOST_OPEN):
        heard(found, order, order * NS_PER_S // 20, LIMIT - order % 60)
    assert len(found._open) <= MOST_OPEN + 1
    assert len(found._calls) <= MOST_OPEN + 1
