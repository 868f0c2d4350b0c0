"""Who did what, for admins."""

from __future__ import annotations

from dashboard.audit_page import draw_audit

draw_audit()
