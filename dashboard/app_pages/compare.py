"""Two runs beside each other."""

from __future__ import annotations

from dashboard.compare_view import draw_compare

draw_compare()
