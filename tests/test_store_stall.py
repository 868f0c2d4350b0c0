"""A database that neither answers nor hangs up: the run is held with a sentence, and nobody waits for it for ever."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL
from fanout.store import postgres as connections
from fanout.store.database import StoreLost
from fanout.store.silence import Silence
from fanout.store.trouble import Trouble
from tests.hands import WAIT_S
from tests.postgres import Postgres
from tests.stores import Kept, blocked, eventually

HELD = "The store cannot be written (no answer for 0.5 s). Nothing further is sent until it can."


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.trouble.STALL_S", 0.5)
    monkeypatch.setattr("fanout.store.trouble.LOOK_S", 0.05)
    monkeypatch.setattr("fanout.store.postgres.BRIEF_S", 2.0)
    monkeypatch.setattr("fanout.store.silence.BRIEF_S", 0.3)
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)


def is_held(live: LiveRun) -> bool:
    holds = live.record.now().holds
    return bool(holds) and holds[-1].held_by == "store"


def started(live: LiveRun) -> int:
    return sum(len(call.attempts) for call in live.record.now().calls)


def finish(kept: Kept, live: LiveRun, *, since: int) -> None:
    """Answer the rest; what is stored is then what happened, each event once."""
    count = len(live.batch.prompts)
    for place in range(since, count):
        kept.sent_for(place).answer(str(place))
    assert live.wait(WAIT_S)
    assert kept.store.flush(WAIT_S)
    assert [call.output for call in live.snapshot().calls] == [str(place) for place in range(count)]
    assert fold(kept.stored(live.run_id)) == live.snapshot()
    assert len(kept.stored(live.run_id)) == live.snapshot().version


def test_a_server_that_stands_still_holds_the_run_which_goes_on_when_it_answers(postgres: Postgres) -> None:
    with Kept(postgres.fresh()) as kept:
        live = kept.start(6, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with postgres.standing_still():
            kept.sent_for(0).answer("0")
            eventually(lambda: live.trouble)
            assert live.trouble == HELD
            kept.sent_for(1).answer("1")
            eventually(lambda: is_held(live))
            assert started(live) == 3, "one went out before anybody knew"
            assert not kept.store.flush(0.2)
            assert started(live) == 3
            assert [call.output for call in live.snapshot().calls] == [None] * 6
        finish(kept, live, since=2)
        eventually(lambda: live.trouble is None)


def test_its_page_and_the_list_are_answered_while_a_server_stands_still(postgres: Postgres) -> None:
    with Kept(postgres.fresh()) as kept:
        live = kept.start(2, max_workers=1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with postgres.standing_still():
            kept.sent_for(0).answer("0")
            eventually(lambda: kept.store.trouble)
            assert kept.library.find(LOCAL, live.run_id).live is live
            with pytest.raises(StoreLost, match=r"^the store cannot be read: no answer$"):
                kept.library.find(LOCAL, "another")  # one of us has asked: nobody else waits
            with pytest.raises(StoreLost, match=r"^the store cannot be written: no answer$"):
                kept.shelf.rename(LOCAL, live.run_id, "mine")
        finish(kept, live, since=1)
        kept.shelf.rename(LOCAL, live.run_id, "mine")
        assert kept.library.find(LOCAL, live.run_id).row.name == "mine"


def test_who_looks_while_nothing_is_written_gives_a_server_that_stands_still_up(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_S", 0.3)
    monkeypatch.setattr(connections, "WRITE_S", 0.3)
    monkeypatch.setitem(connections._ARGS, "connect_timeout", 2)
    with Kept(postgres.fresh()) as kept:
        run_id = kept.answered(1).run_id
        eventually(lambda: kept.shelf.find(LOCAL, run_id).state == "ended")
        with postgres.standing_still():
            with pytest.raises(StoreLost, match=r"^the store cannot be read: "):
                kept.shelf.find(LOCAL, run_id)
            with pytest.raises(StoreLost, match=r"^the store cannot be written: "):
                kept.shelf.rename(LOCAL, run_id, "mine")
        assert kept.library.find(LOCAL, run_id).row.name is None


def test_an_answer_that_takes_long_and_comes_is_not_given_up(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_S", 0.4)
    with Kept(postgres.fresh()) as kept, kept.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT pg_sleep(0.2), repeat('x', 100000) FROM generate_series(1, 5)"  # a piece every 0.2 s
        )
        assert len(rows.all()) == 5


def test_a_lock_that_another_program_holds_holds_the_run(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(4, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            kept.sent_for(0).answer("0")
            eventually(lambda: live.trouble)
            assert live.trouble == HELD
            kept.sent_for(1).answer("1")
            eventually(lambda: is_held(live))
            assert started(live) == 3
        finish(kept, live, since=2)
        eventually(lambda: live.trouble is None)


def test_a_commit_that_was_given_up_and_is_made_later_is_not_written_twice(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()
    waits = connections.wait_at_most

    def not_for_ever(connection: Any, most_s: float | None) -> None:
        waits(connection, None if given_up.is_set() else 0.5)
        given_up.set()

    with Kept(postgres.fresh()) as kept:
        live = kept.start(4, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        assert kept.store._writer._connection is not None
        waits(kept.store._writer._connection, 0.5)  # as when the system gives it up: what was sent is on its way
        monkeypatch.setitem(connections._ARGS, "connect_timeout", 2)
        with postgres.standing_still():
            kept.sent_for(0).answer("0")
            kept.sent_for(1).answer("1")
            eventually(lambda: kept.store._writer._connection is None)
        finish(kept, live, since=2)


def test_a_process_ends_in_time_while_the_server_stands_still(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.sql.CLOSING_S", 0.5)
    monkeypatch.setattr("fanout.engine.CLOSING_S", 0.2)
    kept = Kept(postgres.fresh())
    live = kept.start(2, max_workers=1)
    kept.sent(0)
    assert kept.store.flush(WAIT_S)
    with postgres.standing_still():
        kept.sent_for(0).answer("0")
        eventually(lambda: live.trouble)
        ended = threading.Thread(target=kept.library.close)
        ended.start()
        ended.join(WAIT_S)
        assert not ended.is_alive()
        assert not live.ended
    eventually(lambda: not kept.store._writer._thread.is_alive())
    assert live.ended, "it was written once that could be"


def test_a_process_that_has_written_all_takes_no_leave_of_a_server_that_stands_still(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_S", 0.3)
    monkeypatch.setitem(connections._ARGS, "connect_timeout", 2)
    kept = Kept(postgres.fresh())
    run_id = kept.answered(1).run_id
    eventually(lambda: kept.shelf.find(LOCAL, run_id).state == "ended")
    with postgres.standing_still():
        ended = threading.Thread(target=kept.library.close)
        ended.start()
        ended.join(WAIT_S)
        assert not ended.is_alive()


def test_runs_that_are_being_deleted_hold_calls_only_where_something_waits() -> None:
    waiting: list[str] = []
    told = threading.Event()
    silence = Silence()
    trouble = Trouble(silence, waits=lambda: bool(waiting), tell=told.set)
    try:
        trouble.asks("expire")
        assert not told.wait(1.0)
        waiting.append("an event")
        assert told.wait(WAIT_S)
        assert "(old runs have been deleted for 0.5 s)" in (trouble.words or "")
        assert not silence.hangs, "the database answers"
        trouble.has_answer()
        assert trouble.words is None
    finally:
        trouble.close()


def test_what_was_answered_is_not_counted_with_what_is_asked_next() -> None:
    told = threading.Event()
    trouble = Trouble(Silence(), waits=lambda: True, tell=told.set)
    try:
        for _ in range(20):
            trouble.asks()
            assert not told.wait(0.06)
            trouble.is_over()
        assert trouble.words is None
        trouble.asks()
        assert told.wait(WAIT_S)
        trouble.failed("the connection was lost")
        assert "(the connection was lost)" in (trouble.words or ""), "what is known better is said"
    finally:
        trouble.close()
