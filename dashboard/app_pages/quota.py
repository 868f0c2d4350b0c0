"""Every account and model: its limits, who shares them, what was refused and why."""

from __future__ import annotations

from dashboard import door, elements, house, live, pages
from dashboard.quota_page import draw_accounts, draw_today, every_s

accounts = house.engine().quota()
if accounts:
    live.poll(draw_accounts, every_s=every_s(accounts, house.library().driven(door.person())), key="accounts")
else:
    draw_today()
    elements.sentence("No account has been used yet.")
    elements.quiet("Once a run has sent something, this page says what its account allows, and what is left of it.")
    pages.link_to_form("Start a run")
