"""A team logs in: who comes in and as what, the link that is kept, and how a login ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.team import (
    NewSomebody,
    served_to_a_team,
    shows_nothing_of,
)
from tests.browser.journeys.test_access import serious
from tests.browser.serving import KEY, Served, served

KEPT = "sessionStorage.getItem('fanout-form')"
"""The form, as a tab keeps it."""


def test_two_people_come_in_a_foreign_domain_does_not_and_the_link_survives(
    team: Served, somebody: NewSomebody, provider: Provider
) -> None:
    anna = somebody(team).comes_in("anna")
    expect(anna.page.get_by_role("button", name="Anna Example")).to_be_visible()
    anna.choose_model("openai-chat:echo")
    anna.type_prompts("annas secret", "hold annas one")
    run = anna.run()
    anna.counts("1 of 2 answered, 1 in flight")

    bens = somebody(team)
    ben = bens.opens(f"/?run={run}")
    ben.says("Log in to Fanout")
    ben.says("led to the run that you asked for")
    shows_nothing_of(ben, "annas secret")
    ben.shoot("login")
    bens.logs_in("ben", ben)
    assert ben.shown_run() == run
    ben.counts("1 of 2 answered, 1 in flight")
    expect(ben.page.get_by_role("button", name="Ben")).to_be_visible()

    for name, why in (("eve", "this one is not named"), ("mallory", "does not say that it has verified")):
        stranger = somebody(team).comes_in(name, f"/?run={run}")
        stranger.says("You are logged in, but you are not allowed in.")
        stranger.says(re.compile(why))
        shows_nothing_of(stranger, "annas secret")
        stranger.shoot(f"not-allowed-{name}")
        stranger.press("Log out")
        stranger.press("End session")
        stranger.says("Log in to Fanout")

    provider.release("annas")
    anna.counts("2 of 2 answered")


def test_a_login_that_is_denied_says_so_and_leads_to_the_same_page_after_all(
    team: Served, somebody: NewSomebody
) -> None:
    annas = somebody(team)
    anna = annas.opens("/runs")
    anna.says("led to the page that you asked for")
    anna.press("Log in")
    anna.press(re.compile("Deny", re.IGNORECASE))
    anna.page.wait_for_url(f"{team.url}/runs")
    anna.says("The login was not completed: it was denied at your provider, or broke off.")
    anna.says("led to the page that you asked for")
    anna.shoot("login-denied")
    annas.logs_in("anna", anna)
    anna.page.wait_for_url(f"{team.url}/runs")
    expect(anna.page.get_by_text("The login was not completed")).to_have_count(0)


def test_logging_out_ends_every_tab_of_that_login_and_nobody_elses(
    team: Served, somebody: NewSomebody, provider: Provider
) -> None:
    annas, bens = somebody(team), somebody(team)
    watching = annas.comes_in("anna")
    watching.choose_model("openai-chat:echo")
    watching.type_prompts("watched words", "hold watched")
    run = watching.run()
    watching.counts("1 of 2 answered, 1 in flight")
    assert "watched words" in str(watching.page.evaluate(KEPT))
    resting, leaving = annas.opens("/sandbox"), annas.opens(f"/?run={run}")
    resting.says("Median time to the first token, ms")
    leaving.counts("1 of 2 answered, 1 in flight")
    ben = bens.comes_in("ben", f"/?run={run}")
    ben.counts("1 of 2 answered, 1 in flight")

    leaving.press("Anna Example")
    leaving.says("Logged in as anna@example.com.")
    leaving.shoot("who")
    leaving.press("Log out")
    leaving.page.get_by_role("heading", name="End Session").wait_for()
    for tab in (watching, resting):
        tab.says(re.compile("Log in"))
        shows_nothing_of(tab, "watched words")
        assert tab.page.evaluate(KEPT) is None
    leaving.press("End session")
    leaving.says("Log in to Fanout")
    assert "run=" not in leaving.page.url

    provider.release("watched")
    ben.counts("2 of 2 answered")
    again = annas.logs_in("anna", watching)
    assert again.shown_run() == run
    again.counts("2 of 2 answered")


def test_a_login_that_runs_out_takes_the_page_away_and_logging_in_leads_back(
    provider_url: str, sandbox: object, somebody: NewSomebody, tmp_path: Path
) -> None:
    del sandbox  # one is served already; this server asks no model
    with served_to_a_team(
        tmp_path, provider_url, FANOUT_SESSION_HOURS="0.004", FANOUT_SANDBOX_URL="http://127.0.0.1:9"
    ) as team:
        annas = somebody(team)
        anna = annas.comes_in("anna", "/sandbox")
        anna.says("Median time to the first token, ms")
        anna.says("Your login has ended. Log in again to go on.")
        shows_nothing_of(anna, "Median time")
        annas.logs_in("anna", anna)
        anna.says("Median time to the first token, ms")
        assert anna.page.url.endswith("/sandbox")


def test_a_viewer_reads_a_member_chooses_an_admin_types(
    team: Served, somebody: NewSomebody, provider: Provider
) -> None:
    boss = somebody(team).comes_in("boss")
    expect(boss.page.get_by_role("button", name="**Boss** <b>1</b> :material/key:")).to_be_visible()
    boss.choose_model("openai-chat:another")
    boss.type_prompts("hold boss one")
    run = boss.run()
    boss.counts("0 of 1 answered, 1 in flight")

    vera = somebody(team).comes_in("vera")
    vera.says("You read runs here; members start them.")
    expect(vera.run_button).to_have_count(0)
    vera.open(f"/?run={run}")
    vera.counts("0 of 1 answered, 1 in flight")
    for key in ("strip_stop", "strip_pause", "strip_workers", "edit_again"):
        expect(vera.key(key)).to_have_count(0)
    provider.release("boss")
    boss.counts("1 of 1 answered")
    vera.counts("1 of 1 answered")
    for key in ("strip_workers", "edit_again", "measure_speed_up"):
        expect(vera.key(key)).to_have_count(0)

    ben = somebody(team).comes_in("ben")
    field = ben.key("model").get_by_role("combobox")
    field.click()
    ben.page.keyboard.type("openai-chat:another")
    expect(ben.page.get_by_role("option", name="openai-chat:another")).to_have_count(0)
    ben.open(f"/?run={run}")
    ben.counts("1 of 1 answered")
    ben.press("Duplicate")
    expect(field).to_have_value("openai-chat:another")
    ben.run_button.click()
    expect(ben.alert).to_have_text(re.compile(r"Members send to the models on offer .*, got 'openai-chat:another'"))
    assert len(provider.asked("boss one")) == 1


def test_an_admin_reads_who_did_what_and_a_member_is_told_of_no_such_page(team: Served, somebody: NewSomebody) -> None:
    annas = somebody(team)
    anna = annas.comes_in("anna", "/runs")
    anna.open("/")
    anna.choose_model("openai-chat:echo")
    anna.more()
    anna.page.get_by_label("Name of the run").fill("audited run")
    anna.type_prompts("audit me")
    run = anna.run()
    anna.counts("1 of 1 answered")

    boss = somebody(team).comes_in("boss", "/audit?q=" + run)
    expect(boss.page.locator("table.words tbody tr")).to_have_count(1)
    expect(boss.page.locator("table.words tbody tr")).to_contain_text("started")
    found = {"audit": serious(boss)}
    boss.shoot("audit")
    boss.page.locator("table.words").get_by_role("link", name=run).click()
    assert boss.shown_run() == run
    boss.says("This run is Anna Example's: as an admin you may do with it what its owner may.")
    boss.page.go_back()
    expect(boss.page.locator("table.words tbody tr")).to_have_count(1)
    boss.go_to("Runs")
    boss.search_field.fill("audited run")
    expect(boss.page.locator("table.history td.c-who")).to_have_text(["Anna Example"])
    found["runs"] = serious(boss)
    boss.shoot("history-team")
    assert found == {"audit": [], "runs": []}

    bens = somebody(team)
    ben = bens.comes_in("ben", "/runs?q=audited+run")
    expect(ben.search_field).to_have_value("audited run")
    ben.page.get_by_role("checkbox", name="Select audited run").check()
    ben.says("“audited run” is Anna Example's: you can look at it, and duplicate it.")
    expect(ben.page.get_by_role("button", name="Delete")).to_have_count(0)
    expect(ben.page.get_by_role("link", name="Audit", exact=True)).to_have_count(0)
    said = []
    for page in ("audit", "nowhere"):
        ben.open(f"/{page}")
        dialog = ben.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        said.append(dialog.inner_text().replace(page, "PAGE"))
        expect(ben.page.locator("table.words")).to_have_count(0)
    assert said[0] == said[1]


def test_below_a_base_path_people_log_in_and_the_chart_is_drawn(
    provider_url: str, provider: Provider, somebody: NewSomebody, tmp_path: Path
) -> None:
    with served_to_a_team(
        tmp_path,
        provider_url,
        base="/fan",
        FANOUT_MODELS="openai-chat:echo",
        OPENAI_BASE_URL=provider.base_url,
        OPENAI_API_KEY=KEY,
    ) as team:
        annas = somebody(team, base="/fan")
        anna = annas.comes_in("anna", "/runs")
        anna.says("No run yet.")
        assert anna.page.url.endswith("/fan/runs")
        anna.open("/")
        anna.choose_model("openai-chat:echo")
        anna.choose("Prompts", "File")
        anna.drop("prompts.txt", b"below one\nbelow two")
        anna.says("2 prompts")
        run = anna.run()
        anna.counts("2 of 2 answered")
        anna.chart.drawn()
        assert b"below two" in anna.download("csv")
        ben = somebody(team, base="/fan").comes_in("ben", f"/?run={run}")
        assert ben.shown_run() == run


def test_under_another_name_the_page_says_where_to_go(provider_url: str, somebody: NewSomebody, tmp_path: Path) -> None:
    own = "https://fanout.example.com"
    with served_to_a_team(tmp_path, provider_url, origin=own, FANOUT_SANDBOX_URL="http://127.0.0.1:9") as team:
        screen = somebody(team).opens()
        screen.says(f"Here the login would not hold. Open {own}/ instead.")
        expect(screen.page.get_by_role("button", name="Log in")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_at_the_door(team: Served, somebody: NewSomebody, scheme: str) -> None:
    found: dict[str, list[str]] = {}
    annas = somebody(team, color_scheme=scheme)
    anna = annas.opens()
    anna.says("Log in to Fanout")
    found["login"] = serious(anna)
    annas.logs_in("anna", anna)
    expect(anna.run_button).to_be_visible()
    anna.press("Anna Example")
    anna.says("Logged in as")
    found["who"] = serious(anna)
    eve = somebody(team, color_scheme=scheme).comes_in("eve")
    eve.says("You are logged in, but")
    found["not allowed"] = serious(eve)
    assert found == {page: [] for page in found}


def test_without_a_login_every_page_says_what_that_means(tmp_path: Path, somebody: NewSomebody) -> None:
    with served(tmp_path, FANOUT_INSECURE="1", FANOUT_SANDBOX_URL="http://127.0.0.1:9") as open_to_all:
        screen = somebody(open_to_all).opens()
        for path in ("/", "/sandbox", "/runs", "/quota", "/?run=abc"):
            screen.open(path)
            screen.says(re.compile("No login is set up: whoever reaches this address reads every run"))
        screen.open("/")
        expect(screen.run_button).to_be_visible()
        screen.shoot("insecure")
        assert serious(screen) == []
