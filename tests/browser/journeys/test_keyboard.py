"""Everything by keys: run, reach every control in its order, stop, open and close a call."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

_FOCUSED = """() => { const e = document.activeElement
  return [e.getAttribute('aria-label') || e.innerText || e.tagName, e.className || ''].join(' ') }"""


def _tab_to(screen: Screen, words: str) -> None:
    for _ in range(60):
        screen.page.keyboard.press("Tab")
        if words in screen.page.evaluate(_FOCUSED):
            return
    raise AssertionError(f"no tab stop named {words!r}")


def test_what_was_typed_is_run_by_ctrl_enter_and_stopped_by_keys(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.prompts.fill("keys hello\nhold keys one")
    screen.prompts.press("Control+Enter")
    screen.shown_run()
    screen.counts("1 of 2 answered, 1 in flight")
    assert len(provider.asked("keys")) == 2
    for name in ("max_workers", "Pause", "Stop"):
        _tab_to(screen, name)
    screen.page.keyboard.press("Enter")
    screen.state("Stopped")
    screen.counts("1 of 2 answered, 1 cancelled")


def test_the_chart_is_walked_and_a_call_opened_and_closed_by_keys(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("walk one", "walk two")
    screen.run()
    screen.counts("2 of 2 answered")
    screen.chart.until("!c.model.header.live")
    _tab_to(screen, "fo-gantt")
    screen.page.keyboard.press("ArrowRight")
    screen.page.keyboard.press("ArrowDown")
    expect(screen.page.locator(".fo-says")).to_contain_text("Call #2 answered")
    screen.page.keyboard.press("Enter")
    screen.open_detail(2)
    screen.quiet()  # the heading stands before the key of the button under it is heard
    screen.page.keyboard.press("Escape")
    expect(screen.detail).to_have_count(0)


def test_what_opens_is_entered_by_the_key_that_opened_it_and_left_by_escape(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("enter one")
    screen.run()
    screen.counts("1 of 1 answered")
    screen.quiet()
    for name in ("Name this run", "Share"):
        button = screen.page.get_by_role("button", name=name, exact=True)
        button.focus()
        screen.page.keyboard.press("Enter")
        body = screen.page.get_by_test_id("stPopoverBody")
        expect(body.locator(":focus")).to_have_count(1)
        screen.page.keyboard.press("Escape")
        expect(body).to_have_count(0)
        expect(button).to_be_focused()
