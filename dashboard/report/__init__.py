"""A run as one HTML file that needs no server: settings, sentence, Gantt, numbers, failures, every answer.

Comes in: a `Run` (and perhaps the run with one worker), and what it does not say of itself: whose it is, its tags, when
the report was saved. Goes out: the page as a string. It holds Plotly for the chart
and makes no request at all: its policy forbids every one, and lets pass two scripts by their hashes. Everything but the
chart is there without a script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import plotly
import plotly.graph_objects as go

from dashboard.gantt.component import label
from dashboard.gantt.figure import CONFIG, gantt, two_runs
from dashboard.note_words import billed_twice
from dashboard.report import parts
from dashboard.rows import simulated
from dashboard.safe import cut
from dashboard.units import counted, unbroken
from dashboard.wording import figures, run_sentence, speed_up_sentence
from fanout.library import Opened
from fanout.metrics import measure
from fanout.people import LOCAL
from fanout.run import Run

_HERE: Final = Path(__file__).parent
_COLOURED: Final = ("marker", "line", "fillcolor", "textfont")
"""What of a trace is another in dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a run does not say of itself."""

    at_s: float
    """Wall time, seconds."""
    now_ns: int
    """The same instant on the run's clock."""
    owner: str | None = None
    """None where nobody logs in."""
    tags: tuple[str, ...] = ()
    imported: bool = False


def report_of(opened: Opened, *, baseline: Run | None = None) -> str:
    """The page of a run as it stands now."""
    row = opened.row
    saved = Saved(
        at_s=time.time(),
        now_ns=opened.run.now_ns(),
        owner=None if row.owner_id == LOCAL.user_id else row.owner_name,
        tags=row.tags,
        imported=row.imported,
    )
    return report_html(opened.named(), baseline=baseline, saved=saved)


def report_html(run: Run, *, baseline: Run | None = None, saved: Saved | None = None) -> str:
    """The page. With a baseline the chart shows both runs on one axis."""
    now_ns = None if run.ended or saved is None else saved.now_ns
    metrics = measure(run, now_ns=now_ns)
    plotly_script, draw_script = _plotly(), _own("report.js")
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in (plotly_script, draw_script))
    sections = [
        ("timeline", "Timeline", _timeline(run)),
        ("settings", "Settings", parts.settings(run)),
        ("numbers", "Numbers", parts.numbers(figures(run, metrics))),
        ("failures", "Failures", parts.failures(run)),
        ("answers", "Answers", parts.answers(run)),
    ]
    there = [section for section in sections if section[2]]
    return _PAGE.format(
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        title=parts.text(run.batch.name or f"Run {run.run_id}"),
        css=_own("report.css"),
        facts=parts.text(_facts(run)),
        sentence=parts.text(unbroken(run_sentence(run, metrics))),
        also="".join(f"<p>{parts.text(line)}</p>" for line in _also(run, baseline, saved)),
        whose=""
        if saved is None
        else "".join(f'<p class="quiet" dir="auto">{parts.text(x)}</p>' for x in _whose(saved)),
        links=" ".join(parts.links([(place, name) for place, name, _ in there])),
        sections="".join(f'<section id="{place}"><h2>{name}</h2>{html}</section>' for place, name, html in there),
        # "<" written as an escape: no text of a prompt can end the element that holds it.
        told=_told(run, baseline, now_ns).replace("<", "\\u003c"),
        plotly=plotly_script,
        draw=draw_script,
    )


def _facts(run: Run) -> str:
    began = _wall(run.opened_at_s)
    models = ", then ".join(map(str, run.had("model")))
    return f"{counted(len(run.calls), 'prompt')} to {models}, begun {began}, run {run.run_id}."


def _whose(saved: Saved) -> list[str]:
    """Whose it is and its tags, each on a line of its own: they are in anybody's letters."""
    said = []
    if saved.owner is not None:
        taken = "Taken in from a file by" if saved.imported else "A run of"
        said.append(f"{taken} {cut(saved.owner, 80)}.")
    if saved.tags:
        said.append(f"Tags: {', '.join(saved.tags)}.")
    return said


def _wall(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))


def _also(run: Run, baseline: Run | None, saved: Saved | None) -> list[str]:
    said = []
    if saved is not None and not run.ended:
        said.append(f"Saved {_wall(saved.at_s)}, while the run went on: what came later is not in here.")
    if baseline is not None and baseline.ended:
        said.append(speed_up_sentence(run, baseline))
    twice = billed_twice(run)
    if twice is not None:
        said.append(twice)
    not_a_models = simulated(run)
    return said if not_a_models is None else [*said, not_a_models]


def _timeline(run: Run) -> str:
    """Where the chart is drawn; until then, and without scripts, words."""
    words = parts.text(label(run).split(". Arrow")[0])
    note = "<p>The chart needs JavaScript; everything below does not.</p>"
    return f'<div id="gantt" role="group" aria-label="{words}">{note}</div>'


def _told(run: Run, baseline: Run | None, now_ns: int | None) -> str:
    """The figure, and how its colours are in dark."""
    light, dark = (_figure(run, baseline, now_ns, dark=dark) for dark in (False, True))
    told = {
        "data": light["data"],
        "layout": light["layout"],
        "dark": {
            "data": [{name: trace[name] for name in _COLOURED if name in trace} for trace in dark["data"]],
            "layout": dark["layout"],
        },
        "config": {**CONFIG, "displayModeBar": False},
        "file": f"fanout-{run.run_id}",
    }
    return json.dumps(told, separators=(",", ":"))


def _figure(run: Run, baseline: Run | None, now_ns: int | None, *, dark: bool) -> dict[str, Any]:
    figure: go.Figure
    figure = gantt(run, now_ns=now_ns, dark=dark) if baseline is None else two_runs(run, baseline, dark=dark)
    found: dict[str, Any] = json.loads(figure.to_json())
    return found


@cache
def _plotly() -> str:
    """Plotly's script, out of its wheel."""
    return (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


@cache
def _own(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header>
<h1 dir="auto">{title}</h1>
<p class="sentence">{sentence}</p>
{also}
<p class="quiet">{facts}</p>
{whose}
<nav aria-label="Parts of this report">{links}</nav>
</header>
<main>{sections}</main>
<script type="application/json" id="told">{told}</script>
<script>{plotly}</script>
<script>{draw}</script>
</body>
</html>
"""
