"""The runs that are stored, as a list and by their owners' words: found, named, tagged, shared, deleted.

Comes in: who asks (`Person`), and what for. Goes out: rows of the runs that this person may see; changes to those that
they may drive. A run that somebody may not see is answered like one that never was: `NoSuchRun`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Literal

import sqlalchemy as sa

from fanout.batch import Batch
from fanout.errors import BadInput, NotAllowed
from fanout.names import sort_key, visible
from fanout.people import Person, Visibility, may_drive, may_read
from fanout.store.database import Database, now_s
from fanout.store.living import living
from fanout.store.memory import NoSuchRun
from fanout.store.rows import IMPORTED, RunRow, settings_key
from fanout.store.statements import holds_word, new_token, plain, words_of
from fanout.store.tables import AUDIT, RUN, TAG

Sort = Literal["opened_at", "name", "model", "prompts", "failed", "wall_s", "cost_usd", "overlap", "owner_name"]
Show = Literal["all", "mine", "going", "ended", "failures", "interrupted"]
MOST_NAME = 200
MOST_TAG = 50
MOST_TAGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows of the list, and in which order."""

    words: str = ""
    """Each word must be in the name, the model, the owner's name, a tag or the id, in any case of letters."""
    show: Show = "all"
    sort: Sort = "opened_at"
    descending: bool = True
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A piece of the list, and how long all of it is."""

    rows: tuple[RunRow, ...]
    count: int


class Shelf:
    """One database's runs. From any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def list(self, person: Person, wanted: Wanted = Wanted()) -> Found:  # frozen
        """The runs that this person may see and asked for. A run shared by link is listed for its owner only."""
        with self.database.read() as connection:
            alive = living(connection)
            condition = sa.and_(_visible(person), *_wanted(wanted, person, alive))
            count = connection.execute(sa.select(sa.func.count()).select_from(RUN).where(condition)).scalar_one()
            if wanted.sort in _NAMES:
                rows = _by_name(connection, condition, wanted, alive)
                return Found(rows=_with_tags(connection, rows), count=count)
            column: sa.ColumnElement[Any] = RUN.c[wanted.sort]
            order = column.desc().nulls_last() if wanted.descending else column.asc().nulls_last()
            found = connection.execute(
                sa.select(RUN)
                .where(condition)
                .order_by(order, RUN.c.opened_at.desc(), RUN.c.run_id)
                .limit(wanted.limit)
                .offset(wanted.offset)
            )
            rows = [_row(each, alive) for each in found.mappings()]
            return Found(rows=_with_tags(connection, rows), count=count)

    def find(self, person: Person, run_id: str, *, token: str | None = None) -> RunRow:
        """The row of one run. `token`: what the link that the person came with holds. Raises NoSuchRun."""
        with self.database.read() as connection:
            return self._find(connection, person, run_id, token=token)

    def seen(self, person: Person, run_ids: Collection[str]) -> frozenset[str]:
        """Those of these runs that they may see."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(RUN.c.run_id).where(RUN.c.run_id.in_(run_ids), _visible(person)))
            return frozenset(found.scalars())

    def named(self, person: Person, beginning: str) -> str:
        """The id of the only run that they may see whose id is this or begins so. Raises NoSuchRun, BadInput of two."""
        beginning = plain(beginning)
        if not 0 < len(beginning) <= MOST_NAME:
            raise NoSuchRun("no such run")
        pattern = beginning.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        with self.database.read() as connection:
            condition = sa.and_(_visible(person), RUN.c.run_id.like(pattern, escape="\\"))
            found = connection.execute(sa.select(RUN.c.run_id).where(condition).limit(2)).scalars().all()
        if beginning in found:
            return beginning
        if not found:
            raise NoSuchRun("no such run")
        if len(found) > 1:
            raise BadInput(f"several runs begin with {beginning!r}: give more of the id")
        return str(found[0])

    def alike(self, person: Person, batch: Batch, *, limit: int) -> tuple[str, ...]:
        """Runs that they may see of the same model under the same settings, the newest first.

        Of runs that were taken in from a file only their own: anybody can write anything into a file.
        """
        key = settings_key(batch)
        own = sa.and_(RUN.c.settings_key == IMPORTED + key, RUN.c.owner_id == person.user_id)
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(RUN.c.run_id)
                .where(sa.or_(RUN.c.settings_key == key, own), _visible(person))
                .order_by(RUN.c.opened_at.desc())
                .limit(limit)
            )
            return tuple(found.scalars())

    def baseline(self, person: Person, run_id: str, *, owner_id: str) -> RunRow | None:
        """The newest run that measures this one's speed-up, and that is this owner's or that they may see."""
        seen = sa.or_(_visible(person), RUN.c.owner_id == owner_id)
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(RUN).where(RUN.c.baseline_of == run_id, seen).order_by(RUN.c.opened_at.desc())
            )
            row = found.mappings().first()
            return None if row is None else _row(row, living(connection))

    def rename(self, person: Person, run_id: str, name: str) -> None:
        """Call it by another name; empty takes the name off."""
        name = (visible(plain(name)) or "").strip()
        if len(name) > MOST_NAME:
            raise BadInput(f"a run's name may have {MOST_NAME} characters, this one has {len(name)}")
        self._change(person, run_id, "renamed", {"name": name or None}, words=name)

    def tag(self, person: Person, run_id: str, tags: tuple[str, ...]) -> None:
        """These are its tags from now on."""
        cleaned = as_tags(tags)
        with self.database.write() as connection:
            self._driven(connection, person, run_id)
            put_tags(connection, run_id, cleaned)
            audit(connection, person, "tagged", run_id, ", ".join(cleaned))

    def share(self, person: Person, run_id: str, visibility: Visibility) -> RunRow:
        """Let these see it. A new link is made whenever it is shared by link; the one before it is withdrawn.

        A run that measures its speed-up holds the same prompts and answers: what is withdrawn of one is of both.
        """
        token = new_token() if visibility == "link" else None
        with self.database.write() as connection:
            owner_id = self._driven(connection, person, run_id).owner_id
            one = RUN.c.run_id == run_id
            connection.execute(RUN.update().where(one).values(visibility=visibility, link_token=token))
            measures = sa.and_(RUN.c.baseline_of == run_id, RUN.c.owner_id == owner_id)
            seen_by = "private" if visibility == "link" else visibility
            connection.execute(RUN.update().where(measures).values(visibility=seen_by, link_token=None))
            audit(connection, person, "shared", run_id, visibility)
        return self.find(person, run_id)

    def delete(self, person: Person, run_id: str) -> None:
        """The run is gone, also from the file, and what people called it. Raises BadInput while it goes on."""
        with self.database.write() as connection:
            row = self._driven(connection, person, run_id)
            if row.goes_on:
                raise BadInput("this run still goes on: stop it first")
            erase(connection, person, "deleted", run_id)
        self.database.give_back()

    def audit(self, person: Person, action: str, run_id: str | None = None, words: str | None = None) -> None:
        """Who did what, for the table that admins read."""
        with self.database.write() as connection:
            audit(connection, person, action, run_id, words)

    def _find(self, connection: sa.Connection, person: Person, run_id: str, *, token: str | None) -> RunRow:
        found = connection.execute(sa.select(RUN).where(RUN.c.run_id == plain(run_id))).mappings().one_or_none()
        if found is None:
            raise NoSuchRun("no such run")
        row = _row(found, living(connection))
        shown = (
            token is not None
            and row.link_token is not None
            and secrets.compare_digest(plain(token).encode(), row.link_token.encode())
        )
        if not may_read(person, owner_id=row.owner_id, visibility=row.visibility, link_shown=shown):
            raise NoSuchRun("no such run")
        return _with_tags(connection, [row])[0]

    def _driven(self, connection: sa.Connection, person: Person, run_id: str) -> RunRow:
        """The row, where this person may change it; nobody else changes or deletes it until this is done."""
        connection.execute(sa.select(RUN.c.run_id).where(RUN.c.run_id == plain(run_id)).with_for_update())
        row = self._find(connection, person, run_id, token=None)
        if not may_drive(person, owner_id=row.owner_id):
            raise NotAllowed("only the run's owner or an admin may change it")
        return row

    def _change(self, person: Person, run_id: str, action: str, values: dict[str, Any], *, words: str) -> None:
        with self.database.write() as connection:
            self._driven(connection, person, run_id)
            connection.execute(RUN.update().where(RUN.c.run_id == run_id).values(values))
            audit(connection, person, action, run_id, words)


def as_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags as a run may have them, each once. Raises BadInput."""
    cleaned = tuple(dict.fromkeys(clean for tag in tags if (clean := plain(tag).strip())))
    if len(cleaned) > MOST_TAGS:
        raise BadInput(f"a run may have {MOST_TAGS} tags, these are {len(cleaned)}")
    too_long = next((tag for tag in cleaned if len(tag) > MOST_TAG), None)
    if too_long is not None:
        raise BadInput(f"a tag may have {MOST_TAG} characters, this one has {len(too_long)}: {too_long[:20]}…")
    return cleaned


