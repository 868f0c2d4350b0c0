"""The store of a team and of a machine: runs in a database, driven by one process at a time.

Comes in: events of this process's runs; claims of runs that others left. Goes out: journals, runs made of their events.
Each run is driven by the process that its row names. Only it writes events, and only while the row still names it; a
run whose process has died is closed by whoever finds it first, and may then be claimed. Lists, names and sharing are in
`shelf`; what the writer's thread does is in `writer`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from fanout.clock import Clock, MonotonicClock, nanoseconds
from fanout.errors import BadInput
from fanout.events import Event, RunOpened, StretchOpened
from fanout.fold import fold
from fanout.metrics import last_stamp_ns
from fanout.people import Person, Visibility
from fanout.quota.caps import day_of
from fanout.run import Run
from fanout.store import starts
from fanout.store.database import Database, StoreLost
from fanout.store.encoding import moved, under_name, write
from fanout.store.interrupted import closing
from fanout.store.journal import SqlJournal
from fanout.store.ledger import Ledger
from fanout.store.living import beat_of, forget_dead, say_alive, take_leave
from fanout.store.memory import Attached, Claimed
from fanout.store.orphans import PATIENCE_S, Orphans
from fanout.store.processes import this_process
from fanout.store.rows import summarize
from fanout.store.shelf import as_tags, put_tags
from fanout.store.spending import Spending, sums
from fanout.store.statements import Statements
from fanout.store.stored import chunks_of, events_of, locked_row, was_here, write_summary
from fanout.store.tables import CHUNK, RUN
from fanout.store.writer import Writer

CLOSING_S = 10.0
"""How long `close` waits for a database that cannot be written."""


class SqlStore:
    """One process's hold of the database. From any thread; close it at the end."""

    immediate = False

    def __init__(
        self,
        database: Database,
        *,
        visibility: Visibility = "private",
        clock: Clock | None = None,
        ledger: Ledger | None = None,
        folder: Path | None = None,
        hourly: Callable[[SqlStore], object] | None = None,
        each_beat: Callable[[], None] | None = None,
        reads: bool = False,
    ) -> None:
        """`visibility`: of runs whose starter did not say. `ledger`: is told what all processes have spent today.
        `folder`: of this machine, for what has just started; beside a SQLite file where it is not said.

        `hourly` is called at start and once an hour, `each_beat` every second while a run goes on; both in the writer's
        thread. `reads`: of a process that comes to read, and goes: nothing is written of it unless it drives a run.
        """
        self.database = database
        self._ledger = ledger
        self._each_beat = each_beat
        self._visibility = visibility
        self._clock = clock or MonotonicClock()
        self._folder = folder or (database.path.parent if database.path is not None else None)
        self.process = this_process()
        self._orphans = Orphans(database, process_id=self.process.process_id, folder=self._folder)
        self._starts = None if self._folder is None else starts.Starts(self._folder, self.process.process_id)
        self._statements = Statements(database, process_id=self.process.process_id)
        self._spending = Spending(database, self._clock)
        self._writer = Writer(
            database,
            self._statements,
            self._spending,
            process=self.process,
            beat=self._beat,
            starts=self._starts,
            hourly=None if hourly is None else lambda: hourly(self),
        )
        if not reads:
            self._say_there()

    def __repr__(self) -> str:
        return f"<SqlStore {self.database!r}{' in trouble' if self.trouble else ''}>"

    # What the engine asks (fanout.store.Store)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, as a sentence; None where all is well."""
        return self._writer.trouble

    @property
    def holds_calls(self) -> bool:
        """Whether nothing further should start."""
        return self._writer.holds_calls

    def attach(self, engine: Attached) -> None:
        """The engine that writes into it; one at most."""
        self._writer.engine = engine

    def open(self, opened: RunOpened, *, visibility: Visibility | None = None) -> SqlJournal:
        """A new run's journal."""
        return SqlJournal(
            self,
            opened.run_id,
            user_id=opened.user_id,
            visibility=visibility or self._visibility,
            prompts=opened.batch.prompts,
        )

    def visibility_of(self, run_id: str) -> Visibility:
        """Who sees a run of this process, as its starter chose; what was changed since is in its row alone."""
        journal = self._writer.journals.get(run_id)
        return "private" if journal is None else journal.visibility

    def append(self, journal: SqlJournal, events: tuple[Event, ...]) -> None:
        """Have them written; a journal's own question."""
        self._writer.append(journal, events)

    def reopen(self, journal: SqlJournal) -> None:
        """Before another stretch: the run must still be this process's. Raises BadInput otherwise."""
        mine = RUN.c.process_id == self.process.process_id
        with self.database.write() as connection:
            say_alive(connection, self.process)
            moved_on = connection.execute(
                RUN.update().where(RUN.c.run_id == journal.run_id, mine).values(state="opening", stop_asked=False)
            )
        if moved_on.rowcount != 1:
            raise BadInput(
                "another process has gone on with this run meanwhile, or it was deleted: open its link again"
            )
        journal.goes_on = True

    def forget(self, run_id: str) -> None:
        """The engine remembers the run no longer; it stays in the database."""
        self._writer.forget(run_id)

    def later(self, write: Callable[[sa.Connection], None]) -> None:
        """Have this written by the writer's thread, so that nobody waits for it."""
        self._writer.later(write)

    def look(self, timeout_s: float) -> bool:
        """Tell the ledger now what all processes have spent; False where the database did not answer in time."""
        return self._writer.beat_now(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended is committed; False when the time ran out first."""
        return self._writer.flush(timeout_s)

    def close(self) -> bool:
        """Commit what waits and let go of the database; False where it could not be written."""
        done = self._writer.close(CLOSING_S)
        with suppress(StoreLost):
            if done:
                with self.database.read() as connection:
                    known = beat_of(connection, self.process.process_id) is not None
                if known:
                    with self.database.write(patience_s=PATIENCE_S) as connection:
                        take_leave(connection, self.process)
        if self._starts is not None and done:
            self._starts.close()
        self.database.close()
        return done

    # Runs that this process does not drive

    def events(self, run_id: str) -> tuple[Event, ...]:
        """The run's events, on its own clock; none where it is not known."""
        with self.database.read() as connection:
            return tuple(events_of(connection, run_id))

    def chunks(self, run_id: str, *, since: int = 0) -> Iterator[list[Event]]:
        """Those from number `since` on, piece by piece as they were committed."""
        with self.database.read() as connection:
            yield from chunks_of(connection, run_id, since=since)

    def settle(self, run_id: str) -> None:
        """Where the process that drove the run has died before the run's end: close the run.

        Raises StoreLost where that cannot be written; `left` then says how it would be.
        """
        self._orphans.settle(run_id)

    def left(self, run: Run) -> tuple[Event, ...]:
        """The events that close a run whose process has died; none where it has not, or the run has ended."""
        return self._orphans.left(run)

    def claim(self, run_id: str) -> Claimed:
        """Drive this run from now on. Raises BadInput while another process does, NoSuchRun where there is none."""
        with self.database.write() as connection:
            say_alive(connection, self.process)  # first, as everywhere: two rows locked crosswise are a deadlock
            row = locked_row(connection, run_id)
            events = events_of(connection, run_id)
            if row.state != "ended":
                if not self._orphans.is_one(connection, row):
                    raise BadInput(
                        "this run still goes on in another process: ask it to stop first, or wait for its end"
                    )
                events = self._orphans.bury(connection, row, events)
            connection.execute(
                RUN.update().where(RUN.c.run_id == run_id).values(process_id=self.process.process_id, stop_asked=False)
            )
        told = under_name(events, row.name)
        run = fold(told)
        shift_ns = self._shift_ns(run)
        journal = SqlJournal(
            self,
            run_id,
            user_id=row.owner_id,
            visibility=row.visibility,
            prompts=run.batch.prompts,
            next_seq=len(told),
            shift_ns=shift_ns,
            size=row.bytes,
        )
        return Claimed(journal=journal, events=moved(told, shift_ns))

    def put_in(
        self, events: Sequence[Event], owner: Person, *, tags: Sequence[str] = (), visibility: Visibility | None = None
    ) -> str:
        """Store a run that was made elsewhere, ended; gives its id.

        Whoever sees all runs keeps its id, unless that is taken. Others get a new one always: whether theirs was taken
        would tell of runs that they may not know of. That it measures another run's speed-up is believed only of who
        owns that run: the figure would stand there.

        A file whose events do not end the run was saved while it went on: whoever finds a dead process closes its run.
        """
        run = fold(events)
        ended = (*events, *closing(run, at_ns=last_stamp_ns(run), reason="saved"))
        keeps_id = owner.role == "admin"
        with self.database.write() as connection:
            opened = events[0]
            if not isinstance(opened, RunOpened):
                raise ValueError("the first event of a run is RunOpened")
            opened = replace(
                opened,
                run_id=run.run_id if keeps_id and not was_here(connection, run.run_id) else secrets.token_hex(8),
                user_id=owner.user_id,
                user_name=owner.name,
            )
            if opened.baseline_of is not None and owner.role != "admin":
                measured = sa.select(RUN.c.owner_id).where(RUN.c.run_id == opened.baseline_of)
                if connection.execute(measured).scalar() != owner.user_id:
                    opened = replace(opened, baseline_of=None)
            text = write((opened, *ended[1:]))
            seen_by = visibility or self._visibility
            self._statements.open_run(connection, opened, visibility=seen_by, imported=True)
            for event in events:
                if isinstance(event, StretchOpened):
                    self._statements.go_on(connection, opened.run_id, event)
            connection.execute(CHUNK.insert(), {"run_id": opened.run_id, "seq": 0, "events": len(ended), "data": text})
            summary = summarize(fold(ended))
            write_summary(connection, opened.run_id, summary, events=len(ended), size=len(text))
            put_tags(connection, opened.run_id, as_tags(tags))
        return opened.run_id

    def ask_to_stop(self, run_id: str) -> None:
        """Ask whoever drives the run to stop it; it hears within a second or so."""
        with self.database.write() as connection:
            connection.execute(RUN.update().where(RUN.c.run_id == run_id).values(stop_asked=True))

    def is_mine(self, process_id: str | None) -> bool:
        """Whether it is this very process."""
        return process_id == self.process.process_id

    def _say_there(self) -> None:
        """So that nobody takes the database for one that is not in use; the writer tries on where that must wait."""
        try:
            with self.database.write(patience_s=PATIENCE_S) as connection:
                gone = forget_dead(connection)
                say_alive(connection, self.process)
        except StoreLost as exc:
            self._writer.lost(exc)
        else:
            if self._folder is not None:
                starts.forget(self._folder, gone)

    def _shift_ns(self, run: Run) -> int:
        """This process's clock minus the run's: by the wall clock, and never so that the run's past lies ahead."""
        now_ns = self._clock.now_ns()
        by_wall_ns = now_ns - (run.opened_ns + nanoseconds(time.time() - run.opened_at_s))
        return min(by_wall_ns, now_ns - last_stamp_ns(run))

    # The beat, in the writer's thread

    def _beat(self) -> None:
        if self._each_beat is not None:
            self._each_beat()
        journals = [each for each in self._writer.living_journals() if each.dirty and not each.fenced]
        heard = None
        with self.database.write(waits=True) as connection:
            say_alive(connection, self.process)
            lost = []
            for journal in journals:
                if journal.shown is not None:
                    summary, count = journal.shown()
                    if journal.goes_on and summary.state == "ended":
                        summary = replace(summary, state="opening")
                    mine = self.process.process_id
                    if not write_summary(connection, journal.run_id, summary, events=count, size=journal.size, by=mine):
                        lost.append(journal)
            if self._ledger is not None:
                day = day_of(time.time())
                heard = (day, sums(connection, day), self._spending.told_of(day))
            asked = connection.execute(
                sa.select(RUN.c.run_id).where(
                    RUN.c.process_id == self.process.process_id, RUN.c.stop_asked == sa.true()
                )
            ).scalars()
            stop = tuple(asked)
            if stop:
                connection.execute(RUN.update().where(RUN.c.run_id.in_(stop)).values(stop_asked=False))
        for journal in journals:
            journal.told()
        if self._ledger is not None and heard is not None:
            self._ledger.hear(*heard)
        for journal in lost:
            self._writer.fence(journal)
        if self._writer.engine is not None:
            for run_id in stop:
                self._writer.engine.stop_run(run_id, "stopped")
