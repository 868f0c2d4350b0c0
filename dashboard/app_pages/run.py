"""The main page: the form, or the run that the address names."""

from __future__ import annotations

from dashboard import elements, found, pages, rows, session_address
from dashboard.compose import draw_form
from dashboard.watch import watch

run_id = session_address.shown_run()
opened = None if run_id is None else found.opened(run_id)
if run_id is None:
    draw_form()
elif opened is None:
    elements.sentence(found.NOT_KNOWN)
    elements.quiet("It may have been deleted, its link withdrawn, or it was never there: you cannot be told which.")
    pages.link_to_form("To the form and the runs")
else:
    elements.tab_title(rows.title(opened.row) if opened.row.name else f"Run {rows.title(opened.row)}")
    watch(opened)
session_address.page_drawn()
