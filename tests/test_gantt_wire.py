from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dashboard.gantt import wire
from dashboard.gantt.marks import MOST_ORIGINS
from dashboard.rows import origin
from fanout.run import Call, Origin, Run
from tests.runs import history, make_run, now_ns, prompts_for, snapshots


def unpacked(run: Run, **view: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return wire.unpack(wire.payload(run, **view))


def test_one_version_is_encoded_once_for_all_viewers() -> None:
    run = make_run(n=40, at_s=2.0, run_id="once")
    first = wire.payload(run, rows=True, now_ns=now_ns(2.0))
    assert wire.payload(run, rows=True, now_ns=now_ns(2.0) + 1000) is first
    assert wire.payload(run, rows=False, now_ns=now_ns(2.0)) is not first


def test_many_sessions_at_once_get_the_identical_bytes() -> None:
    run = make_run(n=400, run_id="crowd")
    got: list[bytes] = []
    gate = threading.Barrier(8)

    def draw() -> None:
        gate.wait()
        got.append(wire.payload(run, rows=False))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len({id(each) for each in got}) == 1


def test_a_run_read_back_under_the_same_id_is_not_mistaken_for_the_old_one() -> None:
    old, new = make_run(n=5, run_id="again"), make_run(n=9, run_id="again")
    assert unpacked(old, rows=True)[0]["prompts"] == 5
    assert unpacked(new, rows=True)[0]["prompts"] == 9


def test_columns_lie_at_multiples_of_eight() -> None:
    raw = wire.pack({"a": "é"}, {"x": np.arange(3, dtype=np.uint8), "y": np.arange(2.0)})
    header, columns = wire.unpack(raw)
    length = int.from_bytes(raw[4:8], "little")
    assert (8 + length) % 8 == 0
    assert all(at % 8 == 0 for _, _, at, _ in header["columns"])
    assert columns["x"].tolist() == [0, 1, 2]
    assert columns["y"].tolist() == [0.0, 1.0]


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="not a chart's bytes"):
        wire.unpack(b"nonsense")


def test_the_row_view_sends_waits_and_the_lane_view_does_not() -> None:
    run = make_run(n=40, run_id="waits")
    assert "wait_from" in unpacked(run, rows=True)[1]
    assert "wait_from" not in unpacked(run, rows=False)[1]


def test_a_row_is_the_prompt_s_place_or_the_worker_s_lane() -> None:
    run = make_run(n=40, run_id="rows")
    header, columns = unpacked(run, rows=True)
    assert header["sections"] == [{"kind": "rows", "count": 40, "scale": 1.0}]
    assert sorted(columns["row"].tolist()) == list(range(40))
    header, columns = unpacked(run, rows=False)
    assert header["sections"] == [{"kind": "lanes", "count": 8, "scale": 1.0}]
    assert set(columns["row"].tolist()) == set(range(8))


def test_a_baseline_lies_above_on_the_same_axis() -> None:
    run = make_run(n=40, run_id="parallel")
    baseline = make_run(n=40, max_workers=1, run_id="alone", baseline_of="parallel")
    header, columns = unpacked(run, rows=False, baseline=baseline)
    assert [section["kind"] for section in header["sections"]] == ["baseline", "lanes"]
    assert np.count_nonzero(columns["row"] == 0) == 40
    assert header["last_s"] == header["beside_s"] > 4 * header["own_s"]
    assert columns["beside"].max() == 1


def test_pauses_are_told_with_their_ends() -> None:
    told = history(n=60, pauses=[(1.0, 2.0)], run_id="paused")
    during, after = snapshots(told, [1.5, 3.0])
    assert unpacked(during, rows=False)[0]["paused"] == [[1.0, None]]
    assert unpacked(after, rows=False)[0]["paused"] == [[1.0, 2.0]]


def test_now_is_never_before_what_has_happened() -> None:
    run = make_run(n=40, at_s=3.0, run_id="now")
    header, _ = unpacked(run, rows=False, now_ns=now_ns(1.0))
    assert header["now_s"] == header["last_s"] > 1.0


