"""The laws of pacing, on instants that are given: windows, settlement, turns, caps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.events import Usage
from fanout.quota.account import Account
from fanout.quota.bucket import NS_PER_MINUTE, Bucket, Day
from fanout.quota.estimate import Cost
from fanout.quota.gates import Gates, view_of
from fanout.quota.limits import Limits
from fanout.quota.refusals import words_for
from fanout.quota.report import RateReport
from fanout.quota.sharers import Reservation
from fanout.quota.turns import Turns
from tests.gates import ONE, WORDS, book_next, gate, most_within, served


@given(
    per_minute=st.integers(1, 2_000),
    capacity=st.integers(1, 50),
    pauses=st.lists(st.integers(0, 5 * NS_PER_S), min_size=1, max_size=60),
    window_s=st.integers(1, 120),
)
def test_no_window_holds_more_than_the_burst_and_what_the_rate_gives(
    per_minute: int, capacity: int, pauses: list[int], window_s: int
) -> None:
    bucket, at_ns, taken = Bucket(amount=per_minute, capacity=capacity, at_ns=0), 0, list[tuple[int, int]]()
    for pause_ns in pauses:
        at_ns += pause_ns
        at_ns += bucket.wait_ns(1, at_ns)
        bucket.take(1, at_ns)
        taken.append((at_ns, 1))
    window_ns = window_s * NS_PER_S
    assert most_within(window_ns, taken) <= capacity + per_minute * window_ns // NS_PER_MINUTE + 1


@given(limit=st.integers(1, 10_000), header=st.integers(1, 10_000))
def test_never_exceed_shows_the_number_that_was_told(limit: int, header: int) -> None:
    made = gate(Limits(requests_per_minute=limit, never_exceed=True)).meters
    assert made.amount("requests") == limit
    made.learn("requests", header, "header", 0)
    assert made.amount("requests") == min(limit, header)
    untold = gate(Limits(never_exceed=True)).meters
    untold.learn("requests", header, "header", 0)
    assert untold.amount("requests") == header


@settings(max_examples=25)
@given(limit=st.integers(1, 400))
def test_never_exceed_lets_no_minute_hold_more_than_the_limit(limit: int) -> None:
    made = gate(Limits(requests_per_minute=limit, never_exceed=True))
    at_ns, taken = 0, list[tuple[int, int]]()
    for _ in range(min(3 * limit, 600)):
        booked, at_ns = book_next(made, "run", ONE, at_ns)
        made.settle(booked, ONE, at_ns)
        taken.append((at_ns, 1))
    assert most_within(NS_PER_MINUTE, taken) <= limit


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(10, 10_000),
    shares=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3 * NS_PER_S)), min_size=1, max_size=60),
)
def test_never_exceed_holds_for_tokens_however_large_a_call_is(
    limit: int, shares: list[tuple[float, float, int]]
) -> None:
    """Each call reserves a part of the limit and uses a part of that; it is known when it ends, a while later."""
    made = gate(Limits(tokens_per_minute=limit, never_exceed=True))
    at_ns, taken = 0, list[tuple[int, int]]()
    flying: list[tuple[int, Reservation, int]] = []
    for reserved, part, lasts_ns in shares:
        cost = max(1, round(reserved * limit))
        used = round(part * cost)
        booked, at_ns = book_next(made, "run", Cost(output_tokens=cost), at_ns)
        taken.append((at_ns, used))
        flying.append((at_ns + lasts_ns, booked, used))
        for ended in [each for each in flying if each[0] <= at_ns]:
            flying.remove(ended)
            made.settle(ended[1], Cost(output_tokens=ended[2]), at_ns)
    assert most_within(NS_PER_MINUTE, taken) <= limit


@given(used=st.lists(st.tuples(st.integers(0, 400), st.integers(0, NS_PER_S)), min_size=1, max_size=30))
def test_what_was_settled_is_all_that_was_taken(used: list[tuple[int, int]]) -> None:
    made = gate(Limits(tokens_per_minute=60_000))
    alone = Bucket(amount=60_000, capacity=1_000, at_ns=0)
    at_ns = 0
    for tokens, pause_ns in used:
        at_ns += pause_ns
        booked = made.book("run", Cost(output_tokens=200), at_ns)
        made.settle(booked, Cost(output_tokens=tokens), at_ns)
        made.settle(booked, Cost(output_tokens=9_999), at_ns)  # a second time does nothing
        alone.take(tokens, at_ns)
    known = made.meters.known["tokens"]
    assert known.reserved == 0
    assert known.total == sum(tokens for tokens, _ in used)
    assert known.meter.free(at_ns) == alone.free(at_ns)


@given(cost=st.integers(1, 500), later=st.lists(st.integers(0, NS_PER_S), max_size=10))
def test_a_wait_never_ends_later_for_asking_again(cost: int, later: list[int]) -> None:
    bucket = Bucket(amount=600, capacity=100, at_ns=0)
    bucket.take(100, 0)
    at_ns, until_ns = 0, bucket.wait_ns(cost, 0)
    for pause_ns in later:
        at_ns += pause_ns
        again_ns = at_ns + bucket.wait_ns(cost, at_ns)
        assert again_ns <= max(until_ns, at_ns)
        until_ns = again_ns


def test_a_day_ends_at_midnight_of_its_zone() -> None:
    day = Day(amount=2, at_ns=0, wall_offset_ns=0, zone="America/Los_Angeles")
    day.take(2, 0)
    assert day.wait_ns(1, 0) == 8 * 3600 * NS_PER_S  # 1970-01-01 00:00 UTC is four in the afternoon there
    assert day.wait_ns(1, 8 * 3600 * NS_PER_S) == 0
    assert day.free(8 * 3600 * NS_PER_S) == 2


def test_a_short_run_beside_a_long_one_gets_every_second_slot() -> None:
    made = gate(Limits(requests_per_minute=60, burst=1), "long", "short")
    found = served(made, {"long": 10_000, "short": 5}, until_ns=60 * NS_PER_S)
    assert found["short"][-1] <= 10 * NS_PER_S
    assert len(found["long"]) >= 60 - 5


def test_weights_of_three_to_one_share_three_to_one() -> None:
    made = gate(Limits(requests_per_minute=600, burst=1, max_weight=3), "heavy", "light")
    made.join("heavy", weight=3)
    found = served(made, {"heavy": 10_000, "light": 10_000}, until_ns=60 * NS_PER_S)
    assert len(found["heavy"]) / len(found["light"]) == pytest.approx(3, rel=0.1)


@settings(max_examples=40, deadline=None)
@given(before=st.integers(1, 100), after=st.integers(1, 100))
def test_a_weight_that_moves_holds_from_that_moment(before: int, after: int) -> None:
    made = gate(Limits(requests_per_minute=6_000, burst=1, max_weight=100), "moved", "steady")
    made.join("steady", weight=10)
    made.join("moved", weight=before)
    served(made, {"moved": 10_000, "steady": 10_000}, until_ns=2 * NS_PER_S)
    made.move_weight("moved", after, 2 * NS_PER_S)
    found = served(made, {"moved": 10_000, "steady": 10_000}, from_ns=2 * NS_PER_S, until_ns=6 * NS_PER_S)
    moved, steady = len(found["moved"]), len(found["steady"])
    assert moved == pytest.approx((moved + steady) * after / (after + 10), abs=2)


def test_a_weight_that_moves_while_much_is_reserved_leaves_neither_debt_nor_credit() -> None:
    made = gate(Limits(tokens_per_minute=600_000, max_weight=100), "moved", "other")
    booked = made.book("moved", Cost(output_tokens=10_000), 0)
    made.move_weight("moved", 100, 0)
    made.settle(booked, Cost(output_tokens=100), 0)
    assert made.runs["moved"].tag == NS_PER_S // 100 // 100  # as though its 100 tokens had been used at this weight


def test_a_run_that_comes_back_has_no_credit() -> None:
    made = gate(Limits(requests_per_minute=60, burst=1), "idle", "busy")
    served(made, {"busy": 30}, until_ns=60 * NS_PER_S)
    assert made.tag("idle") >= made.virtual


def test_a_call_that_needs_much_is_not_overtaken_for_ever() -> None:
    made = gate(Limits(tokens_per_minute=6_000), "large", "small")
    made.book("small", Cost(output_tokens=100), 0)
    made.new_round()
    large = made.ask("large", Cost(output_tokens=90), 0)
    assert large is not None
    assert large.held_by == "tokens"
    small = made.ask("small", Cost(output_tokens=1), NS_PER_S // 50)  # two tokens are there by now
    assert small is not None
    assert small.held_by == "turn"


def test_a_429_holds_every_run_of_the_account() -> None:
    made = gate(Limits(), "one", "other")
    booked = made.book("one", ONE, 0)
    made.refused(booked, RateReport(retry_after_s=3.0), until_ns=3 * NS_PER_S, at_ns=0, words=WORDS)
    for run_id in ("one", "other"):
        hold = made.ask(run_id, ONE, NS_PER_S)
        assert hold is not None
        assert (hold.held_by, hold.until_ns) == ("penalty", 3 * NS_PER_S)
    (refusal,) = made.refusals
    assert (refusal.count, refusal.why, refusal.remedy) == (1, *WORDS)


@pytest.mark.parametrize(
    ("provider", "charge", "zone"),
    [("openai", "max_tokens", "UTC"), ("google", "used", "America/Los_Angeles"), ("nobody", "used", "UTC")],
)
def test_what_the_settings_leave_open_the_providers_documents_say(provider: str, charge: str, zone: str) -> None:
    account = Account(account="a", model="m", provider=provider)
    made = Gates(wall_offset_ns=0).at(account, Limits(requests_per_minute=60), 0)
    assert (made.limits.charge, made.limits.day_zone) == (charge, zone)
    said = Limits(charge="used", day_zone="Asia/Tokyo")
    assert Gates(wall_offset_ns=0).at(account, said, 0).limits == said


def batch(**settings: int | float) -> Batch:
    return Batch(prompts=["a", "b", "c"], **settings)  # type: ignore[arg-type]  # numbers by name


def turns(of: Batch) -> Turns:
    return Turns(of, run_id="run", gate=gate(), at_ns=0)


def test_a_cap_in_tokens_holds_and_going_on_allows_as_much_again() -> None:
    made = turns(batch(cap_tokens=300))
    assert made.ask(0, 0) is None
    made.book(0, 0)
    made.answered(0, Usage(input_tokens=100, output_tokens=190), None, 1)
    hold = made.ask(1, 1)
    assert hold is not None
    assert hold.held_by == "cap"
    spent = made.spent()
    assert spent is not None
    assert (spent.cap, spent.used, spent.allowed) == ("tokens", 290, 300)
    made.raise_cap()
    assert made.ask(1, 1) is None


def test_a_cap_in_dollars_pauses_where_the_price_is_unknown_and_goes_on_when_told() -> None:
    made = turns(batch(cap_usd=1.0))
    made.book(0, 0)
    made.answered(0, Usage(input_tokens=1, output_tokens=1), None, 1)
    hold = made.ask(1, 1)
    assert hold is not None
    assert hold.held_by == "cap"
    made.raise_cap()
    assert made.ask(1, 1) is None


def test_a_limit_that_was_only_guessed_is_not_told_as_the_providers() -> None:
    made = gate()
    for at_ns in (0, 5 * NS_PER_S):
        booked = made.book("run", ONE, at_ns)
        words = words_for(made, RateReport(), batch=batch(), booked_ns=at_ns, reserved=ONE, at_ns=at_ns)
        made.refused(booked, RateReport(), until_ns=at_ns, at_ns=at_ns, words=words)
        made.settle(booked, ONE, at_ns)
    why, remedy = words
    assert "guess" in why
    assert "The limit of" not in why
    assert "requests_per_minute" in remedy


def test_a_runs_own_limit_holds_it_alone() -> None:
    made = turns(batch(requests_per_minute=60))
    made.book(0, 0)
    hold = made.ask(1, 0)
    assert hold is not None
    assert (hold.held_by, hold.until_ns) == ("requests", NS_PER_S)
    assert made.gate.ask("run", ONE, 0) is None


def test_what_was_never_sent_is_given_back_whole() -> None:
    made = Turns(batch(), run_id="run", gate=gate(Limits(requests_per_minute=60, burst=3)), at_ns=0)
    made.book(0, 0)
    made.unsent(0, 0)
    made.give_back(0, 0)
    (limit,) = view_of(made.gate, waiting={}, at_ns=0).limits
    assert (limit.used, limit.reserved, limit.free) == (0, 0, 3)


def test_a_view_adds_up() -> None:
    made = gate(Limits(requests_per_minute=600, burst=5, max_in_flight=4))
    made.settle(made.book("run", ONE, 0), ONE, 0)
    made.book("run", ONE, 0)
    view = view_of(made, waiting={"run": 7}, at_ns=0)
    requests, in_flight = view.limits
    assert (requests.used, requests.reserved, requests.free, requests.capacity) == (1, 1, 3, 5)
    assert (in_flight.reserved, in_flight.free) == (1, 3)
    assert (view.shares[0].waiting, view.shares[0].in_flight, view.shares[0].requests) == (7, 1, 2)
