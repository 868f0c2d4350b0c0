"""Verdicts: what is sent again, when, and what is given up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.clock import NS_PER_S
from fanout.errors import (
    FAILURES,
    CallFailed,
    KeyRefused,
    ModelUnknown,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerFailed,
    TimedOut,
)
from fanout.retry import (
    BASE_S,
    BEYOND_EVERY_NS,
    BUDGET_AT_FIRST,
    CALLS_IN_A_ROW,
    CAP_S,
    FAULTS_IN_A_ROW,
    GETS_ON_NS,
    SAME_REFUSALS,
    Again,
    GiveUp,
    Refusals,
    RetryBudget,
    Streak,
    backoff_s,
    is_free,
    verdict,
)


def test_a_transient_failure_comes_again_until_retries_are_used_up() -> None:
    for counted in (1, 2):
        decided = verdict(TimedOut("late"), at_ns=0, counted=counted, retries=2, jitter=0.5)
        assert isinstance(decided, Again)
        assert not decided.everyone_waits
    assert verdict(TimedOut("late"), at_ns=0, counted=3, retries=2, jitter=0.5) == GiveUp(stops_run=False)


def test_no_retries_means_one_attempt_even_for_a_forgiven_429() -> None:
    assert verdict(RateLimited("later"), at_ns=0, counted=0, retries=0, jitter=0.5) == GiveUp(stops_run=False)


def test_what_would_fail_alike_is_given_up_at_once() -> None:
    assert verdict(Rejected("no"), at_ns=0, counted=1, retries=9, jitter=0) == GiveUp(stops_run=False)
    for cls in (KeyRefused, ModelUnknown, QuotaExhausted):
        assert verdict(cls("no"), at_ns=0, counted=1, retries=9, jitter=0) == GiveUp(stops_run=True)


def test_retry_after_is_honoured_and_a_429_holds_everyone() -> None:
    error = RateLimited("later", retry_after_s=12.5)
    decided = verdict(error, at_ns=NS_PER_S, counted=1, retries=2, jitter=0.9)
    assert decided == Again(ready_ns=round(13.5 * NS_PER_S), reason="retry_after", everyone_waits=True)


@pytest.mark.parametrize("nonsense", [0.0, -5.0])
def test_a_retry_after_that_asks_nothing_is_a_plain_backoff(nonsense: float) -> None:
    decided = verdict(ServerFailed("x", retry_after_s=nonsense), at_ns=0, counted=1, retries=2, jitter=1.0)
    assert isinstance(decided, Again)
    assert decided.ready_ns == round(BASE_S * NS_PER_S)


def test_a_429_is_free_only_while_the_run_gets_on() -> None:
    later, long_after = RateLimited("later"), GETS_ON_NS + 20
    assert is_free(later, refused_before_ns=10, last_answer_ns=11, at_ns=long_after)
    assert not is_free(later, refused_before_ns=10, last_answer_ns=9, at_ns=long_after)
    assert is_free(later, refused_before_ns=10, last_answer_ns=9, at_ns=GETS_ON_NS)
    assert not is_free(later, refused_before_ns=10, last_answer_ns=None, at_ns=12)
    assert not is_free(ServerFailed("x"), refused_before_ns=10, last_answer_ns=11, at_ns=12)


def test_what_is_refused_together_is_one_episode_and_an_answer_ends_them() -> None:
    refusals = Refusals()
    for call in range(8):
        assert not refusals.forgives(call, RateLimited("x"), started_ns=0, at_ns=100)
    assert refusals.episodes == 1
    refusals.forgives(8, RateLimited("x"), started_ns=200, at_ns=300)
    refusals.forgives(9, ServerFailed("x"), started_ns=400, at_ns=500)
    assert refusals.episodes == 2
    refusals.answered(600)
    assert refusals.episodes == 0
    assert refusals.forgives(8, RateLimited("x"), started_ns=700, at_ns=800)
    assert 9 in refusals
    assert 10 not in refusals


def test_episodes_of_429s_lengthen_the_wait_up_to_some_seconds() -> None:
    waits = []
    for episodes in (0, 1, 3, 50):
        decided = verdict(RateLimited("x"), at_ns=0, counted=0, retries=2, jitter=1.0, episodes=episodes)
        assert isinstance(decided, Again)
        waits.append(decided.ready_ns / NS_PER_S)
    assert waits == [0.5, 0.5, 2.0, 8.0]


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_backoff_stays_between_nothing_and_the_cap(failures: int, jitter: float) -> None:
    assert 0 <= backoff_s(failures, jitter=jitter) <= CAP_S


@pytest.mark.parametrize("cls", FAILURES.values())
def test_every_failure_survives_json_and_compares_by_content(cls: type[CallFailed]) -> None:
    error = cls("a sentence", provider_words="<b>words</b>", status_code=500, retry_after_s=1.5, was_sent=False)
    again = CallFailed.from_json(error.as_json())
    assert again == error == error.bare()
    assert type(again) is cls
    assert hash(again) == hash(error)
    assert error != cls("another sentence")
    assert str(error) == "a sentence"


def test_twenty_faults_of_five_calls_that_are_given_up_are_a_provider_that_is_down() -> None:
    streak = Streak()
    found = [
        streak.failed(place % CALLS_IN_A_ROW, ServerFailed("inside"), given_up=True) for place in range(FAULTS_IN_A_ROW)
    ]
    assert found == [None] * (FAULTS_IN_A_ROW - 1) + ["provider_down"]


def test_faults_of_calls_that_are_sent_again_only_raise_a_doubt() -> None:
    streak = Streak()
    for place in range(10 * FAULTS_IN_A_ROW):
        assert streak.doubted == (place >= FAULTS_IN_A_ROW)
        assert streak.failed(place, ServerFailed("inside"), given_up=False) is None
    streak.answered()
    assert not streak.doubted


def test_an_answer_between_faults_is_a_provider_that_is_there() -> None:
    streak = Streak()
    for place in range(10 * FAULTS_IN_A_ROW):
        if place % (FAULTS_IN_A_ROW - 1) == 0:
            streak.answered()
        assert streak.failed(place, ServerFailed("inside"), given_up=True) is None


def test_a_429_is_no_fault_of_the_provider() -> None:
    streak = Streak()
    assert all(
        streak.failed(place, RateLimited("later"), given_up=True) is None for place in range(10 * FAULTS_IN_A_ROW)
    )


def test_five_calls_refused_in_the_same_words_stop_the_run_unless_one_was_answered() -> None:
    error = Rejected("no", status_code=400, provider_words="temperature is too high")
    streak = Streak()
    assert [streak.failed(0, error, given_up=True) for _ in range(9)] == [
        None
    ] * 9  # one call refused again tells nothing new
    found = [streak.failed(call, error, given_up=True) for call in range(1, SAME_REFUSALS)]
    assert found == [None] * (SAME_REFUSALS - 2) + ["same_failure"]
    lucky = Streak()
    lucky.answered()
    assert all(lucky.failed(call, error, given_up=True) is None for call in range(50))


def test_the_first_retries_are_never_delayed() -> None:
    budget = RetryBudget()
    assert [budget.ready_ns(place) for place in range(BUDGET_AT_FIRST)] == list(range(BUDGET_AT_FIRST))


@given(wanted=st.lists(st.integers(0, 20 * NS_PER_S), min_size=1, max_size=30))
def test_beyond_the_budget_one_retry_starts_in_a_second_and_none_early(wanted: list[int]) -> None:
    budget = RetryBudget()
    for _ in range(BUDGET_AT_FIRST):
        budget.ready_ns(0)
    ready = [budget.ready_ns(each) for each in wanted]
    assert all(at_ns >= each for at_ns, each in zip(ready, wanted, strict=True))
    assert all(later - earlier >= BEYOND_EVERY_NS for earlier, later in pairwise(sorted(ready)))


def test_a_call_that_is_asked_to_wait_an_hour_delays_no_other() -> None:
    budget = RetryBudget()
    for _ in range(BUDGET_AT_FIRST):
        budget.ready_ns(0)
    hour_ns = 3_600 * NS_PER_S
    assert budget.ready_ns(hour_ns) == hour_ns
    assert budget.ready_ns(NS_PER_S) == NS_PER_S
    assert budget.ready_ns(NS_PER_S) == NS_PER_S + BEYOND_EVERY_NS
