"""Runs that the settings keep no longer: gone from the list, the file and its log, and nothing else with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fanout.archive import export_run
from fanout.batch import Batch
from fanout.engine import Engine
from fanout.library import Library
from fanout.people import LOCAL
from fanout.settings import Settings
from fanout.store.database import open_database, url_of
from fanout.store.retention import FRESH_S, Keep, expire
from fanout.store.sql import SqlStore
from tests.hands import WAIT_S, HandCaller
from tests.stores import Kept, asked, eventually, say

DAY_S = 86_400.0
IDS = "SELECT run_id FROM run ORDER BY opened_at"


def ended_run(kept: Kept, *, ago_s: float, prompts: tuple[str, ...] = ("a",)) -> str:
    """A stored run that ended so long ago."""
    run_id = kept.answered(prompts=list(prompts)).run_id
    eventually(lambda: kept.shelf.find(LOCAL, run_id).state == "ended")
    eventually(lambda: not any(journal.dirty for journal in kept.store._writer.living_journals()))
    say(kept.url, f"UPDATE run SET ended_at = {time.time() - ago_s}, bytes = 600000 WHERE run_id = '{run_id}'")
    return run_id


def ids(url: str) -> list[str]:
    return [str(row[0]) for row in asked(url, IDS)]


def test_what_ended_longer_ago_goes_and_the_audit_says_so(database_url: str) -> None:
    with Kept(database_url) as kept:
        old = ended_run(kept, ago_s=3 * DAY_S)
        young = ended_run(kept, ago_s=1.9 * DAY_S)
        for run_id in (old, young):
            kept.shelf.rename(LOCAL, run_id, f"name of {run_id}")
        assert expire(kept.store, Keep(days=2)) == 1
        assert asked(database_url, "SELECT words FROM audit WHERE action = 'renamed' ORDER BY words IS NULL") == [
            (f"name of {young}",),
            (None,),
        ]
        assert ids(database_url) == [young]
        assert asked(database_url, "SELECT user_id, run_id FROM audit WHERE action = 'expired'") == [("settings", old)]
        assert asked(database_url, f"SELECT count(*) FROM chunk WHERE run_id = '{old}'") == [(0,)]
        assert len(asked(database_url, f"SELECT 1 FROM spend WHERE run_id = '{old}'")) == 1
        assert expire(kept.store, Keep(days=2)) == 0
        assert expire(kept.store, Keep()) == 0


def test_the_oldest_go_until_the_rest_is_small_enough(database_url: str) -> None:
    with Kept(database_url) as kept:
        made = [ended_run(kept, ago_s=days * DAY_S) for days in (1, 5, 3, 2)]  # 0.6 MB each
        assert expire(kept.store, Keep(mb=2)) == 1
        assert ids(database_url) == [made[0], made[2], made[3]]
        assert expire(kept.store, Keep(mb=1)) == 2
        assert ids(database_url) == [made[0]]


def test_a_run_that_goes_on_or_just_ended_stays_however_large_all_are(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        fresh = ended_run(kept, ago_s=FRESH_S - 60)
        going = other.start(2, max_workers=1)
        other.sent(0)
        assert other.store.flush(WAIT_S)
        say(database_url, f"UPDATE run SET bytes = 9000000, opened_at = 5 WHERE run_id = '{going.run_id}'")
        assert expire(kept.store, Keep(days=1, mb=1)) == 0
        assert set(ids(database_url)) == {fresh, going.run_id}
        other.sent(0).answer()
        other.sent(1).answer()
        assert going.wait(WAIT_S)


def test_a_run_whose_process_died_is_as_old_as_its_end(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        kept.die()
        with Kept(database_url) as other:
            assert expire(other.store, Keep(days=1)) == 0
            assert other.shelf.find(LOCAL, live.run_id).state == "ended"
            say(database_url, f"UPDATE run SET ended_at = 5 WHERE run_id = '{live.run_id}'")
            assert expire(other.store, Keep(days=1)) == 1


def test_a_run_from_a_file_is_as_old_as_its_coming(fresh_url: Callable[[], str]) -> None:
    first, second = fresh_url(), fresh_url()
    with Kept(first) as kept:
        text = export_run(kept.stored(kept.answered().run_id))
    with Kept(second) as kept:
        run_id = kept.library.put_in(LOCAL, text)
        assert kept.store.flush(WAIT_S)
        say(second, f"UPDATE run SET ended_at = 5, bytes = 9000000 WHERE run_id = '{run_id}'")
        assert expire(kept.store, Keep(days=1, mb=1)) == 0
        say(second, f"UPDATE audit SET at = {time.time() - 2 * DAY_S}")
        assert expire(kept.store, Keep(days=1)) == 1


def test_nothing_of_it_is_in_the_file_or_its_log_and_the_space_is_given_back(tmp_path: Path) -> None:
    secret = "a word that nobody else says"
    url, file = url_of(tmp_path), tmp_path / "fanout.db"
    with Kept(url) as kept:
        live = kept.start(prompts=["a"])
        kept.sent(0).answer(secret * 200_000)
        assert live.wait(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        eventually(lambda: not any(journal.dirty for journal in kept.store._writer.living_journals()))
        say(url, f"UPDATE run SET ended_at = 5 WHERE run_id = '{live.run_id}'")
        before = sum(path.stat().st_size for path in tmp_path.glob("fanout.db*"))
        assert expire(kept.store, Keep(days=1)) == 1
        after = sum(path.stat().st_size for path in tmp_path.glob("fanout.db*"))
        assert before > 5_000_000
        assert after < 500_000
        assert not any(secret.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in file.read_bytes()


def test_a_run_deleted_by_hand_gives_its_space_back_too(tmp_path: Path) -> None:
    with Kept(url_of(tmp_path)) as kept:
        live = kept.start(prompts=["a"])
        kept.sent(0).answer("long " * 1_000_000)
        assert live.wait(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        kept.library.delete(LOCAL, live.run_id)
        assert (tmp_path / "fanout.db").stat().st_size < 500_000


def test_it_is_done_at_start_and_once_an_hour_by_the_writers_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.HOUR_S", 0.05)
    url = url_of(tmp_path)
    with Kept(url) as kept:
        old = ended_run(kept, ago_s=9 * DAY_S)
    with Library(Settings(data_dir=tmp_path, keep_days=7)) as library:
        eventually(lambda: ids(url) == [])
        with Kept(url) as kept:
            ended_run(kept, ago_s=9 * DAY_S)
            eventually(lambda: ids(url) == [])
        assert library.newest(LOCAL, 5) == ()
        assert library.trouble is None
    assert len(asked(url, f"SELECT 1 FROM audit WHERE action = 'expired' AND run_id = '{old}'")) == 1


def test_an_idle_store_sleeps_until_the_next_hour(database_url: str) -> None:
    swept = list[SqlStore]()
    store = SqlStore(open_database(database_url), hourly=swept.append)
    with Engine(store=store, caller_for=lambda batch, clock: caller) as engine:
        caller = HandCaller()
        live = engine.start(Batch(prompts=["a"]))
        caller.taken(1)[0].answer()
        assert live.wait(WAIT_S)
        assert store.flush(WAIT_S)
    store.close()
    assert swept == [store]


def test_a_sweep_that_fails_holds_nobody(database_url: str) -> None:
    def fail(_store: SqlStore) -> None:
        raise OSError("no")

    store = SqlStore(open_database(database_url), hourly=fail)
    assert store.flush(WAIT_S)
    assert store.trouble is None
    store.close()


def test_what_is_kept_is_set_by_days_and_millions_of_bytes() -> None:
    settings = Settings(keep_days=30, keep_mb=500)
    assert (settings.keep_days, settings.keep_mb) == (30, 500)
    with pytest.raises(ValueError, match="keep_days"):
        Settings(keep_days=0)
