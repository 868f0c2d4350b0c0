"""A database opened: SQLite with what makes a commit last, or PostgreSQL by its URL.

Comes in: a URL, or a folder for the SQLite file. Goes out: a `Database`: one engine that writes (its transactions take
the write lock at once) and one that reads (its transactions are snapshots), both at the newest schema. A database that
cannot be opened is a `BadInput` that says why, without the password of its URL.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError

from fanout.errors import BadInput
from fanout.store import migrate

FILE_NAME = "fanout.db"
BUSY_S = 30.0
"""How long a writer waits for another process's transaction, which takes milliseconds; of SQLite."""
ADVISORY_LOCK = 0x66616E
"""Held in PostgreSQL while the schema is brought up to date: several processes may start at once."""

TRUNCATE_S = 1.0
"""How long a deletion waits for those who read, so that it is gone from the log at once."""

_PRAGMAS = (
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = FULL",  # a commit is on the disk: NORMAL may lose all since the last checkpoint at a power cut
    f"busy_timeout = {BUSY_S * 1000:.0f}",
    "foreign_keys = ON",
    "secure_delete = ON",  # a run that was deleted is overwritten, not only unlinked
)


_BEGIN_TO_WRITE = "BEGIN IMMEDIATE"


class StoreLost(BadInput):
    """The database does not answer, or takes nothing: nothing was read or changed. Its cause says more."""


def url_of(folder: Path) -> str:
    """The URL of the SQLite file in this folder."""
    return sa.URL.create("sqlite", database=str(folder.expanduser().absolute() / FILE_NAME)).render_as_string()


_LOST = (OperationalError, InterfaceError, InternalError)
"""What drivers raise where it is the database that fails, and not the statement."""


_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says on a full disk, beside other troubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An open database. Usable from any thread; close it once nobody uses it."""

    url: sa.URL
    writer: sa.Engine
    reader: sa.Engine

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.writer.dialect.name == "sqlite"

    @property
    def path(self) -> Path | None:
        """The SQLite file; None of another database."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def write(self, *, patience_s: float | None = None) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at its end, undone where it raises.

        `patience_s`: how long it waits for another process's transaction; None: as long as it takes, or `BUSY_S`.
        """
        try:
            with (
                self.writer.connect() as connection,
                _waits(connection, patience_s) if self.is_sqlite else nullcontext(),
                connection.begin(),
            ):
                if patience_s is not None and not self.is_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {patience_s * 1000:.0f}")
                yield connection
        except _LOST as exc:
            raise StoreLost(f"the store cannot be written: {self.reason_of(exc)}") from exc

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state of the database, whatever is written meanwhile."""
        try:
            with self.reader.begin() as connection:
                yield connection
        except _LOST as exc:
            raise StoreLost(f"the store cannot be read: {self.reason_of(exc)}") from exc

    def give_back(self) -> None:
        """After a deletion. What was deleted is overwritten in the file: now it leaves the file, and the log too.

        Somebody who reads for long keeps the log: it then goes with the next deletion, or when nobody uses the file. A
        file that was made before files could shrink keeps its size, and fills what is free.
        """
        if self.path is not None:
            with suppress(sqlite3.Error), closing(sqlite3.connect(self.path, timeout=TRUNCATE_S)) as connection:
                # As a script: what is executed by itself is not stepped to its end, and gives back one page.
                connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")

    def reason_of(self, error: Exception) -> str:
        """What went wrong, in one line: as the driver says it, or what is known better."""
        cause = error.__cause__ if isinstance(error, StoreLost) else error
        code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", None)
        if self.path is not None and code is not None and code & 0xFF in _NO_ROOM:
            with suppress(OSError):
                if disk_usage(self.path.parent).free == 0:
                    return "the disk is full"
        return reason_of(error)

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()

    def __repr__(self) -> str:
        return f"<Database {self.url.render_as_string(hide_password=True)}>"


Execute = Callable[[str, Any], int]
"""Runs a statement that was compiled before, in an open transaction; gives how many rows it changed."""


def executes(connection: sa.Connection) -> Execute:
    """In a transaction of SQLAlchemy's."""
    return lambda sql, values: connection.exec_driver_sql(sql, values).rowcount


