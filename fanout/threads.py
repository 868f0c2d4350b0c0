"""A standard thread pool whose ends are mended: what was submitted ends, whatever becomes of the pool.

Comes in: functions. Goes out: standard futures. Everything about threads, queues and futures is
`concurrent.futures.ThreadPoolExecutor`'s, of Python 3.11 to 3.14. Here are the places where that one leaves a future
that nobody will ever end, or a thread that nobody will ever wake: calls that are given up, an initializer that fails,
a thread that cannot be started, a fork.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, thread
from concurrent.futures.thread import BrokenThreadPool
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_BROKEN = "A thread initializer failed, the thread pool is not usable anymore"
"""The standard pool's words."""

_Queue = queue.SimpleQueue[Any]
"""Of a pool: entries with a future each, and a None wherever a worker is to look whether it is to end."""


class ThreadPool(ThreadPoolExecutor):
    """A `ThreadPoolExecutor`, with its arguments and promises, none of whose futures is left behind.

    More than the standard one promises:
    - Futures that `shutdown(cancel_futures=True)` gives up come out of `as_completed` and `wait` too (cpython #87893,
      #109934); their callbacks may use the pool; and where an exception interrupts that, the next `shutdown` goes on.
    - Where an initializer fails, every queued call fails: also where its owner cancelled one of them before, where
      the pool has been forgotten, and where a callback uses the pool.
    - Where the system allows no further thread, the threads that there are take the calls. Where there is none,
      `submit` raises RuntimeError and the call is not kept.
    - In a forked child it is an empty pool. What was submitted before is the parent's and runs there.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        prepare = _Prepare(weakref.ref(self), initializer) if callable(initializer) else None
        super().__init__(max_workers, thread_name_prefix, prepare or initializer, initargs)
        if prepare is not None:
            prepare.work_queue = self._work_queue
        self._prepare = prepare
        self._given_up: deque[Any] = deque()
        _POOLS.add(self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing further; `cancel_futures`: nor carry out what is queued; `wait` for what goes on."""
        if cancel_futures:
            with self._shutdown_lock:
                self._shutdown = True
                _take_all(self._work_queue, self._given_up)
            if any(entry is not None for entry in tuple(self._given_up)):
                self._gives_up()
        super().shutdown(wait=False)
        while self._given_up:  # outside the lock: their callbacks may call this pool
            entry = self._given_up[0]
            if entry is not None:
                _cancel(entry.future)
            with contextlib.suppress(ValueError):  # only now: an exception that comes before leaves it to the next one
                self._given_up.remove(entry)
        if wait:
            super().shutdown(wait=True)

    def _gives_up(self) -> None:
        """Calls are about to be given up: for a subclass that keeps book."""

    def _adjust_thread_count(self) -> None:
        """Called by the standard `submit`, under the lock, when the call is in the queue already."""
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                _take_all(self._work_queue, deque())
                raise

    def _initializer_failed(self) -> None:
        """Called by the standard worker, in its thread."""
        with self._shutdown_lock:
            self._broken = _BROKEN  # type: ignore[assignment]  # what submit says from now on
            entries: deque[Any] = deque()
            _take_all(self._work_queue, entries)
        _break(self._work_queue, entries)

    def _forked(self) -> None:
        """In a forked child, where no thread but this one is left: begin anew."""
        self._shutdown_lock = threading.Lock()
        self._work_queue = queue.SimpleQueue()
        self._idle_semaphore = threading.Semaphore(0)
        self._threads = set()
        self._given_up = deque()
        if self._prepare is not None:
            self._prepare.work_queue = self._work_queue


class LoopPool(ThreadPool):
    """What an event loop needs threads for, such as looking up a host; also while Python waits for pools at its end.

    A pool's queued calls still run then, and a call that opens a connection needs the loop's threads; the standard pool
    takes nothing further by that time.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the standard one; in a thread of its own once Python ends."""
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            if not getattr(thread, "_shutdown", False):
                raise
        future: Future[T] = Future()
        threading.Thread(target=_carry_out, args=(future, lambda: fn(*args, **kwargs)), daemon=True).start()
        return future


def _carry_out(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as exc:
        future.set_exception(exc)


class _Prepare:
    """The initializer of a pool that may be gone before a worker has run it, or while it does."""

    def __init__(self, pool: weakref.ref[ThreadPool], initializer: Callable[..., object]) -> None:
        self._pool = pool
        self._initializer = initializer
        self.work_queue: _Queue | None = None

    def __call__(self, *initargs: Any) -> None:
        # Kept by this frame, and so by an exception's traceback until the worker has told the pool of it.
        pool = self._pool()
        try:
            self._initializer(*initargs)
        except BaseException:
            if pool is None and self.work_queue is not None:
                entries: deque[Any] = deque()
                _take_all(self.work_queue, entries)
                _break(self.work_queue, entries)
            raise


def _take_all(work_queue: _Queue, into: deque[Any]) -> None:
    """Whoever takes an entry off the queue alone may notify its future. In one step of C: no Ctrl+C loses an entry."""
    with contextlib.suppress(queue.Empty):
        into.extend(iter(work_queue.get_nowait, _NO_ENTRY))


_NO_ENTRY = object()


def _cancel(future: Future[Any]) -> None:
    """Also for those who wait. Two threads may say so of one future."""
    future.cancel()
    with future._condition:
        if future._state == "CANCELLED":
            future.set_running_or_notify_cancel()


def _break(work_queue: _Queue, entries: deque[Any]) -> None:
    for entry in entries:
        if entry is not None and entry.future.set_running_or_notify_cancel():
            entry.future.set_exception(BrokenThreadPool(_BROKEN))
    work_queue.put(None)  # those taken were for other workers


_POOLS: weakref.WeakSet[ThreadPool] = weakref.WeakSet()
"""For a forked child."""


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
