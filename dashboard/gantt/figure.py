"""The Gantt as a plain Plotly figure with native bars: for reports, exports and whoever has no live chart.

Comes in: a `Run` (and perhaps the run with one worker). Goes out: a `go.Figure`. Pure: same run, same figure; no
Streamlit, no clock. Prompts and errors are hostile: Plotly reads `<b>` and `<a>` in its texts, so they are escaped.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from dashboard.gantt.bars import Part, bars_of, waits_of
from dashboard.gantt.marks import Marks, MarkTable, Steps, in_flight
from dashboard.gantt.strip import STRIP_PX, has_strip, strip_of
from dashboard.gantt.wire import one_line, shared_prefix
from dashboard.palette import Theme, theme
from dashboard.quota_words import move_words
from dashboard.rows import origin
from dashboard.units import duration
from fanout.run import Run

ROWS_UP_TO: Final = 100
WAITS_UP_TO: Final = 400
"""Rows above which waits are not drawn: they would outweigh the work."""
LABELS_UP_TO: Final = 60
LOWER_PX: Final = 92
BETWEEN_PX: Final = 34
STRIP_GAP_PX: Final = 5
"""Between the lowest bar and the strip."""
MARGINS_PX: Final = 100
"""Above and below the two plots."""
WORD_LINES: Final = 3
WORD_LINE_PX: Final = 14
NARROW_LETTER: Final = 0.022
"""What a letter over the plot takes of its width, where it is 270 px wide."""
CONFIG: Final = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "showTips": False,
    "responsive": True,
}
"""For whoever draws the figure: Plotly's default shows a button that uploads the data."""


def gantt(run: Run, *, rows: bool | None = None, now_ns: int | None = None, dark: bool = False) -> go.Figure:
    """The run's Gantt, and under it on the same axis what was in flight against max_workers.

    `rows` draws a row per prompt, or a lane per worker; None decides by the number of calls. What goes on is cut at
    `now_ns`, or at the last event where that is None.
    """
    marks = MarkTable(run).update(run)
    by_row = len(run.calls) <= ROWS_UP_TO if rows is None else rows
    y = np.asarray(marks.row[marks.call] if by_row else marks.lane, np.float64)
    part = Part(run=run, marks=marks, y=y, now_s=_now_s(marks, now_ns))
    figure = _framed(part, rows=by_row, dark=dark)
    if by_row and len(run.calls) <= WAITS_UP_TO:
        figure.add_traces(waits_of(part, dark=dark))
    if by_row:
        figure.add_traces(_reused(part, theme(dark=dark)))
    _add_strip(figure, part, dark=dark)
    figure.add_traces(bars_of([part], dark=dark))
    _mark_times(figure, part, theme(dark=dark))
    return figure


def two_runs(run: Run, baseline: Run, *, dark: bool = False) -> go.Figure:
    """Both runs on one time axis, each from its own start: the one with one worker above, a lane per worker below."""
    marks, alone = MarkTable(run).update(run), MarkTable(baseline).update(baseline)
    below = Part(run=run, marks=marks, y=np.asarray(marks.lane + alone.lanes + 0.6, np.float64), now_s=marks.last_s)
    above = Part(run=baseline, marks=alone, y=np.asarray(alone.lane, np.float64), now_s=alone.last_s)
    figure = _framed(below, rows=False, dark=dark, above=above)
    _add_strip(figure, below, dark=dark)
    figure.add_traces(bars_of([above, below], dark=dark))
    words = f"{len(run.calls)} calls, {marks.lanes} at a time"
    for part, text, y in ((above, "1 at a time", 0.0), (below, words, alone.lanes + 0.1 + marks.lanes / 2)):
        figure.add_annotation(
            text=f"{duration(part.marks.last_s)}, {text}",
            x=part.marks.last_s,
            y=y,
            xanchor="left" if part is below else "right",
            yanchor="middle" if part is below else "top",
            yshift=0 if part is below else -12,
            xshift=8 if part is below else 0,
            showarrow=False,
            font={"color": theme(dark=dark).text},
        )
    return figure


