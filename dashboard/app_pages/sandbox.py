"""How the sandbox behaves for the runs this session starts from now on."""

from __future__ import annotations

from dashboard.sandbox_form import draw_sandbox

draw_sandbox()
