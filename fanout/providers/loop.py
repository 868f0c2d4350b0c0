"""The one event-loop thread of the process: every HTTP client is made, used and closed on it.

Comes in: coroutines, from any thread. Goes out: concurrent Futures whose `cancel` cancels the coroutine's task, and how
late the loop woke up. It knows no model and no HTTP: an httpx2 client that two loops touch loses answers that the
provider has billed ("bound to a different event loop"), so there is one loop, and nobody else makes one for calls.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fanout.clock import NS_PER_MS
from fanout.threads import LoopPool

T = TypeVar("T")

THREAD_NAME = "fanout-loop"
LAG_SAMPLE_NS = 20 * NS_PER_MS
"""How often the loop's lag is sampled while a coroutine is under way; an idle loop sleeps."""
CLOSE_TIMEOUT_S = 10.0


class LoopFuture(concurrent.futures.Future[T]):
    """What a submitted coroutine comes to. `cancel` resolves it at once and hangs up on the loop right after."""

    def __init__(self, loop: LoopThread, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._owner = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def cancel(self) -> bool:
        """Cancel from any thread, any number of times; False once the coroutine has ended."""
        if not super().cancel():
            return False
        self._owner._hang_up(self)
        return True


class LoopThread:
    """An asyncio loop in a daemon thread, from construction to `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(LoopPool(thread_name_prefix=f"{THREAD_NAME}-helper"))
        self._lock = threading.Lock()  # protects _closed against a submit from another thread
        self._closed = False
        self._under_way: set[LoopFuture[Any]] = set()  # touched on the loop only
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._worst_lag_ns = 0
        self._due_ns: int | None = None  # when the lag sampler should have woken; None while it sleeps
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<LoopThread {state}, {len(self._under_way)} under way>"

    @property
    def closed(self) -> bool:
        """Whether `close` has begun."""
        return self._closed

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> LoopFuture[T]:
        """Start `coroutine` on the loop; from any thread. Raises RuntimeError once the loop is closed."""
        future = LoopFuture(self, coroutine)
        try:
            self._call_soon(self._start, future)
        except RuntimeError:
            coroutine.close()
            raise
        return future

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` on the loop and wait for what it gives. Never from the loop's own thread."""
        return self.submit(coroutine).result()

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Await `closer()` on the loop before it ends, last come first. From any thread."""
        self._closers.append(closer)

    def worst_lag_ns(self) -> int:
        """The latest the loop woke up since this was last asked, in ns, a stall that is still going on included.

        From any thread. Losing a sample to a race costs one figure on a chart, so there is no lock.
        """
        worst, self._worst_lag_ns = self._worst_lag_ns, 0
        due_ns = self._due_ns
        return worst if due_ns is None else max(worst, time.monotonic_ns() - due_ns)

    def close(self) -> None:
        """Cancel what is under way, await it, await the closers, end the thread. Any number of times."""
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _call_soon(self, function: Callable[[LoopFuture[Any]], None], future: LoopFuture[Any]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the provider loop is closed")
            self._loop.call_soon_threadsafe(function, future)

    def _hang_up(self, future: LoopFuture[Any]) -> None:
        try:
            self._call_soon(self._cancel, future)
        except RuntimeError:
            return  # closing cancels everything by itself

    def _start(self, future: LoopFuture[Any]) -> None:
        if future.cancelled():
            future._coroutine.close()
            future.set_running_or_notify_cancel()
            return
        task = self._loop.create_task(future._coroutine)
        future._task = task
        self._under_way.add(future)
        task.add_done_callback(lambda done: self._finish(future, done))
        if self._due_ns is None:
            self._sample_in_a_while()

    @staticmethod
    def _cancel(future: LoopFuture[Any]) -> None:
        if future._task is not None:
            future._task.cancel()

    def _finish(self, future: LoopFuture[Any], task: asyncio.Task[Any]) -> None:
        self._under_way.discard(future)
        future._task = None
        error = None if task.cancelled() else task.exception()  # asking for it marks it as seen
        if task.cancelled():
            concurrent.futures.Future.cancel(future)
        if not future.set_running_or_notify_cancel():
            return
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    def _sample_in_a_while(self) -> None:
        self._due_ns = time.monotonic_ns() + LAG_SAMPLE_NS
        self._loop.call_later(LAG_SAMPLE_NS / 1e9, self._sample)

    def _sample(self) -> None:
        if self._due_ns is not None:
            self._worst_lag_ns = max(self._worst_lag_ns, time.monotonic_ns() - self._due_ns)
        self._due_ns = None
        if self._under_way:
            self._sample_in_a_while()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._wind_up())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _wind_up(self) -> None:
        # One turn first: what was submitted before `close` has its task by then, and is cancelled like the rest.
        await asyncio.sleep(0)
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for closer in reversed(self._closers):
            await asyncio.gather(closer(), return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


_shared: LoopThread | None = None
_shared_lock = threading.Lock()  # protects _shared against two first callers


def shared_loop() -> LoopThread:
    """The process's loop thread, started at first use, and again after `close_shared_loop`."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared.closed:
            _shared = LoopThread()
        return _shared


def worst_lag_ns() -> int:
    """`LoopThread.worst_lag_ns` of the shared loop; 0 where none runs."""
    loop = _shared
    return 0 if loop is None or loop.closed else loop.worst_lag_ns()


def close_shared_loop() -> None:
    """Close the shared loop with its clients; the next `shared_loop()` starts another."""
    global _shared
    with _shared_lock:
        loop, _shared = _shared, None
    if loop is not None:
        loop.close()


_left_behind: list[LoopThread] = []
"""Loops of the process that this one was forked from. Kept: to close one would take its sockets out of the parent's
epoll, which is the same one."""


def _after_fork() -> None:
    """In a forked child there is no loop thread: nobody may wait for it; the next `shared_loop()` starts another."""
    global _shared, _shared_lock
    _shared_lock = threading.Lock()
    if _shared is not None:
        _shared._closed = True
        _shared._lock = threading.Lock()
        _left_behind.append(_shared)
        _shared = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# A daemon thread that dies in the middle of a callback prints noise at exit; a closed one does not.
atexit.register(close_shared_loop)
