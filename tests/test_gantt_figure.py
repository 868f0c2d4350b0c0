from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from dashboard.gantt.figure import gantt, two_runs
from dashboard.gantt.strip import MOST_PIECES, STRIP_PX
from fanout.run import Origin
from tests.runs import make_run, now_ns

HOSTILE = "</script><img src=http://203.0.113.9/x onerror=alert(1)> <a href='http://203.0.113.9'>see</a> %{x}"


def bars(figure: go.Figure) -> dict[str, go.Bar]:
    return {trace.name: trace for trace in figure.data if trace.type == "bar"}


def notes(figure: go.Figure) -> list[go.layout.Annotation]:
    """What is written on the chart, but for the lower one's caption, which is always there."""
    caption, *others = figure.layout.annotations
    assert caption.text == "in flight, and max_workers (dashed)"
    return list(others)


def of(figure: go.Figure, word: str) -> go.Bar:
    (found,) = (trace for name, trace in bars(figure).items() if name.startswith(word))
    return found


@pytest.mark.parametrize("rows", [True, False])
def test_the_same_run_gives_the_same_figure(rows: bool) -> None:
    options: dict[str, Any] = {"n": 30, "failing": 0.1, "retrying": 0.2}
    assert gantt(make_run(**options), rows=rows).to_json() == gantt(make_run(**options), rows=rows).to_json()


def test_a_run_without_a_call_started_is_an_empty_frame() -> None:
    figure = gantt(make_run(n=5, at_s=-1))
    assert bars(figure) == {}
    assert figure.layout.xaxis.range == (0, 1.02)


def test_one_call_is_one_bar() -> None:
    figure = gantt(make_run(n=1, streamed=False))
    assert list(bars(figure)) == ["answered 1"]
    assert len(of(figure, "answered").x) == 1


def test_when_all_failed_there_is_only_failure_to_see() -> None:
    figure = gantt(make_run(n=20, failing=1.0), rows=False)
    assert list(bars(figure)) == ["failed 20"]
    assert of(figure, "failed").marker.pattern.shape == "x"


def test_what_still_runs_ends_now() -> None:
    run = make_run(n=40, at_s=2.0)
    figure = gantt(run, now_ns=now_ns(2.5))
    running = of(figure, "in flight")
    assert {round(b + x, 9) for b, x in zip(running.base, running.x, strict=True)} <= {2.5}
    assert [note.text for note in notes(figure)] == ["now"]
    (line,) = figure.layout.shapes
    assert (line.x0, line.yref) == (2.5, "paper")


def test_ten_thousand_calls_are_one_figure_with_few_traces() -> None:
    figure = gantt(make_run(n=10_000, max_workers=64, failing=0.03))
    assert len(of(figure, "answered").x) == 9_700
    assert len(figure.data) < 10
    assert figure.layout.yaxis.title.text == "worker"


def test_every_bar_has_an_explicit_width() -> None:
    figure = gantt(make_run(n=40, failing=[3], retrying=[4], stop_at_s=3.0))
    assert all(0 < trace.width <= 1 for trace in bars(figure).values())


def test_a_bar_is_split_at_its_first_token_without_gap() -> None:
    figure = gantt(make_run(n=10), rows=True)
    pale, full = of(figure, "before"), of(figure, "answered")
    assert [b + x for b, x in zip(pale.base, pale.x, strict=True)] == pytest.approx(list(full.base))


def test_failures_are_painted_last() -> None:
    names = list(bars(gantt(make_run(n=60, failing=0.2, retrying=0.2, stop_at_s=4.0), rows=False)))
    assert names[-1].startswith("failed")


def test_up_to_a_hundred_calls_have_a_row_each() -> None:
    assert gantt(make_run(n=100)).layout.yaxis.title.text == "prompt"
    assert gantt(make_run(n=101)).layout.yaxis.title.text == "worker"


def test_labels_of_prompts_have_no_title_to_lie_on() -> None:
    axis = gantt(make_run(n=40)).layout.yaxis
    assert len(axis.ticktext) == 40
    assert axis.title.text is None


def test_in_flight_and_its_limit_lie_on_the_same_time_axis() -> None:
    figure = gantt(make_run(n=60, max_workers=4, limits=[(2.0, 12)]))
    area, limit = (next(t for t in figure.data if t.name == name) for name in ("in flight", "max_workers"))
    assert area.fill == "tozeroy"
    assert max(area.y) == 12
    assert list(limit.y) == [4, 12, 12]
    assert limit.line.dash == "dash"
    assert {area.yaxis, limit.yaxis} == {"y2"}
    assert figure.layout.xaxis.anchor == "y2"


def test_a_second_stretch_is_marked_where_idle_time_was_cut_out() -> None:
    figure = gantt(make_run(n=20, failing=[2, 3], stretches=2, gap_s=600.0))
    assert [note.text for note in notes(figure)] == ["sent again 10 min later"]


def test_words_of_stretches_that_are_close_together_do_not_lie_on_each_other_on_a_phone() -> None:
    figure = gantt(make_run(n=64, failing=range(64), stretches=6, gap_s=600.0))
    words = notes(figure)
    assert len(figure.layout.shapes) == 5, "every one has its line"
    assert 2 <= len(words) < 5
    ends: dict[int, float] = {}
    for note in words:
        half_px = len(note.text) * 6 / 2
        at_px = note.x / figure.layout.xaxis.range[1] * 290
        assert at_px - half_px >= ends.get(note.yshift, float("-inf"))
        ends[note.yshift] = at_px + half_px