@contextmanager
def quick_transaction(connection: sa.Connection) -> Iterator[Execute]:
    """A transaction that writes, by the driver itself on a connection that has none open: half of SQLAlchemy's CPU."""
    raw = connection.connection.driver_connection
    assert raw is not None, "the pool gives connections that are open"
    cursor = raw.cursor()
    if isinstance(raw, sqlite3.Connection):
        cursor.execute(_BEGIN_TO_WRITE)  # isolation_level None: the driver begins nothing by itself

    def execute(sql: str, values: Any) -> int:
        cursor.execute(sql, values)
        return int(cursor.rowcount)

    try:
        yield execute
        raw.commit()
    except BaseException:
        with suppress(Exception):
            raw.rollback()
        raise


def open_database(url: str) -> Database:
    """Open it, make a file that is not there yet, bring its schema up to date. Raises BadInput where that fails."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        _make_folder(parsed)
    database = Database(url=parsed, writer=_engine(parsed, writes=True), reader=_engine(parsed, writes=False))
    try:
        _bring_up_to_date(database)
    except (SQLAlchemyError, sqlite3.Error, OSError, StoreLost) as exc:
        database.close()
        raise BadInput(
            f"the store {parsed.render_as_string(hide_password=True)} cannot be opened: {database.reason_of(exc)}"
        ) from None
    except BadInput:
        database.close()
        raise
    return database


def reason_of(error: Exception) -> str:
    """What a driver says went wrong, in one line. Pages show it.

    Without SQL and parameters, which hold prompts and answers, and without the address of the database.
    """
    if isinstance(error, StoreLost) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    if isinstance(original, OSError) and original.strerror:
        return original.strerror
    first = (str(original).strip() or type(original).__name__).splitlines()[0]
    return _ADDRESS.sub("", first).rstrip(".")


_ADDRESS = re.compile(r"connection (?:to server )?(?:at|on) (?:(?!failed: ).)*failed: ")
"""How libpq begins: `connection to server at "10.0.0.5", port 5432 failed: Connection refused`."""


def now_s(connection: sa.Connection) -> float:
    """Wall time by the clock that all processes of this database share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except (SQLAlchemyError, ValueError):
        raise BadInput(
            "FANOUT_DATABASE_URL is not a URL: expected postgresql://user@host:5432/name or sqlite:////path/to/file"
        ) from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite")
    raise BadInput(
        f"FANOUT_DATABASE_URL names {backend!r}: the store is kept in a SQLite file (sqlite:////path/to/file) or in "
        "PostgreSQL (postgresql://user@host:5432/name)"
    )


def _make_folder(url: sa.URL) -> None:
    """Prompts and answers are nobody else's on this machine: the folder and the file are the owner's alone."""
    path = Path(url.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.stat().st_size == 0:
            _let_shrink(path)
    except OSError as exc:
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


def _engine(url: sa.URL, *, writes: bool) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        level = "READ COMMITTED" if writes else "REPEATABLE READ"
        return sa.create_engine(
            url, isolation_level=level, pool_pre_ping=True, pool_size=5, hide_parameters=True, connect_args=_PG_ARGS
        )
    path = Path(url.database or "")
    engine = sa.create_engine(url, hide_parameters=True, creator=lambda: _connect(path, writes=writes))
    begin = _BEGIN_TO_WRITE if writes else "BEGIN"

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    @sa.event.listens_for(engine, "checkin")
    def ends(connection: sqlite3.Connection | None, record: sa.pool.ConnectionPoolEntry) -> None:
        if isinstance(connection, _Frozen):
            record.invalidate()  # what is written from now on, it would not see

    return engine


class _Frozen(sqlite3.Connection):
    """To a file that it takes for one that nobody changes."""


def _connect(path: Path, *, writes: bool) -> sqlite3.Connection:
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


@contextmanager
def _waits(connection: sa.Connection, patience_s: float | None) -> Iterator[None]:
    """Of SQLite, which is asked for it before the transaction begins."""
    raw = connection.connection.driver_connection
    if patience_s is None or raw is None:
        yield
        return
    raw.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
    try:
        yield
    finally:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def _lower(value: str | bytes | float | None) -> str | bytes | float | None:
    return value.lower() if isinstance(value, str) else value


_PG_ARGS: dict[str, Any] = {"connect_timeout": 10, "application_name": "fanout"}


def _bring_up_to_date(database: Database) -> None:
    with database.read() as connection:
        if migrate.is_current(connection):
            return  # what cannot be written, on a full disk say, can be read all the same
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        migrate.upgrade(connection)
