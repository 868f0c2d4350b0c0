"""A run whose process was killed, and one that another process drives: seen, resumed and stopped in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen
from tests.browser.serving import ENDED_WITHIN_S, KEY, ROOT, environment_of, served

Profiles = Callable[..., BrowserContext]


def test_a_run_whose_server_was_killed_is_found_as_it_was_and_resumed(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    with served(tmp_path, **environment) as first:
        screen = Screen(profiles(first.url).new_page(), first.url, shots).open()
        screen.choose_model("openai-chat:echo")
        screen.slide("max_workers", 2)
        screen.type_prompts("killed one", "killed two", "hold killed 1", "hold killed 2", "killed five", "killed six")
        run = screen.run()
        screen.counts("2 of 6 answered, 2 in flight, 2 queued")
        screen.page.close()
        first.kill()

    with served(tmp_path, **environment) as second:
        screen = Screen(profiles(second.url).new_page(), second.url, shots).open("/runs")
        row = screen.page.locator("table.history tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("Interrupted")
        screen.open(f"/?run={run}")
        screen.state("Interrupted")
        screen.counts(re.compile("^2 of 6 answered"))
        screen.says("Prompts 3, 4: in flight when the process ended, so possibly billed twice.")
        screen.rows(6)
        screen.column_is("status", ["answered"] * 2 + ["cancelled"] * 2 + ["not sent"] * 2)
        screen.chart.drawn()
        screen.shoot("interrupted", tall=1500)

        provider.release("killed")
        screen.press("Resume 4 unanswered")
        screen.state("Done")
        screen.counts("6 of 6 answered")
        screen.chart.drawn()
        screen.shoot("resumed", tall=1500)
        sent = {words: len(provider.asked(words)) for words in ("killed one", "killed two", "killed 1", "killed 2")}
        assert sent == {"killed one": 1, "killed two": 1, "killed 1": 2, "killed 2": 2}
        assert [len(provider.asked(words)) for words in ("killed five", "killed six")] == [1, 1]


def test_a_run_whose_server_was_killed_goes_on_under_other_settings(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    prompts = ("other one", "other two", "hold other 1", "hold other 2", "other five", "other six")
    with served(tmp_path, **environment) as first:
        screen = Screen(profiles(first.url).new_page(), first.url, shots).open()
        screen.choose_model("openai-chat:echo")
        screen.slide("max_workers", 2)
        screen.type_prompts(*prompts)
        run = screen.run()
        screen.counts("2 of 6 answered, 2 in flight, 2 queued")
        screen.page.close()
        first.kill()

    with served(tmp_path, **environment) as second:
        screen = Screen(profiles(second.url).new_page(), second.url, shots).open(f"/?run={run}")
        screen.state("Interrupted")
        screen.says("Resume sends 4 calls, 4 quota slots, 2 at a time.")
        screen.press("Other settings")
        field = screen.page.get_by_label("Timeout, seconds", exact=True)
        expect(field).to_have_value("60")
        expect(screen.page.get_by_label("Retries", exact=True)).to_have_value("2")
        screen.shoot("resume-settings-first")
        screen.number("Timeout, seconds", "")
        screen.says("Resume sends nothing: “Timeout” is empty: give a number.")
        screen.page.keyboard.press("Escape")
        screen.shoot("resume-settings-wrong", schemes=("light",))
        expect(screen.page.get_by_role("button", name="Resume 4 unanswered")).to_be_disabled()

        screen.press("Other settings")
        screen.number("Timeout, seconds", 90)
        screen.number("Retries", 5)
        screen.number("Requests a minute", 6000)
        screen.says(
            "From here on: Timeout 1 min 30 s instead of 1 min, Retries 5 instead of 2, "
            "Requests a minute 6,000 instead of the account's."
        )
        screen.shoot("resume-settings")
        screen.page.keyboard.press("Escape")
        screen.slide("strip_workers", 4)
        screen.says("Resume sends 4 calls, 4 quota slots, all at once.")
        screen.shoot("resume-settings-closed")
        provider.release("other")
        screen.press("Resume 4 unanswered")
        screen.state("Done")
        screen.counts("6 of 6 answered")
        screen.says("Resumed with Timeout 1 min 30 s instead of 1 min, Retries 5 instead of 2, Requests a minute 6,000")
        screen.says("Prompts 3, 4: in flight when the process ended, so possibly billed twice.")
        screen.rows(6)
        expect(screen.key("results").locator("table[role=grid]")).not_to_contain_text(re.compile("in flight|cancelled"))
        screen.column_is("status", ["answered"] * 6)
        assert [len(provider.asked(words)) for words in prompts] == [1, 1, 2, 2, 1, 1]
        screen.chart.drawn()
        assert screen.chart.limits()[-1] == 4
        screen.shoot("resumed-otherwise", tall=1500)

        report = screen.download("report").decode()
        assert "<dt>Timeout</dt><dd>1 min, then 1 min 30 s</dd>" in report
        assert "<dt>max_workers</dt><dd>2, then 4</dd>" in report


def test_a_run_of_the_command_line_is_watched_live_and_asked_to_stop(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("terminal one\nhold terminal 1\nterminal three\n")
    options = ["--model", "openai-chat:echo", "--max-workers", "2", "--name", "from a terminal"]
    with served(tmp_path, **environment) as dashboard:
        screen = Screen(profiles(dashboard.url).new_page(), dashboard.url, shots).open("/runs")
        screen.says("No run yet.")
        command = subprocess.Popen(
            [sys.executable, "-m", "fanout", "run", str(prompts), *options],
            cwd=ROOT,
            env=environment_of(tmp_path, **environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            provider.await_asked("terminal", 3)
            screen.open("/runs")
            row = screen.page.locator("table.history tbody tr")
            expect(row).to_contain_text("Running")
            expect(row).to_contain_text("from a terminal")
            row.get_by_role("link", name="from a terminal").click()
            screen.counts("2 of 3 answered, 1 in flight")
            screen.says("Driven by another process")
            for label in ("Pause", "Stop"):
                expect(screen.page.get_by_role("button", name=label, exact=True)).to_have_count(0)
            screen.rows(2)
            screen.chart.drawn()
            screen.shoot("driven-elsewhere")
            screen.press("Ask it to stop")
            screen.state("Stopped")
            assert command.wait(ENDED_WITHIN_S) != 0
        finally:
            command.kill()
            command.wait()
        screen.press("Retry 1 unanswered")
        provider.await_asked("hold terminal", 2)
        screen.counts("2 of 3 answered, 1 in flight")
        provider.release("terminal")
        screen.state("Done")
