"""The one thread that writes: it commits what has gathered, at once where nothing was committed a moment ago.

Comes in: events, from any thread, which never wait. Goes out: transactions, and after each the word to the runs that
their events are kept. What cannot be written stays in memory and is tried again every second; `trouble` says so, also
while the database leaves this thread without an answer, and the engine starts nothing further until it is over.

Stamps that only a chart shows (`Sent`, a first token, a hold) do not wake the writer: they ride with the next commit,
or go by themselves after a tenth of a second.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from fanout.events import ClientLagged, Event, FirstToken, HoldChanged, RunOpened, Sent, Started, StretchOpened
from fanout.store.database import Database, Execute, StoreLost, executes, quick_transaction
from fanout.store.encoding import moved, write
from fanout.store.journal import SqlJournal
from fanout.store.living import say_alive
from fanout.store.memory import Attached
from fanout.store.processes import BEAT_S, Process
from fanout.store.spending import Spending, Spent
from fanout.store.starts import Starts
from fanout.store.statements import Statements
from fanout.store.trouble import Trouble

GATHER_S = 0.05
"""How long after a commit the next one is made at the earliest: many calls that end at once share one. A call that ends
alone is committed at once."""
RIDES_S = 0.1
"""How long a stamp waits for a commit that it can ride with."""
AGAIN_S = 1.0
"""How long the writer waits before it tries again what could not be written."""
HOUR_S = 3_600.0
MOST_WAITING = 20_000
"""Events that may wait before the engine is held: the database is slower than the calls."""

_RIDES: frozenset[type] = frozenset((Sent, FirstToken, HoldChanged, ClientLagged))
_LOG = logging.getLogger(__name__)


_Waiting = tuple[SqlJournal, tuple[Event, ...]]
"""A plain tuple: one is made for every step of every call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    journal: SqlJournal
    events: tuple[Event, ...]
    stored: bool
    size: int = 0
    """Characters that were written of it now."""
    spent: tuple[Spent, ...] = ()


