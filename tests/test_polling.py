"""What draws itself again: each page's polling is its own, whatever place it is drawn at."""

from streamlit.testing.v1 import AppTest


def _page(key: str, seen: list[set[str]]) -> None:
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from dashboard import house, live
    from fanout.settings import Settings

    house.open_house(Settings(), prepare=False)
    try:
        live.poll(lambda: None, every_s=None, key=key)
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
