"""A run's marks as native Plotly bars, one trace per status: what the plain figure is made of.

Comes in: marks and the heights they lie at. Goes out: `go.Bar`s with a legend of counts and hover texts. Prompts and
errors are hostile: Plotly reads `<b>` and `<a>` in its texts, so they are escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import phase
from dashboard.gantt.holds import held_in, hold_look
from dashboard.gantt.marks import Marks
from dashboard.gantt.waits import WAIT_KINDS
from dashboard.gantt.wire import HOVER_CHARACTERS, one_line
from dashboard.palette import LOOKS, MARK_STATUSES, PAINT_ORDER, LookName, colour, theme
from dashboard.units import duration
from fanout.run import Run

BAR: Final = 0.85
"""Always given: without a width Plotly derives one for each trace from its own spacing, and a rare failure gets a bar
three lanes tall."""
WAIT_LOOKS: Final[tuple[LookName, ...]] = ("waiting", "quota", "backoff")
SPLIT_UP_TO: Final = 1_500
"""Attempts above which bars are of one colour: so narrow a tint is only noise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One run's marks and the height that each of them lies at."""

    run: Run
    marks: Marks
    y: np.ndarray[Any, np.dtype[np.float64]]
    now_s: float


def bars_of(parts: list[Part], *, dark: bool) -> list[go.Bar]:
    """One trace per status that is present, with its count, failures last; few enough are split at the first token."""
    traces = []
    for status in PAINT_ORDER:
        code = MARK_STATUSES.index(status)
        picked = [np.flatnonzero(part.marks.status == code) for part in parts]
        total = sum(map(len, picked))
        if total:
            split = status in ("answered", "running") and sum(len(p.marks.call) for p in parts) <= SPLIT_UP_TO
            if split:
                traces += _tinted(parts, picked, dark=dark)
            name = f"{LOOKS[status].word} {total:,}"
            traces.append(_trace(status, name, parts, picked, from_token=split, dark=dark))
    return traces


def _tinted(parts: list[Part], picked: list[Any], *, dark: bool) -> list[go.Bar]:
    """The part before the first token, where calls were streamed."""
    streamed = [at[~np.isnan(part.marks.first_s[at])] for part, at in zip(parts, picked, strict=True)]
    if not sum(map(len, streamed)):
        return []
    return [_trace("first_token", LOOKS["first_token"].word, parts, streamed, from_token=False, dark=dark)]


def _trace(look: LookName, name: str, parts: list[Part], picked: list[Any], *, from_token: bool, dark: bool) -> go.Bar:
    begins, lengths, heights, texts = [], [], [], []
    for part, at in zip(parts, picked, strict=True):
        marks = part.marks
        end_s = np.where(np.isnan(marks.end_s[at]), part.now_s, marks.end_s[at])
        split_s = np.where(np.isnan(marks.first_s[at]), marks.start_s[at], marks.first_s[at])
        begin_s = split_s if from_token else marks.start_s[at]
        stop_s = split_s if look == "first_token" else end_s
        begins.append(begin_s)
        lengths.append(np.maximum(stop_s - begin_s, 0.0))
        heights.append(part.y[at])
        texts += [_hover(part, i) for i in at.tolist()]
    return go.Bar(
        orientation="h",
        name=name,
        base=np.concatenate(begins),
        x=np.concatenate(lengths),
        y=np.concatenate(heights),
        width=BAR,
        marker=fill(look, dark=dark),
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
        legendrank=list(LOOKS).index(look) + 1,
        legendgroup=look,
        showlegend=True,
    )


def waits_of(part: Part, *, dark: bool) -> list[go.Bar]:
    """Thin and pale: waiting for a worker, for a quota (what held a wait longest names it), and backing off."""
    marks = part.marks
    ends_s = np.where(np.isnan(marks.wait_to_s), part.now_s, marks.wait_to_s)
    looks = [_wait_look(part, i, float(end_s)) for i, end_s in enumerate(ends_s)]
    traces = []
    for look in WAIT_LOOKS:
        at = np.array([i for i, each in enumerate(looks) if each == look], np.intp)
        if not len(at):
            continue
        to_s = ends_s[at]
        traces.append(
            go.Bar(
                orientation="h",
                name=LOOKS[look].word,
                base=marks.wait_from_s[at],
                x=np.maximum(to_s - marks.wait_from_s[at], 0.0),
                y=marks.row[marks.wait_call[at]],
                width=BAR * 0.4,
                marker=fill(look, dark=dark),
                customdata=[
                    _waited(part, look, begin, end) for begin, end in zip(marks.wait_from_s[at], to_s, strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
                legendrank=list(LOOKS).index(look) + 1,
                legendgroup=look,
            )
        )
    return traces


def _wait_look(part: Part, wait: int, end_s: float) -> LookName:
    if WAIT_KINDS[part.marks.wait_kind[wait]] == "backoff":
        return "backoff"
    held = held_in(part.marks.holds, float(part.marks.wait_from_s[wait]), end_s)
    return "quota" if held and hold_look(max(held, key=held.__getitem__)) == "quota" else "waiting"


def _waited(part: Part, look: LookName, from_s: float, to_s: float) -> str:
    """What a wait waited for, and how long for each."""
    if look == "backoff":
        return f"{phase('backoff')} {duration(to_s - from_s)}"
    held = held_in(part.marks.holds, from_s, to_s)
    return "<br>".join(f"{phase(name)} {duration(length_s)}" for name, length_s in held.items())


def fill(look: LookName, *, dark: bool) -> dict[str, Any]:
    """A bar's colour, edge and hatch."""
    page = theme(dark=dark)
    pale = look in WAIT_LOOKS
    line = page.outline if look == "first_token" else page.page
    return {
        "color": colour(look, dark=dark),
        "line": {"color": line, "width": 0.5},
        "pattern": {
            "shape": LOOKS[look].hatch,
            "fillmode": "overlay",
            "fgcolor": page.quiet if pale else page.page,
            "size": 6,
            "solidity": 0.12 if pale else 0.2,
        },
    }


def _hover(part: Part, i: int) -> str:
    """What a bar says; texts of others are escaped, because Plotly reads tags."""
    marks = part.marks
    call = part.run.calls[int(marks.call[i])]
    end_s = part.now_s if np.isnan(marks.end_s[i]) else marks.end_s[i]
    status = LOOKS[MARK_STATUSES[marks.status[i]]].word
    lines = [f"<b>#{call.index + 1} {status}</b>", escape(one_line(call.prompt, HOVER_CHARACTERS), quote=False)]
    facts = [duration(float(end_s - marks.start_s[i])), f"attempt {marks.number[i]}", f"worker {marks.lane[i] + 1}"]
    if not np.isnan(marks.first_s[i]):
        facts.insert(1, f"first token after {duration(float(marks.first_s[i] - marks.sent_s[i]))}")
    if marks.error[i]:
        lines.append(escape(one_line(marks.errors[marks.error[i] - 1], 2 * HOVER_CHARACTERS), quote=False))
    return "<br>".join([*lines, ", ".join(facts)])