class Writer:
    """The queue and its thread. Every method but the thread's may be called from any thread."""

    def __init__(
        self,
        database: Database,
        statements: Statements,
        spending: Spending,
        *,
        process: Process,
        beat: Callable[[], None],
        starts: Starts | None = None,
        hourly: Callable[[], object] | None = None,
    ) -> None:
        """`beat` is called in the writer's thread every second while a run goes on, and after a stretch has ended.

        `hourly`: the same at start, and once an hour.
        """
        self._database = database
        self._statements = statements
        self._spending = spending
        self._process = process
        self._driver_error: type[Exception] = database.writer.dialect.loaded_dbapi.Error
        self._beat = beat
        self._starts = starts
        self._hourly = hourly
        self._hour_due_s = float("inf") if hourly is None else 0.0
        self.engine: Attached | None = None
        self._waiting: list[_Waiting] = []
        self._events_waiting = 0
        self._notes: list[Callable[[sa.Connection], None]] = []
        self._urgent = False
        self._hurries = False  # somebody waits for a flush
        self._committed_s = 0.0  # when the last commit was made
        self._connection: sa.Connection | None = None  # the thread's
        self._held = False  # whether the engine was told that nothing may start
        self._busy = False
        self._closing = False
        self.journals: dict[str, SqlJournal] = {}
        self._beat_due_s: float | None = None
        # Protects all of the above from the threads of calls; never held while the database is written.
        self._lock = threading.Condition(threading.Lock())
        self._trouble = Trouble(
            database.silence, waits=lambda: bool(self._waiting or self._notes), tell=self._tell_engine
        )
        self._thread = threading.Thread(target=self._write_on, name="fanout-store", daemon=True)
        self._thread.start()

    def append(self, journal: SqlJournal, events: tuple[Event, ...]) -> None:
        """Have these events written."""
        kinds = set(map(type, events))
        with self._lock:
            self.journals[journal.run_id] = journal
            if self._starts is not None and Started in kinds:
                self._starts.note(journal.run_id, events, shift_ns=journal.shift_ns)
            self._waiting.append((journal, events))
            self._events_waiting += len(events)
            if not self._urgent and not kinds <= _RIDES:
                self._urgent = True
                self._lock.notify_all()

    def later(self, write: Callable[[sa.Connection], None]) -> None:
        """Have this written too, in a transaction of the writer's, after all that waits now."""
        with self._lock:
            self._notes.append(write)
            self._urgent = True
            self._lock.notify_all()

    def beat_now(self, timeout_s: float) -> bool:
        """Beat, after all that waits now, and wait for it; False when the time ran out first."""
        with self._lock:
            self._beat_due_s = 0.0
        self.later(lambda _: None)
        return self.flush(timeout_s)

    def lost(self, error: StoreLost) -> None:
        """Something could not be written: nothing further is sent until a beat has been."""
        with self._lock:
            self._in_trouble(error)
            self._beat_due_s = 0.0
            self._urgent = True
            self._lock.notify_all()

    def forget(self, run_id: str) -> None:
        """The engine remembers the run no longer."""
        with self._lock:
            journal = self.journals.get(run_id)
            if journal is not None:
                journal.forgotten = True  # it goes once its last summary is written

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, as a sentence; None where all is well."""
        return self._trouble.words

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing further should start."""
        return self._events_waiting > MOST_WAITING

    @property
    def holds_calls(self) -> bool:
        """Whether nothing further should start. Who was told so is told when it is over."""
        holds = self._trouble.words is not None or self.is_full
        self._held = self._held or holds
        return holds

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits; False when the time ran out first."""
        with self._lock:
            self._urgent = self._hurries = True
            self._lock.notify_all()
            return self._lock.wait_for(lambda: not (self._waiting or self._notes or self._busy), timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Write what waits, in one more try at last, and end the thread; False where it could not be written.

        Half of the time is for what goes on by itself, half for the last try.
        """
        self.flush(timeout_s / 2)
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._thread.join(timeout_s / 2)
        self._trouble.close()
        with self._lock:
            return not (self._waiting or self._notes or self._busy)

    # The thread

    def _write_on(self) -> None:
        while True:
            with self._lock:
                self._wait()
                goes_on = not self._closing
                taken, self._waiting = self._waiting, []
                notes, self._notes = self._notes, []
                self._urgent = self._hurries = False
                self._busy = True
            kept = self._commit(taken, notes) if taken or notes else True
            if kept and goes_on and self._is_beat_due():
                self._try_beat()
            if kept and goes_on and time.monotonic() >= self._hour_due_s:
                self._try_hourly()
            with self._lock:
                if not kept:
                    self._waiting[:0] = taken
                    self._notes[:0] = notes
                    self._urgent = True  # it is tried again, whether or not anything else happens
                self._events_waiting = sum(len(events) for _, events in self._waiting)
                self._busy = False
                if self._starts is not None and not self._waiting:
                    self._starts.all_committed()
                self._lock.notify_all()
            self._tell_engine()
            if not goes_on:
                break
            if not kept:
                with self._lock:
                    self._lock.wait_for(lambda: self._closing, AGAIN_S)
        if kept and self._beat_due_s is not None:
            self._try_beat()
        if self._connection is not None:
            self._connection.invalidate()  # closed for good: by now its pool may be gone
            self._connection.close()
        self._database.writer.dispose()  # what the beat took, where the store was closed without waiting for it

    def _wait(self) -> None:
        """Under the lock: until there is something to do. While a run goes on, a look at what rides now and then."""
        while not (self._urgent or self._closing):
            due_s, most_s = self._hour_due_s, HOUR_S
            if self._beat_due_s is not None:
                due_s, most_s = min(due_s, self._beat_due_s), RIDES_S
            wait_s = min(due_s - time.monotonic(), most_s)
            if wait_s <= 0 or not self._lock.wait(wait_s):
                break
        until_s = self._committed_s + GATHER_S
        while not (self._hurries or self._closing) and (wait_s := until_s - time.monotonic()) > 0:
            self._lock.wait(wait_s)

    def _commit(self, taken: list[_Waiting], notes: list[Callable[[sa.Connection], None]]) -> bool:
        """Write them in one transaction and tell their runs; whether that went well."""
        by_journal: dict[SqlJournal, list[Event]] = {}
        for journal, events in taken:
            by_journal.setdefault(journal, []).extend(events)
        self._trouble.asks()
        try:
            if notes or self.trouble is not None or any(map(_begins, by_journal.items())):
                with self._transaction() as connection:
                    if any(journal.next_seq == 0 for journal in by_journal):
                        say_alive(connection, self._process)  # before the first run is taken for an orphan's
                    chunks = [self._insert(connection, journal, events) for journal, events in by_journal.items()]
                    for note in notes:
                        note(connection)
            else:
                with self._connected() as connection, quick_transaction(connection) as execute:
                    chunks = [self._append(execute, journal, events) for journal, events in by_journal.items()]
        except Exception as exc:  # whatever it is: nothing that waits may be lost, and the thread must live
            self._trouble.has_answer()
            self._in_trouble(exc)
            return False
        self._trouble.is_over()
        self._committed_s = time.monotonic()
        for chunk in chunks:
            self._spending.told(chunk.spent)
            self._told(chunk)
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._connected() as connection, connection.begin():
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """The thread's own connection, kept because taking one from a pool costs as much as the commit."""
        if self._connection is None:
            self._connection = self._database.open_writer()
        try:
            yield self._connection
        except BaseException:
            connection, self._connection = self._connection, None
            with suppress(SQLAlchemyError, sqlite3.Error, OSError):
                connection.invalidate()
                connection.close()
            raise

    def _insert(self, connection: sa.Connection, journal: SqlJournal, events: Sequence[Event]) -> _Chunk:
        """Of a run that begins, or of one of which nobody knows how much is stored."""
        seq = journal.next_seq
        if journal.fenced:
            return self._append(executes(connection), journal, events)
        if self.trouble is not None:  # a commit whose confirmation was lost may have been made all the same
            stored = self._statements.stored(connection, journal.run_id)
            if stored is None:
                return _Chunk(journal=journal, events=tuple(events), stored=False)
            seq = max(seq, stored)
        for event in events[seq - journal.next_seq :]:
            if isinstance(event, RunOpened):
                self._statements.open_run(connection, event, visibility=journal.visibility)
            if isinstance(event, StretchOpened) and event.changes:
                self._statements.go_on(connection, journal.run_id, event)
        return self._append(executes(connection), journal, events, seq=seq)

    def _append(
        self, execute: Execute, journal: SqlJournal, events: Sequence[Event], *, seq: int | None = None
    ) -> _Chunk:
        """Write those from number `seq` on; None: all of them."""
        told = tuple(events)
        if journal.fenced:
            return self._spent(execute, _Chunk(journal=journal, events=told, stored=False), told)
        seq = journal.next_seq if seq is None else seq
        new = told[seq - journal.next_seq :]
        if not new:
            return _Chunk(journal=journal, events=told, stored=True)
        text = write(moved(new, -journal.shift_ns))
        mine = self._statements.append(execute, run_id=journal.run_id, seq=seq, events=len(new), data=text)
        return self._spent(execute, _Chunk(journal=journal, events=told, stored=mine, size=len(text)), new)

    def _spent(self, execute: Execute, chunk: _Chunk, events: tuple[Event, ...]) -> _Chunk:
        """What came of these events was paid for, also where the run is another process's now."""
        journal = chunk.journal
        spent = self._spending.of(journal.run_id, journal.user_id, journal.prompts, events)
        self._spending.write(execute, spent)
        return replace(chunk, spent=spent) if spent else chunk

    def _told(self, chunk: _Chunk) -> None:
        journal = chunk.journal
        if chunk.stored:
            journal.next_seq += len(chunk.events)
            journal.size += chunk.size
            journal.note(chunk.events)
            if not journal.goes_on or self._beat_due_s is None:
                self._beat_due_s = 0.0  # the list of runs says at once that it has begun, or ended
        else:
            self.fence(journal)
        journal.kept(chunk.events)

    def fence(self, journal: SqlJournal) -> None:
        """Another process drives this run now, or it was deleted. In the writer's thread."""
        if journal.fenced:
            return
        journal.fence()
        if self.engine is not None:
            self.engine.stop_run(journal.run_id, "interrupted")

    def _is_beat_due(self) -> bool:
        return self._beat_due_s is not None and time.monotonic() >= self._beat_due_s

    def _try_beat(self) -> None:
        self._trouble.asks()
        try:
            self._beat()
            self._trouble.is_over()
        except Exception as exc:  # the thread must live
            self._trouble.has_answer()
            self._in_trouble(exc)
        with self._lock:
            self.journals = {each.run_id: each for each in self.journals.values() if each.dirty or not each.forgotten}
        goes_on = any(journal.goes_on for journal in self.living_journals())
        self._beat_due_s = time.monotonic() + BEAT_S if goes_on or self.trouble else None

    def _try_hourly(self) -> None:
        self._hour_due_s = time.monotonic() + HOUR_S
        if self._hourly is None:
            return
        self._trouble.asks("expire")
        try:
            self._hourly()
        except Exception as exc:  # nobody waits for it, and in an hour it is tried again
            _LOG.warning("runs that are kept no longer could not be deleted: %s", self._database.reason_of(exc))
        self._trouble.has_answer()

    def living_journals(self) -> tuple[SqlJournal, ...]:
        """Those of the runs that the engine remembers."""
        with self._lock:
            return tuple(self.journals.values())

    def _in_trouble(self, error: Exception) -> None:
        reason = self._database.reason_of(error)
        if not isinstance(error, (SQLAlchemyError, sqlite3.Error, OSError, StoreLost, self._driver_error)):
            _LOG.error("the store's writer met a fault of ours: %s", type(error).__name__, exc_info=error)
        self._trouble.failed(reason)

    def _tell_engine(self) -> None:
        held = self.trouble is not None or self.is_full
        if held != self._held and self.engine is not None:
            self._held = held
            self.engine.store_changed()


def _begins(told: tuple[SqlJournal, Sequence[Event]]) -> bool:
    """Whether more is to be written than these events: the run's row, or its settings."""
    journal, events = told
    return journal.next_seq == 0 or StretchOpened in map(type, events)
