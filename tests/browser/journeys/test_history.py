"""The list of all runs: found, sorted, named, tagged, opened by keyboard, deleted, taken in; live, and kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from playwright.sync_api import FilePayload, Locator, expect

from fanout.archive import export_run
from fanout.events import RunOpened
from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.screen import NARROW, Screen
from tests.browser.journeys.test_hostile_text import HOSTILE, _harmless
from tests.runs import history

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]
_marks = count(1)


def _mark() -> str:
    """A word that no other journey's runs have."""
    return f"history{next(_marks)}q"


def _run(screen: Screen, name: str, *prompts: str, model: str | None = None, done: bool = True) -> str:
    """A run under this name; gives its id."""
    screen.open("/")
    if model is not None:
        screen.choose_model(model)
    screen.more()
    screen.page.get_by_label("Name of the run").fill(name)
    screen.type_prompts(*prompts)
    run_id = screen.run()
    if done:
        screen.state(re.compile("Done|Ended"))
    return run_id


def _find(screen: Screen, words: str, rows: int) -> None:
    screen.search_field.fill(words)
    expect(_rows(screen)).to_have_count(rows)


def _rows(screen: Screen) -> Locator:
    return screen.page.locator("table.history tbody tr")


def _names(screen: Screen) -> Locator:
    return screen.page.locator("table.history tbody a")


def _pick(screen: Screen, name: str) -> None:
    screen.page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()


def _tag(screen: Screen, tag: str) -> None:
    """Type a tag into the open popover, and save."""
    screen.page.get_by_role("combobox", name=re.compile("Tags")).click()
    screen.page.keyboard.type(tag)
    screen.page.keyboard.press("Enter")
    screen.page.keyboard.press("Tab")
    screen.press("Save")


def test_two_runs_are_found_sorted_named_tagged_compared_and_one_is_deleted(browse: Browse) -> None:
    screen, mark = browse(), _mark()
    first = _run(screen, f"{mark} Beta", "Reply: a", "Reply: b")
    second = _run(screen, f"{mark} alpha", "Reply: a")
    screen.go_to("Runs")
    _find(screen, f"ALPHA {mark}", 1)
    expect(_names(screen)).to_have_text([f"{mark} alpha"])
    _find(screen, mark, 2)
    expect(_names(screen)).to_have_text([f"{mark} alpha", f"{mark} Beta"])
    screen.page.get_by_role("button", name="Prompts", exact=True).click()
    expect(_names(screen)).to_have_text([f"{mark} Beta", f"{mark} alpha"])
    screen.page.get_by_role("button", name="Name", exact=True).click()
    expect(_names(screen)).to_have_text([f"{mark} alpha", f"{mark} Beta"])
    expect(screen.page.locator("th.c-name[aria-sort=ascending]")).to_be_visible()
    assert f"q={mark}" in screen.page.url
    assert "sort=name" in screen.page.url

    screen.page.reload()
    expect(_names(screen)).to_have_text([f"{mark} alpha", f"{mark} Beta"])
    expect(screen.search_field).to_have_value(mark)

    _pick(screen, f"{mark} Beta")
    screen.press(re.compile("Name and tags"))
    expect(screen.page.get_by_label("Name", exact=True)).to_have_value(f"{mark} Beta")
    screen.page.get_by_label("Name", exact=True).fill(f"{mark} zeta")
    _tag(screen, "nightly")
    expect(_names(screen)).to_have_text([f"{mark} alpha", f"{mark} zeta"])
    expect(screen.page.locator("table.history .tag")).to_have_text(["nightly"])
    _find(screen, f"{mark} nightly", 1)
    _find(screen, mark, 2)

    _pick(screen, f"{mark} alpha")
    _pick(screen, f"{mark} zeta")
    compare = screen.page.get_by_role("link", name="Compare them")
    compare.click()
    screen.page.wait_for_url(re.compile(f"/compare\\?a={first}&b={second}"))
    screen.page.go_back()
    expect(_rows(screen)).to_have_count(2)

    _pick(screen, f"{mark} alpha")
    screen.press(re.compile("Delete$"))
    screen.says(re.compile("1 prompt, every answer and the timeline will be gone for everybody"))
    screen.press("Keep it")
    screen.press(re.compile("Delete$"))
    screen.press("Delete it")
    expect(_names(screen)).to_have_text([f"{mark} zeta"])
    screen.open(f"/?run={second}")
    screen.says("This run is not known here.")


