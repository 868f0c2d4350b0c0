"""The downloads of a run: results as CSV and JSON lines, the run itself, its timeline as Chrome trace, its report.

Comes in: a live run. Goes out: five buttons; the file is made when one is pressed, of the run as it stands then. (The
built-in export of tables is off: its CSV holds cells that a spreadsheet runs.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard import door, house, session_share
from dashboard.report import report_of
from dashboard.session import Chosen
from fanout.archive import export_run
from fanout.errors import FanoutError
from fanout.export import chrome_trace, results_csv, results_jsonl
from fanout.library import Opened, Watched
from fanout.people import Person


@dataclass(frozen=True, slots=True)
class Asker:
    """Who pressed, and by which link they came to the run."""

    person: Person
    token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    key: str
    label: str
    ending: str
    mime: str
    write: Callable[[Opened, Asker], str]
    help: str | None = None


class RefusalsAreLines(logging.Filter):
    """Of a download that was refused (its run was withdrawn or deleted, the store is lost) the log gets a line.

    The page says so by itself: the button at once, and within seconds that the run is not known.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes; that of a refusal without its traceback."""
        why = record.exc_info[1].__cause__ if record.exc_info and record.exc_info[1] is not None else None
        if isinstance(why, FanoutError):
            record.msg, record.args, record.exc_info = "a download was refused: %s", (str(why),), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


logging.getLogger("streamlit.runtime.backend_operation_handler").addFilter(RefusalsAreLines())


def draw(opened: Opened, *, chosen: Chosen, baseline: Watched | None) -> None:
    """The five buttons; results come in the order of the table, the report with the baseline where there is one."""
    with st.container(horizontal=True, key="downloads"):
        for kind in _kinds(chosen, baseline):
            _button(opened, kind)


def _button(opened: Opened, kind: _Download) -> None:
    run_id = opened.row.run_id
    # The file is made in a thread that knows no session: who asks is settled here, and asked again when it is pressed.
    person, token = door.person(), session_share.link_of(run_id)
    st.download_button(
        kind.label,
        data=lambda: kind.write(house.library().find(person, run_id, token=token), Asker(person, token)),
        file_name=f"fanout-{run_id}.{kind.ending}",
        mime=kind.mime,
        key=kind.key,
        help=kind.help,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _kinds(chosen: Chosen, baseline: Watched | None) -> tuple[_Download, ...]:
    return (
        _Download(
            key="download_csv",
            label="CSV",
            ending="csv",
            mime="text/csv",
            write=lambda opened, _: results_csv(opened.named(), order=chosen.order),
        ),
        _Download(
            key="download_jsonl",
            label="JSON lines",
            ending="jsonl",
            mime="application/jsonl",
            write=lambda opened, _: results_jsonl(opened.named(), order=chosen.order),
        ),
        _Download(
            key="download_run",
            label="Run file",
            ending="run.jsonl",
            mime="application/jsonl",
            write=lambda opened, asker: export_run(
                house.library().events(asker.person, opened.row.run_id, token=asker.token), tags=opened.row.tags
            ),
            help="Everything that happened, without loss, for Fanout to read back.",
        ),
        _Download(
            key="download_trace",
            label="Chrome trace",
            ending="trace.json",
            mime="application/json",
            write=lambda opened, _: chrome_trace(opened.named()),
        ),
        _Download(
            key="download_report",
            label="Report",
            ending="html",
            mime="text/html",
            write=lambda opened, _: report_of(opened, baseline=None if baseline is None else baseline.snapshot()),
            help="One file with the chart, the numbers and every answer, that opens anywhere without a server.",
        ),
    )
