"""A database that takes nothing, or is gone: the run is held with a sentence, loses nothing, and goes on by itself."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL
from fanout.store.database import Execute, StoreLost, quick_transaction, reason_of, url_of
from fanout.store.shelf import Wanted
from tests.hands import WAIT_S
from tests.postgres import Postgres
from tests.stores import Kept, blocked, eventually, is_held, refusing


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)


def test_a_full_disk_holds_the_run_which_loses_nothing_and_goes_on(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(4, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with refusing(database_url, words="no space left on device"):
            kept.sent_for(0).answer("one")
            eventually(lambda: live.trouble)
            kept.sent_for(1).answer("two")
            eventually(lambda: is_held(live))
            assert live.trouble == (
                "The store cannot be written (no space left on device). Nothing further is sent until it can."
            )
            started = _started(live)
            assert started <= 3  # the one that went out before anybody knew
            assert [call.output for call in live.snapshot().calls] == [None] * 4
            assert not kept.store.flush(0.1)
            assert _started(live) == started
        for place in range(2, 4):
            kept.sent_for(place).answer(str(place))
        assert live.wait(WAIT_S)
        eventually(lambda: live.trouble is None)
        assert [call.output for call in live.snapshot().calls] == ["one", "two", "2", "3"]
        assert fold(kept.stored(live.run_id)) == live.snapshot()
        held = [hold.held_by for hold in live.snapshot().holds]
        assert "store" in held
        assert held[-1] != "store"


def test_a_run_that_could_not_even_be_opened_is_sent_once_it_can(database_url: str) -> None:
    with Kept(database_url) as kept:
        with refusing(database_url, "run"):
            live = kept.start(1)
            eventually(lambda: live.trouble)
            assert kept.library.find(LOCAL, live.run_id).live is live
        kept.sent(0).answer("yes")
        assert live.wait(WAIT_S)
        assert fold(kept.stored(live.run_id)) == live.snapshot()


def test_trouble_that_only_the_beat_met_is_over_when_it_is(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.writer.BEAT_S", 0.02)
    with Kept(database_url) as kept:
        live = kept.start(1)
        sending = kept.sent(0)  # before: a store in trouble lets nothing start
        with refusing(database_url, "run", on="UPDATE"):
            sending.answer("yes")
            assert live.wait(WAIT_S)
            eventually(lambda: kept.store.trouble)
        eventually(lambda: kept.store.trouble is None)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")


def test_a_summary_that_could_not_be_written_is_not_counted_twice(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with refusing(database_url):
            kept.sent(0).answer("yes")
            eventually(lambda: kept.store.trouble)
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        stored = sum(len(data) for _, _, _, data in kept.chunks())
        assert kept.shelf.find(LOCAL, live.run_id).bytes == stored


def test_a_file_that_may_not_grow_is_full_and_takes_all_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(tmp_path)
    with Kept(url) as kept:
        most: dict[str, int | None] = {"pages": None}

        @sa.event.listens_for(kept.database.writer, "connect")
        def limit(connection: Any, _record: object) -> None:
            if most["pages"] is not None:
                connection.execute(f"PRAGMA max_page_count = {most['pages']}")

        with kept.database.writer.connect() as connection:
            most["pages"] = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one()) + 4
        kept.database.writer.dispose()  # every connection from here on has the limit
        live = kept.start(6, max_workers=1)
        place = 0
        while not live.trouble:
            kept.sent(place).answer("long " * 4000)
            place += 1
            eventually(lambda place=place: live.trouble or kept.caller.count > place)  # type: ignore[misc]
        assert "database or disk is full" in (live.trouble or "")
        most["pages"] = 1_000_000
        for later in range(place, 6):
            kept.sent(later).answer("long " * 4000)
        assert live.wait(WAIT_S)
        assert fold(kept.stored(live.run_id)) == live.snapshot()
        assert live.snapshot().calls[5].output == "long " * 4000


def test_a_server_that_was_stopped_and_started_again_has_lost_nothing(postgres: Postgres) -> None:
    url = postgres.fresh()
    with Kept(url) as kept:
        live = kept.start(4, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        postgres.stop()
        try:
            kept.sent_for(0).answer("one")
            eventually(lambda: live.trouble)
            kept.sent_for(1).answer("two")
            eventually(lambda: is_held(live))
            assert [call.output for call in live.snapshot().calls] == [None] * 4
            assert kept.library.find(LOCAL, live.run_id).live is live  # its page still opens
            with pytest.raises(StoreLost, match="the store cannot be read: "):
                kept.library.find(LOCAL, "another")
            with pytest.raises(BadInput, match="cannot be opened: connection"):
                Kept(url)
        finally:
            postgres.start()
        for place in range(2, 4):
            kept.sent_for(place).answer(str(place))
        assert live.wait(WAIT_S)
        assert fold(kept.stored(live.run_id)) == live.snapshot()
        assert [call.output for call in live.snapshot().calls] == ["one", "two", "2", "3"]


def test_a_commit_whose_confirmation_was_lost_is_not_written_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kept(database_url) as kept:
        live = kept.start(2, max_workers=1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        whole = quick_transaction
        unheard: list[str] = []

        @contextmanager
        def committed_unheard(connection: sa.Connection) -> Iterator[Execute]:
            with whole(connection) as execute:
                yield execute
            if not unheard:
                unheard.append("one commit")
                raise OSError(errno.ECONNRESET, "the connection was lost")

        monkeypatch.setattr("fanout.store.writer.quick_transaction", committed_unheard)
        kept.sent(0).answer("one")
        kept.sent(1).answer("two")
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        assert fold(kept.stored(live.run_id)) == live.snapshot()
        assert len(kept.stored(live.run_id)) == live.snapshot().version
        assert unheard


def test_a_bug_in_the_writer_is_logged_and_ends_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with monkeypatch.context() as patch:
            patch.setattr(kept.store._statements, "append", lambda *_, **__: 1 / 0)
            kept.sent(0).answer("one")
            eventually(lambda: kept.store.trouble)
        assert live.wait(WAIT_S)
        assert live.snapshot().calls[0].output == "one"
    assert any(
        "ZeroDivisionError" in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    )


def test_closing_says_whether_all_was_kept(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.sql.CLOSING_S", 1.0)
    monkeypatch.setattr("fanout.engine.CLOSING_S", 0.2)
    kept = Kept(database_url)
    live = kept.start(1)
    kept.sent(0)
    assert kept.store.flush(WAIT_S)
    with refusing(database_url):
        kept.engine.close()
        assert not kept.store.close()
        assert not live.ended


def test_a_batch_is_started_while_the_disk_is_full_and_held(database_url: str) -> None:
    with Kept(database_url) as kept:
        with refusing(database_url):
            live = kept.library.start(Batch(prompts=["a"]))
            eventually(lambda: live.trouble)
            assert kept.library.trouble == live.trouble
        kept.sent(0).answer("yes")
        assert live.wait(WAIT_S)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            'connection failed: connection to server at "10.0.0.5", port 5432 failed: Connection refused\n\tIs it up?',
            "connection failed: Connection refused",
        ),
        ('connection to server on socket "/run/pg/.s" failed: No such file', "No such file"),
        ("server closed the connection unexpectedly", "server closed the connection unexpectedly"),
    ],
)
def test_a_reason_that_pages_show_holds_no_address_of_the_database(said: str, reason: str) -> None:
    assert reason_of(psycopg.OperationalError(said)) == reason


def test_the_list_says_of_this_process_s_runs_alone_that_they_wait_for_the_store(database_url: str) -> None:
    def held(kept: Kept) -> dict[str, bool]:
        return {row.run_id: row.held for row in kept.library.list(LOCAL, Wanted()).rows}

    with Kept(database_url) as kept, Kept(database_url) as other:
        done, going = kept.answered(1).run_id, kept.start(2, max_workers=1)
        kept.sent(0)
        elsewhere = other.start(1)
        other.sent(0)
        assert kept.store.flush(WAIT_S)
        assert other.store.flush(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, done).state == "ended")
        assert held(kept) == {done: False, going.run_id: False, elsewhere.run_id: False}
        with refusing(database_url):
            kept.sent(0).answer("yes")
            eventually(lambda: kept.store.trouble)
            assert held(kept) == {done: False, going.run_id: True, elsewhere.run_id: False}
            assert [row.run_id for row in kept.library.newest(LOCAL, 5) if row.held] == [going.run_id]
            assert not any(held(other).values()), "it cannot know"
        kept.sent(1).answer("yes")
        other.sent(0).answer("yes")
        assert going.wait(WAIT_S)
        assert elsewhere.wait(WAIT_S)
        assert not any(held(kept).values())


def test_the_list_is_there_while_what_was_left_cannot_be_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sa.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))

    with Kept(database_url) as kept:
        dead = Kept(database_url)
        left = dead.start(1)
        dead.sent(0)
        assert dead.store.flush(WAIT_S)
        dead.die()
        with monkeypatch.context() as patch:
            patch.setattr(kept.store._orphans, "bury", full)
            (row,) = kept.library.list(LOCAL, Wanted()).rows
            assert (row.run_id, row.state) == (left.run_id, "interrupted")
        (row,) = kept.library.list(LOCAL, Wanted()).rows
        assert (row.state, row.stop_reason) == ("ended", "interrupted")


def test_a_run_that_waits_since_before_its_first_write_is_in_its_owners_list(database_url: str) -> None:
    somebody = replace(LOCAL, user_id="somebody", role="member")
    with Kept(database_url) as kept:
        before = kept.answered(1).run_id
        with refusing(database_url):
            live = kept.start(2)
            eventually(lambda: kept.store.trouble)
            rows = kept.library.list(LOCAL, Wanted()).rows
            assert [(row.run_id, row.held) for row in rows] == [(live.run_id, True), (before, False)]
            assert kept.library.list(LOCAL, Wanted()).count == 2
            assert not kept.library.list(somebody, Wanted()).rows
            assert [row.run_id for row in kept.library.list(LOCAL, Wanted(show="ended")).rows] == [before]
            assert not kept.library.list(LOCAL, Wanted(offset=1)).rows
        kept.sent_for(0).answer("yes")
        kept.sent_for(1).answer("yes")
        assert live.wait(WAIT_S)
        assert [row.run_id for row in kept.library.list(LOCAL, Wanted()).rows] == [live.run_id, before]


def test_a_run_that_is_held_is_as_far_in_the_list_as_on_its_page(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(3, max_workers=1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "running")
        with refusing(database_url, "run", on="UPDATE"):  # its row keeps what it was told last
            kept.sent(0).answer("yes")
            eventually(lambda: kept.store.trouble)
            eventually(lambda: _answered(live) == 1)
            (row,) = kept.library.list(LOCAL, Wanted()).rows
            assert (row.answered, row.held) == (1, True)
            assert kept.shelf.find(LOCAL, live.run_id).answered == 0


def test_a_process_that_comes_while_nothing_can_be_written_reads_all_there_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.sql.PATIENCE_S", 0.05)
    monkeypatch.setattr("fanout.store.orphans.PATIENCE_S", 0.05)
    dead = Kept(database_url)
    left = dead.start(3, max_workers=1)
    dead.sent(0).answer("yes")
    dead.sent(1)
    assert dead.store.flush(WAIT_S)
    dead.die()
    with blocked(database_url):
        kept = Kept(database_url)
        assert "cannot be written" in (kept.store.trouble or "")
        (row,) = kept.library.list(LOCAL, Wanted()).rows
        assert (row.state, row.answered, row.held) == ("interrupted", 1, False)
        run = kept.library.find(LOCAL, left.run_id).run
        shown = run.snapshot()
        assert (shown.state, shown.stop_reason) == ("ended", "interrupted")
        assert [call.status for call in shown.calls] == ["answered", "cancelled", "cancelled"]
        assert [call.fate for call in shown.calls] == ["answered", "cancelled", "not_sent"]
        assert run.snapshot() is shown, "nothing has happened"
        assert fold(kept.library.events(LOCAL, left.run_id)) == shown, "an export holds the same"
    with kept:
        eventually(lambda: kept.store.trouble is None)
        (row,) = kept.library.list(LOCAL, Wanted()).rows
        assert (row.state, row.answered) == ("ended", 1)
        assert fold(kept.stored(left.run_id)) == shown


def _answered(live: LiveRun) -> int:
    return sum(call.status == "answered" for call in live.snapshot().calls)


def _started(live: LiveRun) -> int:
    """Attempts of the run so far, whether or not they have been sent by now."""
    return sum(len(call.attempts) for call in live.record.now().calls)
