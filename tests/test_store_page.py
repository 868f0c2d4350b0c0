"""What the pages say while the store cannot be written, or not even read, through Streamlit's AppTest."""

from collections.abc import Iterator

import pytest

from dashboard import store_words
from fanout import Batch, Engine
from fanout.library import Library
from fanout.metrics import measure
from fanout.store.database import StoreLost
from tests.hands import HandCaller, WatchedStore
from tests.pages import draw, house_by_hand, labels, open_page, read
from tests.runs import make_run

FULL = "The store cannot be written (no space left on device). Nothing further is sent until it can."


@pytest.fixture
def engine(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    with house_by_hand(caller, store) as opened:
        yield opened


def test_a_run_that_the_store_holds_says_so_and_promises_no_time(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    live = engine.start(Batch(prompts=["a", "b", "c", "d"], max_workers=2))
    caller.taken(1)[0].answer()
    store.await_run(live, lambda run: any(call.status == "answered" for call in run.calls))
    app = open_page(run=live.run_id)
    assert "Running" in read(app)
    assert "to go" in read(app)

    store.trouble = FULL
    said = read(draw(app))
    assert "Waiting for the store 1 of 4 answered and stored" in said
    assert FULL in said
    assert "Running" not in said
    assert "to go" not in said
    assert "in flight" not in said, "what came since the store was lost is not known here"
    assert "then the run goes on by itself" in said

    store.trouble = None
    said = read(draw(app))
    assert "Running" in said
    assert "to go" in said


def test_a_run_that_has_ended_is_held_by_nothing(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["a"]))
    caller.taken(1)[0].answer()
    store.await_run(live, lambda run: run.ended)
    store.trouble = FULL
    said = read(open_page(run=live.run_id))
    assert "Done" in said
    assert FULL not in said


def test_what_failed_is_said_of_a_held_run_too() -> None:
    run = make_run(n=6, failing=[2])
    assert store_words.counts(measure(run)) == "1 failed, 5 of 6 answered and stored"
    assert store_words.held_sentence(run, measure(run)).startswith("1 failed: ")


@pytest.mark.usefixtures("engine")
def test_a_page_whose_store_cannot_be_read_says_so_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise StoreLost("the store cannot be read: connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(Library, "newest", lost)
        app = open_page()
        assert "The store cannot be read: connection refused." in read(app)
        assert "Runs that go on here are held" in read(app)
        assert not app.button
    assert labels(draw(app)) == ["Run"]
    assert "cannot be read" not in read(app)


def test_a_store_that_is_lost_while_a_page_is_refreshed_leaves_a_sentence(
    engine: Engine, caller: HandCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = engine.start(Batch(prompts=["a"]))
    caller.taken(1)
    app = open_page(run=live.run_id)

    def lost(*_: object, **__: object) -> None:
        raise StoreLost("the store cannot be read: connection refused")

    with monkeypatch.context() as patch:
        patch.setattr("dashboard.watch._draw", lost)
        assert "The store cannot be read: connection refused." in read(draw(app))
    assert "Running" in read(draw(app))
