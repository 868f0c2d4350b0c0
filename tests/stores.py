"""Stores in a database, with engines over them whose calls a test finishes by hand; and what can befall a database.

Comes in: a URL. Goes out: a `Kept`: one process's store, library and engine. Two of them on one URL are two processes
to each other: each has its own row in the table of processes. `die` makes one of them a process that was killed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
import sqlalchemy as sa

from fanout.batch import Batch
from fanout.clock import Clock
from fanout.engine import Engine
from fanout.events import Event
from fanout.library import Library
from fanout.live import LiveRun
from fanout.quota.limits import Limits
from fanout.settings import Settings, read_settings
from fanout.store.database import Database, open_database
from fanout.store.shelf import Shelf
from fanout.store.sql import SqlStore
from fanout.store.tables import CHUNK, PROCESS
from tests.hands import WAIT_S, HandCaller, HandSending


class Kept:
    """One process's hold of a database. Use it in a with block."""

    def __init__(self, url: str, *, limits: Limits = Limits(), **settings: Any) -> None:  # noqa: B008  # frozen
        self.url = url
        self.database = open_database(url)
        self.store = SqlStore(self.database, folder=folder_of(self.database))
        self.callers: list[HandCaller] = []
        self.engine = Engine(
            store=self.store, caller_for=self._caller, jitter=lambda: 0.0, limits_for=lambda _model: limits
        )
        self.shelf = Shelf(self.database)
        self.library = _library(self, settings)
        self._dead = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._dead:
            self.library.close()

    @property
    def caller(self) -> HandCaller:
        """Of the newest run."""
        return self.callers[-1]

    def start(self, count: int = 3, *, max_workers: int = 2, **settings: Any) -> LiveRun:
        """A run of so many prompts, by the engine alone."""
        prompts = settings.pop("prompts", [f"prompt {number}" for number in range(count)])
        return self.engine.start(Batch(prompts=prompts, max_workers=max_workers, **settings))

    def sent(self, place: int) -> HandSending:
        """The newest run's attempt of this number, from 0, once it was sent."""
        return self.caller.taken(place + 1)[place]

    def sent_for(self, place: int) -> HandSending:
        """The newest run's attempt of the prompt of this place, once it was sent; of `start`'s own prompts."""
        return self.caller.taken_for(f"prompt {place}")

    def answered(self, count: int = 1, **settings: Any) -> LiveRun:
        """A run that has ended and is stored: each prompt answered with itself."""
        live = self.start(count, **settings)
        for place in range(len(live.batch.prompts)):
            sending = self.sent(place)
            sending.answer(f"answer to {sending.prompt}")
        assert live.wait(WAIT_S)
        assert self.store.flush(WAIT_S)
        return live

    def stored(self, run_id: str) -> tuple[Event, ...]:
        """The run's events that are in the database, whatever this process believes."""
        return self.store.events(run_id)

    def chunks(self) -> list[tuple[str, int, int, str]]:
        """Every row of events."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(CHUNK).order_by(CHUNK.c.run_id, CHUNK.c.seq))
            return [(row.run_id, row.seq, row.events, row.data) for row in rows]

    def die(self) -> None:
        """To every other process this one was killed: it has ended without a word, and what it held in memory is gone.

        Here its threads live on, and a test may have it write: it is then the process that was thought dead.
        """
        self._dead = True
        _DEAD.append(self)
        with self.database.write() as connection:
            row = PROCESS.c.process_id == self.store.process.process_id
            connection.execute(PROCESS.update().where(row).values(born="another process's"))

    def _caller(self, batch: Batch, clock: Clock) -> HandCaller:
        self.callers.append(HandCaller())
        return self.callers[-1]


def folder_of(database: Database) -> Path | None:
    """Where processes of this machine keep what has just started, as `Library` chooses it."""
    return None if database.is_sqlite else read_settings().data_dir


_DEAD: list[Kept] = []


def bury() -> None:
    """End the threads of those that died; after each test."""
    while _DEAD:
        kept = _DEAD.pop()
        kept.engine.close()
        kept.store.close()


def _library(kept: Kept, settings: dict[str, Any]) -> Library:
    """A library over this store and this engine, as it makes itself over those of the settings."""
    library = Library(Settings(**settings), engine=kept.engine)
    from fanout.store.reading import Reading

    library._store = kept.store
    library.shelf = kept.shelf
    library._reading = Reading(kept.store)
    return library


def is_held(live: LiveRun) -> bool:
    """Whether the run starts nothing because of its store."""
    holds = live.record.now().holds
    return bool(holds) and holds[-1].held_by == "store"


def eventually(found: Callable[[], object]) -> None:
    """Block until this is true: it is asked again and again, and the time only ever means failure."""
    until_s = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < until_s, "never came to be"
        time.sleep(0.005)  # between two looks


@contextmanager
def blocked(url: str) -> Iterator[None]:
    """Meanwhile somebody else writes, and nobody can beside them; reading goes on."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(file_of(url), isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()
        return
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE run, chunk, process IN EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def refusing(url: str, table: str = "chunk", *, on: str = "INSERT", words: str = "no space left") -> Iterator[None]:
    """Meanwhile the database takes nothing into this table, or changes nothing there."""
    for_sqlite = (
        f"CREATE TRIGGER refusing BEFORE {on} ON {table} BEGIN SELECT RAISE(ABORT, '{words}'); END",
        "DROP TRIGGER refusing",
    )
    for_postgres = (
        f"CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE '{words}'; END $$ LANGUAGE plpgsql; "
        f"CREATE TRIGGER refusing BEFORE {on} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()",
        f"DROP TRIGGER refusing ON {table}; DROP FUNCTION refuse()",
    )
    begin, end = for_sqlite if url.startswith("sqlite") else for_postgres
    say(url, begin)
    try:
        yield
    finally:
        say(url, end)


def say(url: str, *statements: str) -> None:
    """These statements, by somebody who knows SQL."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(file_of(url), timeout=20)
        for statement in statements:
            connection.executescript(statement)
        connection.close()
        return
    with psycopg.connect(url, autocommit=True) as other:
        for statement in statements:
            other.execute(statement.encode())


def asked(url: str, query: str) -> Sequence[tuple[Any, ...]]:
    """The rows of a query, asked past the store."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(file_of(url))
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    with psycopg.connect(url) as other:
        return other.execute(query.encode()).fetchall()


def file_of(url: str) -> Path:
    """The file of a SQLite URL."""
    return Path(sa.make_url(url).database or "")
