"""Every account and model: its limits, who shares them, what was refused and why."""

from __future__ import annotations

from dashboard import elements, house, live, pages
from dashboard.quota_page import draw_accounts

if house.engine().quota():
    every_s = live.LIST_S if any(not each.ended for each in house.engine().runs()) else None
    live.poll(draw_accounts, every_s=every_s, key="accounts")
else:
    elements.sentence("No account has been used yet.")
    elements.quiet("Once a run has sent something, this page says what its account allows, and what is left of it.")
    pages.link_to_form("Start a run")
