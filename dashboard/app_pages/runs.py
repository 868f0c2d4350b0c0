"""The runs of this process."""

from __future__ import annotations

from dashboard import elements, house, live, pages
from dashboard.runs_list import draw_runs

if house.engine().runs():
    every_s = live.LIST_S if any(not each.ended for each in house.engine().runs()) else None
    live.poll(draw_runs, every_s=every_s, key="runs")
else:
    elements.sentence("No run yet.")
    pages.link_to_form("Start one")
