"""Refusals that do not follow the pace: told from a limit's, and no reason to go slowly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.learning import FIRST_LEAST_PER_MINUTE, LEAST_PER_MINUTE, TRIES_EVERY_NS, LearntRate
from fanout.quota.refused_share import FEWEST_SENT, HALF_LIFE_NS, AnyPace, RefusedShare
from fanout.quota.report import RateReport
from fanout.quota.sharers import Reservation
from tests.gates import ONE, WORDS, book_next, gate

WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch came to."""

    took_s: float
    refused: int


def batch(
    *,
    count: int,
    refuses: Callable[[int], bool],
    wait_ms: int = 500,
    report: RateReport = RateReport(),  # noqa: B008
) -> Batch:
    """So many calls of half a second each; a refused one is sent again. `refuses` is asked the instant of each."""
    made, waiting, later = gate(), count, list[int]()
    flying = list[tuple[int, Reservation, bool]]()
    at_ns = answered = refused = 0
    while answered < count:
        made.new_round()
        due, later = [each for each in later if each <= at_ns], [each for each in later if each > at_ns]
        waiting += len(due)
        if waiting and len(flying) < WORKERS and made.ask("run", ONE, at_ns) is None:
            waiting -= 1
            no = refuses(at_ns)
            flying.append((at_ns + (20 if no else 500) * NS_PER_MS, made.book("run", ONE, at_ns), no))
            continue
        at_ns += 10 * NS_PER_MS
        assert at_ns < 30 * NS_PER_MINUTE
        ended, flying = [each for each in flying if each[0] <= at_ns], [each for each in flying if each[0] > at_ns]
        for _, booked, no in ended:
            if no:
                until_ns = at_ns + wait_ms * NS_PER_MS
                made.refused(booked, report, until_ns=until_ns, at_ns=at_ns, words=WORDS)
                later.append(until_ns)
                refused += 1
            else:
                answered += 1
            made.settle(booked, ONE, at_ns)
    return Batch(took_s=at_ns / NS_PER_S, refused=refused)


def by_chance(share: float, seed: int) -> Callable[[int], bool]:
    chance = random.Random(seed)
    return lambda _: chance.random() < share


def by_limit(*, per_minute: int, burst: int) -> Callable[[int], bool]:
    theirs = Bucket(amount=per_minute, capacity=burst, at_ns=0)

    def refuses(at_ns: int) -> bool:
        if theirs.wait_ns(1, at_ns):
            return True
        theirs.take(1, at_ns)
        return False

    return refuses


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("share", "most_s"), [(0.05, 60), (0.2, 90), (0.5, 180)])
def test_a_provider_that_refuses_by_chance_is_not_asked_ever_more_slowly(share: float, most_s: int, seed: int) -> None:
    found = batch(count=300, refuses=by_chance(share, seed))
    assert found.took_s <= most_s  # it was 530 s, 1,100 s and over 30 minutes where the pace fell at each
    assert found.refused <= 1.5 * 300 * share / (1 - share) + 10


@pytest.mark.parametrize(("per_minute", "burst"), [(60, 1), (60, 10), (300, 10), (600, 20)])
def test_refusals_of_a_limit_are_never_taken_for_chance(per_minute: int, burst: int) -> None:
    count = 3 * per_minute
    found = batch(count=count, refuses=by_limit(per_minute=per_minute, burst=burst))
    assert found.took_s <= 1.3 * (count - burst) * 60 / per_minute
    assert found.refused <= 0.2 * count + 110


def test_where_each_prompt_is_refused_once_all_are_answered_in_about_a_minute() -> None:
    sent = iter(range(1_000))
    found = batch(count=90, refuses=lambda _: next(sent) % 2 == 0)
    assert found.took_s <= 75


def test_a_wait_that_the_provider_asks_for_holds_everybody_also_where_it_refuses_by_chance() -> None:
    told = replace(RateReport(), retry_after_s=0.5)
    untold_s, told_s = (
        batch(count=600, refuses=by_chance(0.2, 1), report=each).took_s for each in (RateReport(), told)
    )
    assert untold_s < told_s <= 150