def test_a_row_is_opened_and_left_by_keyboard(browse: Browse) -> None:
    screen, mark = browse(), _mark()
    older = _run(screen, f"{mark} one", "Reply: a")
    _run(screen, f"{mark} two", "Reply: a")
    screen.open(f"/runs?q={mark}")
    expect(_rows(screen)).to_have_count(2)
    _names(screen).first.focus()
    screen.page.keyboard.press("ArrowDown")
    expect(_names(screen).nth(1)).to_be_focused()
    screen.page.keyboard.press("Enter")
    assert screen.shown_run() == older
    expect(screen.page.get_by_role("heading", name=f"{mark} one")).to_be_visible()
    screen.page.go_back()
    expect(_rows(screen)).to_have_count(2)
    assert f"q={mark}" in screen.page.url
    _names(screen).first.focus()
    screen.page.keyboard.press("Shift+Tab")
    screen.page.keyboard.press("Space")
    expect(screen.key("history_deselect").get_by_role("button")).to_have_text(re.compile("1 selected"))


def test_a_run_is_named_on_its_own_page(browse: Browse) -> None:
    screen, mark = browse(), _mark()
    screen.type_prompts("Reply: a")
    screen.run()
    screen.state("Done")
    screen.press(re.compile("Name this run"))
    screen.page.get_by_label("Name", exact=True).fill(f"{mark} late")
    screen.page.get_by_label("Name", exact=True).press("Enter")
    expect(screen.page.get_by_role("heading", name=f"{mark} late")).to_be_visible()
    screen.shoot("history-named")
    assert screen.overflow_px() == 0


def test_rows_of_runs_that_go_on_refresh_and_what_one_does_stays(
    browse: Browse, new_tab: Callable[[Screen, str], Screen], profile: Profile
) -> None:
    screen, mark = browse(), _mark()
    _run(screen, "another", "Reply: a")
    screen.open("/")
    screen.set_sandbox(profile(first_token_ms=1_500.0))
    screen.more()
    screen.page.get_by_label("Name of the run").fill(f"{mark} slow")
    screen.type_prompts(*(f"Reply: {n}" for n in range(20)))
    screen.slide("max_workers", 1)
    run_id = screen.run()
    listed = new_tab(screen, f"/runs?q={mark}")
    state = listed.page.locator("table.history td.c-state")
    expect(state).to_have_text(re.compile(r"^Running, \d+ of 20$"))
    _pick(listed, f"{mark} slow")
    listed.press("Delete")
    expect(listed.alert).to_contain_text(f"“{mark} slow” still goes on: open it and stop it first.")
    listed.press(re.compile("Name and tags"))
    listed.page.get_by_label("Name", exact=True).fill("half typed")
    typed_at = state.inner_text()
    expect(state).not_to_have_text(typed_at)
    expect(listed.page.get_by_label("Name", exact=True)).to_have_value("half typed")
    expect(listed.page.get_by_label("Name", exact=True)).to_be_focused()
    listed.page.keyboard.press("Escape")
    listed.page.evaluate("document.querySelector('table.history tbody tr').marked = true")
    _names(listed).first.focus()
    before = state.inner_text()
    expect(state).not_to_have_text(before)
    expect(_names(listed).first).to_be_focused()
    assert listed.page.evaluate("document.querySelector('table.history tbody tr').marked") is True
    expect(listed.page.get_by_role("checkbox", name=f"Select {mark} slow")).to_be_checked()
    screen.press("Stop")
    expect(state).to_have_text("Stopped")
    expect(listed.page.get_by_role("checkbox", name=f"Select {mark} slow")).to_be_checked()
    listed.press("Delete")
    listed.press("Delete it")
    listed.says(f"No run is found by “{mark}”.")
    listed.press("Show all runs")
    expect(listed.search_field).to_have_value("")
    listed.open(f"/?run={run_id}")
    listed.says("This run is not known here.")


