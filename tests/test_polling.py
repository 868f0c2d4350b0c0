"""What draws itself again: each page's polling is its own, whatever place it is drawn at."""

from collections.abc import Callable

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import live


def _page(key: str, seen: list[set[str]]) -> None:
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from dashboard import house, live
    from fanout.settings import Settings

    house.open_house(Settings(), prepare=False)
    try:
        live.poll(lambda: live.Look(every_s=None, draw=lambda: None), key=key)
    finally:
        house.close_house()
    context = get_script_run_ctx()
    assert context is not None
    seen.append(set(context.shared.new_fragment_ids.snapshot()))


def test_a_refresh_that_one_page_asked_for_is_never_taken_for_the_next_pages_own() -> None:
    seen: list[set[str]] = []
    for key in ("watch_a", "runs", "runs"):
        assert not AppTest.from_function(_page, args=(key, seen)).run().exception
    watched, listed, listed_again = seen
    assert len(watched) == len(listed) == 1
    assert watched.isdisjoint(listed), "at the same place on the page, with the same function"
    assert listed == listed_again, "the same page keeps its polling over its own runs"


class Again(Exception):
    """The whole page runs again."""


def test_the_page_runs_again_for_another_period_before_anything_is_drawn_and_never_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def again() -> None:
        raise Again

    def fragment(drawn: Callable[[], None], **_: object) -> Callable[[], None]:
        refresh.append(drawn)
        return drawn

    def look() -> live.Look:
        found = wanted.pop(0)
        return live.Look(every_s=found, draw=lambda: drawn.append(found))

    monkeypatch.setattr(st, "rerun", again)
    monkeypatch.setattr(st, "fragment", fragment)
    refresh: list[Callable[[], None]] = []
    drawn: list[float] = []
    wanted = [0.1, 0.1, 0.5]
    live.poll(look, key="x")
    assert drawn == [0.1], "what was looked at first is drawn, without a second look"
    refresh[0]()
    assert drawn == [0.1, 0.1]
    with pytest.raises(Again):
        refresh[0]()
    assert drawn == [0.1, 0.1]
