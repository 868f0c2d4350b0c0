from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import CallFailed, RateLimited, ServerFailed
from fanout.export import COLUMNS, _csv_cell, chrome_trace, result_json, results_csv, results_jsonl
from fanout.fold import fold
from fanout.prompts import read_file
from fanout.run import Result, Run
from tests.runs import make_run, now_ns
from tests.trace_rules import check_trace

FAULT = ServerFailed("The provider answered 500.", status_code=500, provider_words="oops")
BUSY = RateLimited("The provider answered 429.", status_code=429, retry_after_s=1.5)


class Told:
    """A run told event by event; times are microseconds after the run was opened."""

    def __init__(self, *prompts: str, max_workers: int = 2, model: str = "sandbox") -> None:
        batch = Batch(prompts=prompts, max_workers=max_workers, model=model)
        self.events: list[ev.Event] = [ev.RunOpened(at_ns=7_000, run_id="7f3a", batch=batch, opened_at_s=1.5e9)]

    def began(self, at_us: int, *calls: int, stretch: int = 0, max_workers: int = 2) -> Told:
        purpose: ev.Purpose = "retry" if stretch else "first"
        self.events.append(
            ev.StretchBegan(at_ns=ns(at_us), stretch=stretch, purpose=purpose, max_workers=max_workers, calls=calls)
        )
        return self

    def ended(self, at_us: int, *, stretch: int = 0) -> Told:
        self.events.append(ev.StretchEnded(at_ns=ns(at_us), stretch=stretch, reason="finished"))
        return self

    def started(self, at_us: int, call: int, *, lane: int = 0, attempt: int = 1) -> Told:
        self.events.append(ev.Started(at_ns=ns(at_us), call=call, attempt=attempt, lane=lane))
        self.events.append(ev.Sent(at_ns=ns(at_us) + 1, call=call, attempt=attempt))
        return self

    def answered(self, at_us: int, call: int, output: str = "yes", *, attempt: int = 1, **more: Any) -> Told:
        at_ns = ns(at_us)
        self.events.append(
            ev.Succeeded(at_ns=at_ns, call=call, attempt=attempt, output=output, received_ns=at_ns, **more)
        )
        return self

    def failed(self, at_us: int, call: int, error: CallFailed = FAULT, *, attempt: int = 1) -> Told:
        at_ns = ns(at_us)
        self.events.append(ev.Failed(at_ns=at_ns, call=call, attempt=attempt, error=error, received_ns=at_ns))
        return self

    def retrying(self, at_us: int, call: int, ready_us: int, *, attempt: int = 1) -> Told:
        at_ns = ns(at_us)
        self.events.append(
            ev.Retrying(
                at_ns=at_ns, call=call, attempt=attempt, error=BUSY, received_ns=at_ns, ready_ns=ns(ready_us),
                reason="retry_after",
            )
        )  # fmt: skip
        return self

    def cancelled(self, at_us: int, call: int) -> Told:
        self.events.append(ev.Cancelled(at_ns=ns(at_us), call=call))
        return self

    def run(self) -> Run:
        return fold(self.events)


def ns(at_us: int) -> int:
    return 7_000 + at_us * 1_000


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def trace(run: Run, **options: Any) -> list[dict[str, Any]]:
    text = chrome_trace(run, **options)
    assert check_trace(text) == []
    events: list[dict[str, Any]] = json.loads(text)["traceEvents"]
    return events


def of(events: Sequence[dict[str, Any]], kind: str, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(event[key] for key in keys) for event in events if event["ph"] == kind]


def three() -> Run:
    """Answered second, failed first, cancelled last without an attempt."""
    told = Told("one", "two", "three").began(10, 0, 1, 2).started(10, 0, lane=0).started(20, 1, lane=1)
    told.failed(1_000_020, 1)
    told.answered(2_000_010, 0, "=1+1", usage=ev.Usage(input_tokens=3, output_tokens=0), cost_usd=0.25)
    return told.cancelled(2_000_020, 2).ended(2_000_030).run()


# --- CSV ----------------------------------------------------------------------------------------------------------


def test_csv_has_a_row_a_prompt_in_the_columns_promised() -> None:
    told = rows(results_csv(three()))
    assert tuple(told[0]) == COLUMNS
    assert [row["prompt"] for row in told] == ["one", "two", "three"]
    assert told[0] | {"latency_s": "", "experienced_s": ""} == {
        "index": "0", "prompt": "one", "status": "answered", "output": "'=1+1", "error_class": "", "error": "",
        "attempts": "1", "latency_s": "", "experienced_s": "", "first_token_s": "", "input_tokens": "3",
        "output_tokens": "0", "cost_usd": "0.25", "reused_from": "", "model": "sandbox",
    }  # fmt: skip
    assert float(told[0]["experienced_s"]) == pytest.approx(2.0)
    assert (told[1]["error_class"], told[1]["error"]) == ("ServerFailed", "The provider answered 500.")