def test_a_run_file_is_taken_in_and_any_other_says_what_is_wrong(browse: Browse) -> None:
    screen, run_id = browse("/runs"), "0a1b2c3d4e5f6071"
    screen.press(re.compile("Import"))
    field = screen.page.locator("input[type=file]")
    field.set_input_files(FilePayload(name="x.html", mimeType="text/html", buffer=b"<!doctype html>\n"))
    expect(screen.alert).to_contain_text("Nothing was imported. This is not a run file")
    expect(screen.alert).to_contain_text("expected a JSON object, got '<!doctype html>'")
    opened, *rest = history(n=6, max_workers=2, run_id=run_id)
    assert isinstance(opened, RunOpened)
    text = export_run((replace(opened, opened_at_s=1.7e9), *rest)).encode()
    screen.page.get_by_role("button", name=re.compile("Remove")).first.click()
    field.set_input_files(FilePayload(name="mine.2026", mimeType="", buffer=text))
    assert screen.shown_run() == run_id
    screen.counts("6 of 6 answered")
    screen.go_to("Runs")
    _find(screen, run_id, 1)


def test_hostile_names_and_tags_are_words_in_the_list(browse: Browse) -> None:
    screen, mark = browse(), _mark()
    _run(screen, f"{mark} {HOSTILE}"[:200], "Reply: a")
    screen.press(re.compile("Rename"))
    _tag(screen, "**b** ![i](http://203.0.113.9/x.png)")
    expect(screen.page.locator(".named .tag")).to_have_text(["**b** ![i](http://203.0.113.9/x.png)"])
    _harmless(screen)
    screen.open(f"/runs?q={mark}")
    expect(_names(screen)).to_have_text([f"{mark} {HOSTILE}"[:200]])
    screen.page.locator("table.history tbody input").check()
    screen.press(re.compile("Name and tags"))
    expect(screen.page.get_by_label("Name", exact=True)).to_be_visible()
    _harmless(screen)
    screen.page.keyboard.press("Escape")
    screen.press("Delete")
    screen.says(re.compile("will be gone for everybody"))
    _harmless(screen)


def test_a_narrow_list_shows_name_state_and_time(browse: Browse) -> None:
    screen, mark = browse(viewport=NARROW), _mark()
    screen.type_prompts("Reply: a")
    screen.run()
    screen.state("Done")
    screen.open("/runs")
    expect(_rows(screen).first).to_be_visible()
    shown = screen.page.locator("table.history thead th").evaluate_all(
        "(all) => all.filter((each) => each.offsetParent).map((each) => each.textContent)"
    )
    assert shown == ["", "Name", "State", "When"]
    assert screen.overflow_px() == 0
    _find(screen, mark, 0)
    screen.says(f"No run is found by “{mark}”.")
    assert screen.overflow_px() == 0


def test_times_are_those_of_the_browsers_zone_also_after_a_refresh_of_the_list(browse: Browse) -> None:
    screen, run_id = browse("/runs", timezone_id="Asia/Tokyo"), "0a1b2c3d4e5f6072"
    opened, *rest = history(n=2, max_workers=2, run_id=run_id)
    assert isinstance(opened, RunOpened)
    text = export_run((replace(opened, opened_at_s=1.7e9), *rest)).encode()  # 14 November 2023, 22:13 UTC
    screen.press(re.compile("Import"))
    given = FilePayload(name="mine.jsonl", mimeType="", buffer=text)
    screen.page.locator("input[type=file]").set_input_files(given)
    assert screen.shown_run() == run_id
    screen.go_to("Runs")
    expect(_rows(screen).first).to_be_visible()
    _find(screen, run_id, 1)  # the fragment is drawn again by itself, and knows the zone then too
    expect(_rows(screen).locator("td.c-when")).to_have_text("15 Nov 2023")
    expect(screen.page.locator("th.c-when")).to_have_attribute("title", "Times are in Asia/Tokyo.")
    screen.open(f"/compare?a={run_id}")
    expect(screen.key("compare_a").get_by_role("combobox")).to_have_value(re.compile("15 Nov 2023"))
