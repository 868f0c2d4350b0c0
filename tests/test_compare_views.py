"""What the comparison says and shows, as pure functions: the verdict, the settings, the rows, the curves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from dashboard import palette
from dashboard.compare_table import Filter, Show, arrange, cells, left_over
from dashboard.compare_words import numbers, pair_words, phases, signed, verdict
from dashboard.latency_chart import COLOURS, DASHES, MOST_POINTS, latency_chart
from dashboard.settings_words import MOST_CHARACTERS, differing, moved_on, refusal_words, setting_name, settings_of
from dashboard.units import duration
from fanout.batch import Batch
from fanout.compare import Comparison, Pair, compare
from fanout.run import Origin, Run
from fanout.sandbox.profile import SandboxProfile
from tests.runs import make_run
from tests.test_compare import runs, said, went_on


def slow_and_fast(n: int = 8, **options: Any) -> Comparison:
    return compare(make_run(n=n, max_workers=1, sigma=0.0), make_run(n=n, max_workers=n, sigma=0.0, **options))


# --- the verdict --------------------------------------------------------------------------------------------------


def test_faster_is_said_where_both_answered_the_same_prompts() -> None:
    assert verdict(slow_and_fast()) == (
        "Both answered all 8 prompts: A in 8 s, B in 1 s. B was 8 times as fast. All 8 answers are the same."
    )
    other = slow_and_fast()
    assert "A was 8 times as fast" in verdict(compare(other.b.run, other.a.run))


def test_faster_is_not_said_of_other_prompts_nor_of_a_run_that_left_some_unanswered() -> None:
    left = verdict(slow_and_fast(failing=[2]))
    assert left == (
        "A answered 8 of 8 prompts in 8 s, B answered 7 of 8 prompts in 1 s. All 7 answers that both gave are the same."
    )
    other = verdict(compare(make_run(n=4), make_run(n=6, seed=3)))
    assert other.startswith("4 prompts are in both, 2 only in B. A answered 4 of 4 prompts in ")
    assert "times as fast" not in other


def test_runs_without_a_common_prompt_are_told_so() -> None:
    found = verdict(compare(said("x", prompts=["a"]), replace(said("x", prompts=["b"]), run_id="b")))
    assert found.startswith("A and B have no prompt in common. A answered 1 of 1 prompt in ")
    assert "answers" not in found.split(". ", 1)[1]


def test_about_the_same_time_is_no_victory() -> None:
    run = make_run(n=5)
    assert verdict(compare(run, replace(run, run_id="other"))).startswith(
        "Both answered all 5 prompts in about the same time: A in "
    )


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("xxx", "xxx", "All 3 answers are the same."),
        ("xxx", "yyy", "All 3 answers changed."),
        ("xxx", "xxy", "Of 3 answers, 1 changed and 2 are the same."),
        ("xxx", "xyy", "Of 3 answers, 2 changed and 1 is the same."),
        ("xx-", "xy-", "Of 2 answers that both gave, 1 changed and 1 is the same."),
        ("x--", "xx-", "The one answer that both gave is the same."),
        ("x-", "y-", "The one answer that both gave changed."),
        ("x-", "-x", "No prompt was answered by both."),
    ],
)
def test_how_many_answers_changed(a: str, b: str, words: str) -> None:
    one, other = (said(*(None if letter == "-" else letter for letter in each)) for each in (a, b))
    assert verdict(compare(one, replace(other, run_id="b"))).endswith(words)


def test_a_run_that_goes_on_and_one_against_itself_are_said_to_be() -> None:
    going, run = make_run(n=20, at_s=1.0), make_run(n=20, run_id="b")
    assert verdict(compare(going, run)).startswith("A still goes on: this is how far. A answered ")
    assert verdict(compare(going, replace(going, run_id="b"))).startswith("A and B still go on")
    assert verdict(compare(run, run)) == "A and B are the same run."


def test_answers_that_were_there_already_are_said() -> None:
    run = make_run(n=3)
    origin = Origin(run_id="earlier", call=0, answered_at_s=1.0)
    took = replace(run, calls=(replace(run.calls[0], attempts=(), origin=origin), *run.calls[1:]), run_id="b")
    assert "B took 1 answer that was there already." in verdict(compare(run, took))
    shared = replace(took.calls[0], origin=Origin(run_id=took.run_id, call=1, answered_at_s=0.0))
    twin = verdict(compare(run, replace(took, calls=(shared, *took.calls[1:]))))
    assert "1 prompt of B shares the call of an identical one." in twin
    assert "there already" not in twin
    assert "already" not in verdict(compare(run, replace(run, run_id="c")))


def test_costs_are_said_where_all_are_known() -> None:
    run = make_run(n=2)
    priced = replace(run, calls=tuple(replace(call, cost_usd=0.5) for call in run.calls), run_id="b")
    assert "A cost $1.00, B $1.00." in verdict(compare(priced, replace(priced, run_id="c")))
    assert "cost" not in verdict(compare(run, priced))


@settings(deadline=None)
@given(runs(), runs())
def test_every_pair_of_runs_has_a_verdict_and_numbers(a: Run, b: Run) -> None:
    found = compare(a, replace(b, run_id="b"))
    words = verdict(found)
    assert words.endswith(".")
    assert "times as fast" not in words or (found.same_prompts and found.count("same", "changed") == len(a.calls))
    for row in (*numbers(found), *phases(found)):
        assert all((row.term, row.a, row.b, row.more))


def test_a_difference_has_its_sign_and_none_has_none() -> None:
    assert (signed(0.25, duration), signed(-2.0, duration), signed(0.0, duration)) == ("+250 ms", "−2 s", "none")


def test_a_pair_says_how_its_answers_compare() -> None:
    pairs = compare(said("x", "x", None), said("y", "x", "x")).pairs
    assert pair_words(pairs[0]).startswith("the answer changed; ")
    assert pair_words(pairs[1]).startswith("both answers are the same; ")
    assert pair_words(pairs[2]) == "only B answered"


# --- settings -----------------------------------------------------------------------------------------------------


def told(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = compare(said("x", **one), said("x", **other))
    return [(each.name, each.a, each.b) for each in differing(found.settings, a=found.a.run, b=found.b.run)]


def test_settings_are_said_as_the_form_says_them() -> None:
    assert told({"temperature": 0.5, "timeout_s": 90.0, "cap_usd": 2.5}, {"stream": False, "auto_workers": True}) == [
        ("Temperature", "0.5", "the model's own"),
        ("Timeout", "1 min 30 s", "1 min"),
        ("Stream the answers", "yes", "no"),
        ("Auto max_workers", "no", "yes"),
        ("Cap in dollars", "$2.50", "no cap"),
    ]
    assert told({"sandbox": SandboxProfile(seed=12_345, error_rate=0.25)}, {"model": "openai:x"})[:2] == [
        ("Model", "sandbox", "openai:x"),
        ("Sandbox: seed", "12345", "no sandbox"),
    ]


def test_every_setting_has_a_name_of_its_own() -> None:
    names = [name for name in Batch.__dataclass_fields__ if name not in ("prompts", "sandbox")]
    names += [f"sandbox.{name}" for name in SandboxProfile.__dataclass_fields__]
    words = [setting_name(name) for name in names]
    assert len(set(words)) == len(words)
    assert {word for name, word in zip(names, words, strict=True) if word == name} == {"max_workers"}


def test_long_instructions_are_shown_from_where_they_part() -> None:
    alike = "Be kind. " * 200
    ((_, one, other),) = told({"instructions": alike + "Then stop."}, {"instructions": alike + "Then go on."})
    assert one != other
    assert max(len(one), len(other)) <= MOST_CHARACTERS + 2
    assert "stop." in one


def test_workers_that_moved_are_told_in_order() -> None:
    moved = compare(make_run(n=30), make_run(n=30, limits=[(0.5, 12), (1.0, 3)]))
    ((_, *values),) = [(each.name, each.a, each.b) for each in differing(moved.settings, a=moved.a.run, b=moved.b.run)]
    assert values == ["8", "8, then 12, then 3"]


def test_a_run_s_own_settings_leave_out_what_was_left_alone() -> None:
    run = said("x", retries=5, sandbox=SandboxProfile(token_ms=5.0))
    assert list(settings_of(run)) == [
        ("Model", "sandbox"),
        ("max_workers", "8"),
        ("Retries", "5"),
        ("Stream the answers", "yes"),
        ("Sandbox: median time of a further token", "5 ms"),
    ]


def test_a_run_that_went_on_under_other_settings_tells_them_in_order() -> None:
    on = went_on(said("x", None), {"timeout_s": 120.0, "cap_tokens": 500, "max_workers": 3})
    assert list(settings_of(on)) == [
        ("Model", "sandbox"),
        ("max_workers", "8, then 3"),
        ("Timeout", "1 min, then 2 min"),
        ("Stream the answers", "yes"),
        ("Cap in tokens", "no cap, then 500"),
    ]
    before, after = (stretch.batch for stretch in on.stretches)
    assert moved_on(before, after) == "Timeout 2 min instead of 1 min, Cap in tokens 500 instead of no cap"
    assert moved_on(before, before.changed({"max_workers": 5})) is None
    ((_, *values),) = [
        (each.name, each.a, each.b)
        for each in differing(compare(said("x", None), on).settings, a=on, b=on)
        if each.name == "Timeout"
    ]
    assert values == ["1 min", "1 min, then 2 min"]


# --- the table ----------------------------------------------------------------------------------------------------


def places(found: Comparison, show: Show = "all", text: str = "", order: Any = "given") -> tuple[int, ...]:
    return arrange(found, order=order, only=Filter(show=show, text=text))


def test_the_filter_shows_what_was_asked_for() -> None:
    found = compare(said("x", "x", "x", None, None), said("x", "Y", None, "x", None))
    assert places(found) == (0, 1, 2, 3, 4)
    assert places(found, "changed") == (1,)
    assert places(found, "same") == (0,)
    assert places(found, "one") == (2, 3, 4)
    assert places(found, text="y") == (1,)
    assert places(found, text="P3") == (3,)


def test_the_order_puts_the_greatest_difference_first_and_the_unknown_last() -> None:
    found = compare(make_run(n=9, seed=1, failing=[4]), make_run(n=9, seed=2))
    slower = [found.pairs[place].slower_ns for place in places(found, order="slower")]
    faster = [found.pairs[place].slower_ns for place in places(found, order="faster")]
    assert slower[-1] is None
    assert faster[-1] is None
    assert slower[:-1] == sorted((each for each in slower[:-1] if each is not None), reverse=True)
    assert faster[:-1] == slower[:-1][::-1]


def test_cells_are_plain_short_and_null_where_unknown() -> None:
    long = said("x" * 5_000, None)
    table = cells(compare(long, said("y", "z")).pairs).to_pydict()
    assert table["answers"] == ["≠ changed", "only B"]
    assert len(table["answer_a"][0]) == 200
    assert table["slower"][1] is None
    assert "cost_a" not in table
    assert table["number"] == [1, 2]
    assert left_over(long.calls).to_pydict()["status"] == ["answered", "failed"]


def test_what_is_no_hundredth_of_a_second_slower_has_no_sign() -> None:
    (call,) = make_run(n=1).calls
    (attempt,) = call.attempts
    assert attempt.received_ns is not None
    earlier = replace(call, attempts=(replace(attempt, received_ns=attempt.received_ns - 4_000_000),))
    (slower,) = cells([Pair(a=call, b=earlier, answers="same")]).to_pydict()["slower"]
    assert f"{slower:+.2f}" == "+0.00"


# --- the curves ---------------------------------------------------------------------------------------------------


def test_a_curve_goes_from_none_to_all_and_names_its_run() -> None:
    figure = latency_chart(compare(make_run(n=30), make_run(n=40, seed=4, failing=[1])))
    assert figure is not None
    assert [trace.name.split(",")[0] for trace in figure.data] == ["A: 30 answers", "B: 39 answers"]
    for trace in figure.data:
        assert (trace.y[0], trace.y[-1]) == (0.0, 100.0)
        assert list(trace.y) == sorted(trace.y)
        assert list(trace.x) == sorted(trace.x)


def test_ten_thousand_answers_are_a_few_hundred_points() -> None:
    run = make_run(n=10_000, max_workers=64)
    figure = latency_chart(compare(run, run))
    assert figure is not None
    assert all(len(trace.x) == MOST_POINTS + 2 for trace in figure.data)


def test_one_hung_call_does_not_squeeze_the_others() -> None:
    run = make_run(n=20)
    slow = run.calls[3].attempts[0]
    hung = replace(slow, received_ns=(slow.sent_ns or 0) + 90_000_000_000)
    other = replace(run, calls=(*run.calls[:3], replace(run.calls[3], attempts=(hung,)), *run.calls[4:]))
    for pair, kind in (((run, run), None), ((run, other), "log")):
        figure = latency_chart(compare(*pair))
        assert figure is not None
        assert figure.layout.xaxis.type == kind


def test_without_an_answer_there_is_no_curve() -> None:
    none = make_run(n=3, failing=1.0)
    assert latency_chart(compare(none, none)) is None
    half = latency_chart(compare(none, make_run(n=3)))
    assert half is not None
    assert len(half.data) == 1


def test_the_two_curves_are_told_apart_on_either_page_and_without_colour() -> None:
    for dark in (False, True):
        for colour in COLOURS.values():
            assert palette.contrast(colour, palette.theme(dark=dark).page) >= 3.0
    assert DASHES["A"] != DASHES["B"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("timeout_s must be a number above 0, got 0.0", "“Timeout” must be a number above 0, got 0.0"),
        ("retries must be from 0 to 20, got 99", "retries must be from 0 to 20, got 99"),
        ("max_workers must be from 1 to 64, got 65", "max_workers must be from 1 to 64, got 65"),
        ("sandbox seed must be a whole number, got None", "“Seed” must be a whole number, got None"),
        (
            "sandbox burst goes with requests_per_minute: set that as well, or leave burst out",
            "“Requests at once” goes with “Requests a minute”: set that as well, or leave burst out",
        ),
        ("error_rate and hang_rate: lower one", "“Answered with a server error” and “Never answered”: lower one"),
        ("the model 'sandbox' only", "the model 'sandbox' only"),
    ],
)
def test_a_refusal_calls_settings_as_the_form_does(said: str, words: str) -> None:
    assert refusal_words(said) == words
