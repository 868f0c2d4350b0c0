from __future__ import annotations

import re
from typing import Any

import plotly.graph_objects as go
import pytest

from dashboard.gantt.figure import gantt, two_runs
from tests.runs import make_run, now_ns

HOSTILE = "</script><img src=http://203.0.113.9/x onerror=alert(1)> <a href='http://203.0.113.9'>see</a> %{x}"


def bars(figure: go.Figure) -> dict[str, go.Bar]:
    return {trace.name: trace for trace in figure.data if trace.type == "bar"}


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
    assert [note.text for note in figure.layout.annotations] == ["now"]
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
    assert [note.text for note in figure.layout.annotations] == ["sent again 600 s later"]


def test_two_runs_lie_above_each_other_on_one_axis() -> None:
    run, alone = make_run(n=40), make_run(n=40, max_workers=1, run_id="alone")
    figure = two_runs(run, alone)
    heights = set(of(figure, "answered").y)
    assert min(heights) == 0.0
    assert len(heights) == 9
    words = [note.text for note in figure.layout.annotations]
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
