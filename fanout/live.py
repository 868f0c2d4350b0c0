"""A run that goes on: what a caller or a page holds of it, and the record it leaves.

`LiveRun` is the run's face: snapshots, results, the slider, pause, stop, retry. It decides and sends nothing itself:
what it is asked, it hands to its engine; what happens, the engine writes into its record. Two locks, always taken in
this order: the engine's (schedules and limits of all runs), then the record's (the fold of one run).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self

from fanout.batch import Batch, check_max_workers, check_weight
from fanout.clock import Clock, seconds
from fanout.events import (
    Cancelled,
    Event,
    Failed,
    FirstToken,
    NotSent,
    Reused,
    RunOpened,
    Sent,
    StretchEnded,
    Succeeded,
)
from fanout.fold import Fold, folded
from fanout.quota.view import AccountView
from fanout.run import ENDED, Call, Result, Run, result_of
from fanout.store import Journal, Store
from fanout.store.rows import Summary, standing, summarize


class Hands(Protocol):
    """What a LiveRun asks of its engine."""

    def set_max_workers(self, live: LiveRun, max_workers: int) -> None: ...  # noqa: D102
    def set_weight(self, live: LiveRun, weight: int) -> None: ...  # noqa: D102
    def pause(self, live: LiveRun) -> None: ...  # noqa: D102
    def continue_(self, live: LiveRun) -> None: ...  # noqa: D102
    def cancel(self, live: LiveRun) -> None: ...  # noqa: D102
    def interrupt(self, live: LiveRun) -> None: ...  # noqa: D102
    def retry_failed(self, live: LiveRun) -> int: ...  # noqa: D102
    def quota_of(self, live: LiveRun) -> AccountView | None: ...  # noqa: D102


CALL_ENDINGS = (Succeeded, Failed, Cancelled, Reused, NotSent)
"""After one of these a call has ended, for this stretch."""


class Record:
    """The events of one run: folded at once for the engine, and again once they are kept for everybody else.

    What others see, snapshots and completed calls, is made of kept events only, so that no answer is shown that a
    crash could take back. Where the store keeps events the moment they come, both are the same fold.
    """

    def __init__(self, opened: RunOpened, journal: Journal, *, immediate: bool) -> None:
        """A new run's: its first event is appended here."""
        self._start(Fold(opened), journal, shown=None if immediate else Fold(opened))
        # One kept event is folded already, the first.
        self._skip = 1
        journal.append((opened,))

    @classmethod
    def read_back(cls, events: Sequence[Event], journal: Journal) -> Self:
        """A stored run's, about to go on."""
        record = cls.__new__(cls)
        record._start(folded(events), journal, shown=folded(events))
        record._skip = 0
        return record

    def _start(self, fold: Fold, journal: Journal, *, shown: Fold | None) -> None:
        self._fold = fold
        self._shown = shown or fold
        self._journal = journal
        self._completed: list[int] = []
        # Protects the folds and the completion order: workers and the loop thread write, callers and pages read. Told
        # of only when a call or the run has ended: a consumer woken at every event costs a context switch each.
        self._ended = threading.Condition()
        journal.bind(self._kept, self._standing)

    def add(self, *happened: Event) -> None:
        """Take events in, at least one, all or none visible to a snapshot. From any thread."""
        with self._ended:
            for event in happened:
                self._fold.add(event)
            self._journal.append(happened)

    def stamp(self, event: Sent | FirstToken) -> None:
        """Take a stamp of an attempt in, unless that attempt has ended already. From the loop thread."""
        with self._ended:
            last = self._fold.last_attempt(event.call)
            if last is not None and last.number == event.attempt and last.ended_ns is None:
                self._fold.add(event)
                self._journal.append((event,))

    def _kept(self, events: tuple[Event, ...]) -> None:
        """The store's word that these events are kept, in order."""
        with self._ended:
            events = events[self._skip :]
            self._skip = 0
            ended = False
            for event in events:
                if self._shown is not self._fold:
                    self._shown.add(event)
                if isinstance(event, CALL_ENDINGS):
                    self._completed.append(event.call)
                    ended = True
                ended = ended or type(event) is StretchEnded
            if ended:
                self._ended.notify_all()

    def reopen(self) -> None:
        """Before another stretch. Raises BadInput where another process has gone on with the run."""
        self._journal.reopen()

    def now(self) -> Run:
        """The run as the engine knows it, with what is not kept yet."""
        with self._ended:
            return self._fold.run()

    @property
    def is_new(self) -> bool:
        """Whether its first event is not kept yet."""
        return self._skip > 0

    @property
    def goes_on(self) -> bool:
        """Whether anything is still to happen, or to be kept: maybe a whole stretch, where it was short."""
        return self._fold.goes_on or self._shown.goes_on or self._shown.stretches < self._fold.stretches

    def call(self, index: int) -> Call:
        """One call as the engine knows it."""
        with self._ended:
            return self._fold.call(index)

    def run(self) -> Run:
        """The run as it stands, by all that is kept."""
        with self._ended:
            return self._shown.run()

    def _standing(self) -> tuple[Summary, int]:
        """By all that is kept: the run in numbers, and of how many events."""
        with self._ended:
            if self._shown.goes_on:
                return standing(self._shown), self._shown.version
            run = self._shown.run()
        return summarize(run), run.version  # it takes a look at every call: nobody waits for that

    def events(self) -> tuple[Event, ...]:
        """All events so far, in the order they were recorded."""
        return self._journal.events()

    def wait_ended(self, timeout_s: float | None) -> bool:
        """Block until nothing goes on; False when the time ran out first."""
        with self._ended:
            return self._ended.wait_for(lambda: not self.goes_on, timeout_s)

    def completions(self) -> Iterator[Call]:
        """Calls as they end, those that have ended already first; stops when nothing goes on."""
        with self._ended:
            ended = [call for call in self._shown.run().calls if call.status in ENDED]
            seen = len(self._completed)
        yield from sorted(ended, key=lambda call: call.completed or 0)
        while True:
            with self._ended:
                while len(self._completed) == seen and self.goes_on:
                    self._ended.wait()
                fresh = [self._shown.call(index) for index in self._completed[seen:]]
                seen += len(fresh)
            if not fresh:
                return
            yield from (call for call in fresh if call.status in ENDED)


