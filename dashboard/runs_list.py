"""The runs of this process as a list of links, one in progress first.

Comes in: the engine's runs. Goes out: one line each: its link, how it stands, how many prompts on which model. Names
and models were typed by people: they are escaped.
"""

from __future__ import annotations

import time

from dashboard import elements, house, live, pages, wording
from dashboard.safe import cut, markdown_escape
from dashboard.units import duration
from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.metrics import wall_ns
from fanout.run import Run

SHOWN_WITH_FORM = 5
"""Runs on the form's page: the form must not be pushed off the screen; the page of runs has them all."""


def draw_with_form() -> float | None:
    """What goes on and the latest of the others under a heading, beside a form."""
    runs = in_order(house.engine().runs())
    if runs:
        elements.heading("Runs")
    for each in runs[:SHOWN_WITH_FORM]:
        _link(each)
    if len(runs) > SHOWN_WITH_FORM:
        pages.link_to_runs(f"All {len(runs)} runs")
    return _every_s(runs)


def draw_runs() -> float | None:
    """The whole list; gives how often it wants to be drawn again."""
    runs = in_order(house.engine().runs())
    for each in runs:
        _link(each)
    return _every_s(runs)


def _link(live_run: LiveRun) -> None:
    run = live_run.snapshot()
    pages.link_to_run(run.run_id, _label(run, now_ns=live_run.now_ns()))


def _every_s(runs: tuple[LiveRun, ...]) -> float | None:
    return live.LIST_S if any(not each.ended for each in runs) else None


def in_order(runs: tuple[LiveRun, ...]) -> tuple[LiveRun, ...]:
    """What goes on first, then what has ended, each the newest first."""
    return tuple(sorted(runs, key=lambda each: each.ended))


def _label(run: Run, *, now_ns: int) -> str:
    name = f"**{markdown_escape(cut(run.batch.name, 60))}** · " if run.batch.name else ""
    began = time.strftime("%H:%M:%S", time.localtime(run.opened_at_s))
    facts = [began, cut(run.batch.model, 60), wording.run_state(run), wording.counts_sentence(run, now_ns=now_ns)]
    if run.ended:
        facts.append(f"{duration(seconds(wall_ns(run)))} at max_workers {run.max_workers}")
    return name + markdown_escape(" · ".join(facts))
