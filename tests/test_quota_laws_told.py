"""The laws of what responses teach a gate: limits, what remains, who else takes of them, a rate that nobody tells."""

from __future__ import annotations

from collections import deque

import pytest

from fanout.clock import NS_PER_S
from fanout.quota.account import Account
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.gates import Gates
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.sharers import Reservation
from tests.gates import ONE, WORDS, book_next, gate, most_within, said


def test_the_first_response_teaches_the_limit_and_counts_what_is_in_flight() -> None:
    made = gate()
    booked = [made.book("run", ONE, 0) for _ in range(5)]
    made.observe(booked[0], said(19), NS_PER_S // 10)
    assert [(change.name, change.old, change.new, change.source) for change in made.changes()] == [
        ("requests", None, 600, "header")
    ]
    # 19 left when it was admitted, 4 booked after it, 1 grown back since, 1 kept back: two may arrive together.
    assert made.meters.known["requests"].meter.free(NS_PER_S // 10) == 19 - 4 + 1 - 1


def test_a_late_reading_lowers_the_level_and_never_raises_it_while_others_are_in_flight() -> None:
    made = gate(Limits(requests_per_minute=600, burst=20))
    first, _ = made.book("run", ONE, 0), made.book("run", ONE, 0)
    level = made.meters.known["requests"].meter
    before = level.free(0)
    made.observe(first, said(500), 0)
    assert level.free(0) == before
    made.observe(first, said(3), 0)
    assert level.free(0) < 3


def test_a_slow_answer_does_not_make_the_burst_larger_than_it_was_said_to_be() -> None:
    made = gate()
    made.observe(made.book("run", ONE, 0), said(19), 10 * NS_PER_S)  # a hundred would have grown back meanwhile
    meter = made.meters.known["requests"].meter
    assert meter.capacity <= 20
    assert meter.free(10 * NS_PER_S) <= 20


def test_a_window_shorter_than_a_minute_makes_the_burst_as_small() -> None:
    made = gate()
    reading = Reading(limit=600, remaining=500, window_s=1.0)
    made.observe(made.book("run", ONE, 0), RateReport(readings=(("requests", reading),)), 0)
    assert made.meters.known["requests"].meter.capacity in (9, 10)  # one is kept back


@pytest.mark.parametrize("of_the_minute", [True, False], ids=["left of the minute", "left of the window"])
@pytest.mark.parametrize("latency_ms", [20, 700])
def test_what_is_left_never_fills_a_window_shorter_than_a_minute(latency_ms: int, of_the_minute: bool) -> None:
    """Azure: 60 a minute, judged by 10 s; eight calls at once of an account that nobody knew, then one by one."""
    latency_ns = latency_ms * NS_PER_S // 1000
    made = Gates(wall_offset_ns=0).at(Account(account="a", model="m", provider="azure"), Limits(), 0)
    made.join("run", weight=1)
    flying = deque((made.book("run", ONE, 0), 0) for _ in range(8))
    taken = [0] * 8
    while len(taken) < 60:
        booked, at_ns = flying.popleft()
        at_ns = max(taken[-1], at_ns + latency_ns)
        inside = sum(one > at_ns - 10 * NS_PER_S for one in taken)
        reading = Reading(limit=60, remaining=max(0, 60 - len(taken) if of_the_minute else 10 - inside), window_s=10.0)
        made.observe(booked, RateReport(readings=(("requests", reading),)), at_ns)
        made.settle(booked, ONE, at_ns)
        if not flying:
            flying.append(book_next(made, "run", ONE, at_ns))
            taken.append(flying[-1][1])
    assert most_within(10 * NS_PER_S, [(at_ns, 1) for at_ns in taken]) <= 10
    assert taken[-1] < 65 * NS_PER_S, "and the limit is used"


def test_settings_are_never_exceeded_by_a_header_that_allows_more() -> None:
    made = gate(Limits(requests_per_minute=60))
    made.observe(made.book("run", ONE, 0), said(599), 0)
    assert (made.meters.amount("requests"), made.changes()) == (60, ())


def test_a_header_that_allows_less_than_the_settings_lowers_the_limit() -> None:
    made = gate(Limits(requests_per_minute=600))
    made.observe(made.book("run", ONE, 0), said(50, limit=60), 0)
    assert made.meters.amount("requests") == 60


def test_our_own_use_is_nobody_elses() -> None:
    assert others(share=0.0) == 0


def test_half_of_a_limit_used_by_somebody_else_is_said() -> None:
    assert others(share=0.5) == pytest.approx(300, rel=0.25)


def test_a_unit_or_two_of_rounding_is_nobody() -> None:
    made = gate(Limits(requests_per_minute=120, burst=2))
    for tick in range(12):
        at_ns = tick * NS_PER_S // 2
        booked = made.book("run", ONE, at_ns)
        made.observe(booked, said(0 if tick > 8 else 1, limit=120), at_ns)
        made.settle(booked, ONE, at_ns)
    assert made.meters.others_per_minute("requests", at_ns) == 0


def others(*, share: float) -> int:
    """What is said of others after 30 s of eight calls a second, where somebody takes this share of 600 a minute."""
    made, theirs = gate(Limits(requests_per_minute=600)), Bucket(amount=600, capacity=600, at_ns=0)
    taken = 0
    for tick in range(240):
        at_ns = tick * NS_PER_S // 8
        booked = made.book("run", ONE, at_ns)
        due = round(600 * share * at_ns / NS_PER_MINUTE)
        theirs.take(1 + due - taken, at_ns)
        taken = due
        made.observe(booked, said(theirs.free(at_ns)), at_ns)
        made.settle(booked, ONE, at_ns)
    return made.meters.others_per_minute("requests", at_ns)


@pytest.mark.parametrize("latency_ms", [30, 2_500])
@pytest.mark.parametrize("burst", [2, 20])
def test_one_run_alone_is_never_taken_for_somebody_else(burst: int, latency_ms: int) -> None:
    """40 calls on 120 a minute whose responses tell what remained when they were admitted."""
    made, theirs = gate(), Bucket(amount=120, capacity=burst, at_ns=0)
    flying: deque[tuple[int, Reservation, bool, int]] = deque()
    at_ns = answered = 0
    while answered < 40:
        made.new_round()
        if len(flying) < 8 and made.ask("run", ONE, at_ns) is None:
            booked, lets = made.book("run", ONE, at_ns), theirs.wait_ns(1, at_ns) == 0
            if lets:
                theirs.take(1, at_ns)
            ends_ns = at_ns + (latency_ms if lets else 5) * NS_PER_S // 1_000
            flying.append((ends_ns, booked, lets, theirs.free(at_ns)))
            flying = deque(sorted(flying, key=lambda each: each[0]))
            continue
        at_ns += NS_PER_S // 100
        while flying and flying[0][0] <= at_ns:
            _, booked, lets, remaining = flying.popleft()
            made.observe(booked, said(remaining, limit=120), at_ns)
            if not lets:
                made.refused(booked, said(0, limit=120), until_ns=at_ns + NS_PER_S // 2, at_ns=at_ns, words=WORDS)
            made.settle(booked, ONE, at_ns)
            answered += lets
        known = made.meters.known.get("requests")
        if known is not None:
            assert made.meters.others_per_minute("requests", at_ns) == 0
            assert known.meter.capacity <= burst


def test_a_rate_nobody_tells_is_learnt() -> None:
    """1,500 calls of 100 ms, 32 at a time, on 600 a minute with a burst of 20 that refuses without a header."""
    made, theirs = gate(), Bucket(amount=600, capacity=20, at_ns=0)
    flying: deque[tuple[int, Reservation, bool]] = deque()
    at_ns = passed = late = late_refused = 0
    while passed < 1_500:
        made.new_round()
        if len(flying) < 32 and made.ask("run", ONE, at_ns) is None:
            booked = made.book("run", ONE, at_ns)
            lets = theirs.wait_ns(1, at_ns) == 0
            if lets:
                theirs.take(1, at_ns)
            flying.append((at_ns + NS_PER_S // 10, booked, lets))
            late += at_ns > NS_PER_MINUTE
            late_refused += at_ns > NS_PER_MINUTE and not lets
            continue
        at_ns += NS_PER_S // 100
        while flying and flying[0][0] <= at_ns:
            _, booked, lets = flying.popleft()
            if not lets:
                made.refused(booked, RateReport(), until_ns=at_ns + NS_PER_S // 2, at_ns=at_ns, words=WORDS)
            made.settle(booked, ONE, at_ns)
            passed += lets
    assert at_ns / NS_PER_S <= 1.15 * 148
    assert late_refused <= 0.05 * late
