"""The runs of a process and of its store, for those who may see them: started, found, gone on with, kept no longer.

Comes in: settings, and who asks. Goes out: runs, live where this process drives them and read from the store where
another one does or did. It is what the dashboard and the command line stand on; `Engine` alone is for programs that
keep nothing. Every question names a `Person`, and a run that they may not see is answered like one that never was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fanout.archive import read_run
from fanout.batch import Batch
from fanout.engine import Engine
from fanout.errors import BadInput, NotAllowed
from fanout.events import Event
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL, Person, Visibility, may_drive, may_read, may_start
from fanout.providers.account import server_of
from fanout.quota.shared import Sharing
from fanout.reuse import answers_for, carried
from fanout.run import Run
from fanout.settings import Settings
from fanout.store import NoSuchRun
from fanout.store.audit import Told, read_audit
from fanout.store.database import StoreLost, open_database
from fanout.store.encoding import under_name
from fanout.store.ledger import Ledger, Today
from fanout.store.reading import Reading, StoredRun
from fanout.store.rows import RunRow, named, row_of, summarize
from fanout.store.shelf import Found, Shelf, Wanted, audit
from fanout.store.sql import SqlStore
from fanout.stretch import Known
from fanout.wiring import engine_of, expiry_of, ledger_of, store_url

if TYPE_CHECKING:
    from fanout.store.quota_rows import QuotaRows

MOST_SETTLED = 5
"""Runs whose process died that are closed while one list is drawn: it takes a look at every call of them."""
LOOK_WITHIN_S = 2.0
"""How long a start waits for what other processes have spent; a database that does not answer holds the run anyway."""
LOOKED_THROUGH = 50
"""Runs of the same model and settings, the newest ones, in which answers are looked for."""


Watched = LiveRun | StoredRun
"""A run to look at: driven by this process, or read from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run that somebody may see."""

    row: RunRow
    run: Watched
    may_drive: bool
    """Whether they may also stop it, go on with it, name and share it."""

    @property
    def live(self) -> LiveRun | None:
        """The run, where this process drives it."""
        return self.run if isinstance(self.run, LiveRun) else None

    def named(self) -> Run:
        """The run as it stands, under the name that it has now."""
        return named(self.run.snapshot(), self.row.name)


class Library:
    """One per process; close it, or use it in a with block. From any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        quota_file: Path | None = None,
        engine: Engine | None = None,
        visibility: Visibility = "private",
        reads: bool = False,
    ) -> None:
        """Open the store that the settings name. Raises BadInput where it cannot be, or a newer program wrote it.

        `engine`: one that is there already and keeps its runs in memory; then nothing is stored. `visibility`: who sees
        a run whose starter did not say, where the settings do not say either. `reads`: it is opened to read, for a
        moment, and that a store that takes nothing now allows.
        """
        self.settings = settings
        self._usual = settings.usual_visibility or visibility
        self._store: SqlStore | None = None
        self._ledger: Ledger | None = None
        self._quota_rows: QuotaRows | None = None
        if engine is None:
            database = open_database(store_url(settings))
            self._ledger = ledger_of(settings)
            if not (reads or database.is_sqlite or quota_file or settings.quota_file):
                from fanout.store.quota_rows import QuotaRows  # late: it imports the driver

                self._quota_rows = QuotaRows(database.url)
            self._store = SqlStore(
                database,
                visibility=self._usual,
                ledger=self._ledger,
                folder=None if database.is_sqlite else settings.data_dir,
                hourly=None if reads else expiry_of(settings),
                reads=reads,
                each_beat=None if self._quota_rows is None else self._quota_rows.mend,
            )
            sharing = None if self._quota_rows is None else Sharing(keeper=self._quota_rows, local=False)
            engine = engine_of(settings, store=self._store, quota_file=sharing or quota_file, ledger=self._ledger)
        self.engine = engine
        self.shelf = None if self._store is None else Shelf(self._store.database)
        self._reading = None if self._store is None else Reading(self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the runs that go on, as `Engine.close` does, and let go of the store."""
        self.engine.close(grace_s=grace_s)
        if self._store is not None:
            self._store.close()
        if self._quota_rows is not None:
            self._quota_rows.close()

    @property
    def usual_visibility(self) -> Visibility:
        """Who sees a run whose starter did not say."""
        return self._usual

    @property
    def trouble(self) -> str | None:
        """Why nothing can be kept now; None where all is well."""
        return None if self._store is None else self._store.trouble

    def start(
        self,
        batch: Batch,
        *,
        by: Person = LOCAL,
        visibility: Visibility | None = None,
        baseline_of: str | None = None,
        carry_from: str | None = None,
        token: str | None = None,
    ) -> LiveRun:
        """Run the batch. Raises BadInput, with nothing sent, where it cannot be run or this person may not.

        `carry_from`: a run whose answers this one takes where the prompt is the same; the first of several identical
        prompts takes the first's. `token`: of the link by which the person came to it.
        """
        if not may_start(by):
            raise NotAllowed("viewers read runs and start none: ask an admin to make you a member")
        self._check_caps(by, by.user_id)
        reused = self._known(by, batch, carry_from=carry_from, token=token)
        live = self.engine.start(batch, by=by, visibility=visibility, baseline_of=baseline_of, reused=reused)
        self._audit(by, "started", live.run_id, f"{_prompts(batch)}, {batch.model}")
        return live

    def answered_before(
        self, person: Person, batch: Batch, *, carry_from: str | None = None, token: str | None = None
    ) -> frozenset[int]:
        """The prompts, by place, for which `start` would take an answer that is there already."""
        return frozenset(self._known(person, batch, carry_from=carry_from, token=token))

    def _known(self, by: Person, batch: Batch, *, carry_from: str | None, token: str | None) -> dict[int, Known]:
        found: dict[int, Known] = {}
        if carry_from is not None:
            found.update(carried(self.find(by, carry_from, token=token).run.snapshot(), batch))
        if batch.reuse_answers:
            found.update(self._answers(by, batch, without=found))
        return found

    def find(self, person: Person, run_id: str, *, token: str | None = None) -> Opened:
        """One run, for somebody who may see it. `token`: of the link they came with. Raises NoSuchRun."""
        live = self.engine.find(run_id)
        if self.shelf is None or self._store is None or self._reading is None:
            return self._found_in_memory(person, live)
        try:
            try:
                row = self.shelf.find(person, run_id, token=token)
            except NoSuchRun:
                if live is None:
                    raise
                if live.record.is_new:
                    return self._found_in_memory(person, live)  # it was started this moment: its row is being written
                row = self.shelf.find(person, run_id, token=token)  # written since, or deleted
        except StoreLost:
            if live is None or not may_drive(person, owner_id=live.record.now().user_id):
                raise  # nobody knows with whom it is shared by now
            return self._found_in_memory(person, live)  # it goes on, held, and says so
        if live is not None and not self._store.is_mine(row.process_id):
            self.engine.forget(run_id)  # another process has gone on with it
            live = None
        run: Watched = live or self._reading.run(run_id)
        return Opened(row=row, run=run, may_drive=may_drive(person, owner_id=row.owner_id))

    def newest(self, person: Person, most: int) -> tuple[RunRow, ...]:
        """The newest runs that this person may see, those that go on first."""
        going = self.list(person, Wanted(show="going", limit=most)).rows
        rows = {row.run_id: row for row in (*going, *self.list(person, Wanted(limit=most)).rows)}
        return tuple(sorted(rows.values(), key=lambda row: not row.goes_on))[:most]

    def driven(self, person: Person) -> tuple[LiveRun, ...]:
        """The runs of this process that this person may see, the newest first."""
        runs = self.engine.runs()
        if self.shelf is None or person.role == "admin":
            return runs
        seen = self.shelf.seen(person, [live.run_id for live in runs])
        return tuple(live for live in runs if live.run_id in seen)

    def list(self, person: Person, wanted: Wanted) -> Found:
        """The runs that this person may see and asked for."""
        if self.shelf is None:
            runs = (row_of(live.record.now(), self._usual) for live in self.engine.runs())
            seen = [row for row in runs if _is_wanted(row, person, wanted)]
            return Found(rows=tuple(seen[wanted.offset : wanted.offset + wanted.limit]), count=len(seen))
        found = self.shelf.list(person, wanted)
        left = [row.run_id for row in found.rows if row.state == "interrupted"][:MOST_SETTLED]
        settled = self._settle(left)
        if left:
            found = self.shelf.list(person, wanted)
        if settled and self.trouble is None:
            return found
        new = self._not_stored_yet(person, wanted)
        rows = (self._held(row) if row.goes_on or row.run_id in left else row for row in found.rows)
        return Found(rows=(*new, *rows), count=found.count + len(new))

    def events(self, person: Person, run_id: str, *, token: str | None = None) -> tuple[Event, ...]:
        """All that is stored of a run that they may see, under the name it has: for a file that loses nothing."""
        row = self.find(person, run_id, token=token).row
        live = self.engine.find(run_id)
        if self._store is None and live is not None:
            return live.events()
        if self._store is None:
            raise NoSuchRun("no such run")
        with suppress(StoreLost):
            self._store.settle(run_id)
        events = self._store.events(run_id)
        return under_name((*events, *self._store.left(fold(events))), row.name)

    def put_in(self, person: Person, text: str | bytes) -> str:
        """Store the run of a run file, as this person's own, seen by nobody else yet. Raises BadInput on another."""
        if not may_start(person):
            raise NotAllowed("viewers read runs and import none: ask an admin to make you a member")
        if self._store is None:
            raise BadInput("nothing is stored here")
        file = read_run(text)
        run_id = self._store.put_in(file.events, person, tags=file.tags, visibility="private")
        self._audit(person, "imported", run_id, None)
        return run_id

    def resume(
        self, person: Person, run_id: str, *, changes: Mapping[str, Any] | None = None, token: str | None = None
    ) -> LiveRun:
        """Send what has no answer, as a new stretch. Raises BadInput where it goes on, or this person may not."""
        self._check_caps(person, self._drive(person, run_id, token=token).row.owner_id)
        live = self.engine.resume(run_id, changes=changes, by=person)
        if self._reading is not None:
            self._reading.forget(run_id)
        self._audit(person, "resumed", run_id, ", ".join(changes or ()) or None)
        return live

    def today(self, person: Person) -> tuple[Today, Today] | None:
        """What this person and the team have used of their caps since midnight UTC; None where no cap is set."""
        if self._ledger is None or self._store is None:
            return None
        if self._ledger.is_stale:
            self._store.look(LOOK_WITHIN_S)
        return self._ledger.of_user(person), self._ledger.of_team()

    def _check_caps(self, by: Person, owner_id: str) -> None:
        """Raise CapIsReached where the owner, or the team, has used what they may use today."""
        if self._ledger is not None and self._store is not None:
            self._store.look(LOOK_WITHIN_S)
            self._ledger.check(owner_id, by)

    def stop(self, person: Person, run_id: str) -> None:
        """Stop it, or ask the process that drives it to."""
        self._drive(person, run_id).run.cancel()
        self._audit(person, "stopped", run_id, None)

    def delete(self, person: Person, run_id: str) -> None:
        """The run is gone. Raises BadInput while it goes on."""
        if self.shelf is None:
            raise BadInput("nothing is stored here: this run goes with the process")
        self.shelf.delete(person, run_id)
        self.engine.forget(run_id)
        if self._reading is not None:
            self._reading.forget(run_id)

    def baseline_of(self, person: Person, opened: Opened) -> Watched | None:
        """The newest run that measures its speed-up: its owner's, with the same prompts, or one that they may see."""
        run_id, owner_id = opened.row.run_id, opened.row.owner_id
        try:
            for live in self.engine.runs():
                now = live.record.now()
                if now.baseline_of == run_id and (now.user_id == owner_id or self._sees(person, live)):
                    return live
            if self.shelf is None or self._reading is None:
                return None
            row = self.shelf.baseline(person, run_id, owner_id=owner_id)
            return None if row is None else self._reading.run(row.run_id)
        except StoreLost:
            return None

    def audited(self, person: Person, *, words: str = "", offset: int = 0, limit: int = 100) -> Told:
        """Who did what, the newest first, for admins. Raises NotAllowed for anybody else."""
        if self.shelf is None:
            return Told(lines=(), count=0)
        return read_audit(self.shelf.database, person, words=words, offset=offset, limit=limit)

    def _sees(self, person: Person, live: LiveRun) -> bool:
        """Whether this person may see a run of this process; its starter may before its row is written."""
        owner_id, alone = live.record.now().user_id, self._usual if self.shelf is None else "private"
        if may_read(person, owner_id=owner_id, visibility=alone, link_shown=False):
            return True
        return self.shelf is not None and live.run_id in self.shelf.seen(person, [live.run_id])

    def _drive(self, person: Person, run_id: str, *, token: str | None = None) -> Opened:
        opened = self.find(person, run_id, token=token)
        if not opened.may_drive:
            raise NotAllowed("only the run's owner or an admin may do that: duplicate it into a run of your own")
        return opened

    def _settle(self, run_ids: Sequence[str]) -> bool:
        """Close them, so that a list counts what was answered to the end; whether the store could be told."""
        try:
            for run_id in run_ids:
                if self._store is not None:
                    self._store.settle(run_id)
        except StoreLost:
            return False  # what can be read is listed, whatever cannot be written
        return True

    def _not_stored_yet(self, person: Person, wanted: Wanted) -> tuple[RunRow, ...]:
        """Runs of this process that wait for the store since before their first write; their owner sees them."""
        if wanted.offset or wanted.words or wanted.show not in ("all", "mine", "going"):
            return ()
        new = (row_of(live.record.now()) for live in self.engine.runs() if live.record.is_new)
        return tuple(replace(row, held=True) for row in new if _is_wanted(row, person, wanted))

    def _held(self, row: RunRow) -> RunRow:
        """The row while the store takes nothing: the run is further than it says; one of this process waits for it."""
        if self._store is None or self._reading is None:
            return row
        live = self.engine.find(row.run_id) if self._store.is_mine(row.process_id) else None
        if live is None and row.goes_on:
            return row
        now = summarize((live or self._reading.run(row.run_id)).snapshot())
        held = live is not None and row.goes_on
        return replace(
            row, held=held, answered=now.answered, failed=now.failed, tokens=now.tokens, cost_usd=now.cost_usd
        )

    def _found_in_memory(self, person: Person, live: LiveRun | None) -> Opened:
        if live is None:
            raise NoSuchRun("no such run")
        chosen = self._usual if self._store is None else self._store.visibility_of(live.run_id)
        row = row_of(live.record.now(), chosen)
        if not may_read(person, owner_id=row.owner_id, visibility=row.visibility, link_shown=False):
            raise NoSuchRun("no such run")
        return Opened(row=row, run=live, may_drive=may_drive(person, owner_id=row.owner_id))

    def _answers(self, person: Person, batch: Batch, *, without: Mapping[int, Known]) -> dict[int, Known]:
        """Answers that were given before, by the same model under the same settings, in runs that they may see."""
        if self.shelf is None or self._reading is None:
            return {}
        wanted = {call: prompt for call, prompt in enumerate(batch.prompts) if call not in without}
        found: dict[int, Known] = {}
        for run_id in self.shelf.alike(person, batch, limit=LOOKED_THROUGH):
            found |= answers_for(wanted, self._reading.run(run_id).snapshot(), server=server_of(batch.model))
            wanted = {call: prompt for call, prompt in wanted.items() if call not in found}
            if not wanted:
                break
        return found

    def _audit(self, person: Person, action: str, run_id: str, words: str | None) -> None:
        if self._store is not None:
            self._store.later(lambda connection: audit(connection, person, action, run_id, words))


def _is_wanted(row: RunRow, person: Person, wanted: Wanted) -> bool:
    """Of a run in memory: whether this person may see it, and whether it is among those that go on if only they are."""
    may = may_read(person, owner_id=row.owner_id, visibility=row.visibility, link_shown=False)
    return may and (wanted.show != "going" or row.goes_on)


def _prompts(batch: Batch) -> str:
    return f"{len(batch.prompts):,} prompt{'' if len(batch.prompts) == 1 else 's'}"
