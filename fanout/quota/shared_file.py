"""One SQLite file through which the processes of a host share their gates.

Comes in: rows of `shared`. Goes out: the same, of all processes. Instants are of CLOCK_MONOTONIC, which all processes
of a Linux host share, so that nothing is converted.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from fanout.clock import NS_PER_S
from fanout.quota.account import Account
from fanout.quota.rows import FORMAT
from fanout.quota.shared import SharedGates, Unreachable

BUSY_S = 0.05
"""How long another process may keep the file before this one goes on alone: it stands under the engine's lock."""
OPENING_S = 1.0
"""The same, before anything runs: processes that start together make the file one after the other."""
LOOK_AT_PATH_NS = NS_PER_S
"""How often it is seen whether the file is still the one that was opened."""

_TABLE = f"gates_{FORMAT}"
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS {_TABLE} "
    "(account TEXT, model TEXT, state TEXT NOT NULL, PRIMARY KEY (account, model)) WITHOUT ROWID"
)
_READ = f"SELECT state FROM {_TABLE} WHERE account = ? AND model = ?"
_WRITE = f"INSERT INTO {_TABLE} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
_LOST = (sqlite3.Error, OSError)


class FileKeeper:
    """The file of one process (`fanout.quota.shared.Keeper`)."""

    over_hosts = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._looked_ns: int | None = None
        with suppress(*_LOST):  # the first use tries again, and tells
            self._connect(OPENING_S)

    def __repr__(self) -> str:
        return str(self._path)

    def begin(self, account: Account, at_ns: int) -> None:
        """Take the file's write lock."""
        try:
            self._open(at_ns).execute("BEGIN IMMEDIATE")
        except _LOST as exc:
            raise Unreachable(str(exc)) from exc

    def read(self, account: Account) -> str | None:
        """The row."""
        assert self._connection is not None
        try:
            found = self._connection.execute(_READ, (account.account, account.model)).fetchone()
        except _LOST as exc:
            raise Unreachable(str(exc)) from exc
        return None if found is None else found[0]

    def commit(self, rows: list[tuple[Account, str]]) -> None:
        """Write and let the lock go."""
        assert self._connection is not None
        try:
            for account, row in rows:
                self._connection.execute(_WRITE, (account.account, account.model, row))
            self._connection.execute("COMMIT")
        except _LOST as exc:
            raise Unreachable(str(exc)) from exc

    def offset_ns(self) -> int:
        """One clock."""
        return 0

    def drop(self) -> None:
        """Close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _open(self, at_ns: int) -> sqlite3.Connection:
        """The connection to the file that is at the path now."""
        if self._connection is not None and self._looked_ns is not None and at_ns - self._looked_ns < LOOK_AT_PATH_NS:
            return self._connection
        self._looked_ns = at_ns
        if self._connection is not None and self._inode_now() != self._inode:
            self.drop()  # deleted, or put in the place of the one that was opened
        return self._connection or self._connect(BUSY_S)

    def _connect(self, busy_s: float) -> sqlite3.Connection:
        """Open the file, and make it where there is none."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_CREATE)
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
            self._inode = self._inode_now()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _inode_now(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None


class SharedFile(SharedGates):
    """What one process shares through a file."""

    def __init__(self, path: Path, *, wall_offset_ns: int) -> None:
        """`wall_offset_ns`: ns since 1970 at instant 0 of the clock."""
        super().__init__(FileKeeper(path), wall_offset_ns=wall_offset_ns)
