"""Settings: each wrong one is refused before anything is sent, in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

MODELS = {
    "tiny": "names no provider",
    "nonsense:tiny": "nonsense",
    "anthropic:claude-tiny": "ANTHROPIC_API_KEY",
}


def test_a_model_that_cannot_be_used_is_refused_with_the_remedy(browse: Browse) -> None:
    screen = browse()
    for name, words in MODELS.items():
        screen.choose_model(name)
        screen.run_button.click()
        expect(screen.alert).to_contain_text(words)
        assert "run=" not in screen.page.url
    screen.shoot("bad-model", schemes=("light",))


def test_a_number_out_of_its_range_is_marked_and_never_taken(browse: Browse) -> None:
    screen = browse()
    screen.more()
    for label, bad in (("Temperature", 2.5), ("Retries", -3), ("Timeout, seconds", -5), ("Max output tokens", 0)):
        screen.number(label, bad)
        expect(screen.page.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    screen.shoot("bad-numbers", schemes=("light",))
    screen.number("Timeout, seconds", "")
    screen.run_button.click()
    expect(screen.alert.last).to_contain_text("timeout_s is empty: give a number")
    assert "run=" not in screen.page.url


def test_a_sandbox_that_fails_more_often_than_always_is_refused(browse: Browse) -> None:
    screen = browse("/sandbox")
    screen.number("Answered with a server error, %", 60)
    screen.number("Ended half-way, %", 60)
    screen.press("Apply")
    expect(screen.alert).to_contain_text("together exceed 1")
    screen.shoot("sandbox")


def test_what_was_set_reaches_the_provider(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.type_prompts("settings one")
    screen.choose_model("openai-chat:set")
    screen.more()
    screen.page.get_by_label("Instructions").fill("Answer in one word.")
    screen.number("Temperature", 0.5)
    screen.number("Max output tokens", 77)
    screen.run()
    screen.counts("1 of 1 answered")
    asked = provider.asked("settings one")[0].json
    assert asked["model"] == "set"
    assert asked["temperature"] == 0.5
    assert 77 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))
    assert asked["messages"][0]["content"] == "Answer in one word."
