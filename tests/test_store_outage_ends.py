"""A process that ends while its database takes nothing: what it prints, tries once more, and calls lost."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fanout import terminal
from fanout.driving import follow_to_end, with_last_words
from fanout.fold import fold
from fanout.live import LiveRun
from tests.hands import WAIT_S
from tests.stores import Kept, eventually, is_held, refusing


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)


@contextmanager
def an_answer_that_is_not_taken(kept: Kept, database_url: str, *, calls: int = 1) -> Iterator[LiveRun]:
    """A run whose first call was answered after its database ceased to take anything, which it does until the end."""
    live = kept.start(calls, max_workers=1)
    kept.sent(0)
    assert kept.store.flush(WAIT_S)
    with refusing(database_url):
        kept.sent(0).answer("yes")
        eventually(lambda: live.trouble)
        yield live


@pytest.mark.parametrize(("order", "places"), [("completion", ["2", "1"]), ("input", ["1", "2", "3", "4"])])
def test_a_command_that_is_to_end_prints_what_the_store_does_not_take_and_says_so(
    order: terminal.Order,
    places: list[str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(terminal, "KEPT_WITHIN_S", 0.2)
    with Kept(database_url) as kept:
        live = kept.start(4, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with refusing(database_url, words="no space left on device"):
            kept.sent_for(1).answer("two")
            eventually(lambda: live.trouble)
            kept.sent_for(0).answer("one")
            eventually(lambda: is_held(live))
            terminal.asked_to_end.set()
            out = io.StringIO()
            assert terminal.follow(live, order=order, as_json=False, out=out) == terminal.INTERRUPTED
            told = [line.split("  ") for line in out.getvalue().splitlines()]
            assert [line[0] for line in told][: len(places)] == places
            assert sorted(line[0] for line in told) == ["1", "2", "3", "4"]
            assert {line[0]: line[-1] for line in told if line[1] == "answered"} == {"1": "one", "2": "two"}
            summary, trouble, last = capsys.readouterr().err.splitlines()
            assert "2 answered" in summary
            assert "no space left on device" in trouble
            assert last == "2 of the answers above are not stored yet: that is tried a while longer. Ctrl+C ends it."
            assert terminal.answers_not_stored(live) == 2
        eventually(lambda: live.ended)
        assert terminal.answers_not_stored(live) == 0


def test_what_waits_is_written_where_the_store_comes_back_at_the_last_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", WAIT_S)  # by itself the writer would be too late
    monkeypatch.setattr("fanout.store.sql.CLOSING_S", 1.0)
    monkeypatch.setattr("fanout.engine.CLOSING_S", 0.1)
    kept = Kept(database_url)
    with an_answer_that_is_not_taken(kept, database_url) as live:
        pass
    kept.engine.close()
    assert not live.wait(0), "it waits for the writer's next try"
    assert kept.store.close()
    assert live.wait(0)
    with Kept(database_url) as later:
        assert [call.output for call in fold(later.stored(live.run_id)).calls] == ["yes"]


def test_a_store_that_takes_a_beat_and_no_answer_is_not_called_well_at_the_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fanout.store.sql.CLOSING_S", 1.0)
    monkeypatch.setattr("fanout.engine.CLOSING_S", 0.1)
    kept = Kept(database_url)
    with an_answer_that_is_not_taken(kept, database_url):  # a full disk may have room for a row that changes
        kept.engine.close()
        assert not kept.store.close()
    assert not any("can be written again" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("comes_back", [True, False])
def test_the_last_words_of_a_command_are_said_once_the_store_had_its_last_chance(
    comes_back: bool, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "KEPT_WITHIN_S", 0.2)
    monkeypatch.setattr("fanout.store.sql.CLOSING_S", 1.0)
    monkeypatch.setattr("fanout.engine.CLOSING_S", 0.2)
    kept = Kept(database_url)
    with an_answer_that_is_not_taken(kept, database_url, calls=2) as live:
        terminal.asked_to_end.set()
        followed = follow_to_end(kept.library, lambda: live, order="input", as_json=False)
        if not comes_back:
            kept.library.close()
    kept.library.close()
    assert "1 of the answers above is not stored yet" in capsys.readouterr().err
    assert with_last_words(followed) == terminal.INTERRUPTED
    *before, last = capsys.readouterr().err.splitlines()
    lost = "1 of the answers above is not stored, and nowhere else: keep these lines. Resuming asks for it again."
    assert before == ([] if comes_back else [lost])
    assert last == f"What is missing is sent by: python -m fanout resume {live.run_id}"
