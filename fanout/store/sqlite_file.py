"""The SQLite file: made, opened with what makes a commit last, and read also where nothing can be written.

Comes in: a path, or the URL that names it. Goes out: connections, and an engine of SQLAlchemy that makes them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import disk_usage

import sqlalchemy as sa

from fanout.errors import BadInput

BUSY_S = 30.0
"""How long a writer waits for another process's transaction, which takes milliseconds."""
TRUNCATE_S = 1.0
"""How long a deletion waits for those who read, so that it is gone from the log at once."""
BEGIN_TO_WRITE = "BEGIN IMMEDIATE"

_PRAGMAS = (
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = FULL",  # a commit is on the disk: NORMAL may lose all since the last checkpoint at a power cut
    f"busy_timeout = {BUSY_S * 1000:.0f}",
    "foreign_keys = ON",
    "secure_delete = ON",  # a run that was deleted is overwritten, not only unlinked
)

_NOT_WRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""What SQLite says on a full disk and on one that is only read, beside other troubles."""


def make_file(path: Path) -> None:
    """Prompts and answers are nobody else's on this machine: the folder and the file are the owner's alone.

    A file that is there and may only be read is let be: what is in it can be shown.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.stat().st_size == 0:
            _let_shrink(path)
    except OSError as exc:
        if path.is_file() and os.access(path, os.R_OK):
            return
        raise BadInput(
            f"the store's file {path} cannot be made: {exc.strerror or exc}. Set FANOUT_DATA_DIR to a folder of yours"
        ) from None


def _let_shrink(path: Path) -> None:
    """Of a new file, before anything is in it: what is deleted can leave it. Another process may be at it already."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")  # writes the first page, which says so


def engine(path: Path, url: sa.URL, *, writes: bool) -> sa.Engine:
    """One whose transactions take the lock to write at once, or one that reads."""
    made = sa.create_engine(url, hide_parameters=True, creator=lambda: connect(path, writes=writes))
    begin = BEGIN_TO_WRITE if writes else "BEGIN"

    @sa.event.listens_for(made, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    @sa.event.listens_for(made, "checkin")
    def ends(connection: sqlite3.Connection | None, record: sa.pool.ConnectionPoolEntry) -> None:
        if isinstance(connection, _Frozen):
            record.invalidate()  # what is written from now on, it would not see

    return made


class _Frozen(sqlite3.Connection):
    """To a file that it takes for one that nobody changes."""


def connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    """To the file, as it is used here.

    SQLite makes two files beside it even to read. Where it cannot, on a full disk or in a folder that takes no file,
    one that reads takes the file alone: the log has nothing, so all that was ever committed is in it.
    """
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        return _prepared(connection)
    except sqlite3.OperationalError:
        connection.close()
        if writes or not _is_whole(path):
            raise
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return _prepared(sqlite3.connect(address, uri=True, check_same_thread=False, factory=_Frozen))


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.isolation_level = None  # the driver's own transactions leave DDL out
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows A to Z only
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _is_whole(path: Path) -> bool:
    """Whether everything is in the file, and nothing in the log beside it."""
    try:
        return path.stat().st_size > 0 and Path(f"{path}-wal").stat().st_size == 0
    except FileNotFoundError:
        return path.exists()
    except OSError:
        return False


def why_not_read(path: Path) -> str | None:
    """What keeps a file from being read that is there and may not be written; None where nothing is known."""
    if os.access(path, os.R_OK) and not os.access(path.parent, os.W_OK) and not _is_whole(path):
        return (
            f"its process was killed, and what it wrote last is in {path.name}-wal, which is read only where files can "
            f"be made beside it. Copy {path.name} and {path.name}-wal to a folder of yours, and set FANOUT_DATA_DIR"
        )
    return None


def shrink(path: Path) -> None:
    """What was deleted is overwritten in the file: now it leaves the file, and the log too."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=TRUNCATE_S)) as connection:
        # As a script: what is executed by itself is not stepped to its end, and gives back one page.
        connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def patient(connection: sa.Connection, patience_s: float | None) -> Iterator[None]:
    """Meanwhile it waits so long for another process's transaction; asked for before its own begins."""
    raw = connection.connection.driver_connection
    if patience_s is None or raw is None:
        yield
        return
    raw.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
    try:
        yield
    finally:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def why_not_written(path: Path, error: object) -> str | None:
    """What is known better than SQLite says it; None where nothing is."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _NOT_WRITTEN:
        return None
    with suppress(OSError):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "its file system is read-only"
        if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            return "this user may not write its file and folder"
        if disk_usage(path.parent).free == 0:
            return "the disk is full"
    return None


def _lower(value: str | bytes | float | None) -> str | bytes | float | None:
    return value.lower() if isinstance(value, str) else value
