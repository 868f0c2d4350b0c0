"""A disk with no free byte, and a store that nobody has open: what is in it is read, and all goes on by itself."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from fanout.errors import BadInput
from fanout.people import LOCAL
from fanout.store.database import FILE_NAME, StoreLost, open_database, url_of
from fanout.store.shelf import Shelf, Wanted
from tests.hands import WAIT_S
from tests.stores import Kept, eventually

MOST_BYTES = 20_000
"""Less than the index of SQLite's log needs, and more than what a test prints."""


@contextmanager
def full() -> Iterator[None]:
    """No file of this process may grow beyond a few kilobytes."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store that holds one run and that nobody has open."""
    with Kept(url_of(tmp_path)) as kept:
        kept.answered(2)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_size > MOST_BYTES
    return url_of(tmp_path)


def test_what_is_stored_is_read_and_what_comes_later_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with full():
        database = open_database(url)
        shelf = Shelf(database)
        (row,) = shelf.list(LOCAL, Wanted()).rows
        assert row.answered == 2
        with pytest.raises(StoreLost, match=r"^the store cannot be written: disk I/O error$"), database.write():
            pass
        no_room = SimpleNamespace(free=0)
        monkeypatch.setattr("fanout.store.sqlite_file.disk_usage", lambda _folder: no_room)
        with pytest.raises(StoreLost, match=r"^the store cannot be written: the disk is full$"), database.write():
            pass
    with Kept(url) as kept:
        kept.answered(3)
        assert [row.answered for row in shelf.list(LOCAL, Wanted()).rows] == [3, 2]
    database.close()


def test_a_process_that_comes_up_holds_its_runs_until_there_is_room(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)
    with full():
        kept = Kept(url)
        assert "cannot be written" in (kept.store.trouble or "")
        (row,) = kept.library.list(LOCAL, Wanted()).rows
        assert kept.library.find(LOCAL, row.run_id).run.snapshot().calls[0].output == "answer to prompt 0"
        live = kept.start(1)
        eventually(lambda: live.trouble)
        assert kept.caller.count == 0
    with kept:
        kept.sent(0).answer("at last")
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        assert [row.answered for row in kept.library.list(LOCAL, Wanted()).rows] == [1, 2]


def test_a_file_whose_log_holds_commits_is_not_read_without_them(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with Kept(url_of(tmp_path)) as kept:
        kept.answered(2)
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            shutil.copy(tmp_path / name, left / name)
    with full(), pytest.raises(BadInput, match="cannot be opened: "):
        open_database(url_of(left))
    database = open_database(url_of(left))
    assert len(Shelf(database).list(LOCAL, Wanted()).rows) == 1
    database.close()
