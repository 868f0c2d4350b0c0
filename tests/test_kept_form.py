"""What a tab keeps of the form, and what is taken of what it hands back, which may be anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboard import form_link, house, kept_form, kept_settings, session_kept
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from tests.pages import draw, open_page, press


@pytest.fixture(autouse=True)
def opened_house(tmp_path: Path) -> Iterator[None]:
    house.open_house(Settings(data_dir=tmp_path, max_workers_ceiling=64), prepare=False, visibility="team")
    yield
    house.close_house()


def _kept(**changes: Any) -> str:
    form: Mapping[str, Any] = {
        "who": "anna",
        "settings": {"form": "new"},
        "mode": "line",
        "text": "a",
        "prompts": None,
        "seen_by": "private",
        "came_from": None,
        "link": None,
        "carries": False,
    }
    return json.dumps({**form, **changes})


def _given(app: Any) -> Mapping[str, Any]:
    """What the tab is told to keep, as the page was last drawn."""
    return dict(json.loads(_now(app)))


def _now(app: Any) -> str:
    (found,) = (each.proto.json for each in app.get("bidi_component") if _is_ours(each) and '"form"' in each.proto.json)
    return str(found)


def test_settings_and_prompts_come_back_as_they_were() -> None:
    batch = Batch(prompts=("-",), model="openai:small", max_workers=12, instructions="Be short.\n" * 300)
    settings, left = form_link.query_of(batch, base=None, run_id=None, most=kept_form.MOST_CHARACTERS)
    assert left == ()
    found = kept_form.read(_kept(settings=settings, text=None, prompts=["a\nb", "\ud800"]), who="anna")
    assert found.batch == batch
    assert (found.seen_by, found.came_from, found.link, found.carries) == ("private", None, None, False)
    came = kept_form.read(_kept(came_from="r", link="t", carries=True), who="anna")
    assert (came.came_from, came.link, came.carries) == ("r", "t", True)
    assert (found.text, found.prompts) == (None, ("a\nb", "\ud800"))


@pytest.mark.parametrize(
    "kept",
    [
        None,
        7,
        "",
        "{",
        "[" * 100_000,
        "[]",
        _kept(who="ben"),
        _kept(who=None),
        _kept(settings=None),
        _kept(settings={"form": "new", "retries": 3}),
        _kept(settings={"form": "new", "retries": "many"}),
        _kept(settings={"form": "new", "max_workers": "0"}),
        _kept(text=7),
        _kept(mode="word"),
        _kept(mode=["line"]),
        _kept(text=None, prompts="abc"),
        _kept(text=None, prompts=[1]),
        _kept(seen_by="everybody"),
        _kept(seen_by=None),
        _kept(came_from=7),
        _kept(came_from="r", link=["t"]),
    ],
)
def test_what_is_no_form_of_this_person_s_is_refused(kept: object) -> None:
    with pytest.raises(BadInput):
        kept_form.read(kept, who="anna")


def test_the_page_gives_the_tab_what_stands_in_the_form() -> None:
    app = open_page()
    first = _given(app)
    assert first["asks"] is True
    app.text_area(key="prompts_text").set_value("one\ntwo")
    app.slider(key="max_workers").set_value(12)
    later = _given(draw(app))
    assert later["session"] == first["session"]
    assert later["form"] == {
        "who": "local",
        "settings": {"form": "new", "max_workers": "12"},
        "mode": "line",
        "text": "one\ntwo",
        "prompts": None,
        "seen_by": "team",
        "came_from": None,
        "link": None,
        "carries": False,
    }
    app.number_input(key="retries").set_value(None)
    app.slider(key="max_workers").set_value(13)
    assert _given(draw(app))["form"]["settings"] == {"form": "new", "max_workers": "12"}, "as they last were good"
    app.number_input(key="retries").set_value(2)
    app.button_group(key="prompts_source").set_value("Table")
    form = _given(draw(app))["form"]
    assert (form["text"], form["prompts"]) == (None, ["one", "two"])


def test_settings_to_go_on_with_come_back_as_they_were_and_of_nobody_else() -> None:
    base = Batch(prompts=("a", "b"), model="openai:small", cap_tokens=5)
    wanted = base.changed({"max_workers": 3, "cap_tokens": None, "timeout_s": 90.0})
    settings, _ = form_link.query_of(wanted, base=base, run_id="r")
    handed = json.dumps({"who": "anna", "settings": settings, "about": "r"})
    assert kept_settings.read(handed, base, who="anna") == wanted
    for wrong in (handed.replace("anna", "ben"), handed.replace('"3"', '"0"'), handed.replace('"3"', "3"), "[]", None):
        with pytest.raises(BadInput):
            kept_settings.read(wrong, base, who="anna")


def test_what_the_tab_handed_back_stands_until_the_browser_is_heard_to_have_it() -> None:
    app = open_page()
    kept = _kept(who="local", text="mine", settings={"form": "new", "max_workers": "12"})
    app.session_state["_handed_form"] = ("f1", kept, time.monotonic())
    for _ in range(2):  # a browser that knows of nothing yet sends what stood there before
        app.text_area(key="prompts_text").set_value("what stood there before")
        app.slider(key="max_workers").set_value(8)
        app.button_group(key="prompts_source").set_value("Table")
        assert json.loads(_now(draw(app)))["filling"] == "f1"
        assert app.text_area(key="prompts_text").value == "mine"
        assert app.slider(key="max_workers").value == 12
    app.session_state["_handed_form"] = ("f1", kept, time.monotonic() - session_kept.HELD_S)
    app.text_area(key="prompts_text").set_value("typed since")
    assert json.loads(_now(draw(app)))["filling"] is None
    assert app.text_area(key="prompts_text").value == "typed since"


def test_a_run_that_fills_the_form_takes_the_place_of_what_the_tab_handed_back() -> None:
    run = house.library().start(Batch(prompts=("of the run",), sandbox=SandboxProfile(first_token_ms=0, token_ms=0)))
    assert run.wait(30)
    app = open_page(run=run.run_id)
    app.session_state["_handed_form"] = ("f1", _kept(who="local", text="mine"), time.monotonic())
    press(app, "Edit and run again")
    assert app.text_area(key="prompts_text").value == "of the run"


def test_a_list_that_is_too_long_is_not_kept() -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("x" * (kept_form.MOST_CHARACTERS + 1))
    form = _given(draw(app))["form"]
    assert (form["text"], form["prompts"]) == (None, None)


def test_a_link_wins_over_what_the_tab_kept() -> None:
    assert _given(open_page(form="new", max_workers="12"))["asks"] is False


def test_a_form_that_somebody_has_begun_to_fill_is_theirs() -> None:
    app = open_page()
    assert _given(draw(app))["asks"] is True, "nothing was changed"
    app.text_area(key="prompts_text").set_value("typed before the tab had answered")
    assert _given(draw(app))["asks"] is False


def _is_ours(element: Any) -> bool:
    return "fanout_kept" in element.proto.component_name
