"""What held the next call, over time, as a strip of native bars: the plain figure's twin of strip.js.

Comes in: a run's marks. Goes out: one `go.Bar` per colour, each piece with the name of what held, on an axis of their
own between the bars and the calls in flight. Knows no run and no page.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import phase, short_hold
from dashboard.gantt.bars import fill
from dashboard.gantt.holds import HELD, NOTHING, Holds, binned, hold_look
from dashboard.palette import LOOKS, LookName, theme
from dashboard.units import duration

STRIP_PX: Final = 24
"""What the strip takes of a figure's height."""
AXIS: Final = "y3"
MOST_PIECES: Final = 400
"""Above it the strip is pieces of equal width, each named after what held longest in it."""
_LOOKS: Final[tuple[LookName | Literal["paused"], ...]] = ("waiting", "quota", "paused")


def has_strip(holds: Holds) -> bool:
    """Whether anything ever held the next call."""
    return bool((holds.code != NOTHING).any())


def strip_of(holds: Holds, until_s: float, *, dark: bool, named: frozenset[str]) -> list[go.Bar]:
    """The strip up to an instant. A colour that the legend has from elsewhere (`named`) is not named again."""
    shown = binned(holds, until_s, most=MOST_PIECES)
    ends_s = np.append(shown.at_s[1:], until_s)
    page = theme(dark=dark)
    traces = []
    for look in _LOOKS:
        codes = [code for code, name in enumerate(HELD) if hold_look(name) == look]
        at = np.flatnonzero(np.isin(shown.code, codes) & (ends_s > shown.at_s))
        if not len(at):
            continue
        names = [HELD[code] for code in shown.code[at]]
        begins_s, lengths_s = shown.at_s[at], ends_s[at] - shown.at_s[at]
        traces.append(
            go.Bar(
                orientation="h",
                name=look if look == "paused" else LOOKS[look].word,
                base=begins_s,
                x=lengths_s,
                y=np.zeros(len(at)),
                yaxis=AXIS,
                width=1.0,
                marker={"color": page.band, "line": {"width": 0}} if look == "paused" else fill(look, dark=dark),
                text=[short_hold(name) for name in names],
                textposition="inside",
                insidetextanchor="start",
                textangle=0,
                textfont={"color": page.text, "size": 10, "shadow": _halo(page.page)},
                customdata=[
                    f"The next call: {phase(name)} {duration(length_s)}"
                    for name, length_s in zip(names, lengths_s.tolist(), strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
                legendgroup=look,
                showlegend=look != "paused" and look not in named,
                legendrank=1 if look == "paused" else list(LOOKS).index(look) + 1,
            )
        )
    return traces


def _halo(colour: str) -> str:
    """Around letters that stand on a hatch, as CSS."""
    return ", ".join(f"{x}px {y}px 1px {colour}" for x in (-1, 1) for y in (-1, 1))
