"""THE HANDS: what the schedule decides, done. The thread pool, its calls, the timer, stop.

Comes in: batches, and what people ask of a run. Goes out: LiveRuns. The only file that makes threads for calls: one
pool for all runs, whose workers block on one attempt each; one timer thread for backoffs and penalties.

Whoever changes something (a call that ended, a slider, the timer) calls `_pump`: under the lock it asks every stretch
what may start and books it; after the lock it hands the starts to the pool. Nothing is sent and nobody waits under the
lock.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from fanout import events as ev
from fanout.batch import MOST_WORKERS, Batch
from fanout.calls import Caller, Reply
from fanout.calls.completion import Completion
from fanout.clock import Clock, MonotonicClock, seconds
from fanout.dispatch import Dispatch, account_of_batch, earliest_ns, no_limits
from fanout.errors import BadInput, Broken, CallFailed, EngineClosed
from fanout.lag import LagTeller
from fanout.live import LiveRun
from fanout.providers.loop import worst_lag_ns
from fanout.quota.account import Account
from fanout.quota.ceiling import InFlightCeiling
from fanout.quota.limits import Limits
from fanout.quota.view import AccountView
from fanout.schedule import Schedule, Start
from fanout.store import MemoryStore, Store
from fanout.stretch import OpenStretch, workers_wanted

CLOSING_S = 5.0
"""How long `close` waits for calls in flight to hang up."""
SPARE_THREADS = 8
"""Threads beyond the ceiling, for runs that warm up while the ceiling is reached."""

_LOG = logging.getLogger(__name__)


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
        quota_file: Path | None = None,
    ) -> None:
        """`max_in_flight`: calls in flight at most over all runs. `keep_runs`: runs remembered; the oldest ended go.

        `limits_for` tells what the settings allow of a model; `account_for` whose quota a batch uses; `quota_file` is
        where processes of this host share it.
        """
        if not 1 <= max_in_flight <= MOST_WORKERS:
            raise BadInput(f"max_in_flight must be from 1 to {MOST_WORKERS}, got {max_in_flight!r}")
        if keep_runs < 1:
            raise BadInput(f"keep_runs must be at least 1, got {keep_runs!r}")
        self._clock = clock or MonotonicClock()
        self._store = store or MemoryStore()
        self._caller_for = caller_for
        self._jitter = jitter
        self._lag = LagTeller(lag_ns)
        self._keep_runs = keep_runs
        self._ceiling = InFlightCeiling(max_in_flight)
        self._dispatch = Dispatch(limits_for, account_for, self._clock, quota_file=quota_file)
        self._pool = ThreadPoolExecutor(max_in_flight + SPARE_THREADS, thread_name_prefix="fanout-call")
        # Protects the stretches, the ceiling and everything below: workers, the timer and callers change them.
        self._lock = threading.Condition()
        self._runs: dict[str, LiveRun] = {}
        self._callers: dict[str, Caller] = {}
        self._going: dict[str, OpenStretch] = {}
        self._timer: threading.Thread | None = None
        self._wake_ns: int | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._going)} going of {len(self._runs)} runs"
        return f"<Engine {state}, {self._ceiling.in_flight} in flight>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What callers and pages ask

    def start(self, batch: Batch, *, baseline_of: str | None = None) -> LiveRun:
        """Run the batch; gives the LiveRun at once. Raises BadInput, with nothing sent, where it cannot be run.

        `baseline_of`: the run whose speed-up this one measures.
        """
        caller = self._caller_for(batch, self._clock)
        admitted = self._dispatch.admit(batch)
        opened = ev.RunOpened(
            at_ns=self._clock.now_ns(),
            run_id=secrets.token_hex(8),
            batch=batch,
            opened_at_s=time.time(),
            baseline_of=baseline_of,
        )
        with self._lock, self._dispatch.together:
            self._check_open()
            live = LiveRun(opened, hands=self, store=self._store, clock=self._clock)
            self._runs[live.run_id] = live
            self._callers[live.run_id] = caller
            self._dispatch.join(live.run_id, batch, admitted, opened.at_ns)
            self._queue(live, calls=tuple(range(len(batch.prompts))), purpose="first")
            self._forget_oldest()
        return live

    def runs(self) -> tuple[LiveRun, ...]:
        """The runs this engine remembers, the newest first."""
        with self._lock:
            return tuple(reversed(self._runs.values()))

    def find(self, run_id: str) -> LiveRun | None:
        """The run of this id, None where it is not remembered."""
        with self._lock:
            return self._runs.get(run_id)

    def quota(self) -> tuple[AccountView, ...]:
        """Every account and model that this engine uses or has used, now."""
        with self._lock, self._dispatch.together:
            return self._dispatch.views(self._going, self._clock.now_ns())

    def close(self) -> None:
        """Stop every run (`interrupted`), hang up, and wait a bounded time. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            going = [stretch.live for stretch in self._going.values()]
            self._lock.notify_all()
        for live in going:
            self._stop(live, "interrupted")
        until_ns = self._clock.now_ns() + round(CLOSING_S * 1e9)
        for live in going:
            live.wait(max(0.0, seconds(until_ns - self._clock.now_ns())))
        self._pool.shutdown(wait=all(live.ended for live in going))
        if self._timer is not None:
            self._timer.join()
        with self._lock:
            self._dispatch.close()

    # What a LiveRun asks (fanout.live.Hands)

    def set_max_workers(self, live: LiveRun, max_workers: int) -> None:
        """Move the run's bound; more or fewer calls start from this moment. An ended run takes it for its retries."""
        with self._lock:
            old = live.max_workers
            if old == max_workers:
                return
            stretch = self._going.get(live.run_id)
            if stretch is not None:
                stretch.move_workers(max_workers)
            live.record.add(
                ev.LimitChanged(
                    at_ns=self._clock.now_ns(), limit="max_workers", old=old, new=max_workers, reason="user"
                )
            )
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
            if live.run_id in self._going:
                self._going[live.run_id].schedule.pause()
        self._pump()

    def continue_(self, live: LiveRun) -> None:
        """Start again."""
        with self._lock:
            if live.run_id in self._going:
                self._going[live.run_id].schedule.continue_()
                self._going[live.run_id].raise_cap(self._clock.now_ns())
        self._pump()

    def quota_of(self, live: LiveRun) -> AccountView | None:
        """The account that this run uses, now."""
        with self._lock, self._dispatch.together:
            return self._dispatch.view(live.run_id, self._going, self._clock.now_ns())

    def cancel(self, live: LiveRun) -> None:
        """Stop the run, because the user says so."""
        self._stop(live, "stopped")

    def retry_failed(self, live: LiveRun) -> int:
        """Queue what was not answered again, as a new stretch."""
        with self._lock:
            self._check_open()
            if live.run_id in self._going:
                raise BadInput("this run still goes on: stop it first, or wait for its end")
            if live.run_id not in self._runs:
                raise BadInput("this run is no longer remembered: start it again from its prompts")
            calls = tuple(call.index for call in live.snapshot().calls if call.status != "answered")
            if calls:
                self._queue(live, calls=calls, purpose="retry")
        return len(calls)

    # Opening and ending a stretch

    def _queue(self, live: LiveRun, *, calls: tuple[int, ...], purpose: ev.Purpose) -> None:
        """Under the lock: a stretch that begins as soon as its caller is warm."""
        run = live.snapshot()
        stretch = OpenStretch(
            live=live,
            caller=self._callers[live.run_id],
            schedule=Schedule(
                max_workers=workers_wanted(run),
                limits=(self._ceiling, self._dispatch.turns(live.run_id)),
                attempts={call: len(run.calls[call].attempts) for call in calls},
            ),
            turns=self._dispatch.turns(live.run_id),
            calls=calls,
            purpose=purpose,
            jitter=self._jitter,
        )
        self._going[live.run_id] = stretch
        self._pool.submit(self._warm_up, stretch)

    def _warm_up(self, stretch: OpenStretch) -> None:
        """In a pool thread: make the caller ready, then let the clock of the stretch start."""
        error: CallFailed | None = None
        try:
            stretch.caller.warm_up()
        except CallFailed as exc:
            error = exc.bare()
        except BadInput as exc:
            error = CallFailed(str(exc), was_sent=False)
        except Exception as exc:
            _LOG.exception("the caller could not warm up")
            error = Broken(f"{type(exc).__name__}: {exc}", was_sent=False)
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
            stretch = self._going.get(live.run_id)
            if stretch is None:
                return
            if not stretch.began:
                stretch.begin(self._clock.now_ns())
            stretch.give_up(reason, self._clock.now_ns())
            sendings = tuple(stretch.sendings.values())
            self._end_if_done(stretch)
        for sending in sendings:
            sending.cancel()
        self._pump()

    def _end_if_done(self, stretch: OpenStretch) -> None:
        """Under the lock."""
        if stretch.began and stretch.schedule.done and self._going.pop(stretch.live.run_id, None) is not None:
            stretch.end(self._clock.now_ns())

    def _forget_oldest(self) -> None:
        """Under the lock: runs beyond `keep_runs`, the oldest that have ended first."""
        ended = [run_id for run_id in self._runs if run_id not in self._going]
        for run_id in ended[: max(0, len(self._runs) - self._keep_runs)]:
            self._dispatch.leave(run_id)
            del self._runs[run_id], self._callers[run_id]
            self._store.forget(run_id)

    # Carrying calls out

    def _pump(self) -> None:
        """Start whatever may start now, over all runs in turn; set the timer for what may start later."""
        with self._lock, self._dispatch.together:
            starts = self._book()
        self._hand_over(starts)

    def _book(self) -> list[tuple[OpenStretch, Start]]:
        """Under the lock: what starts now, booked; who calls it hands it over once the lock is let go."""
        began = [stretch for stretch in self._going.values() if stretch.began]
        starts = self._dispatch.book(began, self._clock.now_ns)
        self._dispatch.tell_changes(began, self._clock.now_ns())
        for stretch in began:
            self._end_if_done(stretch)  # what a day's limit stopped, with nothing in flight
        self._set_timer()
        return starts

    def _hand_over(self, starts: list[tuple[OpenStretch, Start]]) -> None:
        for stretch, start in starts:
            try:
                self._pool.submit(self._work, stretch, start)
            except RuntimeError:  # the pool or the interpreter is closing: nothing further can start
                with self._lock, self._dispatch.together:
                    stretch.ended(start, None, self._clock.now_ns())
                    self._end_if_done(stretch)
                self._stop(stretch.live, "interrupted")

    def _work(self, stretch: OpenStretch, start: Start) -> None:
        """In a pool thread: one attempt, from sending to its end."""
        try:
            self._ended(stretch, start, self._attempt(stretch, start))
        except Exception:
            _LOG.exception("a call could not be carried out")
            raise

    def _attempt(self, stretch: OpenStretch, start: Start) -> Reply | None:
        """Send and wait; None where it was cancelled. A bug in a caller becomes this call's failure."""
        record, call, attempt = stretch.live.record, start.call, start.attempt
        try:
            sending = stretch.caller.send(
                stretch.live.batch.prompts[call],
                on_sent=lambda at_ns: record.stamp(ev.Sent(at_ns=at_ns, call=call, attempt=attempt)),
                on_first_token=lambda at_ns: record.stamp(ev.FirstToken(at_ns=at_ns, call=call, attempt=attempt)),
            )
            with self._lock:
                stretch.sendings[call] = sending
                hangs_up = stretch.hangs_up
            if hangs_up:
                sending.cancel()
            return sending.reply()
        except CancelledError:
            return None
        except Exception as exc:
            _LOG.exception("a caller raised instead of replying")
            return Reply(received_ns=self._clock.now_ns(), error=Broken(f"{type(exc).__name__}: {exc}"))

    def _ended(self, stretch: OpenStretch, start: Start, reply: Reply | None) -> None:
        with self._lock, self._dispatch.together:
            at_ns = self._clock.now_ns()
            self._lag.tell(self._going.values(), at_ns)
            stretch.ended(start, reply, at_ns)
            self._end_if_done(stretch)
            starts = self._book()  # in the same block: one transaction of a shared file, not two
        self._hand_over(starts)

    # Waiting for instants

    def _set_timer(self) -> None:
        """Under the lock: the timer wakes at the earliest instant that any stretch asked for."""
        before_ns = self._wake_ns
        self._wake_ns = earliest_ns(self._going.values())
        if self._wake_ns is None or self._closed or (before_ns is not None and before_ns <= self._wake_ns):
            return  # it wakes early enough by itself
        if self._timer is None:
            self._timer = threading.Thread(target=self._tick, name="fanout-timer", daemon=True)
            self._timer.start()
        self._lock.notify_all()

    def _tick(self) -> None:
        """The timer thread: asks again at each instant, until the engine closes."""
        while True:
            with self._lock:
                if self._closed:
                    return
                wait_s = None if self._wake_ns is None else seconds(self._wake_ns - self._clock.now_ns())
                if wait_s is None or wait_s > 0:
                    self._lock.wait(wait_s)
                    continue
                self._wake_ns = None
            self._pump()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("this engine is closed: open another one")