def _framed(part: Part, *, rows: bool, dark: bool, above: Part | None = None) -> go.Figure:
    """Axes, the in-flight area and the limit; bars come on top."""
    look = theme(dark=dark)
    marks = part.marks
    lanes = len(part.run.calls) if rows else marks.lanes + (0 if above is None else above.marks.lanes + 0.6)
    last_s = max(part.now_s, 0.0 if above is None else above.now_s) or 1.0
    figure = go.Figure(layout=_layout(part, rows=rows, lanes=lanes, last_s=last_s, look=look))
    area, limit = in_flight(marks), marks.max_workers
    figure.add_trace(_steps("in flight", area, part.now_s, color=look.area_line, fill="tozeroy", fillcolor=look.area))
    figure.add_trace(_steps("max_workers", limit, part.now_s, color=look.quiet, dash="dash"))
    figure.data[-1].update(
        customdata=_moved(part), hovertemplate="%{y} max_workers, %{x:.2f} s%{customdata}<extra></extra>"
    )
    if above is not None:
        figure.add_trace(_steps("one at a time", in_flight(above.marks), above.now_s, color=look.baseline))
    return figure


def _reused(part: Part, look: Theme) -> list[go.Scatter]:
    """Whose answer a prompt has that was not sent and so has no bar: as words in its row."""
    told = [
        (int(part.marks.row[call.index]), words)
        for call in part.run.calls
        if not call.attempts and (words := origin(call, run_id=part.run.run_id)) is not None
    ]
    if not told:
        return []
    return [
        go.Scatter(
            x=[0.0] * len(told),
            y=[row for row, _ in told],
            text=[f" {words}" for _, words in told],
            mode="text",
            textposition="middle right",
            textfont={"color": look.quiet, "size": 10},
            hoverinfo="skip",
            showlegend=False,
        )
    ]


def _add_strip(figure: go.Figure, part: Part, *, dark: bool) -> None:
    """What held the next call, where anything did; the waits of the rows have its colours in the legend already."""
    if has_strip(part.marks.holds):
        named = frozenset(trace.legendgroup for trace in figure.data if trace.legendgroup is not None)
        figure.add_traces(strip_of(part.marks.holds, part.now_s, dark=dark, named=named))


def _layout(part: Part, *, rows: bool, lanes: float, last_s: float, look: Theme) -> dict[str, Any]:
    count = len(part.run.calls) if rows else part.marks.lanes
    most = max(part.run.max_workers, int(part.marks.max_workers.value.max(initial=1)), part.marks.lanes)
    held = has_strip(part.marks.holds)
    between = BETWEEN_PX + (STRIP_PX if held else 0)
    height = int(min(900, max(300, MARGINS_PX + between + LOWER_PX + count * (16 if rows else 22))))
    lower, upper = (at_px / (height - MARGINS_PX) for at_px in (LOWER_PX, LOWER_PX + between))
    ticks = {"ticksuffix": " s", "gridcolor": look.grid, "zeroline": False, "tickfont": {"color": look.quiet}}
    y_axis: dict[str, Any] = {
        "domain": [upper, 1],
        "range": [max(lanes, 1) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"color": look.quiet, "size": 11},
        "title": {"text": "prompt" if rows else "worker", "font": {"size": 12}},
    }
    return {
        "template": go.layout.Template(),
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 60, "b": 40},
        "paper_bgcolor": look.page,
        "plot_bgcolor": look.page,
        "font": {"family": "system-ui, sans-serif", "color": look.text, "size": 12},
        "barmode": "overlay",
        "hovermode": "closest",
        "uniformtext": {"mode": "hide", "minsize": 10},  # a name that has no room is left out, not made small
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "xaxis": {"anchor": "y2", "range": [0, last_s * 1.02], **ticks},
        "yaxis": y_axis | _labels(part, rows=rows),
        "yaxis2": {
            "domain": [0, lower],
            "range": [0, most * 1.12],
            "tickvals": [most],  # a 0 would lie on the time axis's "0 s"
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"color": look.quiet, "size": 11},
            "fixedrange": True,
        },
        **({"yaxis3": _strip_axis(upper, 1 / (height - MARGINS_PX), look)} if held else {}),
        "annotations": [_lower_title(lower, look)],
    }


def _lower_title(lower: float, look: Theme) -> dict[str, Any]:
    """What is drawn below, in the words of the live chart (figure.js)."""
    return {
        "text": "in flight, and max_workers (dashed)",
        **{"xref": "paper", "x": 0, "xanchor": "left"},
        **{"yref": "paper", "y": lower, "yanchor": "bottom", "yshift": 3},
        "showarrow": False,
        "font": {"size": 11, "color": look.quiet},
    }


