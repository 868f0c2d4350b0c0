"""Quota as a person meets it: a run that its account holds back, a 429 explained, a cap that pauses and asks."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
NewTab = Callable[[Screen, str], Screen]
Profile = Callable[..., SandboxProfile]


def test_a_run_that_the_quota_holds_says_so_and_shows_what_is_left(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=120, burst=2))
    screen.type_prompts(*(f"Reply: held {n}" for n in range(14)))
    screen.run()
    gauge = screen.page.locator(".gauges")
    expect(gauge).to_contain_text(re.compile("^120 RPM"))
    screen.press("Pause")
    screen.state("Paused")
    screen.shoot("quota-bound", tall=1300)
    assert screen.overflow_px() == 0
    screen.press("Continue")
    screen.state("Done")
    screen.counts("14 of 14 answered")
    expect(screen.sentence).to_have_text(re.compile(r"Quota-bound \d+\s% of the time \(requests a minute\)"))
    screen.press_row(10)
    expect(screen.detail).to_contain_text("waiting for the request quota")


def test_a_429_is_explained_with_what_would_have_avoided_it(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=120, burst=2, headers=False))
    screen.type_prompts(*(f"Reply: refused {n}" for n in range(6)))
    run_id = screen.run()
    screen.state("Done")
    screen.counts("6 of 6 answered")
    screen.go_to("Quota")
    screen.says("429s, and what would have avoided them")
    screen.says("requests a minute")
    refused = screen.page.locator("table.words tr", has_text=f"run {run_id[:6]}").first
    expect(refused).to_contain_text("fanout.toml")
    expect(screen.page.locator(".stPlotlyChart .main-svg").first).to_be_visible()
    screen.shoot("quota-page", tall=1300)
    assert screen.overflow_px() == 0


def test_a_cap_pauses_the_run_and_asks(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.slide("max_workers", 1)
    screen.more()
    screen.number("Cap in tokens", 300)
    screen.type_prompts(*(f"Reply: capped {n}" for n in range(60)))
    screen.run()
    screen.state("Paused")
    expect(screen.sentence).to_have_text(re.compile(r"^Paused at its cap: .* of 300 tokens"))
    before = screen.answered()
    screen.press(re.compile("Go on for another 300 tokens"))
    expect(screen.strip).not_to_contain_text(f"{before} of 60 answered")


def test_a_day_that_is_used_up_is_told_before_the_next_run_which_sends_one_call(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:spent-today")
    screen.type_prompts(*(f"spent-day {n}" for n in range(6)))
    screen.run()
    screen.state("Stopped")
    used_up = re.compile(r"The provider said .* that the limit of requests a day is used up; it asked to wait another")
    screen.says(used_up)
    screen.edit_again()
    screen.says(used_up)
    screen.run()
    screen.state("Stopped")
    screen.counts("1 failed, 0 of 6 answered, 5 not sent")
    screen.go_to("Quota")
    screen.says("One call is sent first, to see whether that still holds; the others follow once it is answered.")
    screen.says(re.compile(r"^200 requests a day: used up for (6\sh|5\sh\s59\smin); provider said 0, "))


def test_what_the_settings_refuse_is_told_before_run_is_pressed(browse: Browse) -> None:
    screen = browse()
    screen.more()
    screen.number("Weight", 4)
    expect(screen.alert).to_have_text(
        "weight must be at most 3 for sandbox, got 4: more needs a max_weight for it in fanout.toml."
    )
    screen.number("Weight", 1)
    expect(screen.alert).to_have_count(0)


def test_a_cap_below_one_call_says_what_that_call_needs_and_allows_as_much(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.more()
    screen.number("Cap in tokens", 200)
    screen.type_prompts(*(f"Reply: capped {n}" for n in range(12)))
    screen.run()
    screen.state("Paused")
    said = re.compile(r"^Paused at its cap: 0 of 200 tokens used, and the next call is expected to use (\d+) tokens\.")
    expect(screen.sentence).to_have_text(said)
    found = said.match(screen.sentence.inner_text())
    assert found is not None
    note = screen.page.locator(".fo-note")
    expect(note).to_have_text("Nothing has started yet.")
    covers = note.evaluate("each => getComputedStyle(each).backgroundColor")
    assert covers not in ("transparent", "rgba(0, 0, 0, 0)")  # the rows that wait do not shine through
    screen.shoot("cap-below-a-call", tall=1300)
    assert screen.overflow_px() == 0
    screen.press(f"Go on for another {found[1]} tokens")
    expect(screen.strip).not_to_contain_text("0 of 12 answered")


def test_a_limit_that_the_run_asked_for_has_a_gauge_of_its_own(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=600, burst=10))
    screen.more()
    screen.number("Requests a minute", 120)
    screen.number("Tokens a minute", 60_000)
    screen.type_prompts(*(f"Reply: own {n}" for n in range(14)))
    screen.run()
    gauges = screen.page.locator(".gauges > div")
    expect(gauges).to_have_count(3)
    expect(gauges.nth(0)).to_contain_text(re.compile("^This run's own 120 RPM: . of 2 free at once"))
    expect(gauges.nth(1)).to_contain_text(re.compile("^This run's own 60,000 TPM"))
    expect(gauges.nth(2)).to_contain_text(re.compile("^600 RPM"))
    screen.press("Pause")
    screen.state("Paused")
    screen.shoot("own-limits", tall=1300)
    assert screen.overflow_px() == 0
    screen.press("Continue")
    screen.state("Done")
    screen.says("120 requests a minute (asked for by a run)")


def test_the_weight_of_a_run_that_shares_its_account_is_moved_while_it_goes_on(
    browse: Browse, profile: Profile, new_tab: NewTab
) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=120, burst=2))
    screen.type_prompts(*(f"Reply: first {n}" for n in range(60)))
    first = screen.run()
    expect(screen.key("weight_slider")).to_have_count(0)
    screen.edit_again()
    screen.run()
    screen.says("Shares this account with 1 other run: weight 1 of 2 altogether.")
    screen.slide("weight_slider", 3)
    screen.says("Shares this account with 1 other run: weight 3 of 4 altogether.")
    screen.shoot("weight", tall=1300)
    assert screen.overflow_px() == 0
    beside = new_tab(screen, f"/?run={first}")
    beside.says("Shares this account with 1 other run: weight 1 of 4 altogether.")
    beside.press("Stop")
    beside.state("Stopped")
    expect(screen.key("weight_slider")).to_have_count(0)
    screen.press("Stop")
    screen.says(re.compile(r"^Weight moved: 1 to (2 to )?3\.$"))


def test_an_automatic_run_shows_the_users_ceiling_apart_from_what_it_chose(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=240, burst=4))
    screen.slide("max_workers", 20)
    screen.more()
    screen.key("auto_workers").get_by_text("Auto max_workers").click()
    screen.type_prompts(*(f"Reply: auto {n}" for n in range(60)))
    screen.run()
    screen.says(re.compile(r"^auto, up to 20: \d now$"))
    expect(screen.key("strip_workers").get_by_role("slider")).to_have_value("20")
    screen.press("Pause")
    screen.state("Paused")
    screen.shoot("auto-workers", tall=1300)
    assert screen.overflow_px() == 0
    screen.press("Stop")
    screen.state("Stopped")


def test_a_retried_call_that_the_quota_holds_is_not_said_to_back_off(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(requests_per_minute=600, burst=1, headers=False))
    screen.more()
    screen.number("Requests a minute", 2)
    screen.number("Burst", 2)
    screen.type_prompts("Reply: one", "Reply: refused at first", "Reply: three")
    screen.run()
    screen.counts("1 of 3 answered, 2 waiting for the request quota")
    screen.shoot("held", tall=1300)
    assert screen.overflow_px() == 0
    screen.press("Stop")
    screen.state("Stopped")
