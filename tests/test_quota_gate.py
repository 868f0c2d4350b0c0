"""The laws of a gate whose limits responses and 429s move: bursts that were set, never_exceed, guesses."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.sharers import Reservation
from tests.gates import ONE, WORDS, book_next, gate, most_within, said, served


def send(made: Gate, report: RateReport, at_ns: int = 0) -> None:
    """One call alone in flight, and what its response said."""
    booked = made.book("run", ONE, at_ns)
    made.observe(booked, report, at_ns)
    made.settle(booked, ONE, at_ns)


@pytest.mark.parametrize(
    ("limits", "known"),
    [(Limits(never_exceed=True), "not at all"), (Limits(requests_per_minute=600, never_exceed=True), "as more")],
)
@settings(max_examples=15, deadline=None)
@given(limit=st.integers(2, 120))
def test_never_exceed_holds_for_a_limit_that_a_response_tells(limits: Limits, known: str, limit: int) -> None:
    made = gate(limits)
    send(made, said(limit - 1, limit=limit))
    at_ns, taken = 0, [(0, 1)]
    for _ in range(3 * limit):
        booked, at_ns = book_next(made, "run", ONE, at_ns)
        made.settle(booked, ONE, at_ns)
        taken.append((at_ns, 1))
    assert most_within(NS_PER_MINUTE, taken) <= limit
    assert made.meters.amount("requests") == limit


@pytest.mark.parametrize("limits", [Limits(never_exceed=True), Limits(requests_per_minute=600, never_exceed=True)])
def test_a_limit_that_is_said_again_is_no_change(limits: Limits) -> None:
    made = gate(limits)
    for at_s in range(5):
        send(made, said(59, limit=60), at_s * NS_PER_S)
    assert [(change.name, change.new) for change in made.changes()] == [("requests", 60)]


def test_a_burst_that_is_set_holds_where_the_limit_is_told_by_a_response() -> None:
    made = gate(Limits(burst=3))
    send(made, said(59, limit=60))
    assert made.meters.known["requests"].meter.free(NS_PER_MINUTE) <= 3
    assert made.meters.known["requests"].meter.capacity <= 3


@pytest.mark.parametrize("nothing", [Reading(), Reading(remaining=None, limit=None, reset_s=3.0)])
def test_a_reading_that_says_nothing_changes_nothing(nothing: Reading) -> None:
    for limits in (Limits(), Limits(requests_per_minute=60, burst=5)):
        made, other = gate(limits), gate(limits)
        send(made, RateReport(readings=(("requests", nothing), ("tokens", nothing))))
        send(other, RateReport())
        assert made.changes() == ()
        levels = [{name: each.meter.free(0) for name, each in one.meters} for one in (made, other)]
        assert levels[0] == levels[1]


def refuse(made: Gate, at_ns: int) -> None:
    booked = made.book("run", ONE, at_ns)
    made.refused(booked, RateReport(), until_ns=at_ns, at_ns=at_ns, words=WORDS)
    made.settle(booked, ONE, at_ns)


def test_a_guess_never_grows_beyond_the_setting_and_the_next_refusal_lowers_it_at_once() -> None:
    made = gate(Limits(requests_per_minute=600, burst=1))
    for place in range(20):
        send(made, RateReport(), place * NS_PER_S // 10)
    refuse(made, 2 * NS_PER_S)
    served(made, {"run": 1_500}, until_ns=5 * NS_PER_MINUTE)  # calls wait, and it grows as long as nothing is refused
    assert made.meters.amount("requests") == 600
    refuse(made, 5 * NS_PER_MINUTE)
    amount = made.meters.amount("requests")
    assert amount is not None
    assert amount < 600


def test_a_guess_does_not_grow_over_what_a_response_said() -> None:
    made = gate()
    send(made, said(0, limit=60))
    refuse(made, NS_PER_S)
    send(made, said(0, limit=60), NS_PER_S)
    made.changes()
    served(made, {"run": 100}, until_ns=2 * NS_PER_MINUTE)
    assert (made.meters.amount("requests"), made.changes()) == (60, ())


@given(waits=st.lists(st.integers(0, NS_PER_S), max_size=12), cost=st.integers(1, 200))
def test_asking_a_gate_again_never_makes_a_call_wait_longer(waits: list[int], cost: int) -> None:
    made = gate(Limits(requests_per_minute=60, tokens_per_minute=6_000, burst=1))
    made.book("run", Cost(output_tokens=100), 0)
    at_ns, until_ns = 0, NS_PER_MINUTE
    for pause_ns in (0, *waits):
        at_ns += pause_ns
        made.new_round()
        hold = made.ask("run", Cost(output_tokens=cost), at_ns)
        again_ns = at_ns if hold is None or hold.until_ns is None else hold.until_ns
        assert again_ns <= max(until_ns, at_ns)
        until_ns = again_ns


@settings(max_examples=40)
@given(
    used=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, NS_PER_S)), max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_once_all_is_settled_nothing_is_reserved_in_whatever_order_it_ends(
    used: list[tuple[int, int, int]], order: object
) -> None:
    limits = Limits(requests_per_minute=6_000, tokens_per_minute=10**8, input_tokens_per_minute=10**8)
    made, at_ns, flying = gate(limits), 0, []
    alone = Bucket(amount=10**8, capacity=made.meters.known["tokens"].meter.capacity, at_ns=0)
    for came_in, came_out, pause_ns in used:
        at_ns += pause_ns
        flying.append((made.book("run", Cost(input_tokens=200, output_tokens=200), at_ns), came_in, came_out))
        alone.take(came_in + came_out, at_ns)
    order.shuffle(flying)  # type: ignore[attr-defined]  # a Random
    for booked, came_in, came_out in flying:
        for _ in range(2):  # a second time does nothing
            made.settle(booked, Cost(input_tokens=came_in, output_tokens=came_out), at_ns)
    assert {name: known.reserved for name, known in made.meters} == dict.fromkeys(made.meters.known, 0)
    assert made.meters.known["tokens"].total == sum(came_in + came_out for came_in, came_out, _ in used)
    assert (made.in_flight, made.runs["run"].in_flight) == (0, 0)
    assert made.meters.known["tokens"].meter.free(at_ns + NS_PER_MINUTE) == alone.free(at_ns + NS_PER_MINUTE)


def others(*, theirs_a_second: int, seed: int, jitter_ms: int) -> int:
    """What is said of others after 40 s of six calls a second whose answers come late and out of order."""
    draw = Random(seed)
    made, provider = gate(), Bucket(amount=600, capacity=200, at_ns=0)
    if theirs_a_second:
        provider.take(100, 0)  # it falls from here: of what is taken off a full one no reading tells
    flying: list[tuple[int, int, Reservation, int]] = []
    for tick in range(240):
        at_ns = tick * NS_PER_S // 6
        for ends_ns, _, booked, remaining in sorted(flying, key=lambda each: each[:2]):
            if ends_ns <= at_ns:
                made.observe(booked, said(remaining), ends_ns)
                made.settle(booked, ONE, ends_ns)
        flying = [each for each in flying if each[0] > at_ns]
        booked = made.book("run", ONE, at_ns)
        if tick % 6 == 0 and theirs_a_second:
            provider.take(theirs_a_second, at_ns)
        provider.take(1, at_ns)
        ends_ns = at_ns + (100 + draw.randrange(jitter_ms)) * NS_PER_MS
        flying.append((ends_ns, tick, booked, max(0, provider.free(at_ns))))
    return made.meters.others_per_minute("requests", at_ns)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), jitter_ms=st.integers(1, 2_000))
def test_our_own_use_is_nobody_elses_however_late_the_answers_come(seed: int, jitter_ms: int) -> None:
    assert others(theirs_a_second=0, seed=seed, jitter_ms=jitter_ms) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), jitter_ms=st.integers(1, 500))
def test_half_the_limit_used_by_somebody_else_is_told_about_right(seed: int, jitter_ms: int) -> None:
    assert others(theirs_a_second=5, seed=seed, jitter_ms=jitter_ms) == pytest.approx(300, rel=0.2)


@settings(max_examples=10, deadline=None)
@given(weight=st.integers(1, 5), per_minute=st.integers(60, 3_000))
def test_runs_that_contend_share_by_their_weights(weight: int, per_minute: int) -> None:
    made = gate(Limits(requests_per_minute=per_minute, burst=1, max_weight=5), "heavy", "light")
    made.join("heavy", weight=weight)
    found = served(made, {"heavy": 10_000, "light": 10_000}, until_ns=2 * NS_PER_MINUTE)
    assert len(found["heavy"]) == pytest.approx(weight * len(found["light"]), rel=0.1, abs=weight)


def test_a_run_that_paused_gets_no_more_than_its_share_when_it_comes_back() -> None:
    made = gate(Limits(requests_per_minute=60, burst=1), "paused", "busy")
    served(made, {"busy": 40}, until_ns=NS_PER_MINUTE)
    at_ns, turns = 40 * NS_PER_S, []
    for _ in range(10):
        made.new_round()
        line = sorted(("paused", "busy"), key=made.tag)
        booked, at_ns = book_next(made, line[0], ONE, at_ns)
        made.settle(booked, ONE, at_ns)
        turns.append(line[0])
    assert abs(turns.count("paused") - turns.count("busy")) <= 2


def test_five_calls_beside_ten_thousand_end_within_ten_seconds_of_alone() -> None:
    limits = Limits(requests_per_minute=60)
    alone = served(gate(limits, "few"), {"few": 5}, until_ns=NS_PER_MINUTE)
    beside = served(gate(limits, "many", "few"), {"many": 10_000, "few": 5}, until_ns=NS_PER_MINUTE)
    assert beside["few"][-1] - alone["few"][-1] <= 10 * NS_PER_S
    undisturbed = served(gate(limits, "many"), {"many": 10_000}, until_ns=NS_PER_MINUTE)
    assert len(undisturbed["many"]) - len(beside["many"]) <= 5, "the large run loses what the five took and no more"


def test_a_call_that_waits_for_the_next_day_holds_nobody_back() -> None:
    made = gate(Limits(tokens_per_day=1_000), "large", "small")
    made.book("large", Cost(output_tokens=500), 0)
    made.new_round()
    large = made.ask("large", Cost(output_tokens=900), 0)
    assert large is not None
    assert large.held_by == "tokens_per_day"
    assert made.ask("small", Cost(output_tokens=100), 0) is None
