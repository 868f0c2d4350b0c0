"""An account's last minutes as a figure: which runs used it, and under that on the same axis how full each limit was.

Comes in: an `AccountView` and the runs that had a share of it. Goes out: a `go.Figure`. Pure: no Streamlit, no clock.
It is drawn as of the last whole step of five seconds, so that a page that looks more often gets the same figure and
leaves it standing. Names of runs are hostile: Plotly reads tags in its texts, so they are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import plotly.graph_objects as go

from dashboard.palette import Theme, colour, theme
from dashboard.quota_words import limit_name
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """When a run was going, in seconds before now (negative), one pair per stretch."""

    name: str
    from_s: tuple[float, ...]
    to_s: tuple[float, ...]


def level_chart(view: AccountView, runs: Sequence[Run], *, dark: bool = False) -> go.Figure | None:
    """None where nothing is known of any limit's level."""
    at_ns = view.at_ns - view.at_ns % STEP_NS
    samples = [sample for sample in view.samples if sample.at_ns <= at_ns and sample.capacity > 0]
    if not samples:
        return None
    used = [one for one in (used_by(run, at_ns) for run in runs) if one.from_s][:MOST_RUNS]
    first_s = max(-SHOWN_S, seconds(min(sample.at_ns for sample in samples) - at_ns))
    first_s = min(first_s, -30.0)
    look = theme(dark=dark)
    upper = RUN_PX * len(used) + (16 if used else 0)
    figure = go.Figure(layout=_layout(used, first_s=first_s, upper=upper, look=look))
    for place, (name, points) in enumerate(_by_limit(samples).items()):
        figure.add_trace(_level(name, points, at_ns, place=place, dark=dark))
    if used:
        figure.add_trace(_bars(used, dark=dark))
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


def _level(name: LimitName, points: list[Sample], at_ns: int, *, place: int, dark: bool) -> go.Scatter:
    x = [seconds(point.at_ns - at_ns) for point in points]
    y = [100 * min(1.0, point.free / point.capacity) for point in points]
    colours = (colour("answered", dark=dark), colour("retried", dark=dark), theme(dark=dark).quiet)
    return go.Scatter(
        name=limit_name(name),
        x=[*x, 0.0],
        y=[*y, y[-1]],
        mode="lines",
        line={"shape": "hv", "width": 1.75, "color": colours[place % 3], "dash": DASHES[place % len(DASHES)]},
        customdata=[[point.free, point.capacity] for point in (*points, points[-1])],
        hovertemplate=f"%{{customdata[0]:,}} of %{{customdata[1]:,}} free ({limit_name(name)}), %{{x:.0f}} s"
        "<extra></extra>",
    )


def _bars(used: Sequence[Used], *, dark: bool) -> go.Bar:
    spans = [(row, *span) for row, each in enumerate(used) for span in zip(each.from_s, each.to_s, strict=True)]
    return go.Bar(
        orientation="h",
        base=[from_s for _, from_s, _ in spans],
        x=[to_s - from_s for _, from_s, to_s in spans],
        y=[row for row, _, _ in spans],
        yaxis="y2",
        width=0.62,
        marker={"color": colour("first_token", dark=dark), "line": {"color": theme(dark=dark).outline, "width": 1}},
        customdata=[escape(used[row].name, quote=False) for row, _, _ in spans],
        hovertemplate="%{customdata}, going for %{x:.0f} s<extra></extra>",
        showlegend=False,
    )


def _layout(used: Sequence[Used], *, first_s: float, upper: int, look: Theme) -> dict[str, Any]:
    inner = LEVEL_PX + upper
    quiet = {"color": look.quiet, "size": 11}
    return {
        "template": go.layout.Template(),
        "height": inner + 66,
        "margin": {"l": 8, "r": 12, "t": 30, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": look.text, "size": 12},
        "barmode": "overlay",
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yref": "container", "yanchor": "top"},
        "xaxis": {
            "anchor": "y",
            "range": [first_s, -first_s * 0.01],
            "ticksuffix": " s",
            "gridcolor": look.grid,
            "zeroline": False,
            "tickfont": quiet,
            "fixedrange": True,
        },
        "yaxis": {
            "domain": [0, LEVEL_PX / inner],
            "range": [0, 104],
            "tickvals": [0, 50, 100],
            "ticksuffix": " %",
            "gridcolor": look.grid,
            "zeroline": False,
            "tickfont": quiet,
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
            "tickfont": quiet,
            "automargin": True,
            "fixedrange": True,
        },
    }
