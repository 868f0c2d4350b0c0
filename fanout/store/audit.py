"""Who did what and when, as admins read it: the newest first, found by words, a piece at a time.

Comes in: who asks, and for which lines. Goes out: lines of the audit table; `shelf` writes them. Only an admin is told
anything: whoever is refused learns not even how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from fanout.errors import NotAllowed
from fanout.people import Person
from fanout.store.database import Database
from fanout.store.statements import holds_word, words_of
from fanout.store.tables import AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that somebody did."""

    at: float
    """Wall time, seconds."""
    user_name: str
    action: str
    run_id: str | None
    words: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A piece of the audit, and how long all of it is."""

    lines: tuple[Line, ...]
    count: int


def read_audit(database: Database, person: Person, *, words: str = "", offset: int = 0, limit: int = 100) -> Told:
    """The lines that hold each of these words, in any case of letters. Raises NotAllowed for anybody but an admin."""
    if person.role != "admin":
        raise NotAllowed("only admins read who did what")
    texts = (AUDIT.c.user_name, AUDIT.c.action, AUDIT.c.run_id, AUDIT.c.words)
    asked = sa.and_(sa.true(), *(sa.or_(*(holds_word(text, word) for text in texts)) for word in words_of(words)))
    with database.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(AUDIT).where(asked)).scalar_one()
        found = connection.execute(
            sa.select(AUDIT.c.at, *texts)
            .where(asked)
            .order_by(AUDIT.c.at.desc(), AUDIT.c.audit_id.desc())
            .limit(limit)
            .offset(offset)
        )
        return Told(lines=tuple(Line(**row) for row in found.mappings()), count=count)
