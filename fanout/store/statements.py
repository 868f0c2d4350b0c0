"""What is written while calls go on, as SQL compiled once: the statements of the writer's thread.

Compiled by SQLAlchemy for the database's dialect, run as they are: building each anew took two thirds of a commit's
CPU. A chunk goes in only while this process is the one that drives the run; nothing of a run that somebody else has
taken over is written.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from fanout.events import RunOpened, StretchOpened
from fanout.letters import sendable
from fanout.people import Visibility
from fanout.store.database import Database, Execute
from fanout.store.rows import IMPORTED, settings_key
from fanout.store.tables import CHUNK, RUN

MOST_WORDS, MOST_WORD = 20, 200
"""Of a search; further words are not looked at, nor is a word past so many characters."""


class Statements:
    """The writer's statements, for one process."""

    def __init__(self, database: Database, *, process_id: str) -> None:
        self._process_id = process_id
        # The row is locked where the database locks rows: nobody takes the run over between the look and the write.
        chunk = (
            sa.select(
                sa.bindparam("run_id", type_=sa.Text),
                sa.bindparam("seq", type_=sa.Integer),
                sa.bindparam("events", type_=sa.Integer),
                sa.bindparam("data", type_=sa.Text),
            )
            .where(
                RUN.c.run_id == sa.bindparam("driven", type_=sa.Text),
                RUN.c.process_id == sa.bindparam("process_id", type_=sa.Text),
            )
            .with_for_update(read=True)
        )
        compiled = (
            CHUNK.insert()
            .from_select(["run_id", "seq", "events", "data"], chunk)
            .compile(dialect=database.writer.dialect)
        )
        self._append = str(compiled)
        self._positions = getattr(compiled, "positiontup", None)

    def append(self, execute: Execute, *, run_id: str, seq: int, events: int, data: str) -> bool:
        """Write a chunk; False where this process does not drive the run, and nothing was written."""
        values: dict[str, Any] = {
            "run_id": run_id,
            "driven": run_id,
            "seq": seq,
            "events": events,
            "data": data,
            "process_id": self._process_id,
        }
        given = values if self._positions is None else tuple(values[name] for name in self._positions)
        return execute(self._append, given) == 1

    def stored(self, connection: sa.Connection, run_id: str) -> int | None:
        """How many events of the run are in the database; None where another process drives it, or nobody."""
        driver = connection.execute(sa.select(RUN.c.process_id).where(RUN.c.run_id == run_id)).first()
        if driver is not None and driver.process_id != self._process_id:
            return None
        last = sa.select(CHUNK.c.seq + CHUNK.c.events).where(CHUNK.c.run_id == run_id).order_by(CHUNK.c.seq.desc())
        return connection.execute(last.limit(1)).scalar() or 0

    def open_run(
        self, connection: sa.Connection, opened: RunOpened, *, visibility: Visibility, imported: bool = False
    ) -> None:
        """The row of a new run, driven by this process."""
        batch = opened.batch
        connection.execute(
            RUN.insert(),
            {
                "run_id": opened.run_id,
                "owner_id": opened.user_id,
                "owner_name": plain(opened.user_name),
                "visibility": visibility,
                "link_token": new_token() if visibility == "link" else None,
                "name": None if batch.name is None else plain(batch.name),
                "model": plain(batch.model),
                "settings_key": f"{IMPORTED if imported else ''}{settings_key(batch)}",
                "baseline_of": opened.baseline_of,
                "opened_at": opened.opened_at_s,
                "state": "opening",
                "prompts": len(batch.prompts),
                "answered": 0,
                "failed": 0,
                "max_workers": batch.max_workers,
                "tokens": 0,
                "events": 0,
                "bytes": 0,
                "process_id": self._process_id,
                "stop_asked": False,
            },
        )

    def go_on(self, connection: sa.Connection, run_id: str, opened: StretchOpened) -> None:
        """A stretch with other settings: once answers under two of them are in one run, none is taken from it."""
        changes = opened.changes or {}
        if not _OF_ANSWERS & set(changes):
            return
        of_a_file = RUN.c.settings_key.startswith(IMPORTED)
        values: dict[str, Any] = {"settings_key": sa.case((of_a_file, f"{IMPORTED}several"), else_="several")}
        if "model" in changes:
            values["model"] = plain(str(changes["model"]))
        connection.execute(
            RUN.update().where(RUN.c.run_id == run_id, RUN.c.process_id == self._process_id).values(values)
        )


_OF_ANSWERS = frozenset({"model", "instructions", "temperature", "max_output_tokens", "sandbox"})
"""The settings that `settings_key` is made of."""


def new_token() -> str:
    """Of a link that nobody guesses."""
    return secrets.token_urlsafe(24)


def plain(text: str) -> str:
    """`text` as both databases hold it: PostgreSQL takes no NUL, and neither takes half a surrogate pair."""
    return sendable(text).replace("\x00", "")


def words_of(text: str) -> tuple[str, ...]:
    """The words that somebody searches for, in small letters."""
    return tuple(word[:MOST_WORD] for word in plain(text).lower().split()[:MOST_WORDS])


def holds_word(text: sa.ColumnElement[Any], word: str) -> sa.ColumnElement[bool]:
    """Whether a column holds this word of small letters, in any case of letters; % and _ are letters like others."""
    return sa.func.lower(text).contains(word, autoescape=True)
