"""Settings: each wrong one is refused before anything is sent, in a sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
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


WRONG = (
    ("Temperature", 2.5, "", "temperature must be a number from 0 to 2, got 2.5"),
    ("Max output tokens", 0, "", "“Max output tokens” must be from 1 to 10000000, got 0"),
    ("Retries", -3, 2, "retries must be from 0 to 20, got -3"),
    ("Timeout, seconds", -5, 60, "“Timeout” must be a number above 0 and at most 3600, got -5"),
)


def test_a_number_out_of_its_range_is_refused_in_a_sentence_and_never_taken(browse: Browse) -> None:
    screen = browse()
    screen.more()
    for label, bad, good, words in WRONG:
        screen.number(label, bad)
        expect(screen.alert).to_contain_text(words)
        screen.number(label, good)
        expect(screen.alert).to_have_count(0)
    screen.number("Retries", -3)
    expect(screen.alert).to_have_count(1)
    screen.shoot("bad-numbers", schemes=("light",))
    screen.number("Retries", 2)
    screen.number("Timeout, seconds", "")
    expect(screen.alert).to_contain_text("“Timeout” is empty: give a number")
    screen.run_button.click()
    screen.quiet()
    assert "run=" not in screen.page.url


def test_a_run_does_not_go_on_under_a_number_that_is_refused(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.type_prompts("hold refused")
    screen.choose_model("openai-chat:hold")
    screen.run()
    provider.await_asked("hold refused", 1)
    screen.press("Stop")
    screen.state("Stopped")
    again = screen.page.get_by_role("button", name="Retry 1 unanswered")
    screen.press("Other settings")
    for bad in (-5, 99):
        screen.number("Retries", bad)
        screen.says(f"Retry sends nothing: retries must be from 0 to 20, got {bad}.")
        expect(again).to_be_disabled()
    words = screen.page.get_by_test_id("stPopoverBody").get_by_role("note")
    expect(words).to_have_css("color", "rgb(143, 93, 0)")
    screen.page.emulate_media(color_scheme="dark")
    expect(words).to_have_css("color", "rgb(217, 163, 69)")
    screen.shoot("resume-bad-number")
    screen.number("Retries", 3)
    screen.says("From here on: Retries 3 instead of 2.")
    expect(again).to_be_enabled()


def test_a_sandbox_that_fails_more_often_than_always_is_refused(browse: Browse) -> None:
    screen = browse("/sandbox")
    screen.number("Answered with a server error, %", -5)
    expect(screen.alert).to_contain_text("“Answered with a server error” must be from 0 to 100 %, got -5")
    screen.number("Answered with a server error, %", 60)
    screen.says("Not applied yet: runs that you start take the settings before.")
    screen.number("Ended half-way, %", 60)
    expect(screen.alert).to_contain_text("are together more than 100 %")
    screen.shoot("sandbox")
    screen.press("Apply")
    expect(screen.alert).to_contain_text("The settings before hold.")
    screen.number("Ended half-way, %", 40)
    screen.press("Apply")
    screen.says("Applied: the next run you start on the sandbox behaves like this.")
    screen.page.wait_for_url(re.compile(r"/sandbox\?sandbox=\w+$"))


def test_how_the_sandbox_behaves_outlives_a_reload_and_leaves_a_runs_address_alone(browse: Browse) -> None:
    screen = browse()
    screen.set_sandbox(SandboxProfile(first_token_ms=40, seed=5))
    screen.page.wait_for_url(re.compile(r"\?sandbox=\w+$"))
    screen.page.reload()
    expect(screen.run_button).to_be_visible()
    screen.go_to("Sandbox")
    expect(screen.page.get_by_label("Seed", exact=True)).to_have_value("5")
    screen.page.wait_for_url(re.compile(r"/sandbox\?sandbox=\w+$"))
    screen.page.reload()
    expect(screen.page.get_by_label("Median time to the first token, ms")).to_have_value("40")
    screen.go_to("Run")
    screen.type_prompts("settings kept")
    run = screen.run()
    assert screen.page.url.endswith(f"/?run={run}")


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
