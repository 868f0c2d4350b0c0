"""The first minute of a newcomer: one command, one page, one key."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.journeys.screen import Screen
from tests.browser.serving import served

USABLE_WITHIN_S = 20.0
"""From the command to a page that can be used; about 5 s on two cores that do nothing else."""


def test_a_newcomer_watches_forty_prompts_after_one_command_and_one_key(
    profiles: Callable[..., BrowserContext], shots: Path, tmp_path: Path
) -> None:
    with served(tmp_path) as dashboard:
        screen = Screen(profiles(dashboard.url).new_page(), dashboard.url, shots).open()
        expect(screen.run_button).to_be_enabled()
        assert time.monotonic() - dashboard.began_s < USABLE_WITHIN_S
        assert len(screen.prompts.input_value().splitlines()) == 40
        expect(screen.key("model").get_by_role("combobox")).to_have_value("sandbox")
        expect(screen.key("max_workers").get_by_test_id("stSliderThumbValue")).to_have_text("8")
        expect(screen.page.locator("button[kind=primary]")).to_have_count(1)
        screen.says("40 calls, 40 quota slots, 8 at a time.")
        screen.shoot("compose")

        screen.page.keyboard.press("Control+Enter")
        screen.shown_run()
        expect(screen.table.get_by_test_id("glide-cell-0-0")).to_have_text("answered")
        assert screen.answered() < 40, "the first answers are shown while the others are still on their way"
        screen.counts("40 of 40 answered")
        screen.state("Done")
        expect(screen.sentence).to_have_text(re.compile(r"^40 prompts in \d"))
        screen.rows(40)
        screen.shoot("done", tall=1900)


def test_a_tab_is_called_by_its_page_and_by_its_run(browse: Callable[..., Screen]) -> None:
    screen = browse()
    expect(screen.page).to_have_title("Run · Fanout")
    screen.more()
    screen.page.get_by_label("Name of the run").fill("<b>summary</b> *eval* :tada:")
    screen.type_prompts("Reply: a")
    run_id = screen.run()
    expect(screen.page).to_have_title("<b>summary</b> *eval* :tada: · Fanout")
    screen.state("Done")
    screen.edit_again()
    expect(screen.page).to_have_title("Run · Fanout")
    screen.more()
    screen.page.get_by_label("Name of the run").fill("")
    screen.prompts.press("End")
    nameless = screen.run()
    expect(screen.page).to_have_title(f"Run {nameless[:8]} · Fanout")
    for page in ("Runs", "Compare", "Quota", "Sandbox"):
        screen.go_to(page)
        expect(screen.page).to_have_title(f"{page} · Fanout")
    screen.open(f"/?run={run_id}")
    expect(screen.page).to_have_title("<b>summary</b> *eval* :tada: · Fanout")
