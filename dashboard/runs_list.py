"""The latest runs that whoever looks may see, as links beside a form; `history` is the page of all of them.

Comes in: rows of the library. Goes out: one line each: its link, how it stands, how many prompts on which model. Names
and models were typed by people: they are escaped.
"""

from __future__ import annotations

from dashboard import door, elements, house, live, pages, zones
from dashboard.rows import facts
from dashboard.safe import cut, markdown_escape
from fanout.store.rows import RunRow

SHOWN_WITH_FORM = 5
"""Runs on the form's page: the form must not be pushed off the screen; the page of runs has them all."""


def look() -> live.Look:
    """The latest runs, beside a form."""
    rows = house.library().newest(door.person(), SHOWN_WITH_FORM + 1)
    return live.Look(every_s=every_s(rows[:SHOWN_WITH_FORM]), draw=lambda: draw(rows))


def draw(rows: tuple[RunRow, ...]) -> None:
    """Their links under a heading; one more than are shown says that there are more."""
    if rows:
        elements.heading("Runs")
    for row in rows[:SHOWN_WITH_FORM]:
        _link(row)
    if len(rows) > SHOWN_WITH_FORM:
        pages.link_to_runs("All runs")


def every_s(rows: tuple[RunRow, ...]) -> float | None:
    """How often a list of these is drawn again."""
    return live.LIST_S if any(row.goes_on for row in rows) else None


def _link(row: RunRow) -> None:
    name = f"**{markdown_escape(cut(row.name, 60))}** · " if row.name else ""
    pages.link_to_run(row.run_id, name + markdown_escape(facts(row, zone=zones.here())))
