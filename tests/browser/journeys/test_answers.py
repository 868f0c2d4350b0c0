"""Answers as they arrive: order, filters, and one call in full."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]

PROMPTS = ("Write a poem of about 60 words on tea.", "Reply: alpha", "Reply: beta", "Reply: gamma")


@pytest.fixture
def ended(browse: Browse, profile: Profile) -> Screen:
    """A run whose first prompt was answered last."""
    screen = browse()
    screen.set_sandbox(profile(token_ms=25.0))
    screen.type_prompts(*PROMPTS)
    screen.run()
    screen.counts("4 of 4 answered")
    expect(screen.table.get_by_test_id("glide-cell-1-3")).to_have_text(PROMPTS[0])
    return screen


def test_answers_stand_as_they_arrived_or_as_they_were_given(ended: Screen) -> None:
    assert ended.column("prompt")[-1] == PROMPTS[0]
    assert ended.column("#")[-1] == "1"
    ended.as_given()
    assert ended.column("prompt") == list(PROMPTS)
    ended.choose("Order", "As they arrived")
    expect(ended.table.get_by_test_id("glide-cell-1-3")).to_have_text(PROMPTS[0])


def test_the_table_is_filtered_by_text_and_by_status(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.more()
    screen.number("Retries", 0)
    screen.type_prompts("hello alpha", "fail-500 one", "hello beta", "fail-500 two")
    screen.run()
    screen.counts("2 failed, 2 of 4 answered")
    screen.rows(4)
    screen.key("text_filter").get_by_role("textbox").fill("BETA")
    screen.rows(1)
    assert screen.column("prompt") == ["hello beta"]
    screen.key("text_filter").get_by_role("textbox").fill("flooded")
    screen.rows(2)
    assert sorted(screen.column("prompt")) == ["fail-500 one", "fail-500 two"]
    screen.key("text_filter").get_by_role("textbox").fill("")
    screen.rows(4)
    screen.key("status_filter").get_by_role("combobox").click()
    screen.page.get_by_role("option", name="failed").click()
    screen.rows(2)
    assert screen.column("status") == ["failed", "failed"]
    screen.page.keyboard.press("Escape")
    screen.shoot("filtered", tall=1500)


def test_a_row_opens_the_whole_call_with_its_phases_and_escape_closes_it(ended: Screen) -> None:
    ended.press_row(0)
    place = int(ended.column("#")[0])
    detail = ended.open_detail(place)
    expect(detail.locator("code").first).to_have_text(PROMPTS[place - 1])
    expect(detail.locator("code").nth(1)).to_have_text(PROMPTS[place - 1].removeprefix("Reply: "))
    expect(detail.get_by_text("Answer, simulated by the sandbox")).to_be_visible()
    expect(detail.locator("table.rows")).to_contain_text("waiting for the first token")
    expect(detail.get_by_role("button", name="Copy to clipboard")).to_have_count(2)
    button = detail.get_by_role("button", name="Copy to clipboard").first.bounding_box()
    words = detail.locator("pre > div").first.bounding_box()
    assert button is not None
    assert words is not None
    assert words["x"] + words["width"] <= button["x"], "the button lies on the words"
    ended.shoot("detail")
    ended.page.keyboard.press("Escape")
    expect(detail).to_have_count(0)
    ended.press_row(0)
    ended.open_detail(place)
    ended.press_row(2)
    ended.open_detail(int(ended.column("#")[2]))
    ended.press(re.compile("^Close"))
    expect(detail).to_have_count(0)


def test_the_answer_is_copied_whole(browse: Browse) -> None:
    screen = browse(permissions=["clipboard-read", "clipboard-write"])
    screen.choose_model("openai-chat:echo")
    words = "line one\n\nline two with  two spaces and 你好"
    screen.choose("Parted by", "--- between")
    screen.type_prompts(words)
    screen.run()
    screen.counts("1 of 1 answered")
    screen.rows(1)
    screen.press_row(0)
    detail = screen.open_detail(1)
    detail.get_by_test_id("stCode").nth(1).hover()
    detail.get_by_role("button", name="Copy to clipboard").nth(1).click()
    screen.page.wait_for_function("(words) => navigator.clipboard.readText().then((t) => t === words)", arg=words)


def test_an_open_detail_stays_while_the_run_goes_on(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", 2)
    screen.type_prompts("hello detail", *(f"hold detail {n}" for n in range(6)))
    screen.run()
    screen.counts("1 of 7 answered, 2 in flight, 4 queued")
    screen.rows(1)
    screen.press_row(0)
    detail = screen.open_detail(1)
    provider.release("detail")
    screen.counts("7 of 7 answered")
    screen.state("Done")
    expect(detail.locator("code").nth(1)).to_have_text("hello detail")
