"""What a tab keeps, by the script alone, on a page of nothing else: it hands on what it kept until that is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

SCRIPT = (Path(__file__).parents[3] / "dashboard" / "kept_in_tab.js").read_text()
BODY = '<div class="stApp"><div class="stMain"><div class="st-key-prompts_text"><textarea>mine</textarea>'
ADDRESS = "http://tab.example/"
LOAD = """async (script) => {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }))
  window.draw = (await import(address)).default
}"""
DRAW = """async (data) => {
  const said = []
  const say = (name, value) => said.push([name, value])
  draw({ data, setTriggerValue: say, setStateValue: say })
  if (data.filling) while (!said.length) await new Promise((painted) => requestAnimationFrame(painted))
  return said
}"""
STORED = "() => JSON.parse(sessionStorage.getItem('fanout-form'))"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.route("**", lambda route: route.fulfill(body=BODY, content_type="text/html"))
    page.goto(ADDRESS)
    page.evaluate(LOAD, SCRIPT)
    yield page
    context.close()


def _ask(page: Page, session: str, *, asks: bool) -> list[list[str]]:
    """Draw what asks the tab; gives what it hands back."""
    return [list(each) for each in page.evaluate(DRAW, _data(session, asks=asks) | {"home": "/"})]


def _keep(
    page: Page, session: str, form: Mapping[str, Any], *, asks: bool, filling: str | None = None
) -> list[list[str]]:
    """Draw what tells the tab what to keep; gives what it says that it has."""
    said = page.evaluate(DRAW, _data(session, asks=asks) | {"form": form, "filling": filling})
    return [list(each) for each in said]


def _data(session: str, *, asks: bool) -> dict[str, Any]:
    return {"name": "fanout-form", "session": session, "about": None, "asks": asks}


def _is_held(page: Page) -> bool:
    return bool(page.evaluate("() => document.querySelector('.stMain').inert"))


def test_what_was_handed_to_a_drawing_that_was_cut_off_is_handed_to_the_next_and_not_overwritten(page: Page) -> None:
    assert _ask(page, "one", asks=True) == []
    _keep(page, "one", {"text": "mine"}, asks=True)
    page.reload()
    page.evaluate(LOAD, SCRIPT)
    ((name, handed),) = _ask(page, "two", asks=True)
    assert name == "kept"
    assert '"mine"' in handed
    assert _is_held(page)
    _keep(page, "two", {"text": "the first prompts"}, asks=True)
    assert page.evaluate(STORED) == {"text": "mine"}
    assert _ask(page, "two", asks=True) == [["kept", handed]]
    assert _is_held(page)
    assert _keep(page, "two", {"text": "mine"}, asks=False, filling="f1") == [["heard", "f1"]]
    assert not _is_held(page)
    assert _ask(page, "two", asks=False) == []
    _keep(page, "two", {"text": "mine, and more"}, asks=False)
    assert page.evaluate(STORED) == {"text": "mine, and more"}


def test_a_tab_that_has_kept_nothing_hands_nothing_back_and_keeps_what_it_is_told(page: Page) -> None:
    assert _ask(page, "one", asks=True) == []
    assert _ask(page, "one", asks=True) == []
    assert not _is_held(page)
    _keep(page, "one", {"text": "typed"}, asks=True)
    assert page.evaluate(STORED) == {"text": "typed"}


def test_what_was_typed_is_not_overwritten_by_a_drawing_that_does_not_know_of_it(page: Page) -> None:
    assert _ask(page, "one", asks=False) == []
    _keep(page, "one", {"text": "mine"}, asks=False)
    page.locator("textarea").fill("typed since")
    for _ in range(2):
        _keep(page, "one", {"text": "mine"}, asks=False)
        assert page.evaluate(STORED) == {"text": "typed since"}
    _keep(page, "one", {"text": "typed since"}, asks=False)
    _keep(page, "one", {"text": "of a run"}, asks=False)
    assert page.evaluate(STORED) == {"text": "of a run"}