def put_tags(connection: sa.Connection, run_id: str, tags: tuple[str, ...]) -> None:
    """These are the run's from now on."""
    connection.execute(TAG.delete().where(TAG.c.run_id == run_id))
    if tags:
        connection.execute(TAG.insert(), [{"run_id": run_id, "tag": tag} for tag in tags])


def audit(connection: sa.Connection, person: Person, action: str, run_id: str | None, words: str | None) -> None:
    """One line of the audit table."""
    connection.execute(
        AUDIT.insert(),
        {
            "at": now_s(connection),
            "user_id": person.user_id,
            "user_name": plain(person.email or person.name),
            "action": action,
            "run_id": run_id,
            "words": None if words is None else plain(words)[:500],
        },
    )


def erase(connection: sa.Connection, person: Person, action: Literal["deleted", "expired"], run_id: str) -> None:
    """The run goes, and the names and tags that it had; who did what to it, and when, stays under its id.

    The row is held before: what somebody calls it meanwhile is refused, or is written by now and goes too.
    """
    connection.execute(RUN.delete().where(RUN.c.run_id == run_id))
    called = sa.and_(AUDIT.c.run_id == run_id, AUDIT.c.action.in_(("renamed", "tagged")))
    connection.execute(AUDIT.update().where(called).values(words=None))
    audit(connection, person, action, run_id, None)


