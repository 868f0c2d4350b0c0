"""The main page: the form, or the run that the address names."""

from __future__ import annotations

from dashboard import elements, house, pages, session
from dashboard.compose import draw_form
from dashboard.watch import watch

run_id = session.shown_run()
live_run = None if run_id is None else house.engine().find(run_id)
if run_id is None:
    draw_form()
elif live_run is None:
    elements.sentence("This run is not known here.")
    elements.quiet(
        f"Fanout remembers the last {house.settings().keep_runs} runs of this process, and the address names another."
    )
    pages.link_to_form("To the form and the runs")
else:
    watch(live_run)
