"""Colours, hatches and words of every status and phase: one place, light and dark, picked by hand.

Comes in: nothing. Goes out: `LOOKS` and `THEMES`, read by the figures, the live chart (as a JavaScript module,
`as_json`) and the pages. Knows no run and no chart library.

Against the page each solid fill has at least 3:1 and each word 4.5:1, in light and in dark (a test computes both).
Answered and failed are close in luminance, so failed carries a cross-hatch: no status is told by its colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

MarkStatus = Literal["answered", "running", "retried", "failed", "cancelled"]
LookName = Literal[
    "first_token", "answered", "running", "retried", "failed", "cancelled", "waiting", "quota", "backoff"
]
Hatch = Literal["", "x", "/", "-", "\\"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one kind of mark is named and drawn. `hatch` is one of Plotly's pattern shapes."""

    word: str
    light: str
    dark: str
    hatch: Hatch = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What a chart is drawn in besides its marks. Of the live chart, `page` and `text` come from Streamlit's theme."""

    page: str
    text: str
    quiet: str
    """Axis labels and the max_workers line: a grey of at least 4.5:1."""
    grid: str
    outline: str
    """Around the tint and the waits, whose fill alone is too weak."""
    area: str
    """In flight."""
    area_line: str
    baseline: str
    """The other run's in-flight line."""
    band: str
    """Where the run was paused."""


LOOKS: Mapping[LookName, Look] = {
    "answered": Look(word="answered", light="#2f6fb2", dark="#5e9bd6"),
    "first_token": Look(word="before the first token", light="#a9c6e3", dark="#35587d"),
    "running": Look(word="in flight", light="#4c8fd0", dark="#82b6e8"),
    "retried": Look(word="retried", light="#a86a00", dark="#cf9a3c", hatch="/"),
    "failed": Look(word="failed", light="#c0361f", dark="#f0705a", hatch="x"),
    "cancelled": Look(word="cancelled", light="#747c87", dark="#98a1ad", hatch="-"),
    "waiting": Look(word="waiting", light="#e3e7ec", dark="#333c47", hatch="\\"),
    "quota": Look(word="waiting for quota", light="#ddd5f0", dark="#473b6e", hatch="\\"),
    "backoff": Look(word="backing off", light="#f1e3c6", dark="#544526", hatch="\\"),
}
"""In the order of a legend, the tint after what it belongs to."""

MARK_STATUSES: tuple[MarkStatus, ...] = ("answered", "running", "retried", "failed", "cancelled")
"""An attempt's status by its code, as the columns hold it."""

PAINT_ORDER: tuple[MarkStatus, ...] = ("answered", "running", "cancelled", "retried", "failed")
"""Failures are painted last: they must never be covered."""

THEMES: Mapping[Literal["light", "dark"], Theme] = {
    "light": Theme(
        page="#ffffff",
        text="#1d232b",
        quiet="#5b6573",
        grid="#e9ecf0",
        outline="#7f9dbd",
        area="#dbe7f3",
        area_line="#2f6fb2",
        baseline="#747c87",
        band="#f3f4f6",
    ),
    "dark": Theme(
        page="#14181d",
        text="#e4e8ec",
        quiet="#9aa4b1",
        grid="#222a33",
        outline="#5f83a8",
        area="#1d3147",
        area_line="#5e9bd6",
        baseline="#98a1ad",
        band="#1a2027",
    ),
}


def colour(look: LookName, *, dark: bool = False) -> str:
    """The fill of a mark."""
    return LOOKS[look].dark if dark else LOOKS[look].light


def theme(*, dark: bool = False) -> Theme:
    """What surrounds the marks."""
    return THEMES["dark" if dark else "light"]


def luminance(hex_colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1 (WCAG 2.2)."""
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def as_json() -> dict[str, Any]:
    """All of it for the live chart."""
    return {
        "looks": {name: asdict(look) for name, look in LOOKS.items()},
        "themes": {name: asdict(each) for name, each in THEMES.items()},
        "statuses": list(MARK_STATUSES),
        "paintOrder": list(PAINT_ORDER),
    }
