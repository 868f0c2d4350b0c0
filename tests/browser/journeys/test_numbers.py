"""The numbers of a run agree with one another and with what really happened."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.conftest import Sandbox
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]


def _seconds(text: str) -> float:
    value, unit = text.split()
    return float(value) * {"ms": 0.001, "s": 1.0}[unit]


def test_the_numbers_agree_with_the_answers_and_with_the_provider(
    browse: Browse, profile: Profile, sandbox: Sandbox
) -> None:
    faulty = profile(first_token_ms=150.0, error_rate=0.3)
    screen = browse()
    screen.set_sandbox(faulty)
    screen.type_prompts(*(f"Reply: number {n}" for n in range(20)))
    screen.run()
    screen.state(re.compile("Done|Ended"))
    results = [json.loads(line) for line in screen.download("jsonl").splitlines()]
    counts = sandbox.counts(faulty)
    screen.figure_is("Quota slots", str(counts["received"]))
    assert sum(each["attempts"] for each in results) == counts["received"]
    assert counts["failed"] > 0
    assert screen.answered() == counts["answered"] == sum(each["status"] == "answered" for each in results)
    added_up_s, elapsed_s = _seconds(screen.figure("Latencies add up to")), _seconds(screen.figure("Elapsed"))
    assert float(screen.figure("Overlap")) == pytest.approx(added_up_s / elapsed_s, rel=0.02)
    slowest_s = max(each["latency_s"] for each in results if each["latency_s"])  # of last attempts; there may be slower
    assert _seconds(screen.figure("Slowest call")) >= slowest_s * 0.99
    assert _seconds(screen.figure("Lower bound")) <= elapsed_s * 1.01
    tokens = sum(each["usage"]["output_tokens"] or 0 for each in results)
    screen.figure_is("Tokens out", f"{tokens} tokens")
    for term in ("Latency p50 / p95", "Experienced p50 / p95", "First token p50 / p95"):
        p50, p95 = screen.figure(term).split(" / ")
        assert 0 < _seconds(p50) <= _seconds(p95)


def test_an_unknown_price_is_a_dash_with_a_reason_and_never_zero(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.type_prompts("Reply: one")
    screen.run()
    screen.counts("1 of 1 answered")
    screen.figure_is("Cost", "—")
    expect(screen.page.locator("dl.figures div:has(> dt:text-is('Cost'))")).to_have_attribute("title", re.compile("."))


def test_what_a_batch_will_take_is_said_once_a_latency_is_known(browse: Browse, profile: Profile) -> None:
    screen = browse()
    screen.set_sandbox(profile(first_token_ms=500.0))
    screen.type_prompts(*(f"Reply: {n}" for n in range(4)))
    screen.says("4 calls, 4 quota slots, all at once.")
    screen.run()
    screen.counts("4 of 4 answered")
    screen.edit_again()
    expect(screen.prompts).to_have_value("Reply: 0\nReply: 1\nReply: 2\nReply: 3")
    screen.says(re.compile(r"^4 calls, 4 quota slots, all at once, about \d"))
    screen.slide("max_workers", 1)
    screen.says(re.compile(r"one after another, about \d"))
