"""A database opened: SQLite with what makes a commit last, or PostgreSQL by its URL.

Comes in: a URL, or a folder for the SQLite file. Goes out: a `Database`: one engine that writes (its transactions take
the write lock at once) and one that reads (its transactions are snapshots), both at the newest schema. A database that
cannot be opened is a `BadInput` that says why, without the password of its URL.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError

from fanout.errors import BadInput
from fanout.store import migrate, sqlite_file
from fanout.store.address import FILE_NAME, parsed, shown, url_of
from fanout.store.silence import Silence

__all__ = [
    "FILE_NAME",
    "Database",
    "Execute",
    "StoreLost",
    "executes",
    "now_s",
    "open_database",
    "quick_transaction",
    "reason_of",
    "url_of",
]

ADVISORY_LOCK = 0x66616E
"""Held in PostgreSQL while the schema is brought up to date: several processes may start at once."""
BEYOND_PATIENCE_S = 2.0
"""How long an answer may take beyond what the server was told to wait."""


class StoreLost(BadInput):
    """The database does not answer, or takes nothing: nothing was read or changed. Its cause says more."""


_LOST = (OperationalError, InterfaceError, InternalError)
"""What drivers raise where it is the database that fails, and not the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An open database. Usable from any thread; close it once nobody uses it."""

    url: sa.URL
    writer: sa.Engine
    reader: sa.Engine
    silence: Silence = field(default_factory=Silence)
    """Of PostgreSQL: whether it answers."""

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.writer.dialect.name == "sqlite"

    @property
    def path(self) -> Path | None:
        """The SQLite file; None of another database."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def write(self, *, patience_s: float | None = None, waits: bool = False) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at its end, undone where it raises.

        `patience_s`: how long it waits for another process's transaction; None: as long as it takes, or `BUSY_S`.
        `waits`: also for a server that says nothing, which others give up after a while.
        """
        if not waits:
            self._expect_answers("written")
        try:
            with (
                self.writer.connect() as connection,
                self._patient(connection, patience_s, waits=waits),
                connection.begin(),
            ):
                if patience_s is not None and not self.is_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {patience_s * 1000:.0f}")
                yield connection
        except _LOST as exc:
            raise StoreLost(f"the store cannot be written: {self.reason_of(exc)}") from exc

    @contextmanager
    def _patient(self, connection: sa.Connection, patience_s: float | None, *, waits: bool) -> Iterator[None]:
        if self.is_sqlite:
            with sqlite_file.patient(connection, patience_s):
                yield
            return
        from fanout.store import postgres  # late: it imports the driver

        if waits or patience_s is not None:
            postgres.wait_at_most(connection, None if patience_s is None else patience_s + BEYOND_PATIENCE_S)
        try:
            yield
        finally:
            postgres.wait_as_usual(connection)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state of the database, whatever is written meanwhile."""
        self._expect_answers("read")
        try:
            with self.reader.begin() as connection:
                yield connection
        except _LOST as exc:
            raise StoreLost(f"the store cannot be read: {self.reason_of(exc)}") from exc

    def _expect_answers(self, asked: str) -> None:
        if self.silence.is_known:
            raise StoreLost(f"the store cannot be {asked}: no answer")

    def open_writer(self) -> sa.Connection:
        """A connection of the one who writes all the time: it waits for an answer as long as that takes."""
        connection = self.writer.connect()
        if not self.is_sqlite:
            from fanout.store import postgres  # late: it imports the driver

            postgres.wait_at_most(connection, None)
        return connection

    def give_back(self) -> None:
        """After a deletion. What was deleted is overwritten in the file: now it leaves the file, and the log too.

        Somebody who reads for long keeps the log: it then goes with the next deletion, or when nobody uses the file. A
        file that was made before files could shrink keeps its size, and fills what is free.
        """
        if self.path is not None:
            sqlite_file.shrink(self.path)

    def reason_of(self, error: Exception) -> str:
        """What went wrong, in one line: as the driver says it, or what is known better."""
        cause = error.__cause__ if isinstance(error, StoreLost) else error
        known = None if self.path is None else sqlite_file.why_not_written(self.path, getattr(cause, "orig", cause))
        return known or reason_of(error)

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()

    def __repr__(self) -> str:
        return f"<Database {shown(self.url)}>"


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
        cursor.execute(sqlite_file.BEGIN_TO_WRITE)  # isolation_level None: the driver begins nothing by itself

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
    database = _unopened(parsed(url))
    try:
        _bring_up_to_date(database)
    except (SQLAlchemyError, sqlite3.Error, OSError, StoreLost) as exc:
        database.close()
        known = None if database.path is None else sqlite_file.why_not_read(database.path)
        reason = known or database.reason_of(exc)
        raise BadInput(f"the store {shown(database.url)} cannot be opened: {reason}") from None
    except BadInput:
        database.close()
        raise
    return database


def _unopened(url: sa.URL) -> Database:
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        sqlite_file.make_file(path)
        writer, reader = (sqlite_file.engine(path, url, writes=writes) for writes in (True, False))
        return Database(url=url, writer=writer, reader=reader)
    from fanout.store import postgres  # late: it imports the driver

    silence = Silence()
    writer, reader = (postgres.engine(url, writes=writes, silence=silence) for writes in (True, False))
    return Database(url=url, writer=writer, reader=reader, silence=silence)


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


def _bring_up_to_date(database: Database) -> None:
    with database.read() as connection:
        if migrate.is_current(connection):
            return  # what cannot be written, on a full disk say, can be read all the same
    with database.write(waits=True) as connection:  # another process may be at it, for as long as that takes
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        migrate.upgrade(connection)