def noted(*levels: tuple[int, int, float], shares: RefusedShare | None = None, from_s: float = 0.0) -> RefusedShare:
    """What was sent evenly, and refused, in so many seconds each, one after the other."""
    made, at_s = shares or RefusedShare(), from_s
    made.note(round(at_s * NS_PER_S))
    for sent, refused, took_s in levels:
        for place in range(sent):
            started_ns = round((at_s + took_s * place / sent) * NS_PER_S)
            made.started(started_ns)
            if place < refused:
                made.refused(started_ns=started_ns)
        at_s += took_s
        made.note(round(at_s * NS_PER_S))
    return made


def test_the_same_share_at_a_slow_and_at_a_fast_pace_is_chance() -> None:
    found = noted((60, 12, 6), (20, 4, 20)).any_pace()
    assert found is not None
    assert found.share == pytest.approx(0.2)
    assert found.per_minute == pytest.approx(600, rel=0.01)


def test_the_same_number_a_minute_at_both_is_a_limit() -> None:
    assert noted((120, 100, 20), (40, 20, 20)).any_pace() == AnyPace()


@pytest.mark.parametrize(
    "levels",
    [
        (),
        ((60, 12, 6.0),),  # one pace
        ((60, 12, 6.0), (60, 12, 7.0)),  # two that are nearly one
        ((7, 2, 1.0), (7, 2, 10.0)),  # too few
        ((10, 9, 2.0), (10, 9, 10.0)),  # one answer at each may be anything
    ],
)
def test_too_little_tells_nothing(levels: tuple[tuple[int, int, float], ...]) -> None:
    assert noted(*levels).any_pace() is None


def test_a_fast_pace_that_was_refused_less_was_another_provider() -> None:
    shares = noted((300, 3, 30), (20, 16, 20))
    assert shares.any_pace() is None
    # What comes after is compared with the slow one alone.
    assert noted((60, 48, 6), shares=shares, from_s=50).any_pace() == AnyPace(share=0.8, per_minute=600)


def test_what_is_long_past_tells_nothing() -> None:
    shares = noted((60, 12, 6), (20, 4, 20))
    assert noted(shares=shares, from_s=26 + 3 * HALF_LIFE_NS / NS_PER_S).any_pace() is None


def test_a_pause_between_two_runs_is_no_slow_pace() -> None:
    shares = noted((60, 48, 6))
    for start_s in (6, 100):  # the end of one run, and more than a minute later the next one, refused by the same limit
        for place in range(20):
            started_ns = start_s * NS_PER_S + place * NS_PER_S // 10
            shares.started(started_ns)
            if place >= 4:
                shares.refused(started_ns=started_ns)
    shares.note(102 * NS_PER_S)
    assert shares.any_pace() is None


def test_a_late_refusal_counts_at_the_pace_at_which_it_was_sent() -> None:
    shares = noted((60, 12, 6))
    for started_s in range(6, 26):
        shares.started(started_s * NS_PER_S)
    shares.note(26 * NS_PER_S)
    assert shares.any_pace() is None  # none was refused at the slow one
    shares.started(26 * NS_PER_S)
    for started_s in range(6, 10):
        shares.refused(started_ns=started_s * NS_PER_S)
    assert shares.any_pace() == AnyPace(share=0.2, per_minute=600)


@pytest.mark.parametrize(
    ("sent", "refused", "explained"), [(0, 1, True), (100, 30, True), (100, 40, False), (8, 8, False)]
)
def test_a_share_explains_what_chance_makes_of_it(sent: int, refused: int, explained: bool) -> None:
    assert AnyPace(share=0.2, per_minute=600).explains(sent=sent, refused=refused) == explained
    assert not AnyPace().explains(sent=sent, refused=refused)


def learnt_by_chance() -> tuple[LearntRate, int]:
    """A rate that found that a fifth is refused at any pace, and the instant at which it did."""
    rate, chance, at_ns = LearntRate(), random.Random(4), 0
    while not rate.any_pace.share:
        rate.started(at_ns)
        if chance.random() < 0.2:
            rate.refused(started_ns=at_ns, at_ns=at_ns + NS_PER_MS)
        at_ns += NS_PER_MINUTE // (rate.per_minute or 600)
    return rate, at_ns


