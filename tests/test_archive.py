"""A run file: whatever happened to a run comes back, and nothing else comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout import Batch, Engine
from fanout import events as ev
from fanout.archive import RunFile, export_run, import_run, read_events, read_run, renamed, write_events
from fanout.errors import BadInput, KeyRefused, ServerFailed
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.metrics import measure
from fanout.sandbox.profile import SandboxProfile
from tests.hands import HandCaller, WatchedStore
from tests.runs import history

TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
ODD = "line\u2028break\u0085 \x00 \ud800 \u202e <b> \ufeff 你好"


@st.composite
def histories(draw: st.DrawFn) -> tuple[ev.Event, ...]:
    """Runs of every kind: retried, failed, stopped, paused, moved, over several stretches, cut off anywhere."""
    prompts = draw(st.lists(TEXTS, min_size=1, max_size=12))
    events = history(
        prompts=prompts,
        max_workers=draw(st.integers(1, 5)),
        seed=draw(st.integers(0, 10_000)),
        streamed=draw(st.booleans()),
        failing=draw(st.floats(0, 1)),
        retrying=draw(st.floats(0, 1)),
        limits=draw(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 8)), max_size=2)),
        pauses=draw(st.lists(st.floats(0, 2).map(lambda at_s: (at_s, at_s + 0.5)), max_size=1)),
        stop_at_s=draw(st.none() | st.floats(0, 5)),
        stretches=draw(st.integers(1, 3)),
    )
    return events[: draw(st.integers(1, len(events)))]


@settings(deadline=None)
@given(histories())
def test_what_is_written_is_read_back_equal(events: tuple[ev.Event, ...]) -> None:
    assert read_events(write_events(events)) == events
    assert import_run(export_run(events)) == events


@given(st.lists(st.text(), max_size=20))
def test_tags_come_back_and_a_program_that_knows_none_refuses_them(tags: list[str]) -> None:
    events = history(n=1)
    file = export_run(events, tags=tags)
    assert read_run(file) == RunFile(events=events, tags=tuple(tags))
    assert json.loads(file.split("\n")[0])["version"] == (2 if tags else 1), "without tags it is the file of before"
    assert import_run(file) == events


@settings(deadline=None, max_examples=40)
@given(st.text(), st.text(), st.floats(0, 1e6))
def test_any_answer_and_any_words_of_a_provider_come_back(output: str, words: str, cost_usd: float) -> None:
    error = ServerFailed(f"It failed: {words}", provider_words=words, status_code=500, retry_after_s=0.25)
    events = (
        ev.RunOpened(at_ns=0, run_id="r", batch=Batch(prompts=["a", "b"], max_workers=2), opened_at_s=1.5),
        ev.StretchBegan(at_ns=1, stretch=0, purpose="first", max_workers=2, calls=(0, 1)),
        ev.Started(at_ns=2, call=0, attempt=1, lane=0),
        ev.Started(at_ns=3, call=1, attempt=1, lane=1),
        ev.Succeeded(at_ns=4, call=0, attempt=1, output=output, cost_usd=cost_usd),
        ev.Failed(at_ns=5, call=1, attempt=1, error=error),
        ev.CapReached(at_ns=6, cap="usd", used=cost_usd, allowed=1.0),
        ev.CapRaised(at_ns=7, cap="usd", allowed=2.0),
        ev.LimitChanged(at_ns=8, limit="requests", old=None, new=60, reason="header", why=words),
        ev.ClientLagged(at_ns=9, lag_ns=30_000_000),
        ev.StretchEnded(at_ns=10, stretch=0, reason="finished"),
    )
    file = export_run(events).encode("utf-8")
    assert import_run(file) == events
    assert len(file.decode().splitlines()) == len(events) + 1


def test_every_setting_comes_back() -> None:
    batch = Batch(
        prompts=[ODD, "b"],
        max_workers=3,
        instructions=ODD,
        temperature=0.5,
        max_output_tokens=9,
        timeout_s=7.5,
        retries=0,
        stream=False,
        name=ODD,
        auto_workers=True,
        requests_per_minute=60,
        tokens_per_minute=1_000,
        burst=2,
        weight=3,
        cap_tokens=10,
        cap_usd=0.5,
        reuse_answers=True,
        identical_once=True,
        sandbox=SandboxProfile(seed=4, error_rate=0.25, burst=None),
    )
    events = (ev.RunOpened(at_ns=-5, run_id="r", batch=batch, opened_at_s=1.5, baseline_of="other"),)
    assert import_run(export_run(events).encode()) == events


def gone_on(**changed: Any) -> list[dict[str, Any]]:
    """A run that took one answer from another, moved its weight, and went on with other settings."""
    events = (
        ev.RunOpened(at_ns=0, run_id="r", batch=Batch(prompts=["a", "b"], max_workers=2), opened_at_s=1.5),
        ev.StretchBegan(at_ns=1, stretch=0, purpose="first", max_workers=2, calls=(0, 1)),
        ev.Reused(at_ns=2, call=0, output="x", of_run="other", of_call=3, answered_at_s=1.0, model="m"),
        ev.WeightChanged(at_ns=3, old=1, new=5, reason="user"),
        ev.StretchEnded(at_ns=4, stretch=0, reason="interrupted"),
        ev.StretchOpened(at_ns=5, stretch=1, changes={"temperature": 0.5}),
        ev.StretchBegan(at_ns=6, stretch=1, purpose="resume", max_workers=2, calls=(1,)),
    )
    assert import_run(export_run(events)) == events
    objects = lines(events)
    for kind, values in changed.items():
        objects[place(objects, kind)].update(values)
    return objects


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("reused", {"of_run": "<script>"}, "line 4: reused cannot be: it names no answer that was there"),
        ("reused", {"of_call": -1}, "it names no answer that was there"),
        ("reused", {"answered_at_s": 1e15}, "it names no answer that was there"),
        ("reused", {"model": 5}, "line 4: model of reused must be text or null, got 5"),
        ("reused", {"call": 9}, "there is no call 9"),
        ("weight_changed", {"new": 10**9}, "line 5: weight_changed cannot be: a weight is from 1 to 100"),
        ("stretch_opened", {"changes": {"temperature": 99}}, "line 7: stretch_opened cannot be: temperature must be"),
        ("stretch_opened", {"changes": {"prompts": ["evil"]}}, "line 7: stretch_opened cannot be: "),
        ("stretch_opened", {"changes": {"sandbox": 5}}, "line 7: stretch_opened cannot be: "),
        ("stretch_opened", {"changes": [1]}, "line 7: changes of stretch_opened must be"),
    ],
)
def test_a_run_that_went_on_comes_back_and_only_what_can_be(kind: str, values: dict[str, Any], words: str) -> None:
    assert words in said(text(gone_on(**{kind: values})))


def _answered(live: LiveRun, caller: HandCaller, store: WatchedStore) -> None:
    for sending in caller.taken(3):
        sending.first_token()
        sending.answer()


def _stopped(live: LiveRun, caller: HandCaller, store: WatchedStore) -> None:
    caller.taken(3)[0].answer()
    store.await_run(live, lambda run: run.calls[0].status != "running" or run.calls[1].status != "running")
    live.cancel()


def _sent_again(live: LiveRun, caller: HandCaller, store: WatchedStore) -> None:
    for sending in caller.taken(3):
        sending.fail(ServerFailed("It failed."))
    store.await_run(live, lambda run: run.ended)
    live.max_workers = 7
    live.retry_failed()
    for sending in caller.taken(6)[3:]:
        sending.answer()


def _refused(live: LiveRun, caller: HandCaller, store: WatchedStore) -> None:
    first, second, third = caller.taken(3)
    second.fail(KeyRefused("The key is refused."))
    first.answer()
    third.answer()


@pytest.mark.parametrize("happens", [_answered, _stopped, _sent_again, _refused])
def test_what_the_engine_records_is_a_run_file(
    happens: Callable[[LiveRun, HandCaller, WatchedStore], None],
) -> None:
    caller, store = HandCaller(), WatchedStore()
    with Engine(caller_for=lambda *_: caller, store=store) as engine:
        live = engine.start(Batch(prompts=["a", "b", "c"], max_workers=3, retries=0))
        happens(live, caller, store)
        store.await_run(live, lambda run: run.ended)
        events = live.events()
    assert import_run(export_run(events)) == events
    assert fold(events) == live.snapshot()


def test_a_run_that_could_not_be_made_ready_is_a_run_file() -> None:
    caller = HandCaller(warm_up_error=BadInput("no such model"))
    with Engine(caller_for=lambda *_: caller) as engine:
        live = engine.start(Batch(prompts=["a", "b"]))
        live.wait()
        assert import_run(export_run(live.events())) == live.events()


def test_a_run_gets_another_id_and_stays_the_same_run() -> None:
    events = history(n=5, failing=[2])
    other = renamed(events, "another-1")
    assert import_run(export_run(other)) == other
    assert fold(other) == replace(fold(events), run_id="another-1")
    assert measure(fold(other)) == measure(fold(events))


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "<b>", "x" * 65, "a\n"])
def test_an_id_that_an_address_cannot_hold_is_refused(run_id: str) -> None:
    with pytest.raises(BadInput, match="a run's id is"):
        renamed(history(n=1), run_id)


# --- what is no run file ------------------------------------------------------------------------------------------


def lines(events: Sequence[ev.Event] | None = None) -> list[dict[str, Any]]:
    told = history(n=3, failing=[1], retrying=[2]) if events is None else events
    return [json.loads(line) for line in write_events(told)]


def text(objects: Sequence[object]) -> str:
    return "\n".join(map(json.dumps, objects))


def place(objects: list[dict[str, Any]], kind: str) -> int:
    return next(at for at, each in enumerate(objects) if each["kind"] == kind)


def changed(kind: str, /, **values: Any) -> str:
    """A run file with one event changed."""
    objects = lines()
    objects[place(objects, kind)].update(values)
    return text(objects)


def said(file: str | bytes) -> str:
    with pytest.raises(BadInput) as found:
        import_run(file)
    return str(found.value)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("not json", "line 1: expected a JSON object, got 'not json'"),
        ("[1, 2]", "line 1: expected a JSON object, got [1, 2]"),
        ('{"index": 0, "prompt": "a"}', "line 1: expected the header of a run file"),
        ('{"kind": "fanout_run"}', "line 1: version must be a whole number from 1, got None"),
        ('{"kind": "fanout_run", "version": true}', "got True"),
        ('{"kind": "fanout_run", "version": 99}', "newer Fanout (schema 99"),
        ('{"kind": "fanout_run", "version": 1, "run_id": "../x", "events": 1}', "run_id must be"),
        ('{"kind": "fanout_run", "version": 1, "run_id": "x", "events": -1}', "events must be"),
        ('{"kind": "fanout_run", "version": 1, "run_id": "x", "events": 1}', "ends after 0 of 1 events"),
        ("[" * 100_000, "line 1: expected a JSON object"),
        ('{"kind":' * 50_000, "line 1: expected a JSON object"),
        ("9" * 10_000, "line 1: expected a JSON object"),
        (b"\xff\xfe\x00", "expected UTF-8 text"),
        (b"PK\x03\x04zip", "line 1: expected a JSON object"),
    ],
)
def test_what_is_no_run_file_is_told_so(file: str | bytes, words: str) -> None:
    assert words in said(file)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut(data: st.DataObject) -> None:
    whole = export_run(history(n=3, failing=[1]))
    cut = data.draw(st.integers(0, len(whole.rstrip("\n")) - 1))
    said(whole[:cut])


def test_a_line_too_many_is_refused() -> None:
    objects = lines()
    assert "expected the end of the file" in said(text([*objects, objects[-1]]))


def test_an_event_of_a_newer_version_and_an_unknown_kind_are_refused() -> None:
    assert "line 3: this run was saved by a newer Fanout (schema 2" in said(changed("stretch_began", version=2))
    assert "line 3: unknown kind of event: 'exploded'" in said(changed("stretch_began", kind="exploded"))
    assert "line 3: unknown kind of event: ['x']" in said(changed("stretch_began", kind=["x"]))


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("run_opened", {"run_id": "other"}, "line 2: run_opened is of 'other'"),
        ("run_opened", {"baseline_of": "<script>"}, "baseline_of is no run's id"),
        ("run_opened", {"opened_at_s": 1e18}, "opened_at_s must be seconds since 1970"),
        ("run_opened", {"opened_at_s": "now"}, "opened_at_s of run_opened must be a number, got 'now'"),
        ("run_opened", {"batch": {"prompts": "abc"}}, "batch of run_opened must be a batch"),
        ("run_opened", {"batch": {"prompts": []}}, "line 2: there are no prompts"),
        ("run_opened", {"batch": {"prompts": ["a"], "max_workers": 10**9}}, "line 2: max_workers must be from 1"),
        ("run_opened", {"batch": {"prompts": ["a"], "sandbox": 5}}, "line 2: run_opened cannot be read"),
        ("run_opened", {"batch": {"prompts": ["a"], "sandbox": {"no": 1}}}, "line 2: the sandbox profile has no 'no'"),
        ("stretch_began", {"calls": [0, 0, 1]}, "its calls must be different prompts from 0 to 2"),
        ("stretch_began", {"calls": [0, 1, 3]}, "its calls must be different prompts from 0 to 2"),
        ("stretch_began", {"calls": "012"}, "must be a list of whole numbers, got '012'"),
        ("stretch_began", {"max_workers": 0}, "max_workers is from 1"),
        ("stretch_began", {"stretch": 1}, "expected stretch 0"),
        ("stretch_began", {"purpose": "fun"}, "must be one of first, retry, resume, got 'fun'"),
        ("started", {"call": 99}, "started cannot be: there is no call 99"),
        ("started", {"call": -1}, "there is no call -1"),
        ("started", {"attempt": 2}, "expected attempt 1"),
        ("started", {"lane": 10**12}, "a lane is from 0"),
        ("started", {"lane": True}, "lane of started must be a whole number, got True"),
        ("started", {"at_ns": 10**30}, "at_ns of started must be a whole number"),
        ("stretch_began", {"at_ns": 2**61}, "its at_ns is long before the event before it, or years after the first"),
        ("sent", {"at_ns": 2**60}, "its at_ns is long before the event before it, or years after the first"),
        ("started", {"at_ns": 1.5}, "at_ns of started must be a whole number, got 1.5"),
        ("sent", {"attempt": 7}, "attempt 7 of call"),
        ("succeeded", {"output": None}, "output of succeeded must be text, got None"),
        ("succeeded", {"output": {"a": 1}}, "output of succeeded must be text"),
        ("succeeded", {"usage": {"input_tokens": -1}}, "must be counts of tokens"),
        ("succeeded", {"usage": {"input_tokens": 2**40}}, "must be counts of tokens"),
        ("succeeded", {"usage": {"evil": 1}}, "must be counts of tokens"),
        ("succeeded", {"received_ns": 0}, "it was received before it was sent"),
        ("retrying", {"error": None}, "must be a failure with its class and sentence"),
        ("retrying", {"error": {"class": [], "sentence": "x"}}, "must be a failure with its class and sentence"),
        ("failed", {"error": {"class": "X", "sentence": "x", "retry_after_s": "1"}}, "must be a failure"),
        ("stretch_ended", {"reason": "bored"}, "reason of stretch_ended must be one of"),
        ("stretch_ended", {"stretch": 4}, "this stretch does not go on"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_line(kind: str, values: dict[str, Any], words: str) -> None:
    found = said(changed(kind, **values))
    assert words in found
    assert found.startswith("line ")


@pytest.mark.parametrize("tags", [None, "weekly", [1], ["a", None], ["a"] * 1001])
def test_tags_are_a_list_of_texts(tags: object) -> None:
    header, *rest = lines()
    assert said(text([{**header, "tags": tags}, *rest])).startswith("line 1: tags must be a list of up to 1,000 texts")


def test_only_the_header_has_the_version_of_tags() -> None:
    assert "newer Fanout (schema 2, this one reads 1)" in said(changed("run_opened", version=2))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    assert "line 2: " in said(changed("run_opened", opened_at_s=123.5).replace("123.5", number))


@pytest.mark.parametrize("kind", ["stretch_began", "started", "sent", "succeeded", "stretch_ended"])
def test_a_field_that_is_missing_is_named(kind: str) -> None:
    objects = lines()
    del objects[place(objects, kind)]["at_ns"]
    assert f"{kind} lacks at_ns, which must be a whole number" in said(text(objects))


@pytest.mark.parametrize("kind", ["run_opened", "stretch_began", "started", "succeeded", "failed"])
def test_what_happens_twice_or_never_cannot_be(kind: str) -> None:
    objects = lines()
    at = place(objects, kind)
    twice = [*objects[: at + 1], *objects[at:]]
    said(text([{**twice[0], "events": len(twice) - 1}, *twice[1:]]))
    never = [*objects[:at], *objects[at + 1 :]]
    if kind not in ("succeeded", "failed"):
        said(text([{**never[0], "events": len(never) - 1}, *never[1:]]))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_events_in_a_wrong_order_are_refused_or_make_a_run_that_answers(data: st.DataObject) -> None:
    objects = lines()
    order = data.draw(st.permutations(range(2, len(objects))))
    try:
        events = import_run(text([*objects[:2], *(objects[at] for at in order)]))
    except BadInput:
        return
    run = fold(events)
    measure(run)
    for call in run.calls:
        run.phases(call)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_stands_in_a_field_is_refused_in_a_sentence_or_can_be_shown(data: st.DataObject) -> None:
    objects = lines()
    at = data.draw(st.integers(0, len(objects) - 1))
    name = data.draw(st.sampled_from(sorted(objects[at])))
    objects[at][name] = data.draw(JSON)
    try:
        events = import_run(text(objects))
    except BadInput:
        return
    measure(fold(events))
