"""A page that is loaded again has the form as it was, in its own tab and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]
SAID = "The form is as you left it."


def _keeps(screen: Screen, what: str) -> None:
    """Wait until the tab has this of its `form`."""
    screen.page.wait_for_function(
        f"() => {{ const form = JSON.parse(sessionStorage.getItem('fanout-form') ?? '{{}}'); return {what} }}"
    )


def test_what_was_typed_and_set_is_there_after_a_reload(
    browse: Browse, new_tab: Callable[[Screen, str], Screen]
) -> None:
    screen = browse()
    screen.type_prompts("kept one", "kept two")
    screen.slide("max_workers", 12)
    _keeps(screen, "form.settings?.max_workers === '12'")
    screen.prompts.fill("kept one\nkept two\nnot left yet")
    screen.page.reload()
    screen.says(SAID)
    expect(screen.prompts).to_have_value("kept one\nkept two\nnot left yet")
    expect(screen.key("max_workers").get_by_role("slider")).to_have_value("12")
    screen.says("3 calls, 3 quota slots, all at once")
    screen.shoot("kept-form")

    beside = new_tab(screen, "/")
    beside.says("40 calls, 40 quota slots")
    beside.page.reload()
    beside.says("40 calls, 40 quota slots")
    beside.quiet()
    expect(beside.page.get_by_text(SAID)).to_have_count(0)


def test_a_list_from_a_file_is_there_after_a_reload_and_on_the_way_back_from_another_page(browse: Browse) -> None:
    screen = browse()
    screen.choose("Prompts", "File")
    screen.drop("prompts.jsonl", b'{"prompt": "two\\nlines"}\n{"prompt": "one"}\n')
    screen.says("2 calls, 2 quota slots")
    _keeps(screen, "form.prompts?.length === 2")
    screen.go_to("Quota")
    screen.page.reload()
    screen.go_to("Run")
    screen.says(SAID)
    expect(screen.prompts).to_have_value("two\nlines\n---\none")
    screen.says("2 calls, 2 quota slots")


def test_a_form_that_a_run_fills_is_that_run_s(browse: Browse, profile: Callable[..., SandboxProfile]) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.type_prompts("Reply: of the run")
    _keeps(screen, "form.text === 'Reply: of the run'")
    run = screen.run()
    screen.counts("1 of 1 answered")
    screen.open("/")
    screen.says(SAID)
    screen.type_prompts("typed later", "and kept")
    _keeps(screen, "form.text?.startsWith('typed later')")
    screen.open(f"/?run={run}")
    screen.press("New run")
    expect(screen.strip).to_have_count(0)
    expect(screen.prompts).to_have_value("typed later\nand kept")
    screen.open(f"/?run={run}")
    screen.edit_again()
    expect(screen.prompts).to_have_value("Reply: of the run")
    screen.quiet()
    expect(screen.prompts).to_have_value("Reply: of the run")
    expect(screen.page.get_by_text(SAID)).to_have_count(0)
    screen.page.get_by_text("Keep the answers of run").click()
    screen.type_prompts("Reply: of the run", "Reply: and another")
    screen.says("1 call, 1 quota slot")
    _keeps(screen, "form.carries && form.text?.endsWith('another')")
    screen.page.reload()
    screen.says(SAID)
    screen.says("1 call, 1 quota slot")
    screen.says(f"Keep the answers of run {run[:8]}")
    screen.open("/?form=new&max_workers=abc")
    expect(screen.alert).to_contain_text("The link was not followed")
    expect(screen.prompts).to_have_value("Reply: of the run\nReply: and another")
    expect(screen.alert).to_contain_text("The link was not followed")
    screen.quiet()
    expect(screen.page.get_by_text(SAID)).to_have_count(0)


def test_what_was_typed_right_before_run_is_what_the_form_holds_later(
    browse: Browse, profile: Callable[..., SandboxProfile]
) -> None:
    screen = browse()
    screen.set_sandbox(profile())
    screen.quiet()
    for typed, press in (("by the button", screen.run_button.click), ("by the keys", screen.press_run_by_keys)):
        screen.type_prompts("before")
        _keeps(screen, "form.text === 'before'")
        screen.prompts.fill(f"Reply: {typed}")
        press()
        screen.shown_run()
        screen.open("/")
        screen.says(SAID)
        expect(screen.prompts).to_have_value(f"Reply: {typed}")
