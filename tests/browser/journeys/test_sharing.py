"""Two people in two browsers: what one keeps to herself, shares by link and withdraws, and what the other can do."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen
from tests.browser.journeys.team import NewSomebody
from tests.browser.serving import Served

SECRET = "sisal plan"
BACK = "To the form and the runs"
GUESSES = {
    "/?run={}": BACK,
    "/?run={}&link=guessed": BACK,
    "/compare?a={}&b={}": "The address names it as A and B",
    "/compare?b={}": "The address names it as B",
    "/runs?q={}": "No run is found",
}
"""What somebody may try, and what stands last on the page that they get."""
FORM_LINK = re.compile(r"\?form=[0-9a-f]+")


def _shared(anna: Screen, choice: str) -> list[str]:
    """Choose who sees the run; gives the links that are then shown."""
    body = anna.page.get_by_test_id("stPopoverBody")
    if not body.is_visible():
        anna.press("Share")
    body.get_by_text(choice, exact=True).click()
    expect(body.get_by_role("radio", name=choice)).to_be_checked()
    codes = body.get_by_test_id("stCode")
    with_link = re.compile("link=") if "link" in choice else re.compile(r"\?run=[0-9a-f]+$")
    expect(codes).to_have_text([with_link, FORM_LINK])  # the second one comes a moment after the first
    return [text.strip().removeprefix(anna.url) for text in codes.all_inner_texts()]


def _said(screen: Screen, run: str, last: str = BACK) -> str:
    """What the page says, down to its last words, whichever run it was asked for."""
    screen.says(re.compile(re.escape(last)))
    screen.quiet()
    assert SECRET not in screen.page.content()
    told = screen.page.locator("p.sentence, p.quiet, p.wrong").all_inner_texts()
    assert told
    return " ".join(told).replace(run, "RUN").replace(run[:8], "RUN")


def test_a_run_is_kept_shared_by_link_looked_at_duplicated_and_withdrawn(
    team: Served, somebody: NewSomebody, provider: Provider, shots: Path
) -> None:
    anna = somebody(team).comes_in("anna")
    anna.choose_model("openai-chat:echo")
    anna.type_prompts(f"{SECRET} one", f"hold {SECRET}")
    anna.says("2 calls, 2 quota slots")
    anna.more()
    anna.pick("run_visibility", "Only me and admins")
    anna.shoot("who-sees", tall=1500)
    anna.page.wait_for_function("() => JSON.parse(sessionStorage.getItem('fanout-form') ?? '{}').seen_by === 'private'")
    anna.page.reload()
    anna.says("The form is as you left it.")
    anna.more()
    expect(anna.key("run_visibility").get_by_role("combobox")).to_have_value("Only me and admins")
    run = anna.run()
    anna.counts("1 of 2 answered, 1 in flight")

    # A guess gets the answer of a run that never was
    bens = somebody(team)
    ben = bens.comes_in("ben")
    never = "0123456789abcdef"
    for path, last in GUESSES.items():
        refused = _said(ben.open(path.format(run, run)), run, last)
        assert refused == _said(ben.open(path.format(never, never)), never, last), path
    for run_id in (run, never):
        alert = ben.open(f"/?form={run_id}").quiet().alert
        expect(alert).to_have_text(
            "The link was not followed, and the form is as it was: the run that it names is not known here: "
            "it may have been deleted, or its link withdrawn."
        )

    # By link: Ben looks, live, and may not drive
    to_run, to_form = _shared(anna, "Whoever is logged in and has the link")
    anna.shoot("share")
    ben.open(to_run)
    ben.counts("1 of 2 answered, 1 in flight")
    ben.says("This run is Anna Example's: you can look at it, and duplicate it.")
    for label in ("Stop", "Pause", "Rename"):
        expect(ben.page.get_by_role("button", name=label, exact=True)).to_have_count(0)
    ben.shoot("shared-with-me")
    ben.press("Share")
    codes = ben.page.get_by_test_id("stPopoverBody").get_by_test_id("stCode")
    expect(codes).to_have_text([f"{ben.url}{to_run}", f"{ben.url}{to_form}"])  # what he hands on opens it too
    ben.page.keyboard.press("Escape")
    unlisted = _said(ben.open(f"/runs?q={run}"), run, "No run is found")  # a link is no listing
    assert unlisted == _said(ben.open(f"/runs?q={never}"), never, "No run is found")

    # Into a run of his own
    ben.open(to_form)
    ben.says("From a link: 2 prompts and the settings of run")
    ben.type_prompts("bens own")
    own = ben.run()
    ben.counts("1 of 1 answered")
    assert own != run
    assert "link=" not in ben.page.url
    expect(ben.page.get_by_role("button", name="Edit and run again")).to_be_visible()

    # A copy of what was shared by link is his alone until he chooses; what he then chose is shown as it is, and stays
    ben.press("Share")
    body = ben.page.get_by_test_id("stPopoverBody")
    expect(body.get_by_role("radio", name="Only me and admins")).to_be_checked()
    _shared(ben, "Everybody who is logged in")
    ben.page.keyboard.press("Escape")
    ben.quiet()
    ben.page.reload()
    ben.press("Share")
    expect(body.get_by_role("radio", name="Everybody who is logged in")).to_be_checked()
    ben.page.keyboard.press("Escape")
    ben.quiet()
    anna.open(f"/?run={own}")
    anna.counts("1 of 1 answered")
    anna.open(f"/?run={run}")
    anna.press("Share")

    # A new link: the old one opens nothing, not even where it is open, alone or beside another run
    beside = Screen(ben.page.context.new_page(), ben.url, shots).open(
        f"/compare?a={own}&b={run}&link_b={to_run.partition('link=')[2]}"
    )
    expect(beside.page.locator(".fo-gantt .svg-container")).to_have_count(2)
    ben.open(to_run)
    ben.counts("1 of 2 answered, 1 in flight")
    anna.press("Make a new link")
    body = anna.page.get_by_test_id("stPopoverBody")
    expect(body.get_by_test_id("stCode").first).not_to_have_text(re.compile(re.escape(to_run)))
    ben.says("This run is not known here.")
    beside.says("This run is not known here.")
    assert SECRET not in beside.quiet().page.content()
    beside.page.close()
    assert _said(ben.open(to_run), run) == _said(ben.open(to_run.replace(run, never)), never)
    newer = body.get_by_test_id("stCode").first.inner_text().strip().removeprefix(anna.url)
    ben.open(newer)
    ben.counts("1 of 2 answered, 1 in flight")

    # With everybody, and with nobody
    _shared(anna, "Everybody who is logged in")
    ben.open(f"/?run={run}")
    ben.counts("1 of 2 answered, 1 in flight")
    _shared(anna, "Only me and admins")
    ben.says("This run is not known here.")
    assert _said(ben.open(newer), run) == _said(ben.open(newer.replace(run, never)), never)
    provider.release(SECRET.split()[0])
    anna.page.keyboard.press("Escape")
    anna.counts("2 of 2 answered")
