"""One thread that wakes at the earliest instant that was asked for, however many calls wait: no polling.

Comes in: instants of the engine's clock. Goes out: `wake()`, called at each, from the timer's own thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fanout.clock import Clock, seconds


class Timer:
    """Started with the first instant; ends when it is closed. Its lock is its owner's."""

    def __init__(self, lock: threading.Condition, clock: Clock, wake: Callable[[], None]) -> None:
        """`lock` is held by whoever calls `set` and `close`, and let go of while `wake` is called."""
        self._lock = lock
        self._clock = clock
        self._wake = wake
        self._thread: threading.Thread | None = None
        self._at_ns: int | None = None
        self._closed = False

    def set(self, at_ns: int | None) -> None:
        """Under the lock: wake at this instant and not before; None: not at all."""
        before_ns, self._at_ns = self._at_ns, at_ns
        if at_ns is None or self._closed or (before_ns is not None and before_ns <= at_ns):
            return  # it wakes early enough by itself
        if self._thread is None:
            self._thread = threading.Thread(target=self._tick, name="fanout-timer", daemon=True)
            self._thread.start()
        self._lock.notify_all()

    def close(self) -> None:
        """Under the lock: wake no more."""
        self._closed = True
        self._lock.notify_all()

    def join(self) -> None:
        """Without the lock: wait for the thread's end."""
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                wait_s = None if self._at_ns is None else seconds(self._at_ns - self._clock.now_ns())
                if wait_s is None or wait_s > 0:
                    self._lock.wait(wait_s)
                    continue
                self._at_ns = None
            self._wake()
