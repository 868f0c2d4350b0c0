"""An account's last minutes as a figure: which runs used it, and under that on the same axis how full each limit was.

Comes in: an `AccountView` and the runs that had a share of it. Goes out: a `go.Figure`. Pure: no Streamlit, no clock.
It is drawn as of the last whole step of five seconds, so that a page that looks more often gets the same figure and
leaves it standing. Words and grid get their colours from Streamlit's theme, in the browser, where it may change while
the chart stands; those of the lines are told from either page. Names of runs are hostile: Plotly reads tags in its
texts, so they are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any, Final

import plotly.graph_objects as go

from dashboard.quota_words import ago, limit_name
from dashboard.safe import cut
from fanout.clock import NS_PER_S, seconds
from fanout.events import LimitName
from fanout.quota.view import AccountView, Sample
from fanout.run import Run

STEP_NS: Final = 5 * NS_PER_S
SHOWN_S: Final = 600.0
MOST_RUNS: Final = 12
"""The newest of them are drawn."""
LEVEL_PX: Final = 130
RUN_PX: Final = 20
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
NAME_CHARACTERS: Final = 24
LINE_COLOURS: Final = ("#4389cc", "#b0772a", "#7b838f")
"""At least 3:1 on the light page and on the dark one (a test compares)."""
RUN_COLOUR: Final = "#7f9dbd"
TICK_STEPS_S: Final = (10, 30, 60, 120)
MOST_TICKS: Final = 6
GAP_NS: Final = 30 * NS_PER_S
"""Samples further apart are not joined: an account is looked at only while it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """When a run was going, in seconds before now (negative), one pair per stretch."""

    name: str
    from_s: tuple[float, ...]
    to_s: tuple[float, ...]


def level_chart(view: AccountView, runs: Sequence[Run]) -> go.Figure | None:
    """None where nothing is known of any limit's level."""
    known = [sample for sample in view.samples if sample.capacity > 0]
    if not known:
        return None
    at_ns = view.at_ns - view.at_ns % STEP_NS
    if known[0].at_ns > at_ns:
        at_ns = view.at_ns  # an account that has just come into use is shown at once
    samples = [sample for sample in known if sample.at_ns <= at_ns]
    used = [one for one in (used_by(run, at_ns) for run in runs) if one.from_s][:MOST_RUNS]
    first_s = max(-SHOWN_S, seconds(min(sample.at_ns for sample in samples) - at_ns))
    first_s = min(first_s, -30.0)
    upper = RUN_PX * len(used) + (16 if used else 0)
    figure = go.Figure(layout=_layout(used, first_s=first_s, upper=upper))
    for place, (name, points) in enumerate(_by_limit(samples).items()):
        figure.add_trace(_level(name, points, at_ns, place=place))
    if used:
        figure.add_trace(_bars(used))
    return figure


def used_by(run: Run, at_ns: int) -> Used:
    """The run's stretches within the last minutes before `at_ns`."""
    pairs = [
        (max(-SHOWN_S, seconds(stretch.began_ns - at_ns)), seconds(min(stretch.ended_ns or at_ns, at_ns) - at_ns))
        for stretch in run.stretches
    ]
    shown = [(from_s, to_s) for from_s, to_s in pairs if to_s > from_s]
    return Used(
        name=cut(run.batch.name or f"run {run.run_id[:6]}", NAME_CHARACTERS),
        from_s=tuple(from_s for from_s, _ in shown),
        to_s=tuple(to_s for _, to_s in shown),
    )


def _by_limit(samples: Iterable[Sample]) -> dict[LimitName, list[Sample]]:
    found: dict[LimitName, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.name, []).append(sample)
    return found


def _level(name: LimitName, points: list[Sample], at_ns: int, *, place: int) -> go.Scatter:
    """Between two samples a bucket fills evenly, so they are joined; of a long while without any, nothing is said."""
    x: list[float | None] = []
    y: list[float | None] = []
    told: list[list[int | str | None]] = []
    for before, point in pairwise([None, *points]):
        assert point is not None
        if before is not None and point.at_ns - before.at_ns > GAP_NS:
            x.append(None)
            y.append(None)
            told.append([None, None, None])
        x.append(seconds(point.at_ns - at_ns))
        y.append(100 * min(1.0, point.free / point.capacity))
        told.append([point.free, point.capacity, ago(at_ns - point.at_ns)])
    line = {"width": 1.75, "color": LINE_COLOURS[place % len(LINE_COLOURS)], "dash": DASHES[place % len(DASHES)]}
    return go.Scatter(
        name=limit_name(name),
        x=x,
        y=y,
        mode="lines+markers",
        line=line,
        marker={"size": 4},
        customdata=told,
        hovertemplate=f"%{{customdata[0]:,}} of %{{customdata[1]:,}} free ({limit_name(name)}), %{{customdata[2]}}"
        "<extra></extra>",
    )


def _bars(used: Sequence[Used]) -> go.Bar:
    spans = [(row, *span) for row, each in enumerate(used) for span in zip(each.from_s, each.to_s, strict=True)]
    return go.Bar(
        orientation="h",
        base=[from_s for _, from_s, _ in spans],
        x=[to_s - from_s for _, from_s, to_s in spans],
        y=[row for row, _, _ in spans],
        yaxis="y2",
        width=0.62,
        marker={"color": RUN_COLOUR},
        customdata=[escape(used[row].name, quote=False) for row, _, _ in spans],
        hovertemplate="%{customdata}, going for %{x:.0f} s<extra></extra>",
        showlegend=False,
    )


def _ticks(first_s: float) -> dict[str, list[Any]]:
    """Where the time axis is marked: at whole steps before now, in minutes where it is long."""
    step_s = next((step for step in TICK_STEPS_S if -first_s / step < MOST_TICKS), TICK_STEPS_S[-1])
    values = [-step_s * place for place in range(int(-first_s / step_s), -1, -1)]
    texts = [f"−{-value // 60} min" if step_s >= 60 else f"−{-value} s" for value in values[:-1]]
    return {"tickvals": values, "ticktext": [*texts, "now"]}


def _layout(used: Sequence[Used], *, first_s: float, upper: int) -> dict[str, Any]:
    inner = LEVEL_PX + upper
    small = {"size": 11}
    return {
        "height": inner + 66,
        "margin": {"l": 8, "r": 12, "t": 30, "b": 36},
        "barmode": "overlay",
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yref": "container", "yanchor": "top"},
        "xaxis": {
            "anchor": "y",
            "range": [first_s, -first_s * 0.01],
            **_ticks(first_s),
            "zeroline": False,
            "tickfont": small,
            "fixedrange": True,
        },
        "yaxis": {
            "domain": [0, LEVEL_PX / inner],
            "range": [-6, 106],
            "tickvals": [0, 50, 100],
            "ticktext": ["0 %", "50 %", "100 %"],
            "zeroline": False,
            "tickfont": small,
            "automargin": True,
            "fixedrange": True,
        },
        "yaxis2": {
            "domain": [min(1.0, (LEVEL_PX + 12) / inner), 1] if used else [1, 1],
            "range": [max(len(used), 1) - 0.5, -0.5],
            "tickvals": list(range(len(used))),
            "ticktext": [escape(each.name, quote=False) for each in used],
            "showgrid": False,
            "zeroline": False,
            "tickfont": small,
            "automargin": True,
            "fixedrange": True,
        },
    }