def test_what_is_unknown_is_an_empty_cell_and_never_nought() -> None:
    cancelled = rows(results_csv(three()))[2]
    unknown = ("output", "latency_s", "first_token_s", "input_tokens", "output_tokens", "cost_usd")
    assert [cancelled[name] for name in unknown] == [""] * 6
    assert cancelled["attempts"] == "0"


@pytest.mark.parametrize("write", [results_csv, results_jsonl])
def test_results_come_in_input_order_or_in_completion_order(write: Callable[..., str]) -> None:
    by_input, by_completion = write(three()), write(three(), order="completion")
    places = [text.index(word) for text in (by_input, by_completion) for word in ("one", "two", "three")]
    assert places[0] < places[1] < places[2]
    assert places[4] < places[3] < places[5]


def test_a_run_that_goes_on_gives_the_prompts_that_have_ended() -> None:
    run = Told("one", "two").began(0, 0, 1).started(0, 0).started(0, 1, lane=1).answered(5, 1).run()
    assert [row["index"] for row in rows(results_csv(run))] == ["1"]
    assert len(results_jsonl(run).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", "\t=1", "\u00a0=1", "\u200b=1",
     "\ufeff@x", "＝1", "＋1", "－1", "＠x", " \x00=1"],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert _csv_cell(text) == f"'{text}".replace("\x00", "\ufffd")


def test_a_nul_is_no_letter_of_a_table() -> None:
    run = Told("one\x00two").began(0, 0).started(0, 0).answered(9, 0, "\x00").run()
    written = results_csv(run)
    assert (rows(written)[0]["prompt"], rows(written)[0]["output"]) == ("one\ufffdtwo", "\ufffd")
    assert read_file("results.csv", written.encode(), column="output").prompts == ("\ufffd",)


@pytest.mark.parametrize("value", ["", "a=1", "plain", "'=1", "5 - 3", " spaced", -2, -0.5, 0, None])
def test_other_cells_and_numbers_stay_as_they_are(value: str | float | None) -> None:
    assert _csv_cell(value) == value
    assert type(_csv_cell(value)) is type(value)


def test_harmful_prompts_outputs_and_errors_are_all_made_harmless() -> None:
    told = Told("@one", "-two").began(0, 0, 1).started(0, 0).started(0, 1, lane=1)
    run = told.answered(9, 0, "+out").failed(9, 1, ServerFailed("=error")).run()
    first, second = rows(results_csv(run))
    assert (first["prompt"], first["output"]) == ("'@one", "'+out")
    assert (second["prompt"], second["error"]) == ("'-two", "'=error")


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=()), min_size=1), min_size=1, max_size=3))
def test_csv_gives_any_output_back_behind_its_apostrophe(outputs: list[str]) -> None:
    told = Told(*(f"p{i}" for i in range(len(outputs)))).began(0, *range(len(outputs)))
    for index, output in enumerate(outputs):
        told.started(index * 10, index).answered(index * 10 + 5, index, output)
    text = results_csv(told.run())
    for row, output in zip(rows(text.encode().decode()), outputs, strict=True):
        shown = output.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
        assert row["output"].removeprefix("'") == shown.removeprefix("'")


# --- JSON lines ---------------------------------------------------------------------------------------------------


def read_back(line: str) -> Result:
    values = json.loads(line)
    error = None if values["error"] is None else CallFailed.from_json(values["error"])
    return Result(**values | {"error": error, "usage": ev.Usage(**values["usage"])})


@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1))
def test_json_lines_lose_nothing(output: str) -> None:
    run = (
        Told("one", "two").began(0, 0, 1).started(0, 0).started(0, 1, lane=1).answered(9, 0, output).failed(9, 1).run()
    )
    text = results_jsonl(run)
    assert tuple(read_back(line) for line in text.encode().decode().splitlines()) == run.results()


def test_json_lines_keep_other_scripts_readable() -> None:
    run = Told("日本 שלום").began(0, 0).started(0, 0).answered(9, 0, "олá").run()
    assert "日本 שלום" in results_jsonl(run)


