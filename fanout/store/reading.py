"""Runs read back from the database: ended ones, and those that another process drives, as they go on.

Comes in: a run's id, from somebody who may see it. Goes out: a `StoredRun`, whose snapshots follow what the driving
process commits. All who look at one run share its fold; an ended one is read once and kept a while.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from fanout.clock import nanoseconds
from fanout.fold import Fold, folded
from fanout.metrics import last_stamp_ns
from fanout.run import Run
from fanout.store.database import StoreLost
from fanout.store.memory import NoSuchRun
from fanout.store.sql import SqlStore

KEPT = 16
"""Runs that stay folded."""
LOOK_EVERY_S = 0.25
"""How often at most the database is asked what has happened."""


class StoredRun:
    """A run that this process does not drive. From any thread."""

    trouble = None

    def __init__(self, store: SqlStore, run_id: str) -> None:
        """Raises NoSuchRun where none is stored."""
        self.run_id = run_id
        self._store = store
        # Protects the fold from the threads of several viewers.
        self._lock = threading.Lock()
        self._fold: Fold | None = None
        self._seq = 0
        self._looked_s = 0.0
        self._left: tuple[Run, Run] | None = None  # as it is stored, and as it would be if it could be closed
        if self._look() is None:
            raise NoSuchRun("no such run")

    def __repr__(self) -> str:
        return f"<StoredRun {self.run_id[:4]} {self._seq} events>"

    def snapshot(self) -> Run:
        """The run as it is stored; the identical object while nothing has happened."""
        run = self._look()
        if run is None:
            raise NoSuchRun("no such run")
        return run

    @property
    def ended(self) -> bool:
        """Whether nothing goes on."""
        return self.snapshot().ended

    @property
    def max_workers(self) -> int:
        """Calls in flight at most."""
        return self.snapshot().max_workers

    def now_ns(self) -> int:
        """Now, on the clock of the run's stamps: by the wall clock, and never before what has happened."""
        run = self.snapshot()
        return max(run.opened_ns + nanoseconds(time.time() - run.opened_at_s), last_stamp_ns(run))

    def cancel(self) -> None:
        """Ask the process that drives it to stop; it hears within a second or two."""
        self._store.ask_to_stop(self.run_id)

    def _look(self) -> Run | None:
        with self._lock:
            if self._fold is not None:
                run = self._fold.run()
                if time.monotonic() - self._looked_s < LOOK_EVERY_S:
                    return self._left[1] if self._left is not None and self._left[0] is run else run
            self._looked_s = time.monotonic()
            settled = self._settle()
            for events in self._store.chunks(self.run_id, since=self._seq):
                if self._fold is None:
                    self._fold = folded(events)
                else:
                    for event in events:
                        self._fold.add(event)
                self._seq += len(events)
            if self._fold is None:
                return None
            return self._fold.run() if settled else self._as_left(self._fold)

    def _settle(self) -> bool:
        """Whether the store says how the run stands: it could close it, or did not have to."""
        try:
            self._store.settle(self.run_id)
        except StoreLost:
            return False
        return True

    def _as_left(self, stored: Fold) -> Run:
        """The run as its dead process left it, while that cannot be written."""
        run = stored.run()
        if self._left is None or self._left[0] is not run:
            closed = stored.copy()
            for event in self._store.left(run):
                closed.add(event)
            self._left = (run, closed.run())
        return self._left[1]


class Reading:
    """The stored runs that somebody looks at, or lately did. From any thread."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._runs: OrderedDict[str, StoredRun] = OrderedDict()
        self._lock = threading.Lock()  # protects the dict; never held while a run is read

    def run(self, run_id: str) -> StoredRun:
        """This run, as it is stored. Raises NoSuchRun. Who may see it was asked before."""
        with self._lock:
            found = self._runs.get(run_id)
        if found is None:
            found = StoredRun(self._store, run_id)
        with self._lock:
            found = self._runs.setdefault(run_id, found)
            self._runs.move_to_end(run_id)
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        return found

    def forget(self, run_id: str) -> None:
        """It has gone on elsewhere, or is deleted."""
        with self._lock:
            self._runs.pop(run_id, None)
