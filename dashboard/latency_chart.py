"""The latencies of two runs laid over each other: how many of the answers had come after how long.

Comes in: a `Comparison`. Goes out: a `go.Figure`, None where nobody answered. Pure: no Streamlit, no clock. A curve of
shares reads the same at 10 answers and at 10,000, and two of them can lie over each other, which bars cannot. Words and
grid get their colours from Streamlit's theme, in the browser; those of the two lines are told from either page, and the
lines by their dashes.
"""

from __future__ import annotations

from typing import Any, Final

import plotly.graph_objects as go

from dashboard.units import counted, duration
from fanout.clock import seconds
from fanout.compare import Comparison, Side

COLOURS: Final = {"A": "#4389cc", "B": "#b0772a"}
"""At least 3:1 on the light page and on the dark one (a test compares)."""
DASHES: Final = {"A": "solid", "B": "dash"}
MOST_POINTS: Final = 400
LONG_TAIL: Final = 12.0
"""Times the smaller median from which on the axis is logarithmic: one hung call would squeeze all others."""
HEIGHT_PX: Final = 300


def latency_chart(found: Comparison) -> go.Figure | None:
    """A step curve a run."""
    sides = [(name, side) for name, side in (("A", found.a), ("B", found.b)) if side.latencies_ns]
    if not sides:
        return None
    medians = [side.latency_ns(0.5) or 0 for _, side in sides]
    longest = max(side.latencies_ns[-1] for _, side in sides)
    shortest = min(side.latencies_ns[0] for _, side in sides)
    log = shortest > 0 and longest > LONG_TAIL * min(medians)
    figure = go.Figure(layout=_layout(log=log, until_s=seconds(longest)))
    for name, side in sides:
        figure.add_trace(_curve(name, side, from_s=seconds(shortest) if log else 0.0, until_s=seconds(longest)))
    return figure


def _curve(name: str, side: Side, *, from_s: float, until_s: float) -> go.Scatter:
    """From nobody to everybody, and on to the end of the axis."""
    places = _places(len(side.latencies_ns))
    x = [from_s, *(seconds(side.latencies_ns[place]) for place in places), until_s]
    y = [0.0, *(100 * (place + 1) / len(side.latencies_ns) for place in places), 100.0]
    p50, p95 = (side.latency_ns(share) for share in (0.5, 0.95))
    half, most = (duration(None if each is None else seconds(each)) for each in (p50, p95))
    return go.Scatter(
        name=f"{name}: {counted(len(side.latencies_ns), 'answer')}, half within {half}, 95 % within {most}",
        x=x,
        y=y,
        mode="lines",
        line={"shape": "hv", "width": 2.25, "color": COLOURS[name], "dash": DASHES[name]},
        customdata=[duration(each) for each in x],
        hovertemplate=f"%{{y:.0f}} % of {name}'s answers within %{{customdata}}<extra></extra>",
    )


def _places(count: int) -> list[int]:
    """Every answer, or 400 of them spread evenly, the first and the last among them."""
    if count <= MOST_POINTS:
        return list(range(count))
    return [round(step * (count - 1) / (MOST_POINTS - 1)) for step in range(MOST_POINTS)]


def _layout(*, log: bool, until_s: float) -> dict[str, Any]:
    small = {"size": 11}
    x_axis: dict[str, Any] = {"ticksuffix": " s", "zeroline": False, "tickfont": small, "fixedrange": True}
    x_axis |= {"type": "log", "dtick": "D2"} if log else {"range": [0, until_s * 1.02 or 1.0]}
    return {
        "height": HEIGHT_PX,
        "margin": {"l": 8, "r": 16, "t": 62, "b": 40},
        "dragmode": False,
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "v", "x": 0, "y": 1.0, "yref": "container", "yanchor": "top"},
        "xaxis": x_axis,
        "yaxis": {
            "range": [0, 104],
            "tickvals": [0, 25, 50, 75, 100],
            "ticktext": ["0 %", "25 %", "50 %", "75 %", "100 %"],
            "zeroline": False,
            "tickfont": small,
            "automargin": True,
            "fixedrange": True,
        },
    }