def test_a_result_as_json_has_the_fields_of_a_result_and_null_for_unknown() -> None:
    answered, failed, cancelled = three().results()
    assert [*result_json(answered), "reused_from"] == list(Result.__slots__)
    assert result_json(failed)["error"] == FAULT.as_json()
    unknown = {name for name, value in result_json(cancelled).items() if value is None}
    assert unknown == {"output", "error", "latency_s", "first_token_s", "cost_usd", "model"}
    assert result_json(cancelled)["usage"] == {"input_tokens": None, "output_tokens": None}


# --- whose answer it is -------------------------------------------------------------------------------------------


def two_models() -> Run:
    """Answered by the sandbox; failed there and answered by another; its twin; taken from a third's run; not sent."""
    told = Told("one", "two", "two", "three", "four").began(0, 0, 1, 3).started(0, 0).answered(5, 0)
    told.events.append(
        ev.Reused(
            at_ns=ns(5), call=3, output="=taken", of_run="older", of_call=9, answered_at_s=1.0, model="openai:third"
        )
    )
    told.started(10, 1).failed(15, 1).ended(20)
    told.events.append(ev.StretchOpened(at_ns=ns(30), stretch=1, changes={"model": "=openai-chat:other"}))
    told.began(31, 1, 2, 4, stretch=1).started(32, 1, attempt=2).answered(40, 1, attempt=2)
    told.events.append(
        ev.Reused(
            at_ns=ns(40), call=2, output="yes", of_run="7f3a", of_call=1, answered_at_s=1.0, model="=openai-chat:other"
        )
    )
    return told.cancelled(50, 4).ended(51, stretch=1).run()


def test_each_answer_names_its_model_where_a_run_went_on_under_another() -> None:
    run = two_models()
    models = ["sandbox", "=openai-chat:other", "=openai-chat:other", "openai:third", None]
    assert [result.model for result in run.results()] == models
    assert [json.loads(line)["model"] for line in results_jsonl(run).splitlines()] == models
    cells = [row["model"] for row in rows(results_csv(run))]
    assert cells == ["sandbox", "'=openai-chat:other", "'=openai-chat:other", "openai:third", ""]


def test_a_failure_is_the_model_s_that_was_asked_last() -> None:
    run = Told("one", model="openai:x").began(0, 0).started(0, 0).failed(9, 0).ended(10).run()
    assert json.loads(results_jsonl(run))["model"] == "openai:x"


def test_the_timeline_names_every_model_and_that_of_each_attempt() -> None:
    events = trace(two_models())
    assert [event["args"]["model"] for event in events if event.get("cat") == "attempt"] == [
        "sandbox",
        "sandbox",
        "=openai-chat:other",
    ]
    about = json.loads(chrome_trace(two_models()))["otherData"]
    assert about["model"] == "sandbox (simulated), then =openai-chat:other"


# --- the timeline -------------------------------------------------------------------------------------------------


def test_an_attempt_is_a_slice_on_its_lane_with_its_phases_inside() -> None:
    told = Told("Reply: alpha").began(100, 0).started(150, 0, lane=3)
    told.events.append(ev.FirstToken(at_ns=ns(200), call=0, attempt=1))
    events = trace(told.answered(300, 0).ended(301).run())
    assert of(events, "X", "name", "tid", "ts", "dur") == [
        ("#0 Reply: alpha", 4, 50, 150),
        ("waiting for the first token", 4, 50, 50),
        ("generating", 4, 100, 100),
    ]
    assert of(events, "b", "name", "ts") == [("waiting for a worker", 0)]
    assert of(events, "e", "name", "ts") == [("waiting for a worker", 50)]
    lane = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    assert lane == ["run", "lane 4"]


def test_a_retry_is_an_instant_and_its_backoff_holds_no_lane() -> None:
    told = Told("a").began(0, 0).started(0, 0).retrying(10, 0, ready_us=30)
    events = trace(told.started(40, 0, attempt=2).answered(50, 0, attempt=2).run())
    assert of(events, "i", "name", "ts", "tid") == [("retried after RateLimited", 10, 1)]
    assert of(events, "b", "name", "ts") == [("backing off", 10), ("waiting for a worker", 30)]
    attempts = [event["args"]["status"] for event in events if event.get("cat") == "attempt"]
    assert attempts == ["retried", "answered"]


