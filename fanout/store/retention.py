"""Stored runs that are older than the settings keep them, or too many for them, go: at start, and once an hour.

Comes in: a store and what is kept. Goes out: fewer runs, a line for each in the audit table, a smaller file. A run that
goes on never goes, nor one that ended a few minutes ago, at which somebody is looking. What it cost stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from fanout.people import Person
from fanout.store.database import now_s
from fanout.store.shelf import erase
from fanout.store.sql import SqlStore
from fanout.store.tables import AUDIT, RUN

DAY_S = 86_400.0
FRESH_S = 600.0
"""A run that ended so lately stays, however large all of them are."""
MOST_BURIED = 100
"""Runs whose process died that are closed before it is seen how old they are; further ones in the next hour."""
THE_SETTINGS = Person(user_id="settings", name="keep_days and keep_mb", role="admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long, and how much: None is for ever, and all."""

    days: int | None = None
    mb: int | None = None
    """Millions of characters of events."""


def expire(store: SqlStore, keep: Keep) -> int:
    """Delete what is kept no longer; how many runs these were. It may take as long as the database."""
    _close_orphans(store)
    gone = 0
    for run_id in _too_old(store, keep.days) if keep.days is not None else ():
        gone += _delete(store, run_id)
    for run_id in _too_many(store, keep.mb) if keep.mb is not None else ():
        gone += _delete(store, run_id)
    if gone:
        store.database.give_back()
    return gone


def _close_orphans(store: SqlStore) -> None:
    """Runs whose process died have no end yet by which they could be old."""
    with store.database.read() as connection:
        found = connection.execute(
            sa.select(RUN.c.run_id).where(RUN.c.state != "ended").order_by(RUN.c.opened_at).limit(MOST_BURIED)
        )
        open_ones = tuple(found.scalars())
    for run_id in open_ones:
        store.settle(run_id)


def _too_old(store: SqlStore, days: int) -> tuple[str, ...]:
    with store.database.read() as connection:
        before_s = now_s(connection) - days * DAY_S
        # A run from a file may be old already when it comes.
        put_in = sa.exists().where(AUDIT.c.run_id == RUN.c.run_id, AUDIT.c.action == "imported", AUDIT.c.at >= before_s)
        found = connection.execute(
            sa.select(RUN.c.run_id).where(RUN.c.state == "ended", RUN.c.ended_at < before_s, ~put_in)
        )
        return tuple(found.scalars())


def _too_many(store: SqlStore, mb: int) -> tuple[str, ...]:
    """The oldest by their end, until the rest is small enough."""
    with store.database.read() as connection:
        over = int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(RUN.c.bytes), 0))).scalar_one())
        over -= mb * 1_000_000
        if over <= 0:
            return ()
        before_s = now_s(connection) - FRESH_S
        since_s = sa.select(sa.func.max(AUDIT.c.at)).where(AUDIT.c.run_id == RUN.c.run_id, AUDIT.c.action == "imported")
        found = connection.execute(
            sa.select(RUN.c.run_id, RUN.c.bytes)
            .where(
                RUN.c.state == "ended",
                RUN.c.ended_at < before_s,
                sa.func.coalesce(since_s.scalar_subquery(), 0.0) < before_s,
            )
            .order_by(RUN.c.ended_at)
        )
        taken = []
        for run_id, size in found:
            if over <= 0:
                break
            taken.append(str(run_id))
            over -= size
        return tuple(taken)


def _delete(store: SqlStore, run_id: str) -> bool:
    """One transaction a run, so that nobody who writes waits for long. Not where it has gone on meanwhile."""
    with store.database.write() as connection:
        ended = (RUN.c.run_id == run_id) & (RUN.c.state == "ended")
        if connection.execute(sa.select(RUN.c.run_id).where(ended).with_for_update()).first() is None:
            return False
        erase(connection, THE_SETTINGS, "expired", run_id)
        return True
