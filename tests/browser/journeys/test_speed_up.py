"""The speed-up is measured, not claimed: the same list once more, one call at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.conftest import Sandbox
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]


def test_the_speed_up_is_measured_after_its_cost_was_said_and_drawn_on_the_same_axis(
    browse: Browse, profile: Profile, sandbox: Sandbox
) -> None:
    slow = profile(first_token_ms=400.0)
    screen = browse()
    screen.set_sandbox(slow)
    screen.type_prompts(*(f"Reply: number {n}" for n in range(6)))
    screen.run()
    screen.counts("6 of 6 answered")
    screen.press("Measure the speed-up")
    screen.says(re.compile(r"once more, one after another: 6 more quota slots, about \d"))
    assert sandbox.counts(slow)["received"] == 6
    screen.press("Not now")
    screen.press("Measure the speed-up")
    screen.press("Send 6 again, one at a time")
    screen.says(re.compile(r"One after another: \d of 6 answered"))
    told = screen.page.locator("p.sentence").last
    expect(told).to_have_text(re.compile(r"^One after another they took \d\S*\ss: \d\S* times faster\.$"))
    found = re.search(r"([\d.]+) times faster", told.inner_text())
    assert found is not None
    assert float(found[1]) > 1
    assert sandbox.counts(slow)["received"] == 12
    screen.chart.until("c.model.sections.length === 2")
    assert screen.chart.js("c.model.sections[0].kind") == "baseline"
    assert screen.chart.js("c.plot._fullLayout.xaxis.range[1] >= c.model.header.beside_s")
    screen.shoot("speed-up", tall=1500)
