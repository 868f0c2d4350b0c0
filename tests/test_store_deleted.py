"""A run that was deleted is gone: from lists, from memory, and from the bytes of the file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.people import LOCAL
from fanout.store import NoSuchRun
from fanout.store.database import url_of
from tests.hands import WAIT_S
from tests.postgres import Postgres
from tests.stores import Kept, asked, eventually, refusing

MARKER = "marker-5f0c2c9e-prompt"
ANSWER = "marker-77aa01-answer"


def kept_run(kept: Kept, prompts: list[str], **settings: str) -> str:
    live = kept.library.start(Batch(prompts=prompts, max_workers=4, **settings))  # type: ignore[arg-type]
    for place in range(len(prompts)):
        kept.sent(place).answer(ANSWER)
    assert live.wait(WAIT_S)
    eventually(lambda: kept.store.flush(WAIT_S) and kept.shelf.find(LOCAL, live.run_id).state == "ended")
    return live.run_id


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_a_deleted_run_is_gone_from_every_table_but_what_it_cost(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        run_id, stays = kept_run(kept, ["a", "b"], name="at first"), kept_run(kept, ["c"])
        for each in (run_id, stays):
            kept.shelf.tag(LOCAL, each, ("x",))
            kept.shelf.rename(LOCAL, each, "a name")
        assert other.library.find(LOCAL, run_id).run.snapshot().ended
        kept.library.delete(LOCAL, run_id)
        for library in (kept.library, other.library):
            with pytest.raises(NoSuchRun):
                library.find(LOCAL, run_id)
            with pytest.raises(NoSuchRun):
                library.resume(LOCAL, run_id)
        assert kept.engine.find(run_id) is None
        for table in ("run", "chunk", "tag"):
            assert asked(database_url, f"SELECT * FROM {table} WHERE run_id = '{run_id}'") == []
        assert [row.run_id for row in kept.shelf.list(LOCAL).rows] == [stays]
        assert asked(database_url, f"SELECT tokens FROM spend WHERE run_id = '{run_id}'") == [(8,)]
        with pytest.raises(NoSuchRun):
            kept.library.delete(LOCAL, run_id)
        # Who did what to it, and when, stays: not what it was called.
        query = "SELECT action, words FROM audit WHERE action <> 'started' AND run_id = '{}' ORDER BY audit_id"
        left = asked(database_url, query.format(run_id))
        assert left == [("tagged", None), ("renamed", None), ("deleted", None)]
        assert asked(database_url, query.format(stays)) == [("tagged", "x"), ("renamed", "a name")]


def test_a_deletion_that_fails_leaves_the_run_and_what_it_is_called(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = kept_run(kept, ["a"])
        kept.shelf.rename(LOCAL, run_id, "a name")
        with refusing(database_url, "audit"), pytest.raises(Exception, match="no space left"):
            kept.library.delete(LOCAL, run_id)
        assert kept.shelf.find(LOCAL, run_id).name == "a name"
        assert asked(database_url, "SELECT words FROM audit WHERE action = 'renamed'") == [("a name",)]


@pytest.mark.parametrize("call", ["rename", "tag"])
def test_a_name_that_comes_while_its_run_is_deleted_is_not_kept(postgres: Postgres, call: str) -> None:
    url = postgres.fresh()
    with Kept(url) as kept, ThreadPoolExecutor(1) as pool, psycopg.connect(url) as other:
        run_id = kept_run(kept, ["a"])
        other.execute("DELETE FROM run WHERE run_id = %s", (run_id,))  # and holds its row until it is committed
        changed = pool.submit(getattr(kept.shelf, call), LOCAL, run_id, (MARKER,) if call == "tag" else MARKER)
        eventually(lambda: asked(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        other.commit()
        with pytest.raises(NoSuchRun):
            changed.result(WAIT_S)
        assert asked(url, f"SELECT action FROM audit WHERE words LIKE '%{MARKER}%'") == []


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "over many pages"])
def test_a_deleted_run_is_gone_from_the_bytes_of_the_file(tmp_path: Path, size: int) -> None:
    with Kept(url_of(tmp_path)) as kept:
        prompts = [f"{MARKER} {number} " + "x" * size for number in range(8)]
        run_id = kept_run(kept, prompts, instructions=f"{MARKER} told", name=f"{MARKER} called")
        kept.shelf.rename(LOCAL, run_id, f"{MARKER} renamed")
        kept.shelf.tag(LOCAL, run_id, (f"{MARKER} tag", "b"))
        stays = kept_run(kept, ["this stays"])
        assert MARKER.encode() in bytes_of(tmp_path)
        kept.library.delete(LOCAL, run_id)
        left = bytes_of(tmp_path)
        assert MARKER.encode() not in left
        assert left.count(ANSWER.encode()) >= 1  # of the one that stays
        assert kept.shelf.find(LOCAL, stays).answered == 1
    left = bytes_of(tmp_path)
    assert MARKER.encode() not in left
    assert b"this stays" in left


def test_a_deleted_run_is_gone_from_the_bytes_while_others_go_on_and_are_read(tmp_path: Path) -> None:
    with Kept(url_of(tmp_path)) as kept, Kept(url_of(tmp_path)) as other:
        run_id = kept_run(kept, [f"{MARKER} {number}" for number in range(8)])
        going = kept.library.start(Batch(prompts=["p", "q"], max_workers=1))
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        assert other.library.find(LOCAL, going.run_id).run.snapshot().calls[0].status == "running"
        other.library.delete(LOCAL, run_id)
        assert MARKER.encode() not in bytes_of(tmp_path)
        kept.sent(0).answer("yes")
        kept.sent(1).answer("yes")
        assert going.wait(WAIT_S)
        assert going.snapshot().stop_reason == "finished"


@pytest.mark.timeout(25)  # a writer's own bound is 30 s
def test_what_a_reader_still_held_back_is_gone_with_the_next_deletion_or_the_end(tmp_path: Path) -> None:
    """A reader in the middle of a look keeps the log's old pages; nobody waits for it longer than a moment."""
    with Kept(url_of(tmp_path)) as kept:
        run_id = kept_run(kept, [f"{MARKER} {number}" for number in range(8)])
        reader = sqlite3.connect(tmp_path / "fanout.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchall()
        kept.library.delete(LOCAL, run_id)
        reader.execute("COMMIT")
        reader.close()
    assert MARKER.encode() not in bytes_of(tmp_path)


def test_a_run_that_goes_on_is_not_deleted(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with pytest.raises(BadInput, match="still goes on: stop it first"):
            kept.library.delete(LOCAL, live.run_id)
        live.cancel()
        assert live.wait(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        kept.library.delete(LOCAL, live.run_id)


def test_a_run_that_was_deleted_elsewhere_cannot_be_gone_on_with_from_memory(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        live = kept.start(1)
        kept.sent(0)
        live.cancel()
        assert live.wait(WAIT_S)
        eventually(lambda: kept.store.flush(WAIT_S) and other.shelf.find(LOCAL, live.run_id).state == "ended")
        other.library.delete(LOCAL, live.run_id)
        with pytest.raises(BadInput, match="or it was deleted"):
            live.retry_failed()
        live.max_workers = 7  # whatever is still written of it goes nowhere, and holds nothing up
        assert kept.store.flush(WAIT_S)
        assert kept.store.trouble is None
        assert asked(database_url, "SELECT * FROM chunk") == []