def test_two_runs_lie_above_each_other_on_one_axis() -> None:
    run, alone = make_run(n=40), make_run(n=40, max_workers=1, run_id="alone")
    figure = two_runs(run, alone)
    heights = set(of(figure, "answered").y)
    assert min(heights) == 0.0
    assert len(heights) == 9
    words = [note.text for note in notes(figure)]
    assert "1 at a time" in words[0]
    assert "40 calls, 8 at a time" in words[1]


def test_dark_and_light_differ_in_colours_only() -> None:
    run = make_run(n=20, failing=[2])
    light, dark = gantt(run), gantt(run, dark=True)
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor
    assert list(of(light, "answered").x) == list(of(dark, "answered").x)


def test_prompts_cannot_write_tags_into_the_figure() -> None:
    figure = gantt(make_run(prompts=[HOSTILE] * 3 + ["ok"], failing=[1]))
    texts = [
        text for trace in bars(figure).values() for text in (trace.customdata if trace.customdata is not None else [])
    ]
    labels = figure.layout.yaxis.ticktext
    assert texts
    for text in [*texts, *labels]:
        assert set(re.findall(r"<[^>]*>", text)) <= {"<b>", "</b>", "<br>"}


def strip(figure: go.Figure) -> list[go.Bar]:
    return [trace for trace in figure.data if trace.type == "bar" and trace.yaxis == "y3"]


HELD: list[tuple[float, Any]] = [(0.0, "workers"), (1.0, "requests"), (2.0, "workers"), (3.0, None)]


@pytest.mark.parametrize("rows", [True, False])
def test_a_strip_under_the_bars_says_what_held_the_next_call(rows: bool) -> None:
    waiting, quota = strip(gantt(make_run(n=20, max_workers=2, holds=HELD), rows=rows))
    assert list(zip(waiting.base, waiting.x, strict=True)) == [(0.0, 1.0), (2.0, 1.0)]
    assert set(waiting.text) == {"all workers busy"}
    assert list(zip(quota.base, quota.x, quota.text, strict=True)) == [(1.0, 1.0, "request quota")]
    assert quota.customdata[0] == "The next call: waiting for the request quota 1 s"


def test_the_strip_of_a_run_that_goes_on_ends_now_and_a_pause_is_in_it() -> None:
    paused = strip(gantt(make_run(n=60, max_workers=2, pauses=[(1.0, 9.0)], at_s=2.0), now_ns=now_ns(2.5)))[-1]
    assert (list(paused.base), list(paused.x), list(paused.text)) == ([1.0], [1.5], ["paused"])


@pytest.mark.parametrize("rows", [True, False])
def test_the_legend_names_each_colour_once(rows: bool) -> None:
    figure = gantt(make_run(n=20, max_workers=2, holds=HELD), rows=rows)
    named = [trace.name for trace in bars_in_order(figure) if trace.showlegend is not False]
    assert len(named) == len(set(named))
    assert {"waiting", "waiting for quota"} <= set(named)


def bars_in_order(figure: go.Figure) -> list[go.Bar]:
    return [trace for trace in figure.data if trace.type == "bar"]


def test_where_nothing_was_held_there_is_no_strip_and_no_room_for_one() -> None:
    bare, held = gantt(make_run(n=30)), gantt(make_run(n=30, holds=HELD))
    assert strip(bare) == []
    assert "yaxis3" not in bare.layout
    assert held.layout.height - bare.layout.height == STRIP_PX
    assert held.layout.yaxis2.domain[1] < held.layout.yaxis3.domain[0]
    assert held.layout.yaxis3.domain[1] < held.layout.yaxis.domain[0]


def test_a_reason_that_changed_a_thousand_times_is_a_strip_of_few_pieces() -> None:
    names: list[Any] = ["workers", "requests"]
    holds = [(place * 0.005, names[place % 2]) for place in range(1_500)]
    pieces = strip(gantt(make_run(n=60, max_workers=2, holds=holds)))
    assert 1 <= sum(len(trace.x) for trace in pieces) <= MOST_PIECES


def test_the_strip_beside_a_run_with_one_worker_is_this_run_s() -> None:
    run, alone = make_run(n=20, max_workers=2, holds=HELD), make_run(n=20, max_workers=1, run_id="alone")
    assert [trace.name for trace in strip(two_runs(run, alone))] == ["waiting", "waiting for quota"]
    assert strip(two_runs(alone, run)) == []


def test_a_prompt_that_was_not_sent_says_in_its_row_whose_answer_it_has() -> None:
    run = make_run(n=4)
    shared = replace(run.calls[2], attempts=(), origin=Origin(run_id=run.run_id, call=0, answered_at_s=0.0))
    run = replace(run, calls=(*run.calls[:2], shared, run.calls[3]))
    figure = gantt(run, rows=True)
    (words,) = (trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text")
    assert (list(words.text), list(words.x)) == ([" shares the call of #1"], [0.0])
    assert not [trace for trace in gantt(run, rows=False).data if trace.type == "scatter" and trace.mode == "text"]
