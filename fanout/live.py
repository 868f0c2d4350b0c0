"""A run that goes on: what a caller or a page holds of it, and the record it leaves.

`LiveRun` is the run's face: snapshots, results, the slider, pause, stop, retry. It decides and sends nothing itself:
what it is asked, it hands to its engine; what happens, the engine writes into its record. Two locks, always taken in
this order: the engine's (schedules and limits of all runs), then the record's (the fold of one run).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from fanout.batch import Batch, check_max_workers
from fanout.clock import Clock
from fanout.events import (
    Cancelled,
    Event,
    Failed,
    FirstToken,
    NotSent,
    RunOpened,
    Sent,
    StretchEnded,
    Succeeded,
)
from fanout.fold import Fold
from fanout.quota.view import AccountView
from fanout.run import ENDED, Call, Result, Run, result_of
from fanout.store import Store


class Hands(Protocol):
    """What a LiveRun asks of its engine."""

    def set_max_workers(self, live: LiveRun, max_workers: int) -> None: ...  # noqa: D102
    def pause(self, live: LiveRun) -> None: ...  # noqa: D102
    def continue_(self, live: LiveRun) -> None: ...  # noqa: D102
    def cancel(self, live: LiveRun) -> None: ...  # noqa: D102
    def retry_failed(self, live: LiveRun) -> int: ...  # noqa: D102
    def quota_of(self, live: LiveRun) -> AccountView | None: ...  # noqa: D102


CALL_ENDINGS = (Succeeded, Failed, Cancelled, NotSent)
"""After one of these a call has ended, for this stretch."""


class Record:
    """The events of one run, folded and stored as they come; wakes whoever waits for a call or the run to end."""

    def __init__(self, opened: RunOpened, *, store: Store) -> None:
        self._fold = Fold(opened)
        self._store = store
        self._completed: list[int] = []
        # Protects the fold and the completion order: workers and the loop thread write, callers and pages read. Told
        # of only when a call or the run has ended: a consumer woken at every event costs a context switch each.
        self._ended = threading.Condition()
        self._run_id = opened.run_id
        store.append(self._run_id, opened)

    def add(self, *happened: Event) -> None:
        """Take events in, at least one, all or none visible to a snapshot. From any thread."""
        with self._ended:
            for event in happened:
                self._fold.add(event)
                self._store.append(self._run_id, event)
                if isinstance(event, CALL_ENDINGS):
                    self._completed.append(event.call)
            if isinstance(happened[-1], (*CALL_ENDINGS, StretchEnded)):
                self._ended.notify_all()

    def stamp(self, event: Sent | FirstToken) -> None:
        """Take a stamp of an attempt in, unless that attempt has ended already. From the loop thread."""
        with self._ended:
            last = self._fold.call(event.call).attempts[-1]
            if last.number == event.attempt and last.ended_ns is None:
                self._fold.add(event)
                self._store.append(self._run_id, event)

    def call(self, index: int) -> Call:
        """One call as it stands."""
        with self._ended:
            return self._fold.call(index)

    def run(self) -> Run:
        """The run as it stands."""
        with self._ended:
            return self._fold.run()

    def events(self) -> tuple[Event, ...]:
        """All events so far, in the order they were recorded."""
        with self._ended:
            return self._store.events(self._run_id)

    def wait_ended(self, timeout_s: float | None) -> bool:
        """Block until nothing goes on; False when the time ran out first."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._fold.goes_on, timeout_s)

    def completions(self) -> Iterator[Call]:
        """Calls as they end, those that have ended already first; stops when nothing goes on."""
        with self._ended:
            ended = [call for call in self._fold.run().calls if call.status in ENDED]
            seen = len(self._completed)
        yield from sorted(ended, key=lambda call: call.completed or 0)
        while True:
            with self._ended:
                while len(self._completed) == seen and self._fold.goes_on:
                    self._ended.wait()
                fresh = [self._fold.call(index) for index in self._completed[seen:]]
                seen += len(fresh)
            if not fresh:
                return
            yield from (call for call in fresh if call.status in ENDED)


class LiveRun:
    """A run in an engine, from any thread. Leave it alone and it goes on; nobody needs to hold it."""

    def __init__(self, opened: RunOpened, *, hands: Hands, store: Store, clock: Clock) -> None:
        """Made by `Engine.start` only."""
        self.run_id = opened.run_id
        self.batch: Batch = opened.batch
        self.record = Record(opened, store=store)
        self._hands = hands
        self._clock = clock

    def __repr__(self) -> str:
        run = self.snapshot()
        in_flight = sum(call.status == "running" for call in run.calls)
        queued = sum(call.status in ("queued", "backing_off") for call in run.calls)
        tail = "ended" if run.ended else f"{in_flight} in flight, {queued} queued"
        return f"<LiveRun {self.run_id[:4]} {tail}>"

    def snapshot(self) -> Run:
        """The run as it stands, a value; the identical object while nothing has happened."""
        return self.record.run()

    def events(self) -> tuple[Event, ...]:
        """What happened so far; the run is their fold. KeyError once the run is no longer remembered."""
        return self.record.events()

    def now_ns(self) -> int:
        """Now, on the clock of the run's stamps."""
        return self._clock.now_ns()

    @property
    def ended(self) -> bool:
        """Whether nothing goes on: every prompt has ended."""
        return self.snapshot().ended

    @property
    def max_workers(self) -> int:
        """Calls in flight at most. Setting it takes effect at once; what is in flight is never killed."""
        return self.snapshot().max_workers

    @max_workers.setter
    def max_workers(self, value: int) -> None:
        self._hands.set_max_workers(self, check_max_workers(value))

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
