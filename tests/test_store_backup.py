"""A copy of the store, made while a run goes on; put back; and what is refused."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fanout.errors import BadInput
from fanout.fold import fold
from fanout.people import LOCAL
from fanout.store import NoSuchRun
from fanout.store.backup import back_up, put_back
from fanout.store.database import open_database, url_of
from tests.hands import WAIT_S
from tests.postgres import Postgres
from tests.stores import Kept, say


def test_a_backup_made_while_a_run_goes_on_is_one_state_of_it(tmp_path: Path) -> None:
    url, copy = url_of(tmp_path / "store"), tmp_path / "copy.db"
    with Kept(url) as kept:
        ended = kept.answered(2).run_id
        live = kept.start(20, max_workers=2)
        for place in range(10):
            kept.sent(place).answer(str(place))
        assert kept.store.flush(WAIT_S)
        back_up(kept.database, copy)
        for place in range(10, 20):
            kept.sent(place).answer(str(place))
        assert live.wait(WAIT_S)
        whole = live.events()
        assert live.snapshot().stop_reason == "finished"
    assert copy.stat().st_mode & 0o077 == 0
    again = url_of(tmp_path / "again")
    put_back(again, copy, replace=False)
    with Kept(again) as kept:
        assert kept.shelf.find(LOCAL, ended).answered == 2
        held = kept.stored(live.run_id)
        assert held == whole[: len(held)]
        assert 3 < len(held) < len(whole)
        assert sum(call.status == "answered" for call in fold(held).calls) >= 0


def test_a_run_that_went_on_when_it_was_copied_can_be_gone_on_with_from_the_copy(tmp_path: Path) -> None:
    url, copy = url_of(tmp_path / "store"), tmp_path / "copy.db"
    with Kept(url) as kept:
        live = kept.start(3, max_workers=1)
        kept.sent(0).answer("kept")
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        back_up(kept.database, copy)
        put_back(url_of(tmp_path / "again"), copy, replace=False)
        with Kept(url_of(tmp_path / "again")) as other:  # the first process still lives, and drives nothing here
            again = other.library.resume(LOCAL, live.run_id)
            for place in range(2):
                other.sent(place).answer("later")
            assert again.wait(WAIT_S)
            assert [call.output for call in again.snapshot().calls] == ["kept", "later", "later"]


def test_a_store_with_runs_is_replaced_only_when_that_was_said(tmp_path: Path) -> None:
    old, new = url_of(tmp_path / "old"), url_of(tmp_path / "new")
    with Kept(old) as kept:
        kept_id = kept.answered().run_id
        back_up(kept.database, tmp_path / "copy.db")
    with Kept(new) as kept:
        other_id = kept.answered().run_id
    with pytest.raises(BadInput, match="which would be gone: back it up first, then restore with --yes"):
        put_back(new, tmp_path / "copy.db", replace=False)
    with Kept(new) as kept:
        assert kept.shelf.find(LOCAL, other_id).answered == 1
    put_back(new, tmp_path / "copy.db", replace=True)
    with Kept(new) as kept:
        assert kept.shelf.find(LOCAL, kept_id).answered == 1
        with pytest.raises(NoSuchRun):
            kept.shelf.find(LOCAL, other_id)
        assert kept.answered().ended  # and it can be written


def test_a_store_that_a_process_uses_is_not_replaced(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store")
    with Kept(url) as kept:
        run_id = kept.answered().run_id
        back_up(kept.database, tmp_path / "copy.db")
        with pytest.raises(BadInput, match="a process is using the store: end it first"):
            put_back(url, tmp_path / "copy.db", replace=True)
        assert kept.shelf.find(LOCAL, run_id).answered == 1
    put_back(url, tmp_path / "copy.db", replace=True)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_bytes(b"prompt\n" * 500)


def _another_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (words)")
    connection.close()


def _cut(path: Path) -> None:
    with Kept(url_of(path.parent / "whole")) as kept:
        kept.answered(30)
        back_up(kept.database, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _newer(path: Path) -> None:
    with Kept(url_of(path.parent / "whole")) as kept:
        kept.answered()
        back_up(kept.database, path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "is not there"),
        (Path.mkdir, "is a folder"),
        (_empty, "no whole backup"),
        (_text, "no backup of a store: file is not a database"),
        (_another_database, "no whole backup"),
        (_cut, "no (whole )?backup"),
        (_newer, "newer Fanout"),
    ],
    ids=["absent", "a folder", "empty", "text", "another database", "cut", "newer"],
)
def test_what_is_no_backup_is_refused_and_the_store_stays(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    url = url_of(tmp_path / "store")
    with Kept(url) as kept:
        run_id = kept.answered().run_id
    make(tmp_path / "copy.db")
    with pytest.raises(BadInput, match=says):
        put_back(url, tmp_path / "copy.db", replace=True)
    with Kept(url) as kept:
        assert kept.shelf.find(LOCAL, run_id).answered == 1


def test_a_store_that_cannot_be_opened_is_moved_aside_for_a_backup_and_for_nothing_else(tmp_path: Path) -> None:
    url, copy = url_of(tmp_path / "store"), tmp_path / "copy.db"
    with Kept(url) as kept:
        run_id = kept.answered(2).run_id
        back_up(kept.database, copy)
        path = kept.database.path
    assert path is not None
    path.write_bytes(b"\0damaged" * 999)
    with pytest.raises(BadInput, match="say --yes"):
        put_back(url, copy, replace=False)
    no_backup = tmp_path / "no.db"
    no_backup.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="no backup"):
        put_back(url, no_backup, replace=True)
    assert path.read_bytes().startswith(b"\0damaged"), "it stays where nothing can take its place"
    put_back(url, copy, replace=True)
    with Kept(url) as kept:
        assert kept.shelf.find(LOCAL, run_id).answered == 2
    assert path.with_name(f"{path.name}.unusable-1").read_bytes().startswith(b"\0damaged")


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "store"))
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BadInput, match="is there already: name another file"):
        back_up(database, tmp_path / "taken")
    with pytest.raises(BadInput, match="cannot be written: "):
        back_up(database, tmp_path / "no such folder" / "copy.db")
    assert (tmp_path / "taken").read_text() == "mine"
    database.close()


def test_postgresql_is_backed_up_with_its_own_tools(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.fresh()
    database = open_database(url)
    with pytest.raises(BadInput, match="pg_dump"):
        back_up(database, tmp_path / "copy")
    with pytest.raises(BadInput, match="pg_restore"):
        put_back(url, tmp_path / "copy", replace=True)
    database.close()
    say(url, "SELECT 1")


def test_a_backup_for_which_there_is_no_room_leaves_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    copy = tmp_path / "copy.db"
    with Kept(url_of(tmp_path / "store")) as kept:
        kept.answered()
        with monkeypatch.context() as patch:
            patch.setattr("fanout.store.backup.sqlite3.connect", full)
            with pytest.raises(BadInput, match=r"copy\.db cannot be written: database or disk is full\. Name a file"):
                back_up(kept.database, copy)
        assert not copy.exists()


def test_a_place_that_may_not_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "copy.db")

    with Kept(url_of(tmp_path / "store")) as kept, monkeypatch.context() as patch:
        patch.setattr("fanout.store.backup.os.open", refuse)
        with pytest.raises(BadInput, match=r"Permission denied\. Name a file in a folder that you may write to"):
            back_up(kept.database, tmp_path / "copy.db")


def test_a_store_that_was_never_used_is_not_the_one_that_was_meant(tmp_path: Path) -> None:
    database = open_database(url_of(tmp_path / "elsewhere"))
    with pytest.raises(
        BadInput, match=r"elsewhere/fanout\.db was never used, so nothing was copied: give the command as"
    ):
        back_up(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    database.close()
