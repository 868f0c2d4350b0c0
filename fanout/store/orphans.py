"""Runs whose process died before their end: found, and closed by whoever finds them.

Comes in: a database, the process that asks. Goes out: the events that close a run (`interrupted` makes them), stored
where the database takes them. One that another process drives, or this one, is no orphan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fanout.clock import nanoseconds
from fanout.events import Event
from fanout.fold import fold
from fanout.run import Run
from fanout.store import starts
from fanout.store.database import Database
from fanout.store.encoding import write
from fanout.store.interrupted import closing
from fanout.store.living import beat_of, living
from fanout.store.rows import summarize
from fanout.store.stored import events_of, locked_row, write_summary
from fanout.store.tables import CHUNK, RUN

PATIENCE_S = 2.0
"""How long somebody who only looks at a run waits for another process's transaction."""


class Orphans:
    """Those of one database, as one process finds them. From any thread."""

    def __init__(self, database: Database, *, process_id: str, folder: Path | None) -> None:
        """`folder`: of this machine, where processes leave what they had just started."""
        self._database = database
        self._process_id = process_id
        self._folder = folder

    def settle(self, run_id: str) -> None:
        """Close the run, if it is one. Raises StoreLost where that cannot be written; `left` says how it would be."""
        with self._database.read() as connection:
            seen = connection.execute(sa.select(RUN.c.state, RUN.c.process_id).where(RUN.c.run_id == run_id)).first()
            if seen is None or not self.is_one(connection, seen):
                return
        with self._database.write(patience_s=PATIENCE_S) as connection:
            row = locked_row(connection, run_id)
            if self.is_one(connection, row):
                self.bury(connection, row, events_of(connection, run_id))

    def left(self, run: Run) -> tuple[Event, ...]:
        """The events that close the run; none where it is none."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(RUN).where(RUN.c.run_id == run.run_id)).first()
            return () if row is None or not self.is_one(connection, row) else self._closing(connection, row, run)

    def is_one(self, connection: sa.Connection, row: Any) -> bool:
        """Whether the run of this row has not ended, and nobody drives it."""
        mine = row.process_id == self._process_id
        return row.state != "ended" and not mine and row.process_id not in living(connection)

    def bury(self, connection: sa.Connection, row: Any, events: list[Event]) -> list[Event]:
        """Close it; gives its events with those that close it."""
        closed = self._closing(connection, row, fold(events))
        if closed:
            connection.execute(
                CHUNK.insert(),
                {"run_id": row.run_id, "seq": len(events), "events": len(closed), "data": write(closed)},
            )
        ended = [*events, *closed]
        size = connection.execute(
            sa.select(sa.func.sum(sa.func.length(CHUNK.c.data))).where(CHUNK.c.run_id == row.run_id)
        ).scalar()
        write_summary(connection, row.run_id, summarize(fold(ended)), events=len(ended), size=size or 0)
        # It is nobody's now: should its process live after all, it writes nothing more of it.
        connection.execute(RUN.update().where(RUN.c.run_id == row.run_id).values(process_id=None))
        return ended

    def _closing(self, connection: sa.Connection, row: Any, run: Run) -> tuple[Event, ...]:
        died_ns = run.opened_ns
        beat_at = beat_of(connection, row.process_id)
        if beat_at is not None:
            died_ns += nanoseconds(beat_at - run.opened_at_s)
        started = () if self._folder is None else starts.left_by(self._folder, row.process_id, row.run_id)
        return closing(run, at_ns=died_ns, started=started)
