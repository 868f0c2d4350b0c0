"""The runs that whoever looks may see."""

from __future__ import annotations

from dashboard import door, elements, house, live, pages
from dashboard.runs_list import draw_runs, every_s

rows = house.library().newest(door.person(), 1)
if rows:
    live.poll(draw_runs, every_s=every_s(rows), key="runs")
else:
    elements.sentence("No run yet.")
    pages.link_to_form("Start one")