def test_a_long_live_row_view_opens_on_what_goes_on() -> None:
    header, columns = unpacked(make_run(n=900, at_s=30.0, run_id="window"), rows=True)
    first, last = header["window"]
    running = columns["row"][np.isnan(columns["end"])]
    assert first <= running.min() <= running.max() < last
    assert last - first <= 300
    assert unpacked(make_run(n=900, run_id="window2"), rows=True)[0]["window"] is None


def test_texts_are_the_same_bytes_for_all_versions_of_a_run() -> None:
    before, after = snapshots(history(n=20, run_id="texts"), [0.5, 2.0])
    assert wire.texts(before) is wire.texts(after)


def test_texts_drop_what_all_prompts_begin_with() -> None:
    header, columns = wire.unpack(wire.texts(make_run(n=3, run_id="prefix")))
    assert header["prefix"] == "Classify the sentiment of review"
    assert bytes(columns["lines"]).decode().split("\n")[1] == "1: the screen was not as expected"


def test_every_prompt_is_one_line_of_at_most_80_characters() -> None:
    hostile = ["a\nb\r\n\tc\x00d\u2028e", "x" * 150_000, "<img src=x>", "שלום עולם", "👩‍👩‍👧 family"]
    _, columns = wire.unpack(wire.texts(make_run(prompts=hostile, run_id="hostile")))
    lines = bytes(columns["lines"]).decode().split("\n")
    assert lines == ["a b c d e", "x" * 80 + "…", "<img src=x>", "שלום עולם", "👩‍👩‍👧 family"]


@pytest.mark.parametrize(
    ("prompts", "prefix"),
    [
        (prompts_for(5), "Classify the sentiment of review "),
        (("same text here", "same text here", "same text here"), ""),
        (("short a", "short b", "short c"), ""),
        (("one long beginning a", "one long beginning b"), ""),
        (("alpha", "beta", "gamma"), ""),
    ],
)
def test_a_shared_prefix_is_dropped_where_it_helps(prompts: tuple[str, ...], prefix: str) -> None:
    assert wire.shared_prefix(prompts) == prefix


def test_errors_are_sent_once_each() -> None:
    header, columns = unpacked(make_run(n=100, failing=1.0, run_id="errors"), rows=False)
    assert len(header["errors"]) == 2
    assert set(columns["error"].tolist()) == {1, 2}


def test_two_charts_can_have_the_same_time_axis() -> None:
    run = make_run(n=8)
    own = wire.unpack(wire.payload(run, rows=False))[0]["last_s"]
    assert wire.unpack(wire.payload(run, rows=False, until_s=own + 9))[0]["last_s"] == own + 9
    assert wire.unpack(wire.payload(run, rows=False, until_s=own / 2))[0]["last_s"] == own


def test_it_says_whose_answer_a_prompt_has_that_was_not_sent() -> None:
    run = make_run(n=4, run_id="origins")
    other = Origin(run_id="ab12cd34ef567890", call=6, answered_at_s=1.78e9)
    shared = Origin(run_id=run.run_id, call=0, answered_at_s=1.78e9)
    calls = (run.calls[0], *(_unsent(run.calls[n], o) for n, o in ((1, other), (2, shared), (3, other))))
    header, columns = unpacked(replace(run, calls=calls), rows=True)
    assert columns["origin"].tolist() == [-1, -2, 0, -2]
    assert header["origins"] == [origin(calls[1], run_id=run.run_id)]
    assert header["shares"] + "1" == origin(calls[2], run_id=run.run_id) == "shares the call of #1"
    assert "origin" not in unpacked(make_run(n=4, run_id="all-sent"), rows=True)[1]


def test_answers_of_very_many_runs_are_named_up_to_a_bound() -> None:
    run = make_run(n=MOST_ORIGINS + 50, run_id="many-origins")
    calls = tuple(_unsent(call, Origin(run_id=f"{call.index:08x}", call=0, answered_at_s=1.78e9)) for call in run.calls)
    header, columns = unpacked(replace(run, calls=calls), rows=True)
    assert len(header["origins"]) == MOST_ORIGINS + 1
    assert header["origins"][-1] == "from an earlier run"
    assert columns["origin"].min() == -2 - MOST_ORIGINS


def _unsent(call: Call, source: Origin) -> Call:
    return replace(call, attempts=(), origin=source)
