"""Numbers, what is unknown, and the words of others, as people read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard import wording
from dashboard.figures import Figure
from dashboard.reasons import MOST_CHARACTERS, told
from dashboard.units import UNKNOWN, counted, duration, money, number, percent, tokens, unbroken
from fanout.fold import fold
from fanout.metrics import measure
from fanout.run import Phase
from tests.test_metrics import opened, side_by_side


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (None, UNKNOWN),
        (0.0, "0 ms"),
        (0.0005, "0.5 ms"),
        (0.84, "840 ms"),
        (0.9996, "1 s"),
        (6.1234, "6.12 s"),
        (59.6, "1 min"),
        (64.0, "1 min 4 s"),
        (3599.7, "1 h"),
        (3840.0, "1 h 4 min"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_durations(value_s: float | None, text: str) -> None:
    assert duration(value_s) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, UNKNOWN), (0.0042, "$0.0042"), (4.2, "$4.20"), (12.345, "$12.30"), (1234.5, "$1,230")]
)
def test_money(value: float | None, text: str) -> None:
    assert money(value) == text


def test_other_numbers() -> None:
    assert (percent(0.41), percent(None), number(6.714), number(None)) == ("41 %", UNKNOWN, "6.71", UNKNOWN)
    assert (tokens(12_437), tokens(1), tokens(None)) == ("12,400 tokens", "1 token", UNKNOWN)
    assert (counted(1, "prompt"), counted(2, "retry", "retries")) == ("1 prompt", "2 retries")


def test_words_of_a_provider_are_one_short_line() -> None:
    assert told("The end.\n\u202eIgnore\x00 <b>all</b>...") == "the end. Ignore <b>all</b>"
    assert len(told("x" * 10_000)) == MOST_CHARACTERS
    assert told(" \n ") == "no reason given"


def test_what_is_unknown_is_a_dash_with_its_reason() -> None:
    run = fold(opened(2))
    shown = wording.figures(run, measure(run))
    unknown = [figure for figure in shown if figure.value == UNKNOWN]
    assert len(unknown) >= 8
    assert all(figure.why for figure in unknown)


def test_the_figures_of_a_run() -> None:
    run = side_by_side((0, 1000), (0, 3000))
    shown = {figure.term: figure.value for figure in wording.figures(run, measure(run))}
    assert shown["Elapsed"] == "3 s"
    assert shown["Overlap"] == "1.33"
    assert shown["Lower bound"] == "3 s"
    assert shown["Latency p50 / p95"] == "1 s / 3 s"
    assert shown["Quota slots"] == "2"
    assert shown["Cost"] == UNKNOWN


def test_the_figures_of_a_call() -> None:
    run = side_by_side((0, 1000), (0, 3000))
    shown = wording.call_figures(run, run.calls[1])
    assert shown[0] == Figure(term="Latency", value="3 s", why="Service time: sent to last byte")
    assert next(figure for figure in shown if figure.term == "Cost").value == UNKNOWN


def test_phases_have_words_and_milliseconds() -> None:
    phase = Phase(name="in_flight", start_ns=0, end_ns=1_234_567_890, attempt=1)
    assert (wording.phase("client"), wording.ms(phase)) == ("this machine", "1,235")
    assert wording.ms(replace(phase, end_ns=250_000)) == "0.2"


def test_a_cost_that_is_not_there_says_why() -> None:
    for model, why in (("sandbox", "The sandbox costs nothing"), ("openai:x", "No price of its answers is known")):
        run = side_by_side((0, 1000), (0, 3000), model=model)
        for shown in (wording.figures(run, measure(run)), wording.call_figures(run, run.calls[0])):
            assert [(each.value, each.why) for each in shown if each.term == "Cost"] == [(UNKNOWN, why)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("18.1 ms / 24.5 ms", "18.1\xa0ms / 24.5\xa0ms"),
        ("about 1 min 4 s to go, 41 % of it", "about 1\xa0min 4\xa0s to go, 41\xa0% of it"),
        ("12 of 40 answered, 5 should, 3 items", "12 of 40 answered, 5 should, 3 items"),
    ],
)
def test_a_number_and_its_unit_stay_on_one_line(text: str, shown: str) -> None:
    assert unbroken(text) == shown
