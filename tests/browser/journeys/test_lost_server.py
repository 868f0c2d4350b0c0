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
