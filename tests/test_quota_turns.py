"""One run's turns: its caps, what it gives back, and that it is served to its end beside others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.errors import RateLimited
from fanout.events import Usage
from fanout.quota.gate import Gate
from fanout.quota.gates import view_of
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.turns import Turns
from fanout.schedule import Schedule, Start
from tests.gates import WORDS, gate

FEW = Usage(input_tokens=10, output_tokens=10)


def batch(count: int = 3, **of: int | float) -> Batch:
    return Batch(prompts=[f"prompt {number}" for number in range(count)], **of)  # type: ignore[arg-type]  # by name


def turns(of: Batch, *, at: Gate | None = None, run_id: str = "run") -> Turns:
    return Turns(of, run_id=run_id, gate=gate() if at is None else at, at_ns=0)


def answered(made: Turns, call: int, *, usage: Usage = FEW, cost_usd: float | None = None) -> None:
    assert made.ask(call, 0) is None
    made.book(call, 0)
    made.answered(call, usage, cost_usd, 0)


def is_capped(made: Turns, call: int) -> bool:
    hold = made.ask(call, 0)
    return hold is not None and hold.held_by == "cap"


def test_the_cap_that_holds_is_the_one_that_is_named_and_raised() -> None:
    made = turns(batch(cap_tokens=1_000_000, cap_usd=0.01))
    answered(made, 0, cost_usd=0.01)
    assert is_capped(made, 1)
    spent = made.spent()
    assert spent is not None
    assert (spent.cap, spent.used, spent.allowed) == ("usd", 0.01, 0.01)
    raised = made.raise_cap()
    assert raised is not None
    assert (raised.cap, raised.allowed) == ("usd", 0.02)
    assert made.ask(1, 0) is None


@pytest.mark.parametrize("requested", [None, 900])
def test_a_call_whose_tokens_were_refused_reserves_more_when_it_is_sent_again(requested: int | None) -> None:
    made = turns(batch(), at=gate(Limits(tokens_per_minute=60_000)))
    made.book(0, 0)
    before = made.reserved(0)
    report = RateReport(exhausted="tokens", requested=requested)
    made.refused(0, report, until_ns=NS_PER_S, at_ns=0, words=("", ""))
    made.book(0, NS_PER_S)
    assert made.reserved(0).tokens == (requested or 2 * before.tokens)
    made.book(1, NS_PER_S)
    assert made.reserved(1) == before, "the others are as they were"


def test_a_pause_by_hand_raises_no_cap() -> None:
    made = turns(batch(cap_tokens=1_000, cap_usd=1.0))
    answered(made, 0, cost_usd=0.1)
    assert made.spent() is None
    assert made.raise_cap() is None
    assert made.ask(1, 0) is None


@pytest.mark.parametrize("cap_tokens", [1, 20, 100])
def test_going_on_after_a_cap_lets_at_least_the_call_go_that_waits(cap_tokens: int) -> None:
    made = turns(batch(cap_tokens=cap_tokens))
    assert is_capped(made, 0)  # it may use more than the whole cap: that is asked first
    assert made.raise_cap() is not None
    assert made.ask(0, 0) is None


def test_going_on_after_a_cap_in_dollars_lets_at_least_one_call_go() -> None:
    made = turns(batch(cap_usd=0.01))
    answered(made, 0, cost_usd=0.05)
    assert is_capped(made, 1)
    assert made.raise_cap() is not None
    assert made.ask(1, 0) is None


def test_a_cap_in_dollars_on_a_model_without_a_listed_price_lets_one_call_go_first() -> None:
    made = Turns(batch(cap_usd=1.0), run_id="run", gate=gate(), at_ns=0, is_priced=False)
    assert made.ask(0, 0) is None
    made.book(0, 0)
    hold = made.ask(1, 0)
    assert hold is not None
    assert (hold.until_ns, hold.held_by) == (None, "workers")
    assert made.spent() is None
    made.answered(0, FEW, 0.01, 0)  # the answer's own model has one
    made.book(1, 0)
    assert made.ask(2, 0) is None

    made = Turns(batch(cap_usd=1.0), run_id="run", gate=gate(), at_ns=0, is_priced=False)
    answered(made, 0, cost_usd=None)
    assert is_capped(made, 1)
    assert made.raise_cap() is not None
    made.book(1, 0)
    assert made.ask(2, 0) is None  # who goes on without the cap has been told: nobody waits for a price

    made = Turns(batch(), run_id="run", gate=gate(), at_ns=0, is_priced=False)
    made.book(0, 0)
    assert made.ask(1, 0) is None  # no cap: nothing is to be counted


@pytest.mark.parametrize(("model", "holds"), [(None, True), ("sandbox", True), ("openai:other", False)])
def test_an_answer_without_a_price_in_an_earlier_stretch_holds_a_cap_in_dollars(model: str | None, holds: bool) -> None:
    made = turns(batch(cap_usd=1.0))
    made.remember("prompt 0", FEW, None, model=model)
    assert is_capped(made, 1) is holds


def test_a_cap_waits_for_what_is_in_flight_before_it_is_called_reached() -> None:
    made = turns(batch(cap_tokens=600))
    made.book(0, 0)
    made.book(1, 0)
    assert is_capped(made, 2)
    assert made.spent() is None  # they may settle to less
    for call in (0, 1):
        made.answered(call, FEW, None, 1)
    assert made.ask(2, 1) is None


def share_of(made: Turns) -> tuple[int, int]:
    """Tokens used, and those that attempts without an answer may have used."""
    (share,) = view_of(made.gate, waiting={}, at_ns=0).shares
    return share.tokens, share.assumed_tokens


def test_an_attempt_without_an_answer_is_taken_off_the_limits_and_counts_as_nothing_used() -> None:
    made = turns(batch(cap_tokens=600), at=gate(Limits(tokens_per_minute=120_000)))
    for call in range(3):
        assert made.ask(call, 0) is None
        made.book(call, 0)
        made.give_back(call, 0)
    assert share_of(made) == (0, 3 * 266)
    assert made.gate.meters.known["tokens"].meter.free(0) == 2_000 - 3 * 266
    answered(made, 0)
    assert share_of(made) == (20, 3 * 266)


def test_what_a_provider_reserves_of_an_answer_is_not_what_the_answer_used() -> None:
    limits = Limits(tokens_per_minute=60_000, charge="max_tokens")
    made = turns(batch(max_output_tokens=500, cap_tokens=600), at=gate(limits))
    answered(made, 0)
    assert share_of(made) == (20, 0)
    assert made.gate.meters.known["tokens"].meter.free(0) == 1_000 - 510
    assert made.ask(1, NS_PER_S) is None  # 20 of 600 are used


@pytest.mark.parametrize(("wait_s", "left"), [(1.0, 1), (None, 4)])
def test_a_refused_request_counts_against_the_runs_own_limit_and_against_the_accounts_unless_a_wait_was_told(
    wait_s: float | None, left: int
) -> None:
    made = turns(batch(requests_per_minute=300), at=gate(Limits(requests_per_minute=300, burst=5)))
    made.book(0, 0)
    report = RateReport(readings=(("requests", Reading(limit=300)),), exhausted="requests", retry_after_s=wait_s)
    made.refused(0, report, until_ns=0, at_ns=0, words=WORDS)
    (own,) = made.own_limits(0)
    assert own.free == 4
    assert made.gate.meters.known["requests"].meter.free(0) == left  # one is there once the wait that was told is over


def test_a_runs_own_limits_tell_what_is_used_reserved_and_free() -> None:
    made = turns(batch(requests_per_minute=60, burst=3, tokens_per_minute=60_000))
    answered(made, 0)
    made.book(1, 0)
    requests, tokens = made.own_limits(0)
    assert (requests.name, requests.source, requests.number, requests.capacity) == ("requests", "run", 60, 3)
    assert (requests.used, requests.reserved, requests.free) == (1, 1, 1)
    assert (tokens.name, tokens.number, tokens.capacity) == ("tokens", 60_000, 1_000)
    assert (tokens.used, tokens.used + tokens.reserved + tokens.free) == (20, 1_000)
    full, _ = made.own_limits(3 * NS_PER_S)
    assert (full.used, full.reserved, full.free) == (0, 1, 3)
    assert turns(batch()).own_limits(0) == ()


@pytest.mark.parametrize("end", ["unsent", "give_back", "refused"])
def test_an_attempt_is_settled_once_however_it_ends(end: str) -> None:
    made = turns(batch(), at=gate(Limits(requests_per_minute=600, tokens_per_minute=60_000, burst=5)))
    made.book(0, 0)
    for _ in range(2):
        if end == "unsent":
            made.unsent(0, 0)
        elif end == "refused":
            made.refused(0, RateReport(), until_ns=0, at_ns=0, words=("why", "remedy"))
        else:
            made.give_back(0, 0)
    known = made.gate.meters.known
    assert [each.reserved for each in known.values()] == [0, 0]
    assert made.gate.in_flight == 0
    assert known["requests"].meter.free(0) == (5 if end == "unsent" else 4)
    assert (known["tokens"].meter.free(0) == 1_000) == (end != "give_back")


def drive(made: Gate, batches: Sequence[Batch], *, latency_ns: int, usages: Sequence[Usage]) -> list[list[int]]:
    """Every run to its end, asked in the order of the tags as the engine does: when each run's calls started."""
    takes = [turns(of, at=made, run_id=f"run {place}") for place, of in enumerate(batches)]
    schedules = [Schedule(max_workers=of.max_workers, limits=(take,)) for of, take in zip(batches, takes, strict=True)]
    for schedule, of in zip(schedules, batches, strict=True):
        schedule.add(range(len(of.prompts)))
    started: list[list[int]] = [[] for _ in batches]
    flying: list[tuple[int, int, int]] = []  # (ends_ns, run, call)
    at_ns = 0
    while not all(schedule.done for schedule in schedules):
        wakes = []
        made.new_round()
        line = list(range(len(batches)))
        while line:
            run = min(line, key=lambda one: takes[one].tag)
            found = schedules[run].next(at_ns)
            if isinstance(found, Start):
                started[run].append(at_ns)
                flying.append((at_ns + latency_ns, run, found.call))
            else:
                line.remove(run)
                if found.until_ns is not None:
                    assert found.until_ns > at_ns
                    wakes.append(found.until_ns)
        at_ns = min([*wakes, *(ends_ns for ends_ns, _, _ in flying)])
        for ends_ns, run, call in sorted(flying):
            if ends_ns <= at_ns:
                takes[run].answered(call, usages[run], None, at_ns)
                schedules[run].ended(call, at_ns=at_ns)
        flying = [each for each in flying if each[0] > at_ns]
    return started


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    outputs=st.lists(st.integers(0, 3_000), min_size=4, max_size=4),
    workers=st.integers(1, 6),
    most=st.none() | st.integers(1, 4),
    tokens=st.integers(600, 60_000),
)
def test_every_call_of_every_run_is_served(
    counts: list[int], outputs: list[int], workers: int, most: int | None, tokens: int
) -> None:
    made = gate(Limits(requests_per_minute=120, tokens_per_minute=tokens, max_in_flight=most))
    batches = [batch(count, max_workers=workers) for count in counts]
    usages = [Usage(input_tokens=5, output_tokens=output) for output in outputs]
    found = drive(made, batches, latency_ns=NS_PER_S, usages=usages)
    assert [len(each) for each in found] == counts
    assert made.in_flight == 0
    assert all(known.reserved == 0 for _, known in made.meters)


