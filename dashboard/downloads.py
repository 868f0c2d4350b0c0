"""The downloads of a run: results as CSV and JSON lines, the timeline as Chrome trace and as a page of its own.

Comes in: a live run. Goes out: four buttons; the file is made when one is pressed, of the run as it stands then. (The
built-in export of tables is off: its CSV holds cells that a spreadsheet runs.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard.gantt.figure import gantt_html
from dashboard.session import Chosen
from dashboard.wording import run_sentence
from fanout.export import chrome_trace, results_csv, results_jsonl
from fanout.live import LiveRun
from fanout.metrics import measure
from fanout.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    key: str
    label: str
    ending: str
    mime: str
    write: Callable[[Run], str]


def draw(live_run: LiveRun, *, chosen: Chosen, baseline: LiveRun | None) -> None:
    """The four buttons; the results come in the order of the table, the Gantt with the baseline where there is one."""
    with st.container(horizontal=True, key="downloads"):
        for kind in _kinds(chosen, baseline):
            _button(live_run, kind)


def _button(live_run: LiveRun, kind: _Download) -> None:
    st.download_button(
        kind.label,
        data=lambda: kind.write(live_run.snapshot()),
        file_name=f"fanout-{live_run.run_id}.{kind.ending}",
        mime=kind.mime,
        key=kind.key,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _kinds(chosen: Chosen, baseline: LiveRun | None) -> tuple[_Download, ...]:
    return (
        _Download(
            key="download_csv",
            label="CSV",
            ending="csv",
            mime="text/csv",
            write=lambda run: results_csv(run, order=chosen.order),
        ),
        _Download(
            key="download_jsonl",
            label="JSON lines",
            ending="jsonl",
            mime="application/jsonl",
            write=lambda run: results_jsonl(run, order=chosen.order),
        ),
        _Download(
            key="download_trace", label="Chrome trace", ending="trace.json", mime="application/json", write=chrome_trace
        ),
        _Download(
            key="download_html",
            label="HTML Gantt",
            ending="html",
            mime="text/html",
            write=lambda run: _html(run, baseline),
        ),
    )


def _html(run: Run, baseline: LiveRun | None) -> str:
    measured = None if baseline is None else baseline.snapshot()
    return gantt_html(run, summary=run_sentence(run, measure(run)), baseline=measured)
