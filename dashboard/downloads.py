"""The downloads of a run: results as CSV and JSON lines, the run itself, its timeline as Chrome trace, its report.

Comes in: a live run. Goes out: five buttons; the file is made when one is pressed, of the run as it stands then. (The
built-in export of tables is off: its CSV holds cells that a spreadsheet runs.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard.report import report_html
from dashboard.session import Chosen
from fanout.archive import export_run
from fanout.export import chrome_trace, results_csv, results_jsonl
from fanout.live import LiveRun


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    key: str
    label: str
    ending: str
    mime: str
    write: Callable[[LiveRun], str]
    help: str | None = None


def draw(live_run: LiveRun, *, chosen: Chosen, baseline: LiveRun | None) -> None:
    """The five buttons; results come in the order of the table, the report with the baseline where there is one."""
    with st.container(horizontal=True, key="downloads"):
        for kind in _kinds(chosen, baseline):
            _button(live_run, kind)


def _button(live_run: LiveRun, kind: _Download) -> None:
    st.download_button(
        kind.label,
        data=lambda: kind.write(live_run),
        file_name=f"fanout-{live_run.run_id}.{kind.ending}",
        mime=kind.mime,
        key=kind.key,
        help=kind.help,
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
            write=lambda live_run: results_csv(live_run.snapshot(), order=chosen.order),
        ),
        _Download(
            key="download_jsonl",
            label="JSON lines",
            ending="jsonl",
            mime="application/jsonl",
            write=lambda live_run: results_jsonl(live_run.snapshot(), order=chosen.order),
        ),
        _Download(
            key="download_run",
            label="Run file",
            ending="run.jsonl",
            mime="application/jsonl",
            write=lambda live_run: export_run(live_run.events()),
            help="Everything that happened, without loss, for Fanout to read back.",
        ),
        _Download(
            key="download_trace",
            label="Chrome trace",
            ending="trace.json",
            mime="application/json",
            write=lambda live_run: chrome_trace(live_run.snapshot()),
        ),
        _Download(
            key="download_report",
            label="Report",
            ending="html",
            mime="text/html",
            write=lambda live_run: report_html(
                live_run.snapshot(), baseline=None if baseline is None else baseline.snapshot()
            ),
            help="One file with the chart, the numbers and every answer, that opens anywhere without a server.",
        ),
    )
