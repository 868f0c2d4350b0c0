"""The rows through which processes of several hosts share quota, in the store's PostgreSQL.

Comes in: rows of `fanout.quota.shared`. Goes out: the same, of all processes on the database. Instants are of the
database's wall clock: what it says at the beginning of a transaction, less when the question left here, is the offset
of the two clocks and a moment on the way; the least of the last minute or two is taken, which leaves the shortest way.

A transaction is two messages: what begins it takes one lock over all rows, so that no two processes can wait for each
other, and reads the first row; what ends it writes and commits. Both run under the engine's lock, so each waits for
the lock and for an answer a bounded time only; then the connection is given up. Another one is made by `mend`, which
may take long and is called from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from psycopg.sql import Literal

from fanout.clock import NS_PER_S, MonotonicClock
from fanout.quota.account import Account
from fanout.quota.rows import FORMAT
from fanout.quota.shared import Unreachable
from fanout.store.address import shown
from fanout.store.database import reason_of

RV = TypeVar("RV")

LOCK_MS = 50
"""How long another process may keep the rows before this one goes on alone."""
ANSWER_S = 0.25
"""How long an answer of the server may take, waiting for the lock included."""
CONNECT_S = 3
ABANDONED_MS = 1_000
"""The server ends a transaction whose process has stood still for so long: it holds up all others."""
WINDOW_NS = 60 * NS_PER_S
"""How long the least offset counts, and once more as long: the clocks drift apart by less than a millisecond in it."""
LOCK_KEY = 0x66616E71 + FORMAT
_SETTINGS = (
    f"SET lock_timeout = {LOCK_MS}; SET statement_timeout = {round(ANSWER_S * 1000)}; "
    f"SET idle_in_transaction_session_timeout = {ABANDONED_MS}; "
    "SET synchronous_commit = off"  # levels of a minute need not outlive a power cut
)


class _Bounded(psycopg.Connection[tuple[object, ...]]):
    """A connection that waits for no answer longer than `ANSWER_S`."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval, ANSWER_S if timeout is None else timeout)


class QuotaRows:
    """One process's way to the rows (`fanout.quota.shared.Keeper`)."""

    over_hosts = True

    def __init__(self, url: sa.URL, *, now_ns: Callable[[], int] | None = None) -> None:
        """`url`: of a store in PostgreSQL, at its newest schema. `now_ns`: this process's instant."""
        self._url = url.set(drivername="postgresql")
        self._now_ns = now_ns or MonotonicClock().now_ns
        self._connection: _Bounded | None = None
        self._closed = False
        self._found: tuple[Account, str | None] | None = None  # the row that was read with the beginning
        self._offset = Offset()
        self.mend()

    def __repr__(self) -> str:
        return shown(self._url)

    def mend(self) -> None:
        """Connect, where it is not connected: by one thread at a time, without the engine's lock. Never raises."""
        if self._connection is None and not self._closed:
            with suppress(psycopg.Error, OSError):
                self._connection = self._connect()
        if self._closed:
            self.drop()

    def _connect(self) -> _Bounded:
        connection = _Bounded.connect(
            self._url.render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="fanout quota",
        )
        try:
            connection.execute(_SETTINGS.encode())
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """For good."""
        self._closed = True
        self.drop()

    def begin(self, account: Account, at_ns: int) -> None:
        """Take the lock over all rows, and read this account's."""
        question = (
            "BEGIN; SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint; "
            f"SELECT pg_advisory_xact_lock({LOCK_KEY}); {self._select(account)}"
        )
        left_ns = self._now_ns()
        answers = self._ask(question)
        answers.nextset()
        (there_ns,) = answers.fetchone() or (0,)
        self._offset.heard(int(str(there_ns)), left_ns=left_ns)
        answers.nextset()
        answers.nextset()
        self._found = (account, _text(answers))

    def read(self, account: Account) -> str | None:
        """The row."""
        if self._found is not None and self._found[0] == account:
            return self._found[1]
        return _text(self._ask(self._select(account)))

    def commit(self, rows: list[tuple[Account, str]]) -> None:
        """Write, and let the lock go."""
        self._found = None
        written = [
            "INSERT INTO quota (account, model, format, state) "
            f"VALUES ({_quoted(account.account)}, {_quoted(account.model)}, {FORMAT}, {_quoted(row)}) "
            "ON CONFLICT (account, model, format) DO UPDATE SET state = excluded.state"
            for account, row in rows
        ]
        self._ask("; ".join((*written, "COMMIT")))

    def offset_ns(self) -> int:
        """The database's clock minus this process's."""
        return self._offset.ns

    def drop(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        self._found = None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    def _select(self, account: Account) -> str:
        return (
            f"SELECT state FROM quota WHERE account = {_quoted(account.account)} "
            f"AND model = {_quoted(account.model)} AND format = {FORMAT}"
        )

    def _ask(self, question: str) -> psycopg.Cursor[tuple[object, ...]]:
        """One message: several statements without parameters, all answers at once."""
        if self._connection is None:
            raise Unreachable("not connected")
        try:
            return self._connection.execute(question.encode())
        except (psycopg.Error, OSError) as exc:
            raise Unreachable(reason_of(exc)) from exc


class Offset:
    """How far another clock is ahead of this process's, by answers that took a while to come."""

    def __init__(self) -> None:
        self._least = self._least_before = math.inf
        self._since_ns: int | None = None

    @property
    def ns(self) -> int:
        """The least of this window and the one before; 0 before any answer."""
        least = min(self._least, self._least_before)
        return 0 if least == math.inf else int(least)

    def heard(self, there_ns: int, *, left_ns: int) -> None:
        """It said so to a question that left at `left_ns`: what it is ahead by, and the way there."""
        ahead_ns = there_ns - left_ns
        if ahead_ns - self.ns > NS_PER_S or self.ns - ahead_ns > NS_PER_S:  # it was set, or this one stood still
            self._least = self._least_before = math.inf
            self._since_ns = None
        if self._since_ns is None or left_ns - self._since_ns > WINDOW_NS:
            self._least_before, self._least, self._since_ns = self._least, math.inf, left_ns
        self._least = min(self._least, ahead_ns)


def _quoted(text: str) -> str:
    return Literal(text.replace("\x00", "")).as_string(None)


def _text(answers: psycopg.Cursor[tuple[object, ...]]) -> str | None:
    found = answers.fetchone()
    return None if found is None else str(found[0])