class LiveRun:
    """A run in an engine, from any thread. Leave it alone and it goes on; nobody needs to hold it."""

    def __init__(self, record: Record, *, hands: Hands, store: Store, clock: Clock) -> None:
        """Made by an engine only."""
        self.record = record
        self.run_id = record.now().run_id
        self._hands = hands
        self._store = store
        self._clock = clock

    def __repr__(self) -> str:
        run = self.snapshot()
        in_flight = sum(call.status == "running" for call in run.calls)
        queued = sum(call.status in ("queued", "backing_off") for call in run.calls)
        tail = "ended" if run.ended else f"{in_flight} in flight, {queued} queued"
        return f"<LiveRun {self.run_id[:4]} {tail}>"

    @property
    def batch(self) -> Batch:
        """What is run, with the settings of its last stretch."""
        return self.record.now().batch

    def snapshot(self) -> Run:
        """The run as it stands, a value, by all that the store has kept; the same object while nothing happened."""
        return self.record.run()

    def events(self) -> tuple[Event, ...]:
        """What happened so far; the run is their fold. KeyError once the run is no longer remembered."""
        return self.record.events()

    def now_ns(self) -> int:
        """Now, on the clock of the run's stamps."""
        return self._clock.now_ns()

    def wall_s(self, at_ns: int) -> float:
        """The wall time, in seconds, of an instant of the run."""
        opened = self.record.now()
        return opened.opened_at_s + seconds(at_ns - opened.opened_ns)

    @property
    def ended(self) -> bool:
        """Whether nothing goes on: every prompt has ended."""
        return not self.record.goes_on

    @property
    def trouble(self) -> str | None:
        """Why nothing of the run can be kept now, as a sentence; None where all is well."""
        return self._store.trouble

    @property
    def max_workers(self) -> int:
        """Calls in flight at most. Setting it takes effect at once; what is in flight is never killed."""
        return self.record.now().max_workers

    @max_workers.setter
    def max_workers(self, value: int) -> None:
        self._hands.set_max_workers(self, check_max_workers(value))

    @property
    def weight(self) -> int:
        """The run's share beside others on its account. Setting it takes effect with the next call that starts.

        Raises BadInput beyond what the settings allow (`max_weight`).
        """
        return self.record.now().weight

    @weight.setter
    def weight(self, value: int) -> None:
        self._hands.set_weight(self, check_weight(value))

    def pause(self) -> None:
        """Start nothing further; what is in flight goes on."""
        self._hands.pause(self)

    def quota(self) -> AccountView | None:
        """The account that the run uses, now: its limits, who shares it; None once the run is no longer remembered."""
        return self._hands.quota_of(self)

    def continue_(self) -> None:
        """After a pause: start again. At a cap: allow as much again as the cap allowed at first."""
        self._hands.continue_(self)

    def cancel(self) -> None:
        """Start nothing further and hang up on what is in flight; what was answered stays."""
        self._hands.cancel(self)

    def interrupt(self) -> None:
        """Start nothing further, because the process is about to end; what is in flight goes on. `cancel` hangs up."""
        self._hands.interrupt(self)

    def retry_failed(self) -> int:
        """Send every prompt that was not answered again, as a new stretch of this run; how many these are.

        Raises BadInput while the run goes on.
        """
        return self._hands.retry_failed(self)

    def as_completed(self) -> Iterator[Result]:
        """A Result for each prompt as it ends, those that have ended already first."""
        for call in self.record.completions():
            yield result_of(call)

    def results(self) -> tuple[Result, ...]:
        """Wait for the end, then one Result per prompt, in input order; failures are in it as data."""
        self.wait()
        return self.snapshot().results()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing goes on; False when `timeout_s` ran out first."""
        return self.record.wait_ended(timeout_s)


def wait_for(runs: Iterable[LiveRun], within_s: float) -> None:
    """Wait until all of them have ended, or the time has run out."""
    until_s = time.monotonic() + within_s
    for live in runs:
        live.wait(max(0.0, until_s - time.monotonic()))