def test_what_is_refused_at_any_pace_no_longer_lowers_it_and_more_than_that_does() -> None:
    rate, at_ns = learnt_by_chance()
    before = rate.per_minute
    assert before is not None
    for place in range(50):
        rate.started(at_ns)
        if place % 5 == 4:
            assert not rate.refused(started_ns=at_ns, at_ns=at_ns + NS_PER_MS)
            assert rate.came_at_any_pace
        at_ns += NS_PER_MINUTE // before
    lowered = 0
    for _ in range(50):
        rate.started(at_ns)
        lowered += rate.refused(started_ns=at_ns, at_ns=at_ns + NS_PER_MS)
        at_ns += NS_PER_MINUTE // before
    assert lowered
    assert rate.any_pace == AnyPace()
    assert rate.per_minute is not None
    assert rate.per_minute < before


def test_at_the_slowest_pace_a_faster_one_is_tried_every_two_minutes_at_most() -> None:
    rate, at_ns, tried = LearntRate(), 0, list[int]()
    for place in range(400):
        rate.started(at_ns)
        was_slow = rate.per_minute is not None and rate.per_minute <= 2 * LEAST_PER_MINUTE
        # Every other one passes at six a minute, none at a faster pace: three a minute are allowed.
        changed = (place % 2 or not was_slow) and rate.refused(started_ns=at_ns, at_ns=at_ns)
        if was_slow and changed and rate.per_minute == FIRST_LEAST_PER_MINUTE:
            tried.append(at_ns)
        at_ns += NS_PER_MINUTE // (rate.per_minute or 60)
    assert tried
    assert all(later - first >= TRIES_EVERY_NS for first, later in pairwise(tried))
    assert rate.any_pace == AnyPace()


def test_a_try_is_not_ended_by_its_first_refusals() -> None:
    rate = LearntRate()
    rate.restore((LEAST_PER_MINUTE, 0, 0, 0, 0, 0))
    at_ns = place = 0
    while rate.per_minute != FIRST_LEAST_PER_MINUTE:  # every other one is refused
        at_ns, place = at_ns + 10 * NS_PER_S, place + 1
        rate.started(at_ns)
        if place % 2:
            rate.refused(started_ns=at_ns, at_ns=at_ns + NS_PER_MS)
    assert place <= 2 * FEWEST_SENT
    assert rate.why == "the slowest pace was refused too: a faster one is tried"
    for _ in range(FEWEST_SENT - 1):
        at_ns += NS_PER_S
        rate.started(at_ns)
        assert not rate.refused(started_ns=at_ns, at_ns=at_ns + NS_PER_MS)
    rate.started(at_ns + NS_PER_S)
    assert rate.refused(started_ns=at_ns + NS_PER_S, at_ns=at_ns + NS_PER_S)  # nothing passed: there is a limit
    assert rate.per_minute == FIRST_LEAST_PER_MINUTE // 2


def test_what_another_process_changed_begins_anew_here() -> None:
    rate, at_ns = learnt_by_chance()
    for _ in range(100):
        rate.started(at_ns)
    rate.restore((300, at_ns, 0, at_ns + NS_PER_S, at_ns, 0))
    lowered = 0
    for place in range(8):  # of 108 that would be chance
        rate.started(at_ns + (2 + place) * NS_PER_S)
        lowered += rate.refused(started_ns=at_ns + (2 + place) * NS_PER_S, at_ns=at_ns + (2 + place) * NS_PER_S)
    assert lowered


@pytest.mark.parametrize(("retry_after_s", "waits"), [(None, False), (3.0, True)])
def test_the_others_wait_for_a_refusal_by_chance_only_where_the_provider_asks_for_it(
    retry_after_s: float | None, waits: bool
) -> None:
    made = gate()
    made.learnt, at_ns = learnt_by_chance()
    booked, at_ns = book_next(made, "run", ONE, at_ns + NS_PER_S)
    report = replace(RateReport(), retry_after_s=retry_after_s)
    made.refused(booked, report, until_ns=at_ns + 3 * NS_PER_S, at_ns=at_ns, words=WORDS)
    assert (made.ask("run", ONE, at_ns + NS_PER_S) is not None) == waits
