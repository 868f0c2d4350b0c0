"""A server that is killed under an open tab: the tab says that what it shows is no longer live, until it is back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen
from tests.browser.serving import KEY, served

Profiles = Callable[..., BrowserContext]
_SERVER_HAS = """(words) => {
  const { form } = window.fanoutKept.slots["fanout-form"]
  return form?.text?.endsWith(words) && !document.querySelector(".stMain").inert
}"""
"""Whether the server drew the form with a text that ends so."""
_SETTINGS_OF = "() => window.fanoutKept.slots['fanout-settings'].session"
_SERVER_HAS_SETTINGS = """(before) => {
  const { session, handed } = window.fanoutKept.slots["fanout-settings"]
  return session !== before && !handed && !document.querySelector(".stMain").inert
}"""
"""Whether another session than this one has the settings that the tab kept."""
LOST = re.compile(
    r"^No connection to the server: what you see is its last word\. The page goes on by itself once it is back\. "
    r"Stored answers are not lost\.$"
)


def test_an_open_tab_says_that_its_server_is_gone_and_goes_on_once_it_is_back(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    with served(tmp_path, **environment) as first:
        screen = Screen(profiles(first.url, server_may_be_lost=True).new_page(), first.url, shots).open()
        gone = screen.alert.filter(has_text=LOST)
        screen.choose_model("openai-chat:echo")
        screen.type_prompts("lost one", "hold lost 1")
        screen.run()
        screen.counts("1 of 2 answered, 1 in flight")
        expect(screen.table.get_by_test_id("glide-cell-0-0")).to_have_count(1)
        screen.chart.drawn()
        expect(screen.key("download_report").get_by_role("button")).to_be_visible()
        expect(gone).to_have_count(0)
        screen.quiet()  # from now on the browser has each part of the page
        first.kill()
    expect(gone).to_be_visible()
    screen.state("Running")  # its last word
    expect(screen.page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()
    assert screen.overflow_px() == 0
    screen.shoot("server-lost")

    provider.release("lost")
    with served(tmp_path, first.port, **environment):
        screen.state("Interrupted")
        expect(gone).to_have_count(0)
        screen.press("Resume 1 unanswered")
        screen.state("Done")
        screen.counts("2 of 2 answered")


def test_a_form_that_stood_open_while_its_server_was_started_anew_sends_what_it_shows(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    with served(tmp_path, **environment) as first:
        screen = Screen(profiles(first.url, server_may_be_lost=True).new_page(), first.url, shots).open()
        screen.choose_model("openai-chat:echo")
        screen.slide("max_workers", 3)
        screen.type_prompts("anew one", "anew two")
        screen.says("2 calls, 2 quota slots, all at once")
        screen.quiet()
        screen.prompts.fill("anew one\nanew two\nanew not left yet")
        first.kill()
    expect(screen.alert.filter(has_text=LOST)).to_be_visible()
    with served(tmp_path, first.port, **environment):
        expect(screen.alert.filter(has_text=LOST)).to_have_count(0)
        screen.page.wait_for_function(_SERVER_HAS, arg="not left yet")
        expect(screen.prompts).to_have_value("anew one\nanew two\nanew not left yet")
        screen.says("3 calls, 3 quota slots, all at once")
        screen.run()
        screen.counts("3 of 3 answered")
        assert sorted(asked.prompt for asked in provider.asked("anew")) == ["anew not left yet", "anew one", "anew two"]


def test_settings_to_go_on_with_stand_through_a_reload_and_a_server_that_is_started_anew(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    caps = re.compile(r"Pauses and asks at 12 tokens")
    with served(tmp_path, **environment) as first:
        screen = Screen(profiles(first.url, server_may_be_lost=True).new_page(), first.url, shots).open()
        screen.choose_model("openai-chat:echo")
        screen.slide("max_workers", 3)
        screen.type_prompts(*(f"hold stand {n}" for n in range(6)))
        run = screen.run()
        screen.counts("0 of 6 answered, 3 in flight, 3 queued")
        screen.press("Stop")
        screen.state("Stopped")
        screen.slide("strip_workers", 1)
        screen.press("Other settings")
        screen.number("Cap in tokens", 12)
        screen.says(caps)
        screen.page.keyboard.press("Escape")
        screen.quiet()
        screen.page.reload()
        screen.quiet()
        screen.says(caps)
        screen.quiet()
        before = screen.page.evaluate(_SETTINGS_OF)
        first.kill()
    expect(screen.alert.filter(has_text=LOST)).to_be_visible()
    with served(tmp_path, first.port, **environment):
        expect(screen.alert.filter(has_text=LOST)).to_have_count(0)
        screen.page.wait_for_function(_SERVER_HAS_SETTINGS, arg=before)
        screen.says(caps)
        screen.says(re.compile("one after another"))
        expect(screen.key("strip_workers").get_by_role("slider")).to_have_value("1")
        screen.quiet()
        screen.shoot("settings-stood")
        provider.release("stand")
        screen.press("Retry 6 unanswered")
        screen.state("Paused")
        screen.says(re.compile("^Paused at its cap"))
        assert screen.shown_run() == run
        assert len(provider.asked("stand")) < 9
        screen.press("Stop")
        screen.state("Stopped")