def test_counters_show_calls_in_flight_against_max_workers() -> None:
    told = Told("a", "b").began(0, 0, 1).started(0, 0).started(0, 1, lane=1).answered(10, 0)
    told.events.append(ev.LimitChanged(at_ns=ns(12), limit="max_workers", old=2, new=5, reason="user"))
    events = trace(told.answered(20, 1).run())
    counted = [(event["name"], event["ts"], event["args"]["calls"]) for event in events if event["ph"] == "C"]
    assert [entry for entry in counted if entry[0] == "in flight"] == [
        ("in flight", 0, 2), ("in flight", 10, 1), ("in flight", 20, 0)
    ]  # fmt: skip
    assert [entry for entry in counted if entry[0] == "max_workers"] == [("max_workers", 0, 2), ("max_workers", 12, 5)]


def test_what_goes_on_is_cut_at_now_or_left_out() -> None:
    run = Told("a", "b").began(0, 0, 1).started(0, 0, lane=0).run()
    left_out, cut = trace(run), trace(run, now_ns=ns(80))
    assert of(left_out, "X", "name") == []
    assert of(cut, "X", "name", "dur") == [("#0 a", 80), ("in flight", 80)]
    assert of(cut, "e", "id", "ts") == [("0x1", 80)]
    for events in (left_out, cut):
        assert [event["args"] for event in events if event["name"] == "in flight" and event["ph"] == "C"] == [
            {"calls": 1}
        ]


def test_unknown_numbers_are_left_out_of_a_slice() -> None:
    told = Told("a", "b").began(0, 0, 1).started(0, 0).started(0, 1, lane=1)
    events = trace(told.answered(10, 0, usage=ev.Usage(input_tokens=0)).failed(10, 1).run())
    answered, failed = (event["args"] for event in events if event.get("cat") == "attempt")
    assert answered["input_tokens"] == 0
    assert not {"output_tokens", "cost_usd", "error"} & set(answered)
    assert failed["error"] == "ServerFailed: The provider answered 500."
    assert "input_tokens" not in failed


def test_a_lane_that_is_used_again_in_a_later_stretch_does_not_overlap() -> None:
    told = Told("a").began(0, 0).started(0, 0).failed(10, 0).ended(11)
    told.began(500, 0, stretch=1).started(500, 0, attempt=2).answered(600, 0, attempt=2).ended(601, stretch=1)
    assert of(trace(told.run()), "X", "tid", "ts", "dur") == [(1, 0, 10), (1, 0, 10), (1, 500, 100), (1, 500, 100)]


def test_an_attempt_that_died_with_its_process_ends_where_the_next_stretch_begins() -> None:
    told = Told("a", "b").began(0, 0, 1).started(0, 0, lane=0).started(0, 1, lane=1)
    told.began(500, 0, 1, stretch=1).started(510, 0, lane=0, attempt=2).answered(600, 0, attempt=2)
    events = trace(told.run(), now_ns=ns(700))
    spans = [(e["tid"], e["ts"], e["dur"]) for e in events if e.get("cat") == "attempt"]
    assert spans == [(1, 0, 500), (2, 0, 500), (1, 510, 90)]
    assert of(events, "C", "name", "args")[-1] == ("in flight", {"calls": 0})


def test_attempts_whose_stamps_overlap_on_a_lane_are_drawn_one_after_the_other() -> None:
    told = Told("a", "b").began(0, 0, 1).started(0, 1).started(8, 0).answered(10, 1).answered(20, 0)
    spans = [(e["args"]["call"], e["ts"], e["dur"]) for e in trace(told.run()) if e.get("cat") == "attempt"]
    assert spans == [(1, 0, 8), (0, 8, 12)]


def test_a_wait_of_less_than_a_microsecond_is_left_out() -> None:
    told = Told("a").began(0, 0)
    told.events.append(ev.Started(at_ns=ns(0) + 900, call=0, attempt=1, lane=0))
    assert of(trace(told.answered(5, 0).run()), "b", "name") == []


def test_a_run_that_was_only_opened_has_a_timeline_too() -> None:
    assert of(trace(Told("a").run()), "X", "name") == []


def test_the_sandbox_is_named_as_simulated_and_another_model_is_not() -> None:
    for model, said in (("sandbox", "sandbox (simulated)"), ("openai:gpt-5-mini", "openai:gpt-5-mini")):
        assert json.loads(chrome_trace(Told("a", model=model).run()))["otherData"]["model"] == said


@pytest.mark.parametrize("at_s", [0.0, 0.7, 1.9, 3.3, None])
def test_a_busy_run_keeps_the_rules_of_nesting_at_every_moment(at_s: float | None) -> None:
    run = make_run(
        at_s=at_s, n=120, max_workers=7, failing=0.1, retrying=0.2, limits=[(1.0, 3), (2.0, 16)], pauses=[(1.5, 1.8)]
    )
    trace(run)
    trace(run, now_ns=now_ns(60.0 if at_s is None else at_s))