def test_a_run_of_long_answers_is_not_starved_by_one_of_short_ones() -> None:
    made = gate(Limits(tokens_per_minute=6_000))
    heavy, light = batch(3, max_output_tokens=5_000), batch(300, max_workers=8, max_output_tokens=10)
    usages = (Usage(input_tokens=10, output_tokens=5_000), Usage(input_tokens=10, output_tokens=10))
    first, second = drive(made, [heavy, light], latency_ns=NS_PER_S // 10, usages=usages)
    assert len(first) == 3
    assert first[1] < second[-1]  # its second call, of 50 s of the limit, did not wait until the others had ended


def test_a_429_holds_every_run_on_the_account_until_its_time() -> None:
    made = gate(Limits())
    one, other = turns(batch(), at=made, run_id="one"), turns(batch(), at=made, run_id="other")
    one.book(0, 0)
    error = RateLimited("later", retry_after_s=7)
    one.refused(0, RateReport(), until_ns=7 * NS_PER_S, at_ns=0, words=(error.sentence, ""))
    for each in (one, other):
        hold = each.ask(1, 7 * NS_PER_S - 1)
        assert hold is not None
        assert (hold.until_ns, hold.held_by) == (7 * NS_PER_S, "penalty")
        assert each.ask(1, 7 * NS_PER_S) is None
