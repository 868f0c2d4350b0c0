"""The processes that the database knows: who says that it lives, who may be driving runs, who is forgotten.

Comes in: an open connection. Goes out: names of processes; rows of the process table. Whether one still lives,
`processes` decides.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import sqlalchemy as sa

from fanout.store.database import now_s
from fanout.store.processes import Process
from fanout.store.tables import PROCESS, RUN


def living(connection: sa.Connection) -> frozenset[str]:
    """The processes that may be driving runs now."""
    at_s = now_s(connection)
    return frozenset(each.process_id for each in _processes(connection) if each.lives(now_s=at_s))


def beat_of(connection: sa.Connection, process_id: str | None) -> float | None:
    """When the process last said that it lives; None of one that is not known."""
    return connection.execute(sa.select(PROCESS.c.beat_at).where(PROCESS.c.process_id == process_id)).scalar()


def say_alive(connection: sa.Connection, process: Process) -> None:
    """Tell the others that this process lives. It makes its row where there is none, or none any more."""
    at_s = now_s(connection)
    mine = PROCESS.c.process_id == process.process_id
    if connection.execute(PROCESS.update().where(mine).values(beat_at=at_s)).rowcount == 0:
        connection.execute(PROCESS.insert(), asdict(replace(process, beat_at=at_s)))


def take_leave(connection: sa.Connection, process: Process) -> None:
    """What it still drove, if anything, is nobody's now."""
    connection.execute(PROCESS.delete().where(PROCESS.c.process_id == process.process_id))


def forget_dead(connection: sa.Connection) -> list[str]:
    """Delete the rows of processes that have died and drive nothing; gives their names."""
    at_s = now_s(connection)
    # By name: one that has come since is not among those that were asked.
    dead = [each.process_id for each in _processes(connection) if not each.lives(now_s=at_s)]
    drives = sa.exists().where(RUN.c.process_id == PROCESS.c.process_id, RUN.c.state != "ended")
    gone = list(
        connection.execute(sa.select(PROCESS.c.process_id).where(PROCESS.c.process_id.in_(dead), ~drives)).scalars()
    )
    connection.execute(PROCESS.delete().where(PROCESS.c.process_id.in_(gone)))
    return gone


def _processes(connection: sa.Connection) -> list[Process]:
    return [Process(**row) for row in connection.execute(sa.select(PROCESS)).mappings()]