def _visible(person: Person) -> sa.ColumnElement[bool]:
    if person.role == "admin":
        return sa.true()
    return sa.or_(RUN.c.owner_id == person.user_id, RUN.c.visibility == "team")


def _wanted(wanted: Wanted, person: Person, alive: frozenset[str]) -> list[sa.ColumnElement[bool]]:
    asked: list[sa.ColumnElement[bool]] = []
    for word in words_of(wanted.words):
        tagged = RUN.c.run_id.in_(sa.select(TAG.c.run_id).where(holds_word(TAG.c.tag, word)))
        asked.append(sa.or_(holds_word(_TEXTS, word), tagged))
    driven = RUN.c.process_id.in_(alive)
    if wanted.show == "mine":
        asked.append(RUN.c.owner_id == person.user_id)
    elif wanted.show == "going":
        asked.append(sa.and_(RUN.c.state != "ended", driven))
    elif wanted.show == "ended":
        asked.append(RUN.c.state == "ended")
    elif wanted.show == "failures":
        asked.append(RUN.c.failed > 0)
    elif wanted.show == "interrupted":
        left = sa.and_(RUN.c.state != "ended", sa.or_(RUN.c.process_id.is_(None), ~driven))
        asked.append(sa.or_(left, RUN.c.stop_reason.in_(("interrupted", "saved"))))
    return asked


def _row(found: Any, alive: frozenset[str]) -> RunRow:
    values = {name: found[name] for name in _ROW_COLUMNS}
    if values["state"] != "ended" and values["process_id"] not in alive:
        values["state"] = "interrupted"
    values["name"] = visible(values["name"])
    return RunRow(**values, imported=found["settings_key"].startswith(IMPORTED))


def _with_tags(connection: sa.Connection, rows: list[RunRow]) -> tuple[RunRow, ...]:
    ids = [row.run_id for row in rows]
    tags: dict[str, list[str]] = {}
    for run_id, tag in connection.execute(
        sa.select(TAG.c.run_id, TAG.c.tag).where(TAG.c.run_id.in_(ids)).order_by(TAG.c.tag)
    ):
        tags.setdefault(run_id, []).append(tag)
    return tuple(replace(row, tags=tuple(tags[row.run_id])) if row.run_id in tags else row for row in rows)


_NAMES: frozenset[Sort] = frozenset({"name", "model", "owner_name"})
"""What is sorted as people sort names, which the two databases would do differently, or not at all."""


def _by_name(
    connection: sa.Connection, condition: sa.ColumnElement[bool], wanted: Wanted, alive: frozenset[str]
) -> list[RunRow]:
    """The page of rows, sorted here: what has no name last, and the newest first of those alike."""
    asked = sa.select(RUN.c.run_id, RUN.c[wanted.sort]).where(condition)
    found = connection.execute(asked.order_by(RUN.c.opened_at.desc(), RUN.c.run_id))
    named = [(run_id, visible(name)) for run_id, name in found]
    known = sorted(
        ((run_id, sort_key(name)) for run_id, name in named if name is not None),
        key=itemgetter(1),
        reverse=wanted.descending,
    )
    ids = [*(run_id for run_id, _ in known), *(run_id for run_id, name in named if name is None)]
    page = ids[wanted.offset : wanted.offset + wanted.limit]
    rows = connection.execute(sa.select(RUN).where(RUN.c.run_id.in_(page))).mappings()
    by_id = {row.run_id: row for row in (_row(each, alive) for each in rows)}
    return [by_id[run_id] for run_id in page]


_TEXTS = sa.func.coalesce(RUN.c.name, "") + "\n" + RUN.c.model + "\n" + RUN.c.owner_name + "\n" + RUN.c.run_id
"""Where words are looked for beside the tags; as one text, because making letters small takes the most of a search."""
_ROW_COLUMNS = (
    "run_id",
    "owner_id",
    "owner_name",
    "visibility",
    "link_token",
    "name",
    "model",
    "baseline_of",
    "opened_at",
    "state",
    "stop_reason",
    "prompts",
    "answered",
    "failed",
    "max_workers",
    "wall_s",
    "overlap",
    "tokens",
    "cost_usd",
    "events",
    "bytes",
    "process_id",
)