@st.composite
def histories(draw: st.DrawFn) -> Run:
    """Calls on lanes at any nanosecond, attempts of any length, some retried, the last ones still going on."""
    lanes = draw(st.integers(1, 3))
    count = draw(st.integers(1, 8))
    told = Told(*(f"p{i}" for i in range(count)), max_workers=lanes).began(0, *range(count), max_workers=lanes)
    free = [ns(0)] * lanes
    moments: list[tuple[int, int, ev.Event]] = []
    for call in range(count):
        lane = draw(st.integers(0, lanes - 1))
        at = free[lane] + draw(st.integers(0, 2_500))
        sent, first, received, end = at, *sorted(at + draw(st.integers(0, 5_000)) for _ in range(3))
        free[lane] = end
        each: list[ev.Event] = [
            ev.Started(at_ns=at, call=call, attempt=1, lane=lane),
            ev.Sent(at_ns=sent, call=call, attempt=1),
            ev.FirstToken(at_ns=first, call=call, attempt=1),
        ]
        if draw(st.booleans()):
            each.append(ev.Succeeded(at_ns=end, call=call, attempt=1, output="x", received_ns=received))
        else:
            ready = end + draw(st.integers(0, 3_000))
            each.append(ev.Retrying(at_ns=end, call=call, attempt=1, error=BUSY, ready_ns=ready, reason="backoff"))
        moments += [(event.at_ns, len(moments), event) for event in each]
    upto = draw(st.integers(0, len(moments)))
    told.events += [event for _, _, event in sorted(moments, key=lambda moment: moment[:2])][:upto]
    return told.run()


@given(histories(), st.integers(0, 60_000))
def test_any_history_keeps_the_rules_of_nesting(run: Run, after_ns: int) -> None:
    trace(run)
    trace(run, now_ns=ns(0) + after_ns)


# --- the checker itself -------------------------------------------------------------------------------------------


def good() -> dict[str, Any]:
    told = Told("a", "b").began(0, 0, 1).started(10, 0).started(10, 1, lane=1).retrying(30, 1, ready_us=40)
    loaded: dict[str, Any] = json.loads(chrome_trace(told.answered(50, 0).run(), now_ns=ns(60)))
    return loaded


def one(events: list[dict[str, Any]], kind: str, place: int = 0) -> dict[str, Any]:
    return [event for event in events if event["ph"] == kind][place]


BREAKS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "no dur": lambda events: one(events, "X").pop("dur"),
    "not a whole number": lambda events: one(events, "X").update(dur=1.5),
    "ts is not a whole number": lambda events: one(events, "X").update(ts=-1),
    "name is not text": lambda events: one(events, "X").update(name=None),
    "unknown form": lambda events: events.append({"ph": "Q"}),
    "scope": lambda events: one(events, "i").update(s="x"),
    "reaches over": lambda events: one(events, "X", 1).update(dur=1_000),
    "never end": lambda events: events.remove(one(events, "e")),
    "was not begun": lambda events: events.remove(one(events, "b")),
    "has no name": lambda events: events.remove(
        next(e for e in events if e["name"] == "thread_name" and e["tid"] == 1)
    ),
    "has two names": lambda events: events.append(next(e for e in events if e["name"] == "thread_name")),
    "processes": lambda events: events.remove(next(e for e in events if e["name"] == "process_name")),
    "order of time": lambda events: events.insert(len(events), events.pop(events.index(one(events, "C")))),
    "series": lambda events: one(events, "C", 1).update(args={"other": 1}),
    "not a number": lambda events: one(events, "C").update(args={"calls": True}),
    "two values": lambda events: events.insert(events.index(one(events, "C")), dict(one(events, "C"))),
}


@pytest.mark.parametrize("said", BREAKS)
def test_the_checker_finds_a_broken_rule(said: str) -> None:
    loaded = good()
    assert check_trace(json.dumps(loaded)) == []
    BREAKS[said](loaded["traceEvents"])
    assert any(said in fault for fault in check_trace(json.dumps(loaded)))


@pytest.mark.parametrize("text", ["", "[1", "[]", '{"traceEvents": {}}', '{"traceEvents": [], "x": NaN}'])
def test_the_checker_finds_what_is_no_trace(text: str) -> None:
    assert check_trace(text)
