"""A provider that goes wrong: each failure is a sentence in its own row, and the rest of the run is untouched."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]

SAID = {
    "fail-500": "500",
    "limit-429": "429",
    "garbage": "the right base URL",
    "half": "broke off|ended before",
    "close": "connection",
    "reset": "connection",
}


def test_each_fault_is_a_sentence_in_its_row_and_the_others_are_answered(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.more()
    screen.number("Retries", 0)
    screen.type_prompts("faults hello", *(f"{word} faults" for word in SAID), "faults good-bye")
    screen.run()
    screen.counts(f"{len(SAID)} failed, 2 of {len(SAID) + 2} answered")
    screen.rows(len(SAID) + 2)
    screen.as_given()
    answers = screen.column("answer")
    assert (answers[0], answers[-1]) == ("faults hello", "faults good-bye")
    said = dict(zip(SAID, answers[1:-1], strict=True))
    assert {word: sentence for word, sentence in said.items() if not re.search(SAID[word], sentence)} == {}
    screen.press_row(1)
    detail = screen.open_detail(2)
    expect(detail.get_by_role("alert")).to_contain_text("500")
    expect(detail.locator("code").nth(1)).to_have_text("the engine room is flooded")
    screen.shoot("faults", tall=1300)


def test_a_refused_key_stops_the_run_at_its_first_answer(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.slide("max_workers", 1)
    screen.type_prompts("refuse-401 key", *(f"hello key {n}" for n in range(5)))
    screen.run()
    screen.state("Stopped")
    screen.counts("1 failed, 0 of 6 answered, 5 not sent")
    expect(screen.sentence).to_have_text(
        re.compile("^Stopped at the first answer: .*OPENAI_API_KEY.*5 prompts were not sent")
    )
    assert len(provider.asked("hello key")) == 0
    screen.shoot("refused-key", schemes=("light",))


def test_a_server_that_never_answers_is_a_time_out_and_is_hung_up_on(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.more()
    screen.number("Retries", 0)
    screen.number("Timeout, seconds", 0.5)
    hang_ups = provider.hang_ups
    screen.type_prompts("hang here")
    screen.run()
    screen.counts("1 failed, 0 of 1 answered")
    expect(screen.sentence).to_contain_text(re.compile(r"0\.5\ss"))
    provider.await_hang_ups(hang_ups + 1)


def test_answers_that_end_half_way_are_failures_of_the_sandbox_too(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(truncation_rate=1.0))
    screen.more()
    screen.number("Retries", 0)
    screen.type_prompts("Describe in 60 words how bread rises.")
    screen.run()
    screen.counts("1 failed, 0 of 1 answered")
    expect(screen.sentence).to_contain_text(re.compile("broke off|half|ended before"))


def test_a_fault_that_passes_is_retried_and_counted_as_a_slot(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.type_prompts("once-500 again", "again hello")
    screen.run()
    screen.counts("2 of 2 answered")
    screen.says(re.compile("1 call was retried: 3 quota slots used"))
    assert len(provider.asked("once-500 again")) == 2
    screen.figure_is("Quota slots", "3")
