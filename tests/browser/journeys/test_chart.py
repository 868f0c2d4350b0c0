"""The live Gantt on the run page: it is there, it can be turned, pressed and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]


def test_a_bar_opens_the_same_detail_as_its_row_in_rows_and_in_lanes(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", 4)
    screen.type_prompts(*(f"hold chart number {n}" for n in range(1, 13)))
    screen.run()
    screen.chart.until("c.model.size === 4 && c.model.header.live && c.model.header.rows")
    provider.release("chart")
    screen.counts("12 of 12 answered")
    screen.chart.until("!c.model.header.live")
    assert screen.chart.js("c.model.header.prompts") == 12
    bar = screen.chart.bar(6)
    screen.page.mouse.click(bar["x"], bar["y"])
    detail = screen.open_detail(7)
    expect(detail.locator("code").nth(1)).to_have_text("hold chart number 7")
    screen.page.keyboard.press("Escape")
    expect(detail).to_have_count(0)

    screen.choose("Rows or lanes", "A lane a worker")
    screen.chart.until("c.model.header.rows === false")
    assert screen.chart.js("c.model.sections.at(-1).count") == 4
    screen.shoot("lanes", tall=1300)
    bar = screen.chart.bar(9)
    screen.page.mouse.click(bar["x"], bar["y"])
    screen.open_detail(10)


def test_the_chart_is_saved_as_a_picture(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.type_prompts("Reply: one", "Reply: two")
    run = screen.run()
    screen.counts("2 of 2 answered")
    screen.chart.until("!c.model.header.live")
    with screen.page.expect_download() as saving:
        screen.chart.root.get_by_role("button", name="Save as PNG").click()
    assert saving.value.suggested_filename == f"fanout-{run}.png"
    assert Path(saving.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_above_a_hundred_prompts_the_chart_opens_with_a_lane_a_worker(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(first_token_ms=100.0))
    screen.type_prompts(*(f"Reply: number {n}" for n in range(150)))
    screen.slide("max_workers", 16)
    screen.run()
    screen.chart.until("c.model.size > 0 && c.model.header.rows === false")
    screen.counts("150 of 150 answered")
    screen.chart.until("!c.model.header.live")
    screen.shoot("many", tall=1300)
