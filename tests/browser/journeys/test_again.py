"""A batch is handed on and run again: a link fills the form, answers that are there are taken, each row says so."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.conftest import Browse, Sandbox
from tests.browser.journeys.screen import Screen


def _links(screen: Screen) -> list[str]:
    """The links that the popover of a run shows, without the server's address."""
    screen.press("Share")
    codes = screen.page.get_by_test_id("stPopoverBody").get_by_test_id("stCode")
    expect(codes).to_have_count(2)
    found = [text.strip().removeprefix(screen.url) for text in codes.all_inner_texts()]
    screen.page.keyboard.press("Escape")
    return found


def test_a_batch_travels_in_a_link_and_what_is_answered_is_not_sent_again(
    browse: Browse, profile: Callable[..., SandboxProfile], sandbox: Sandbox
) -> None:
    used = profile()
    first = browse()
    first.set_sandbox(used)
    first.type_prompts("Reply: alpha", "Reply: beta")
    run = first.run()
    first.state("Done")
    to_run, to_form = _links(first)
    assert (to_run, to_form) == (f"/?run={run}", f"/?form={run}")

    # Somebody else opens it, with 12 workers
    other = browse(f"{to_form}&max_workers=12", color_scheme="light")
    other.says(f"From a link: 2 prompts and the settings of run {run[:8]}, with max_workers as the link says.")
    expect(other.prompts).to_have_value("Reply: alpha\nReply: beta")
    expect(other.key("max_workers").get_by_role("slider")).to_have_value("12")
    assert "form=" not in other.page.url, "what is typed from now on is the form's"
    assert sandbox.counts(used)["answered"] == 2, "a link sends nothing"

    other.type_prompts("Reply: gamma", "Reply: beta", "Reply: alpha", "Reply: gamma")
    other.more()
    other.says(re.compile("^4 calls, 4 quota slots"))
    other.page.get_by_text("Reuse answers", exact=True).click()
    other.says(re.compile(r"^2 calls, 2 quota slots.* 2 prompts have answers already, taken without a call\."))
    other.page.get_by_text("Identical prompts once", exact=True).click()
    other.says(re.compile(r"^1 call, 1 quota slot.* 1 prompt shares the call of an identical one\."))
    other.shoot("again-form", tall=1500)
    again = other.run()
    other.state("Done")
    other.says("2 answers were there already and were taken without a call. 1 prompt shares the call of an identical")
    other.rows(4)
    chart = "document.querySelector('.fo-gantt').chart"
    assert other.page.evaluate(f"[...{chart}.model.reused]") == [0, 1, 1, 1]
    y = other.page.evaluate(f"(() => {{ const v = {chart}.view; return v.y.at + v.y.length * 0.9 }})()")
    other.page.locator(".fo-plot").hover(position={"x": 400, "y": y})
    expect(other.page.locator(".fo-tip")).to_contain_text(
        re.compile(rf"^#\d (shares the call of #1|from run {run[:8]}, )")
    )
    other.shoot("again-run", tall=1300)
    assert sandbox.counts(used)["answered"] == 3
    taken = [cell for cell in other.column("origin") if cell.startswith("from ")]
    assert [cell[:17] for cell in taken] == [f"from run {run[:8]}"] * 2
    assert [cell for cell in other.column("origin") if cell.startswith("shares ")] == ["shares the call of #1"]
    other.shoot("again", tall=1500)

    other.choose("Order", "As they were given")
    other.quiet()  # the numbers of the rows are out of sight
    other.press_row(1)
    detail = other.open_detail(2)
    expect(detail).to_contain_text(f"Taken from run {run[:8]}, ")
    other.shoot("again-detail")
    detail.get_by_role("link", name=f"Open run {run[:8]}").click()
    other.page.wait_for_url(f"**/?run={run}")
    other.page.go_back()
    other.page.wait_for_url(f"**/?run={again}")


def test_the_forms_own_link_gives_somebody_the_same_settings(browse: Browse) -> None:
    mine = browse()
    mine.slide("max_workers", 12)
    mine.more()
    mine.number("Retries", 5)
    mine.page.get_by_label("Instructions").fill("Answer in one word.\nNo more.")
    mine.page.get_by_label("Instructions").blur()
    mine.press("Link to this form")
    body = mine.page.get_by_test_id("stPopoverBody")
    expect(body).to_contain_text("instructions=Answer")
    mine.shoot("form-link")
    link = body.get_by_test_id("stCode").inner_text().strip().removeprefix(mine.url)

    theirs = browse(link, color_scheme="light")
    theirs.says("From a link: max_workers, Instructions")
    theirs.more()
    expect(theirs.page.get_by_label("Retries", exact=True)).to_have_value("5")
    expect(theirs.page.get_by_label("Instructions")).to_have_value("Answer in one word.\nNo more.")
    expect(theirs.key("max_workers").get_by_role("slider")).to_have_value("12")

    wrong = browse("/?form=new&max_workers=none", color_scheme="light")
    expect(wrong.alert).to_contain_text("The link was not followed, and the form is as it was")
    expect(wrong.key("max_workers").get_by_role("slider")).to_have_value("8")
