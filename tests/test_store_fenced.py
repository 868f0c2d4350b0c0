"""A process that lost its run to another one, because it was taken for dead, writes nothing more of it."""

from __future__ import annotations

from concurrent.futures import InvalidStateError
from contextlib import suppress

import pytest

from fanout.fold import fold
from fanout.people import LOCAL
from tests.hands import WAIT_S, HandSending
from tests.stores import Kept, eventually


def answer_late(sending: HandSending) -> None:
    """Its answer comes, unless it has been hung up already: the process may have found out by itself."""
    with suppress(InvalidStateError):
        sending.answer("too late")


def test_a_process_that_lost_its_run_writes_nothing_more_of_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.BEAT_S", 0.05)
    slow = Kept(database_url)
    live = slow.start(3, max_workers=2)
    slow.sent(1)
    assert slow.store.flush(WAIT_S)
    slow.die()  # so it seems to the other one
    with Kept(database_url) as other:
        other.store.settle(live.run_id)
        before = other.chunks()
        row = other.shelf.find(LOCAL, live.run_id)
        answer_late(slow.sent(0))
        assert live.wait(WAIT_S)
        assert slow.store.flush(WAIT_S)
        slow.store.close()
        assert other.chunks() == before
        assert other.shelf.find(LOCAL, live.run_id) == row
        assert slow.sent(1).cancelled


def test_a_process_that_lost_its_run_to_another_does_not_touch_what_that_one_writes(database_url: str) -> None:
    slow = Kept(database_url)
    live = slow.start(3, max_workers=2)
    slow.sent(1)
    assert slow.store.flush(WAIT_S)
    slow.die()
    with Kept(database_url) as other:
        again = other.engine.resume(live.run_id)
        other.sent_for(0).answer("mine 0")
        answer_late(slow.sent(0))
        answer_late(slow.sent(1))
        for place in (1, 2):
            other.sent_for(place).answer(f"mine {place}")
        assert again.wait(WAIT_S)
        assert live.wait(WAIT_S)
        slow.store.close()
        assert other.store.flush(WAIT_S)
        assert [call.output for call in fold(other.stored(live.run_id)).calls] == ["mine 0", "mine 1", "mine 2"]
        eventually(lambda: other.shelf.find(LOCAL, live.run_id).answered == 3)
        assert other.shelf.find(LOCAL, live.run_id).state == "ended"


def test_a_process_that_lost_its_run_in_an_outage_finds_that_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)
    slow = Kept(database_url)
    live = slow.start(3, max_workers=2)
    slow.sent(1)
    assert slow.store.flush(WAIT_S)
    monkeypatch.setattr(slow.store._writer, "_connected", _unreachable)
    slow.sent(0).answer("too late")
    eventually(lambda: live.trouble)
    slow.die()
    with Kept(database_url) as other:
        other.store.settle(live.run_id)
        before = other.chunks()
        monkeypatch.undo()
        assert live.wait(WAIT_S)
        assert slow.store.flush(WAIT_S)
        assert other.chunks() == before
        assert fold(other.stored(live.run_id)).calls[0].status == "cancelled"
    slow.store.close()


def _unreachable() -> object:
    raise OSError("no route to the database")