def _strip_axis(upper: float, px: float, look: Theme) -> dict[str, Any]:
    """Close under the bars, whose lower edge is at `upper`; a pixel is `px` of the domain."""
    return {
        "domain": [upper - STRIP_PX * px, upper - STRIP_GAP_PX * px],
        "range": [-0.5, 0.5],
        "tickvals": [0],
        "ticktext": ["held by"],
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"color": look.quiet, "size": 11},
        "fixedrange": True,
        "anchor": "x",
    }


def _labels(part: Part, *, rows: bool) -> dict[str, Any]:
    """Prompts as labels for short lists; the beginning that all share is left out."""
    if not rows:
        lanes = part.marks.lanes
        step = max(1, -(-lanes // 24))
        base = float(part.y.min()) - int(part.marks.lane.min()) if len(part.y) else 0.0
        shown = [*range(step - 1, lanes, step)]
        return {"tickvals": [base + lane for lane in shown], "ticktext": [str(lane + 1) for lane in shown]}
    prompts = part.run.batch.prompts
    if len(prompts) > LABELS_UP_TO:
        return {"showticklabels": False}
    prefix = shared_prefix(prompts)
    words = [("…" if prefix else "") + one_line(prompt[len(prefix) :], 28) for prompt in prompts]
    return {
        "title": None,  # the labels say what they are, and it would lie on them
        "tickvals": part.marks.row.tolist(),
        "ticktext": [escape(word, quote=False) for word in words],
        "automargin": True,
    }


def _steps(name: str, steps: Steps, until_s: float, *, color: str, dash: str = "solid", **fill: str) -> go.Scatter:
    last = steps.value[-1:]
    return go.Scatter(
        name=name,
        x=np.append(steps.at_s, until_s if len(last) else []),
        y=np.append(steps.value, last),
        yaxis="y2",
        mode="lines",
        line={"shape": "hv", "width": 1.5, "color": color, "dash": dash},
        showlegend=False,
        hovertemplate=f"%{{y}} {name}, %{{x:.2f}} s<extra></extra>",
        **fill,
    )


def _moved(part: Part) -> list[str]:
    """For each place of the max_workers line: from what to what it moved, by whom and why."""
    words = {
        part.marks.axis.seconds(step.at_ns): "<br>"
        + escape(" ".join(filter(None, (move_words(old.value, step) + ".", step.why))), quote=False)
        for old, step in pairwise(part.run.limits)
    }
    texts = [words.get(at_s, "") for at_s in part.marks.max_workers.at_s.tolist()]
    return [*texts, *texts[-1:]]


def _mark_times(figure: go.Figure, part: Part, look: Theme) -> None:
    """Where idle time was cut out, and now."""
    dotted = {"color": look.quiet, "width": 1, "dash": "dot"}
    words = []
    for gap in part.marks.breaks:
        figure.add_shape(type="line", x0=gap.at_s, x1=gap.at_s, y0=0, y1=1, yref="paper", line=dotted)
        purpose = "sent again" if gap.purpose == "retry" else "resumed"
        words.append((gap.at_s, f"{purpose} {duration(gap.idle_s)} later"))
    if not part.run.ended and part.now_s:
        line = {"color": look.text, "width": 1}
        figure.add_shape(type="line", x0=part.now_s, x1=part.now_s, y0=0, y1=1, yref="paper", line=line, opacity=0.6)
        words.append((part.now_s, "now"))
    _add_above(figure, words, part.now_s, look)


def _add_above(figure: go.Figure, words: list[tuple[float, str]], last_s: float, look: Theme) -> None:
    """Words over the plot, in lines one above the other where they would lie on others; those too many are left out.

    How wide the plot will be drawn nobody knows here: it is taken to be as narrow as on a phone.
    """
    ends_s = [float("-inf")] * WORD_LINES
    for at_s, text in words:
        half_s = last_s * len(text) * NARROW_LETTER / 2
        free = next((line for line, end_s in enumerate(ends_s) if end_s <= at_s - half_s), None)
        if free is not None:
            ends_s[free] = at_s + half_s
            figure.add_annotation(
                text=text,
                x=at_s,
                y=1,
                yref="paper",
                yanchor="bottom",
                yshift=free * WORD_LINE_PX,
                showarrow=False,
                font={"size": 11, "color": look.quiet},
            )


def _now_s(marks: Marks, now_ns: int | None) -> float:
    if marks.ended or now_ns is None:
        return marks.last_s
    return max(marks.last_s, marks.axis.seconds(now_ns))
