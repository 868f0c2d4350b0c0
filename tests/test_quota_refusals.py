"""A 429 in words: the limit by its name and number, and a remedy that is there and would have helped."""

from __future__ import annotations

import pytest

from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.events import LimitName
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.limits import Limits
from fanout.quota.refusals import day_is_over, words_for
from fanout.quota.refused_share import AnyPace
from fanout.quota.report import RateReport, Reading
from tests.gates import gate

RESERVED = Cost(input_tokens=20, output_tokens=80)


def words(made: Gate, report: RateReport, **of: int) -> tuple[str, str]:
    batch = Batch(prompts=["a"], **of)  # type: ignore[arg-type]  # by name
    return words_for(made, report, batch=batch, booked_ns=0, reserved=RESERVED, at_ns=0)


def test_a_refusal_that_names_no_limit_is_said_to_name_none() -> None:
    why, remedy = words(gate(), RateReport(), max_workers=7)
    assert "did not say which limit" in why
    assert "max_workers 7" in remedy


def test_where_refusals_come_at_any_pace_no_knob_is_named() -> None:
    made = gate()
    made.learnt.any_pace = AnyPace(share=0.2, per_minute=600)
    why, remedy = words(made, RateReport())
    assert "about 20% of what is sent, however fast" in why
    assert "fanout.toml" not in remedy
    # A limit that the refusal itself names is one all the same.
    assert "requests_per_minute" in words(made, RateReport(exhausted="requests"))[1]


@pytest.mark.parametrize("name", ["requests", "tokens", "input_tokens", "output_tokens"])
def test_a_limit_first_heard_of_by_its_refusal_is_to_be_set(name: LimitName) -> None:
    report = RateReport(readings=((name, Reading(limit=1_200, remaining=0)),))
    why, remedy = words(gate(), report)
    assert "1,200" in why
    assert f"{name}_per_minute" in remedy


def test_a_burst_that_was_set_is_the_knob() -> None:
    why, remedy = words(gate(Limits(requests_per_minute=60)), RateReport(exhausted="requests"), burst=30)
    assert (why, remedy) == (
        "The limit of 60 requests a minute was used up.",
        "A smaller burst than 30 would have avoided it.",
    )


@pytest.mark.parametrize("name", ["tokens", "output_tokens"])
def test_tokens_are_refused_for_answers_longer_than_expected_and_not_for_the_pace(name: LimitName) -> None:
    made = gate(Limits(tokens_per_minute=3_000, output_tokens_per_minute=3_000))
    why, remedy = words(made, RateReport(exhausted=name, requested=900))
    assert "this call counts for 900, and " + ("100" if name == "tokens" else "80") in why
    assert "never_exceed" not in remedy
    assert "max output tokens" in remedy
    why, remedy = words(made, RateReport(exhausted=name), max_output_tokens=80)
    assert "answers were longer" in why
    assert "more reserved" in remedy


def test_never_exceed_is_no_remedy_where_it_is_set() -> None:
    limits = Limits(requests_per_minute=60, never_exceed=True)
    _, remedy = words(gate(limits), RateReport(exhausted="requests"))
    assert "never_exceed" not in remedy
    assert "requests_per_minute" in remedy
    assert "never_exceed = true" in words(gate(Limits(requests_per_minute=60)), RateReport(exhausted="requests"))[1]


@pytest.mark.parametrize("name", ["requests_per_day", "tokens_per_day"])
def test_a_days_limit_that_we_thought_had_more_was_used_elsewhere_and_not_too_fast(name: LimitName) -> None:
    limits = Limits(requests_per_day=1_000, tokens_per_day=1_000)
    why, remedy = words(gate(limits), RateReport(exhausted=name))
    assert f"1,000 {name.split('_', 1)[0]} a day" in why
    assert "elsewhere" in why
    assert "never_exceed" not in remedy
    assert "burst" not in remedy


def test_too_many_in_flight_is_said_with_max_in_flight() -> None:
    for limits in (Limits(), Limits(max_in_flight=4)):
        why, remedy = words(gate(limits), RateReport(exhausted="concurrency"))
        assert "calls in flight" in why
        assert "max_in_flight" in remedy
        assert "paced" not in remedy
        assert ("not known" in why) == (limits.max_in_flight is None)


@pytest.mark.parametrize(("wait_s", "text"), [(61, "0 h 1 min"), (3_600, "1 h 0 min"), (86_399, "23 h 59 min")])
def test_a_day_that_is_over_says_when_it_comes_back(wait_s: int, text: str) -> None:
    made = gate(Limits(requests_per_day=50))
    error = day_is_over(made, "requests_per_day", wait_ns=wait_s * NS_PER_S)
    assert "50 requests a day" in error.sentence
    assert text in error.sentence
    assert not error.was_sent
