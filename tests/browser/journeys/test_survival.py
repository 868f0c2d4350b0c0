"""A run lives outside the page: refreshes, tabs, and people beside one another."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import NARROW, WIDE, Screen

Browse = Callable[..., Screen]
NewTab = Callable[[Screen, str], Screen]


def test_a_run_survives_refresh_second_tab_and_nobody_looking_and_nothing_is_sent_twice(
    browse: Browse, new_tab: NewTab, provider: Provider
) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", 2)
    screen.type_prompts("survival hello", *(f"hold survival {n}" for n in range(7)))
    run = screen.run()
    screen.counts("1 of 8 answered, 2 in flight, 5 queued")
    screen.page.reload()
    assert screen.shown_run() == run
    screen.counts("1 of 8 answered, 2 in flight, 5 queued")
    beside = new_tab(screen, f"/?run={run}")
    beside.counts("1 of 8 answered, 2 in flight, 5 queued")
    beside.rows(1)
    beside.page.close()
    screen.page.close()
    provider.release("survival")
    provider.await_asked("hold survival", 7)

    back = browse(f"/?run={run}")
    back.counts("8 of 8 answered")
    back.rows(8)
    assert len(provider.asked("survival")) == 8
    back.figure_is("Quota slots", "8")


def test_two_people_run_two_batches_and_neither_form_is_disturbed(browse: Browse, provider: Provider) -> None:
    one, other = browse(locale="en-GB"), browse(locale="fr-FR")
    for screen, name in ((one, "anna"), (other, "ben")):
        screen.choose_model("openai-chat:echo")
        screen.type_prompts(*(f"hold {name} {n}" for n in range(3)))
    one.slide("max_workers", 3)
    other.slide("max_workers", 1)
    first = one.run()
    one.counts("0 of 3 answered, 3 in flight")
    expect(other.prompts).to_have_value("hold ben 0\nhold ben 1\nhold ben 2")
    expect(other.key("max_workers").get_by_test_id("stSliderThumbValue")).to_have_text("1")
    second = other.run()
    assert first != second
    other.counts("0 of 3 answered, 1 in flight, 2 queued")
    provider.release("ben")
    other.counts("3 of 3 answered")
    one.counts("0 of 3 answered, 3 in flight")
    provider.release("anna")
    one.counts("3 of 3 answered")
    one.rows(3)
    other.rows(3)
    expect(one.table.get_by_test_id("glide-cell-1-2")).to_contain_text("anna")
    expect(other.table.get_by_test_id("glide-cell-1-2")).to_contain_text("ben")
    assert {cell.split()[1] for cell in one.column("prompt")} == {"anna"}
    assert {cell.split()[1] for cell in other.column("prompt")} == {"ben"}


def test_the_bare_address_leads_to_the_runs_of_this_process_one_in_progress_first(
    browse: Browse, new_tab: NewTab, provider: Provider
) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("hold bare 1", "bare hello")
    run = screen.run()
    screen.counts("1 of 2 answered, 1 in flight")
    later = new_tab(screen, "/")
    later.choose_model("openai-chat:echo")
    later.type_prompts("bare quick")
    quick = later.run()
    later.counts("1 of 1 answered")

    visitor = browse()
    links = visitor.page.get_by_test_id("stPageLink").get_by_role("link")
    expect(links.first).to_contain_text("Running · 1 of 2 answered")
    expect(links.first).to_have_attribute("href", re.compile(rf"\?run={run}$"))
    expect(links.nth(1)).to_have_attribute("href", re.compile(rf"\?run={quick}$"))
    visitor.shoot("bare-address")
    links.first.click()
    assert visitor.shown_run() == run
    visitor.counts("1 of 2 answered, 1 in flight")
    visitor.press("Edit and run again")
    expect(visitor.prompts).to_have_value("hold bare 1\nbare hello")
    visitor.go_to("Runs")
    state = visitor.page.locator(f"table.history tr[data-id='{run}'] td.c-state")
    expect(state).to_have_text("Running, 1 of 2")
    provider.release("bare")
    expect(state).to_have_text("Done")
    visitor.shoot("runs")
    screen.counts("2 of 2 answered")


def test_an_unknown_run_gets_a_sentence_and_a_way_on(browse: Browse) -> None:
    screen = browse("/?run=0123456789abcdef")
    screen.says("This run is not known here.")
    screen.shoot("unknown-run", schemes=("light",))
    screen.page.get_by_role("link", name="To the form and the runs").click()
    expect(screen.run_button).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_run_in_the_navigation_leads_from_a_run_to_the_form_and_the_way_back_to_it(
    browse: Browse, provider: Provider, size: ViewportSize
) -> None:
    screen = browse(viewport=size)
    screen.choose_model("openai-chat:echo")
    held = f"navigation-{size['width']}"
    screen.type_prompts(f"hold {held}", "hello")
    run = screen.run()
    screen.counts("1 of 2 answered, 1 in flight")
    screen.go_to("Run")
    expect(screen.strip).to_have_count(0)
    expect(screen.prompts).to_have_value(f"hold {held}\nhello")
    assert "run=" not in screen.page.url
    screen.page.go_back()
    assert screen.shown_run() == run
    provider.release(held)
    screen.counts("2 of 2 answered")
    screen.go_to("Run")
    screen.type_prompts("another")
    assert screen.run() != run
    screen.counts("1 of 1 answered")


def test_edit_and_run_again_brings_the_form_back_as_it_was(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.slide("max_workers", 3)
    screen.choose("Parted by", "--- between")
    screen.type_prompts("again one\nof two lines", "again two", between="\n---\n")
    screen.says("2 calls")
    first = screen.run()
    screen.counts("2 of 2 answered")
    screen.edit_again()
    expect(screen.prompts).to_have_value("again one\nof two lines\n---\nagain two")
    expect(screen.key("model").get_by_role("combobox")).to_have_value("openai-chat:echo")
    expect(screen.key("max_workers").get_by_test_id("stSliderThumbValue")).to_have_text("3")
    assert screen.run() != first
    screen.counts("2 of 2 answered")
