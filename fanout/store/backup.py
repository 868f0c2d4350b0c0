"""A copy of the store in one file, made while runs go on, and such a copy put back.

Comes in: an open SQLite store, or the URL of one. Goes out: files. PostgreSQL has better tools of its own,
and is sent to them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from fanout.errors import BadInput
from fanout.store import migrate
from fanout.store.database import Database, open_database, reason_of
from fanout.store.living import living
from fanout.store.sqlite_file import connect

_USE_PG = (
    "the store is in PostgreSQL, whose own tools do this: pg_dump --format=custom --file=FILE URL, and "
    "pg_restore --clean --if-exists --dbname=URL FILE"
)

_USED = "SELECT count(*), EXISTS (SELECT 1 FROM audit) OR EXISTS (SELECT 1 FROM spend) FROM run"


def back_up(database: Database, file: Path) -> int:
    """Write one consistent state of the store into a new file; gives how many runs it has. A store that was never used
    is refused: it is hardly the one that was meant. Nothing is left of a file that could not be finished."""
    if database.path is None:
        raise BadInput(_USE_PG)
    _make(file)
    try:
        with closing(connect(database.path, writes=False)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
            runs, was_used = target.execute(_USED).fetchone()
    except (OSError, sqlite3.Error) as exc:
        file.unlink(missing_ok=True)
        raise BadInput(f"{file} cannot be written: {reason_of(exc)}. Name a file where there is room") from exc
    if not (runs or was_used):
        file.unlink()
        raise BadInput(
            f"the store {database.path} was never used, so nothing was copied: give the command as the user, and with "
            "the settings (HOME, FANOUT_DATA_DIR, the folder of fanout.toml), with which the dashboard runs"
        )
    return int(runs)


def _make(file: Path) -> None:
    """An empty file that only its owner reads."""
    if file.is_dir():
        raise BadInput(f"{file} is a folder: name a file in it")
    if file.exists():
        raise BadInput(f"{file} is there already: name another file")
    if not file.parent.is_dir():
        raise BadInput(f"{file} cannot be written: there is no folder {file.parent}. Make it, or name another file")
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as exc:
        raise BadInput(
            f"{file} cannot be written: {reason_of(exc)}. Name a file in a folder that you may write to"
        ) from exc


def put_back(url: str, file: Path, *, replace: bool) -> None:
    """Put a copy in the place of the store of this URL. Raises BadInput where it is none, or is in use.

    A store that cannot be opened (its file is damaged, a newer program wrote it) is moved aside, where it may be.
    """
    try:
        database = open_database(url)
    except BadInput as exc:
        database = _moved_aside(url, file, exc, may=replace)
    path = database.path
    if path is None:
        database.close()
        raise BadInput(_USE_PG)
    try:
        if not file.is_file():
            raise BadInput(f"{file} is {'a folder' if file.is_dir() else 'not there'}: name a file that `backup` wrote")
        _check(file)
        with database.read() as connection:
            holds_runs = connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM run)").scalar()
            if living(connection):
                raise BadInput("a process is using the store: end it first")
        if holds_runs and not replace:
            raise BadInput("the store holds runs, which would be gone: back it up first, then restore with --yes")
        database.close()
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(path, timeout=5)) as target:
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            source.backup(target)
            target.execute("DELETE FROM process")  # those that lived when it was copied drive nothing in the copy
            target.commit()
    except (OSError, sqlite3.Error) as exc:
        raise BadInput(f"{file} cannot be restored: {reason_of(exc)}") from exc
    finally:
        database.close()


def _moved_aside(url: str, file: Path, why: BadInput, *, may: bool) -> Database:
    """A new store of this URL; the one that cannot be opened is kept beside it."""
    path = Path(sa.make_url(url).database or "") if url.startswith("sqlite") else None
    if path is None or not path.is_file():
        raise why
    if not may:
        raise BadInput(f"{why}. To restore all the same, with this file moved aside, say --yes") from why
    _check(file)
    number = next(each for each in count(1) if not path.with_name(f"{path.name}.unusable-{each}").exists())
    try:
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(f"{path.name}{ending}")
            if part.exists():
                part.rename(path.with_name(f"{path.name}.unusable-{number}{ending}"))
    except OSError as exc:
        raise BadInput(f"{path} cannot be moved aside: {exc.strerror or exc}") from exc
    return open_database(url)


def _check(file: Path) -> None:
    """Whether it is a whole store, of a version that this program knows."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as found:
            whole = found.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            tables = {row[0] for row in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            held = found.execute("SELECT version_num FROM alembic_version").fetchone() if tables >= _TABLES else None
    except sqlite3.Error as exc:
        raise BadInput(f"{file} is no backup of a store: {reason_of(exc)}") from exc
    if not whole or held is None:
        raise BadInput(f"{file} is no whole backup of a store")
    if held[0] not in migrate.versions():
        raise BadInput(f"{file} is of a newer Fanout (its schema is {held[0]}): update this program")


_TABLES = {"run", "chunk", "alembic_version"}
