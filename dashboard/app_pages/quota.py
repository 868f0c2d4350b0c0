"""Every account and model: its limits, who shares them, what was refused and why."""

from __future__ import annotations

from dashboard import elements, house, live, pages
from dashboard.quota_page import draw_today, look

if house.engine().quota():
    live.poll(look, key="accounts")
else:
    draw_today()
    elements.sentence("No account has been used yet.")
    elements.quiet("Once a run has sent something, this page says what its account allows, and what is left of it.")
    pages.link_to_form("Start a run")
