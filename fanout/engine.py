"""THE HANDS: what the schedule decides, done: runs started, gone on with, stopped.

Comes in: batches, and what people ask of a run. Goes out: LiveRuns. The threads of calls are the pool's, the timer has
one of its own.

Whoever changes something (a call that ended, a slider, the timer) calls `_pump`: under the lock it asks every stretch
what may start and books it; after the lock it hands the starts to the pool. Nothing is sent and nobody waits under the
lock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fanout import events as ev
from fanout.batch import MOST_WORKERS, Batch, whole
from fanout.calls import Caller, Reply
from fanout.calls.completion import Completion
from fanout.clock import Clock, MonotonicClock
from fanout.dispatch import Dispatch, account_of_batch, earliest_ns, no_limits
from fanout.errors import EngineClosed
from fanout.lag import LagTeller
from fanout.live import LiveRun, Record, wait_for
from fanout.opening import opening
from fanout.people import LOCAL, Person, Visibility
from fanout.pool import Pool
from fanout.providers.loop import worst_lag_ns
from fanout.quota.account import Account
from fanout.quota.ceiling import InFlightCeiling
from fanout.quota.limits import Limits
from fanout.quota.shared import Sharing
from fanout.quota.view import AccountView
from fanout.remembered import Remembered
from fanout.schedule import Schedule, Start
from fanout.store import MemoryStore, Store
from fanout.store.ledger import Ledger
from fanout.store.limit import StoreLimit
from fanout.stretch import Asked, Known, OpenStretch, workers_wanted
from fanout.timer import Timer

CLOSING_S = 5.0
"""How long `close` waits for calls in flight to hang up."""


class Engine:
    """Runs batches. One per process is enough; use it in a with block, or close it.

    >>> with Engine() as engine:                                                # doctest: +SKIP
    ...     live = engine.start(Batch(prompts=["Reply: alpha"]))
    ...     [result.output for result in live.as_completed()]
    ['alpha']
    """

    def __init__(
        self,
        *,
        max_in_flight: int = MOST_WORKERS,
        keep_runs: int = 50,
        store: Store | None = None,
        clock: Clock | None = None,
        caller_for: Callable[[Batch, Clock], Caller] = Completion,
        jitter: Callable[[], float] = random.random,
        lag_ns: Callable[[], int] = worst_lag_ns,
        limits_for: Callable[[str], Limits] = no_limits,
        account_for: Callable[[Batch], Account] = account_of_batch,
        quota_file: Path | Sharing | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """`max_in_flight`: calls in flight at most over all runs. `keep_runs`: runs in memory; the oldest ended go.
        `limits_for` tells what the settings allow of a model; `account_for` whose quota a batch uses; `quota_file` is
        where processes of this host share it; `ledger` holds runs to caps a day.
        """
        whole("max_in_flight", max_in_flight, low=1, high=MOST_WORKERS)
        whole("keep_runs", keep_runs, low=1, high=1_000_000)
        self._clock = clock or MonotonicClock()
        self._store = store or MemoryStore()
        self._caller_for = caller_for
        self._jitter = jitter
        self._lag = LagTeller(lag_ns)
        self._ceiling = InFlightCeiling(max_in_flight)
        self._dispatch = Dispatch(limits_for, account_for, self._clock, quota_file=quota_file, ledger=ledger)
        # Protects the stretches, the ceiling and everything below: workers, the timer and callers change them.
        self._lock = threading.Condition()
        self._runs = Remembered(keep_runs)
        self._timer = Timer(self._lock, self._clock, self._pump)
        self._pool = Pool(max_in_flight, lock=self._lock, clock=self._clock, ended=self._ended)
        self._closed = False
        self._store.attach(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._runs.going)} going of {len(self._runs)} runs"
        return f"<Engine {state}, {self._ceiling.in_flight} in flight>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self,
        batch: Batch,
        *,
        baseline_of: str | None = None,
        by: Person = LOCAL,
        visibility: Visibility | None = None,
        reused: Mapping[int, Known] | None = None,
    ) -> LiveRun:
        """Run the batch; gives the LiveRun at once. Raises BadInput, with nothing sent, where it cannot be run.

        `baseline_of`: the run whose speed-up this one measures. `by`: who starts it; `visibility`: who may see it, None
        is the store's own. `reused`: answers that some prompts take and are not sent for, by index.
        """
        caller = self._caller_for(batch, self._clock)
        admitted = self._dispatch.admit(batch, by=by)
        opened = opening(batch, at_ns=self._clock.now_ns(), by=by, baseline_of=baseline_of)
        with self._lock, self._dispatch.together:
            self._check_open()
            journal = self._store.open(opened, visibility=visibility)
            record = Record(opened, journal, immediate=self._store.immediate)
            live = self._runs.add(self._live(record), caller)
            self._dispatch.join(live.run_id, batch, admitted, opened.at_ns)
            self._queue(live, tuple(range(len(batch.prompts))), asked=Asked(purpose="first", reused=reused or {}))
            for oldest in self._runs.too_many():
                self.forget(oldest)
        return live

    def resume(self, run_id: str, *, changes: Mapping[str, Any] | None = None, by: Person = LOCAL) -> LiveRun:
        """Go on with a run: send what has no answer, as a new stretch. Gives the LiveRun at once.

        The run may be one of the store's whose process has ended. `changes`: settings that are others from here on, by
        field of `Batch`, as JSON. Raises BadInput, with nothing sent, while it goes on, or where it cannot be.
        """
        live = self.find(run_id) or self._revive(run_id)
        self._again(live, changes=changes, by=by)
        return live

    def _revive(self, run_id: str) -> LiveRun:
        """A run of the store becomes one of this engine's; its caller and its turns come with its next stretch.

        They are then of the settings asked for: those that it had may be refused by now.
        """
        claimed = self._store.claim(run_id)
        record = Record.read_back(claimed.events, claimed.journal)
        with self._lock, self._dispatch.together:
            self._check_open()
            if (found := self._runs.find(run_id)) is not None:
                return found  # somebody else of this process asked at the same time
            live = self._runs.add(self._live(record))
            for oldest in self._runs.too_many():
                self.forget(oldest)
        return live

    def runs(self) -> tuple[LiveRun, ...]:
        """The runs this engine remembers, the newest first."""
        with self._lock:
            return self._runs.newest_first()

    def find(self, run_id: str) -> LiveRun | None:
        """The run of this id, None where it is not remembered."""
        with self._lock:
            return self._runs.find(run_id)

    def forget(self, run_id: str) -> None:
        """Remember this run no longer, unless it goes on; a store that outlives the process keeps it."""
        with self._lock, self._dispatch.together:
            if self._runs.forget(run_id):
                self._dispatch.leave(run_id)
                self._store.forget(run_id)

    def quota(self) -> tuple[AccountView, ...]:
        """Every account and model that this engine uses or has used, now."""
        with self._lock, self._dispatch.together:
            return self._dispatch.views(self._runs.going, self._clock.now_ns())

    def quota_for(self, batch: Batch) -> AccountView:
        """The account that this batch would use, now. Raises BadInput where it asks for more than that allows."""
        with self._lock, self._dispatch.together:
            return self._dispatch.view_for(batch, self._runs.going, self._clock.now_ns())

    def close(self, *, grace_s: float = 0.0) -> None:
        """Start nothing further, give what is in flight `grace_s` seconds to end, hang up, and wait a bounded time.

        Runs that had not ended are `interrupted`. A second call does nothing.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            going = [stretch.live for stretch in self._runs.going.values()]
            self._timer.close()
        for live in going:
            self._stop(live, "interrupted")
        wait_for(going, grace_s)
        for live in going:
            self._hang_up(live)
        wait_for(going, CLOSING_S)
        self._pool.close(wait=all(live.ended for live in going))
        self._timer.join()
        with self._lock:
            self._dispatch.close()
        self._store.flush(CLOSING_S)

    # What a LiveRun asks (fanout.live.Hands)

    def set_max_workers(self, live: LiveRun, max_workers: int) -> None:
        """Move the run's bound; more or fewer calls start from this moment. An ended run takes it for its retries."""
        with self._lock:
            old = live.max_workers
            if old == max_workers == workers_wanted(live.record.now()):  # the automatic one may be below the wanted
                return
            stretch = self._runs.going.get(live.run_id)
            if stretch is not None:
                stretch.move_workers(max_workers)
            at_ns = self._clock.now_ns()
            live.record.add(ev.LimitChanged(at_ns=at_ns, limit="max_workers", old=old, new=max_workers, reason="user"))
        self._pump()

    def set_weight(self, live: LiveRun, weight: int) -> None:
        """Move the run's share beside others on its account. Raises BadInput beyond what the settings allow."""
        with self._lock, self._dispatch.together:
            moved = self._dispatch.move_weight(live.run_id, weight, self._clock.now_ns())
            if moved is not None:
                live.record.add(moved)
        self._pump()

    def pause(self, live: LiveRun) -> None:
        """Start nothing further."""
        with self._lock:
            if live.run_id in self._runs.going:
                self._runs.going[live.run_id].schedule.pause()
        self._pump()

    def continue_(self, live: LiveRun) -> None:
        """Start again."""
        with self._lock:
            stretch = self._runs.going.get(live.run_id)
            if stretch is not None:
                stretch.schedule.continue_()
                stretch.raise_cap(self._clock.now_ns())
        self._pump()

    def quota_of(self, live: LiveRun) -> AccountView | None:
        """Its account, now."""
        with self._lock, self._dispatch.together:
            return self._dispatch.view(live.run_id, self._runs.going, self._clock.now_ns())

    def cancel(self, live: LiveRun) -> None:
        """Stop the run, because the user says so."""
        self._stop(live, "stopped")
        self._hang_up(live)

    def interrupt(self, live: LiveRun) -> None:
        """Start nothing further; what is in flight goes on."""
        self._stop(live, "interrupted")

    def retry_failed(self, live: LiveRun) -> int:
        """Queue what was not answered again, as a new stretch."""
        return self._again(live)

    # What the store asks (fanout.store.Attached)

    def stop_run(self, run_id: str, reason: ev.StopReason) -> None:
        """Another process asks this run to stop, or drives it from now on."""
        if (live := self.find(run_id)) is not None:
            self._stop(live, reason)
            self._hang_up(live)

    def store_changed(self) -> None:
        """The store can be written again, or no longer."""
        self._pump()

    # Opening and ending a stretch

    def _live(self, record: Record) -> LiveRun:
        return LiveRun(record, hands=self, store=self._store, clock=self._clock)

    def _again(self, live: LiveRun, *, changes: Mapping[str, Any] | None = None, by: Person = LOCAL) -> int:
        """Without the lock: what has no answer is queued again; how many these are."""
        with self._lock:
            self._check_open()
            calls = self._runs.unanswered(live)
            known = self._runs.callers.get(live.run_id)
        run = live.record.now()
        changed = replace(run, batch=run.batch.changed(changes or {}))
        caller = self._caller_for(changed.batch, self._clock) if known is None or changes else known
        admitted = self._dispatch.admit(changed.batch, by=by, owner_id=run.user_id)
        if not calls:
            return 0
        live.record.reopen()
        with self._lock, self._dispatch.together:
            self._check_open()
            calls = self._runs.unanswered(live)
            if caller is not known:
                self._runs.callers[live.run_id] = caller
                self._dispatch.rejoin(changed, admitted, self._clock.now_ns())
            purpose: ev.Purpose = "resume" if run.stop_reason in ("interrupted", "saved") else "retry"
            self._queue(live, calls, asked=Asked(purpose=purpose, changes=changes, by=by.name))
        return len(calls)

    def _queue(self, live: LiveRun, calls: tuple[int, ...], *, asked: Asked) -> None:
        """Under the lock: a stretch that begins as soon as its caller is warm."""
        run = live.record.now()
        stretch = OpenStretch(
            live=live,
            caller=self._runs.callers[live.run_id],
            schedule=Schedule(
                max_workers=workers_wanted(run, asked.changes),
                limits=(StoreLimit(self._store), self._ceiling, self._dispatch.turns(live.run_id)),
                attempts={call: len(run.calls[call].attempts) for call in calls},
            ),
            turns=self._dispatch.turns(live.run_id),
            calls=calls,
            asked=asked,
            jitter=self._jitter,
        )
        self._runs.going[live.run_id] = stretch
        self._pool.prepare(self._warm_up, stretch)

    def _warm_up(self, stretch: OpenStretch) -> None:
        """In a pool thread: make the caller ready, then let the clock of the stretch start."""
        error = None if stretch.schedule.done else stretch.why_not_ready()
        with self._lock, self._dispatch.together:
            if stretch.stop_reason is not None:
                return  # stopped while it warmed up
            self._lag.forget()
            stretch.begin(self._clock.now_ns())
            if error is not None:
                stretch.give_up("not_ready", self._clock.now_ns(), error)
                self._end_if_done(stretch)
        self._pump()

    def _stop(self, live: LiveRun, reason: ev.StopReason) -> None:
        with self._lock:
            stretch = self._runs.going.get(live.run_id)
            if stretch is None or stretch.stop_reason is not None:
                return
            if not stretch.began:
                stretch.begin(self._clock.now_ns())
            stretch.give_up(reason, self._clock.now_ns())
            self._end_if_done(stretch)
        self._pump()

    def _hang_up(self, live: LiveRun) -> None:
        """Cancel what is in flight of a run that stops."""
        with self._lock:
            stretch = self._runs.going.get(live.run_id)
            if stretch is None:
                return
            stretch.hangs_up = True
            sendings = tuple(stretch.sendings.values())
        for sending in sendings:
            sending.cancel()

    def _end_if_done(self, stretch: OpenStretch) -> None:
        """Under the lock."""
        self._runs.end_if_done(stretch, self._clock.now_ns())

    def _pump(self) -> None:
        """Start whatever may start now, over all runs in turn; set the timer for what may start later."""
        with self._lock, self._dispatch.together:
            starts = self._book()
        self._hand_over(starts)

    def _book(self) -> list[tuple[OpenStretch, Start]]:
        """Under the lock: what starts now, booked; who calls it hands it over once the lock is let go."""
        began = [stretch for stretch in self._runs.going.values() if stretch.began]
        starts = self._dispatch.book(began, self._clock.now_ns)
        self._dispatch.tell_changes(began, self._clock.now_ns())
        for stretch in began:
            self._end_if_done(stretch)  # what a day's limit stopped, with nothing in flight
        self._timer.set(earliest_ns(self._runs.going.values()))
        return starts

    def _hand_over(self, starts: list[tuple[OpenStretch, Start]]) -> None:
        for stretch, start in starts:
            if not self._pool.carry(stretch, start):
                self._stop(stretch.live, "interrupted")
                self._ended(stretch, start, None)

    def _ended(self, stretch: OpenStretch, start: Start, reply: Reply | None) -> None:
        with self._lock, self._dispatch.together:
            at_ns = self._clock.now_ns()
            self._lag.tell(self._runs.going.values(), at_ns)
            stretch.ended(start, reply, at_ns)
            self._end_if_done(stretch)
            starts = self._book()  # in the same block: one transaction of a shared file, not two
        self._hand_over(starts)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("this engine is closed: open another one")
