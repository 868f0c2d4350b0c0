"""The runs that whoever looks may see."""

from __future__ import annotations

from dashboard.history.view import draw_history

draw_history()
