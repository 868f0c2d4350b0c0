"""A narrow window: nothing runs over its edge, the strip wraps, the Gantt keeps its height."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import NARROW, Screen

Browse = Callable[..., Screen]


def test_nothing_runs_over_the_edge_of_a_narrow_window(browse: Browse, provider: Provider) -> None:
    screen = browse(viewport=NARROW)
    expect(screen.run_button).to_be_visible()
    assert screen.overflow_px() == 0
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("narrow hello", "hold narrow one")
    run = screen.run()
    screen.counts("1 of 2 answered, 1 in flight")
    screen.chart.drawn()
    assert screen.overflow_px() == 0
    strip = screen.key("strip").bounding_box()
    assert strip is not None
    assert strip["x"] >= 0
    assert strip["x"] + strip["width"] <= NARROW["width"]
    for name in ("Pause", "Stop", "Share"):
        button = screen.page.get_by_role("button", name=name, exact=True).bounding_box()
        assert button is not None
        assert button["x"] + button["width"] <= NARROW["width"]
    screen.shoot("running", tall=1400)
    provider.release("narrow")
    screen.page.set_viewport_size(NARROW)
    screen.counts("2 of 2 answered")
    screen.rows(2)
    screen.press_row(0)
    screen.open_detail(1)
    assert screen.overflow_px() == 0
    screen.page.keyboard.press("Escape")
    for path in ("/sandbox", "/runs", f"/?run={run}"):
        screen.open(path)
        expect(screen.page.locator("p.sentence, table.history a").first).to_be_visible()
        assert screen.overflow_px() == 0, path


def test_the_gantt_is_as_high_in_a_narrow_window_as_in_a_wide_one(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts(*(f"height {n}" for n in range(20)))
    screen.run()
    screen.counts("20 of 20 answered")
    screen.chart.until("!c.model.header.live")
    wide = screen.chart.js("c.plot.offsetHeight")
    screen.page.set_viewport_size(NARROW)
    screen.chart.until("c.look.narrow")
    assert screen.chart.js("c.plot.offsetHeight") == wide
