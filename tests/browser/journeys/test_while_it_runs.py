"""What one can do with a run that goes on: move the slider, pause, continue, stop, send again what failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

STOPPED_WITHIN_S = 5.0
"""From the press to the page's word; under a second on a machine with nothing else to do."""


def _started(browse: Browse, *prompts: str, workers: int) -> Screen:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", workers)
    screen.type_prompts(*prompts)
    screen.run()
    return screen


def test_the_slider_changes_the_cap_of_a_run_and_kills_nothing(browse: Browse, provider: Provider) -> None:
    hang_ups = provider.hang_ups
    screen = _started(browse, *(f"hold slider {n}" for n in range(12)), workers=2)
    provider.await_asked("hold slider", 2)
    screen.counts("0 of 12 answered, 2 in flight, 10 queued")
    screen.slide("strip_workers", 5)
    screen.counts("0 of 12 answered, 5 in flight, 7 queued")
    provider.await_asked("hold slider", 5)
    screen.slide("strip_workers", 3)
    screen.chart.until("c.model.header.max_workers === 3")
    screen.counts("0 of 12 answered, 5 in flight, 7 queued")
    limits = screen.chart.limits()
    assert (limits[0], max(limits), limits[-1]) == (2, 5, 3)
    screen.shoot("slider")
    provider.release("slider")
    screen.counts("12 of 12 answered")
    assert provider.hang_ups == hang_ups
    screen.figure_is("Quota slots", "12")
    assert len(provider.asked("hold slider")) == 12


def test_a_paused_run_starts_nothing_until_it_is_continued(browse: Browse, provider: Provider) -> None:
    screen = _started(browse, *(f"hold pause {n}" for n in range(6)), workers=2)
    provider.await_asked("hold pause", 2)
    screen.press("Pause")
    screen.state("Paused")
    provider.release("pause")
    screen.counts("2 of 6 answered, 4 queued")
    expect(screen.sentence).to_have_text(re.compile("^Paused: 2 of 6 answered"))
    assert len(provider.asked("hold pause")) == 2
    screen.shoot("paused", schemes=("light",))
    screen.press("Continue")
    screen.counts("6 of 6 answered")
    assert len(provider.asked("hold pause")) == 6


def test_stop_ends_every_prompt_at_once_and_keeps_what_was_answered(browse: Browse, provider: Provider) -> None:
    screen = _started(browse, "stop hello", *(f"hold stop {n}" for n in range(5)), workers=2)
    screen.counts("1 of 6 answered, 2 in flight, 3 queued")
    provider.await_asked("hold stop", 2)
    hang_ups = provider.hang_ups
    pressed_s = time.monotonic()
    screen.press("Stop")
    screen.state("Stopped")
    assert time.monotonic() - pressed_s < STOPPED_WITHIN_S
    provider.await_hang_ups(hang_ups + 2)
    screen.counts("1 of 6 answered, 2 cancelled, 3 not sent")
    screen.rows(6)
    screen.column_is("status", ["answered", *["cancelled"] * 2, *["not sent"] * 3])
    assert len(provider.asked("hold stop")) == 2
    screen.shoot("stopped", tall=1300)


def test_retry_sends_only_what_failed(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.more()
    screen.number("Retries", 0)
    screen.type_prompts(*(f"retry hello {n}" for n in range(4)), *(f"once-500 retry {n}" for n in range(3)))
    screen.run()
    screen.counts("3 failed, 4 of 7 answered")
    expect(screen.sentence).to_have_text(re.compile("^3 failed: .*500"))
    screen.shoot("failed", tall=1300)
    screen.press(re.compile("^Retry 3"))
    screen.counts("7 of 7 answered")
    assert len(provider.asked("retry hello")) == 4
    assert len(provider.asked("once-500 retry")) == 6
    screen.figure_is("Quota slots", "10")
    expect(screen.sentence).to_contain_text("over 2 stretches")
    screen.shoot("retried", tall=1300, schemes=("light",))
