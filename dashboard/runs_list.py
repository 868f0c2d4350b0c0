"""The runs of this process as a list of links, one in progress first.

Comes in: the engine's runs. Goes out: one line each: its link, how it stands, how many prompts on which model. Names
and models were typed by people: they are escaped.
"""

from __future__ import annotations

import time

from dashboard import elements, house, live, pages, wording
from dashboard.safe import cut, markdown_escape
from fanout.live import LiveRun
from fanout.run import Run


def draw_runs() -> float | None:
    """The list; gives how often it wants to be drawn again."""
    runs = in_order(house.engine().runs())
    if runs:
        elements.heading("Runs")
    for each in runs:
        run = each.snapshot()
        pages.link_to_run(run.run_id, _label(run))
    return live.LIST_S if any(not each.ended for each in runs) else None


def in_order(runs: tuple[LiveRun, ...]) -> tuple[LiveRun, ...]:
    """What goes on first, then what has ended, each the newest first."""
    return tuple(sorted(runs, key=lambda each: each.ended))


def _label(run: Run) -> str:
    name = f"**{markdown_escape(cut(run.batch.name, 60))}** · " if run.batch.name else ""
    began = time.strftime("%H:%M:%S", time.localtime(run.opened_at_s))
    said = markdown_escape(f"{wording.run_state(run)} · {wording.counts_sentence(run)}")
    return f"{name}{markdown_escape(began)} · {markdown_escape(cut(run.batch.model, 60))} · {said}"
