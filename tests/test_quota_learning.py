"""A rate that nobody told: what refusals and waits make of it, and how near it comes to a provider's own bucket."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.learning import (
    DECREASE,
    FIRST_LEAST_PER_MINUTE,
    INCREASE_EVERY_NS,
    LEAST_PER_MINUTE,
    MOST_DECREASE,
    LearntRate,
)
from fanout.quota.report import RateReport
from fanout.quota.sharers import Reservation
from tests.gates import ONE, WORDS, gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What a run on a provider that tells nothing came to."""

    passed_a_minute: float
    """After the first minute."""
    refused_share: float
    """Of what was sent after the first minute."""


def learn(*, per_minute: int, burst: int, latency_ms: int, minutes: int, workers: int = 64) -> Learnt:
    """Calls wait all the time, on a bucket that refuses without a word about its limit."""
    made, theirs = gate(), Bucket(amount=per_minute, capacity=burst, at_ns=0)
    flying: deque[tuple[int, Reservation, bool]] = deque()
    at_ns = passed = refused = 0
    while at_ns < minutes * NS_PER_MINUTE:
        made.new_round()
        if len(flying) < workers and made.ask("run", ONE, at_ns) is None:
            lets = theirs.wait_ns(1, at_ns) == 0
            if lets:
                theirs.take(1, at_ns)
            flying.append((at_ns + latency_ms * NS_PER_MS, made.book("run", ONE, at_ns), lets))
            if at_ns >= NS_PER_MINUTE:
                passed, refused = passed + lets, refused + (not lets)
            continue
        at_ns += 10 * NS_PER_MS
        while flying and flying[0][0] <= at_ns:
            _, booked, lets = flying.popleft()
            if not lets:
                made.refused(booked, RateReport(), until_ns=at_ns + NS_PER_S // 2, at_ns=at_ns, words=WORDS)
            made.settle(booked, ONE, at_ns)
    return Learnt(passed_a_minute=passed / (minutes - 1), refused_share=refused / max(1, passed + refused))


@pytest.mark.parametrize(("per_minute", "burst"), [(600, 20), (300, 10), (1_800, 60)])
def test_it_comes_within_15_percent_of_the_true_rate_and_few_are_refused(per_minute: int, burst: int) -> None:
    found = learn(per_minute=per_minute, burst=burst, latency_ms=100, minutes=4)
    assert 0.85 * per_minute <= found.passed_a_minute <= 1.0 * per_minute + burst
    assert found.refused_share <= 0.05


def test_nothing_is_known_before_the_first_refusal() -> None:
    rate = LearntRate()
    for at_s in range(100):
        rate.started(at_s * NS_PER_S)
        assert not rate.grow(at_s * NS_PER_S)
    assert rate.per_minute is None


@given(started=st.integers(1, 2_000), after_ns=st.integers(0, 2 * NS_PER_MINUTE))
def test_the_first_guess_is_what_was_let_pass_and_never_below_sixty(started: int, after_ns: int) -> None:
    rate = LearntRate()
    for _ in range(started):
        rate.started(0)
    assert rate.refused(started_ns=0, at_ns=after_ns)
    assert rate.per_minute is not None
    passed_a_minute = (started - 1) * NS_PER_MINUTE // max(NS_PER_S, after_ns)
    assert rate.per_minute == max(FIRST_LEAST_PER_MINUTE, passed_a_minute)


@given(sent=st.integers(0, 500), episodes=st.integers(1, 20))
def test_one_episode_takes_off_from_15_percent_to_a_half_and_only_once(sent: int, episodes: int) -> None:
    rate, at_ns = LearntRate(), 0
    for _ in range(600):
        rate.started(0)
    rate.refused(started_ns=0, at_ns=NS_PER_MINUTE)
    at_ns = NS_PER_MINUTE
    for _ in range(episodes):
        before = rate.per_minute
        assert before is not None
        for _ in range(sent):
            rate.started(at_ns + 1)
        assert rate.refused(started_ns=at_ns + 1, at_ns=at_ns + NS_PER_S)
        assert not rate.refused(started_ns=at_ns + 2, at_ns=at_ns + NS_PER_S)
        after = rate.per_minute
        assert after is not None
        assert max(LEAST_PER_MINUTE, round(before * MOST_DECREASE)) <= after
        assert after <= max(LEAST_PER_MINUTE, round(before * DECREASE))
        at_ns += NS_PER_S


@given(pauses=st.lists(st.integers(0, 5 * NS_PER_S), min_size=1, max_size=30))
def test_it_grows_at_most_once_in_three_seconds_and_at_most_doubles(pauses: list[int]) -> None:
    rate = LearntRate()
    rate.started(0)
    rate.refused(started_ns=0, at_ns=0)
    at_ns, grown_ns = 0, 0
    for pause_ns in pauses:
        at_ns += pause_ns
        before = rate.per_minute or 0
        grew = rate.grow(at_ns)
        after = rate.per_minute or 0
        assert grew == (at_ns - grown_ns >= INCREASE_EVERY_NS)
        assert (before < after <= 2 * before) if grew else after == before
        grown_ns = at_ns if grew else grown_ns
