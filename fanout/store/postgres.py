"""Connections to PostgreSQL that end: a lost network is noticed by the system, a silent server by who waits for it.

Comes in: a parsed URL. Goes out: an engine of SQLAlchemy. Imported only where the store is in PostgreSQL: it imports
the driver.

A machine that is gone acknowledges nothing: the system then gives the connection up (`tcp_user_timeout`, keepalives).
One whose processes stand still acknowledges all and answers nothing: whoever asked counts how long nothing came. What
the server had begun for a connection that is gone, it undoes by itself, so that its locks hold nobody up for hours.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen

from fanout.store.silence import BRIEF_S, Silence

RV = TypeVar("RV")

READ_S = 10.0
"""How long nothing may come of what a page or a command reads; longer than any query of ours computes."""
WRITE_S = 60.0
"""The same of a change that somebody asked for: a large run is deleted in one statement."""
LEFT_OPEN_S = 60
"""The server undoes a transaction in which it heard nothing for so long: its client is gone, or stands still."""
UNACKNOWLEDGED_S = 20
"""The system gives up a connection whose other end acknowledges nothing for so long."""

_ARGS: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "fanout",
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": UNACKNOWLEDGED_S * 1000,
}


class Connection(psycopg.Connection[Any]):
    """One that is given up after so many seconds without a byte from the server."""

    silence = Silence()
    usual_s: float = WRITE_S
    most_s: float | None = WRITE_S
    """None: it waits for as long as it takes."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Raises psycopg.OperationalError once it was silent for too long."""
        return super().wait(gen if self.most_s is None else self._listened(gen, self.most_s), interval, timeout)

    def _listened(self, gen: PQGen[RV], usual_s: float) -> PQGen[RV]:
        """The same steps; the driver takes one with nothing ready every `interval`."""
        heard_s = time.monotonic()
        try:
            wants = next(gen)
            while True:
                ready = yield wants
                now_s = time.monotonic()
                if ready:
                    heard_s = now_s
                elif now_s - heard_s > self.silence.most_s(usual_s):
                    self.silence.unheard = True
                    self.pgconn.finish()  # so that nobody asks on it again, be it to undo what it was asked
                    raise psycopg.OperationalError(f"no answer for {now_s - heard_s:.0f} s")
                wants = gen.send(ready)
        except StopIteration as exc:
            found: RV = exc.value
            return found


def wait_at_most(connection: sa.Connection, most_s: float | None) -> None:
    """Give this connection up after so many seconds of silence, until `wait_as_usual`; None: never."""
    raw = connection.connection.driver_connection
    if isinstance(raw, Connection):
        raw.most_s = most_s


def wait_as_usual(connection: sa.Connection) -> None:
    """Before it goes back to the pool."""
    if not connection.invalidated and not connection.closed:
        raw = connection.connection.driver_connection
        if isinstance(raw, Connection):
            raw.most_s = raw.usual_s


def engine(url: sa.URL, *, writes: bool, silence: Silence) -> sa.Engine:
    """Those that write wait for each other; those that read see one state of the database."""
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    made = sa.create_engine(url, isolation_level=level, pool_pre_ping=True, pool_size=5, hide_parameters=True)

    @sa.event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, args: tuple[Any, ...], given: dict[str, Any]) -> Connection:
        if silence.is_known:
            raise psycopg.OperationalError("no answer")
        settings = {**_ARGS, **given}  # what the URL says wins
        if silence.hangs:
            settings["connect_timeout"] = round(BRIEF_S)
        try:
            found = Connection.connect(*args, **settings)
        except psycopg.errors.ConnectionTimeout:
            silence.unheard = silence.hangs
            raise
        found.silence = silence
        found.usual_s = found.most_s = WRITE_S if writes else READ_S
        if writes:
            try:
                found.autocommit = True
                found.execute(f"SET idle_in_transaction_session_timeout = {LEFT_OPEN_S * 1000}")
                found.autocommit = False
            except BaseException:
                found.close()
                raise
        return found

    return made
