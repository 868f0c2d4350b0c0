"""One run's rows, read and written: its row held, its events piece by piece, its summary brought up to date.

Comes in: an open connection. Goes out: rows and events, as they are stored. Their callers know who may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from fanout.events import Event
from fanout.store.encoding import read
from fanout.store.memory import NoSuchRun
from fanout.store.rows import Summary
from fanout.store.tables import AUDIT, CHUNK, RUN, SPEND


def locked_row(connection: sa.Connection, run_id: str) -> Any:
    """The run's row, which nobody else changes until this transaction ends. Raises NoSuchRun."""
    row = connection.execute(sa.select(RUN).where(RUN.c.run_id == run_id).with_for_update()).one_or_none()
    if row is None:
        raise NoSuchRun("no such run")
    return row


def events_of(connection: sa.Connection, run_id: str) -> list[Event]:
    """All events of the run."""
    return [event for events in chunks_of(connection, run_id) for event in events]


def chunks_of(connection: sa.Connection, run_id: str, *, since: int = 0) -> Iterator[list[Event]]:
    """Those from number `since` on, piece by piece as they were committed."""
    found = connection.execute(
        sa.select(CHUNK.c.seq, CHUNK.c.data)
        .where(CHUNK.c.run_id == run_id, CHUNK.c.seq + CHUNK.c.events > since)
        .order_by(CHUNK.c.seq)
        .execution_options(yield_per=500)
    )
    for seq, data in found:
        yield read(data)[max(0, since - seq) :]


def was_here(connection: sa.Connection, run_id: str) -> bool:
    """Whether a run of this id is stored, or was: what it spent and who did what stay under its id."""
    return any(
        connection.execute(sa.select(column).where(column == run_id).limit(1)).first() is not None
        for column in (RUN.c.run_id, SPEND.c.run_id, AUDIT.c.run_id)
    )


def write_summary(
    connection: sa.Connection, run_id: str, summary: Summary, *, events: int, size: int, by: str | None = None
) -> bool:
    """Bring the row up to date; False where it is not there, or is not driven by the process `by`."""
    which = RUN.c.run_id == run_id
    if by is not None:
        which &= RUN.c.process_id == by
    values = {**asdict(summary), "events": events, "bytes": size}
    return connection.execute(RUN.update().where(which).values(values)).rowcount == 1
