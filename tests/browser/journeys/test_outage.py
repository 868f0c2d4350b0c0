"""A disk that is full and a database that is gone, as who watches a run sees them: held, and on again by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from fanout.store.database import FILE_NAME
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen
from tests.browser.serving import KEY, Served, served
from tests.postgres import Postgres
from tests.stores import refusing

Profiles = Callable[..., BrowserContext]


def watched(profiles: Profiles, dashboard: Served, shots: Path, name: str) -> Screen:
    """A run of which two prompts are answered and two are in flight."""
    screen = Screen(profiles(dashboard.url).new_page(), dashboard.url, shots).open()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", 2)
    held = (f"hold {name} {number}" for number in (1, 2))
    screen.type_prompts(f"{name} one", f"{name} two", *held, f"{name} five", f"{name} six")
    screen.run()
    screen.counts("2 of 6 answered, 2 in flight, 2 queued")
    return screen


def held(screen: Screen) -> None:
    """The page says that the run is held, and promises nothing."""
    screen.state("Waiting for the store")
    screen.counts("2 of 6 answered and stored")
    expect(screen.sentence).to_have_text(re.compile("^2 of 6 answered and stored.*then the run goes on by itself"))
    screen.says(re.compile(r"^The store cannot be written \(.*\)\. Nothing further is sent until it can\.$"))
    expect(screen.page.get_by_text("to go")).to_have_count(0)


def test_a_full_disk_holds_a_run_which_goes_on_by_itself(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path
) -> None:
    with served(
        tmp_path, OPENAI_BASE_URL=provider.base_url, OPENAI_API_KEY=KEY, FANOUT_DATA_DIR=str(tmp_path)
    ) as dashboard:
        screen = watched(profiles, dashboard, shots, "full")
        listed = Screen(screen.page.context.new_page(), dashboard.url, shots).open("/runs")
        state = listed.page.locator("table.history tbody tr td").filter(has_text=", 2 of 6")
        expect(state).to_have_text("Running, 2 of 6")
        with refusing(f"sqlite:///{tmp_path / FILE_NAME}", words="no space left on device"):
            provider.release("full")
            held(screen)
            expect(state).to_have_text("Waiting for the store, 2 of 6")
            screen.shoot("store-full")
        screen.state("Done")
        screen.counts("6 of 6 answered")
        expect(screen.alert).to_have_count(0)
        assert len(provider.asked("full")) == 6, "nothing is sent twice"


def test_a_database_that_is_gone_holds_a_run_and_every_page_comes_back(
    profiles: Profiles, shots: Path, provider: Provider, tmp_path: Path, postgres: Postgres
) -> None:
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    with served(tmp_path, FANOUT_DATABASE_URL=postgres.fresh(), **environment) as dashboard:
        screen = watched(profiles, dashboard, shots, "gone")
        other = Screen(screen.page.context.new_page(), dashboard.url, shots).open("/runs")
        postgres.stop()
        try:
            provider.release("gone")
            held(screen)
            screen.page.reload()
            held(screen)
            other.page.reload()
            other.says(re.compile(r"^The store cannot be read: .*\.$"))
            other.shoot("store-gone")
        finally:
            postgres.start()
        expect(other.page.locator("table.history tbody tr")).to_have_count(1)
        screen.state("Done")
        screen.counts("6 of 6 answered")
        assert len(provider.asked("gone")) == 6, "nothing is sent twice"
