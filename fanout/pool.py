"""The thread pool in which calls are carried out.

Comes in: a stretch and a start that it booked. Goes out: the reply, or nothing where the attempt was cancelled. The
only file that makes threads for calls: one pool for all runs, whose workers block on one attempt each. Books nothing
and decides nothing: the engine takes what comes out back to the stretch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from fanout import events as ev
from fanout.calls import Reply
from fanout.clock import Clock
from fanout.errors import Broken
from fanout.schedule import Start
from fanout.stretch import OpenStretch
from fanout.threads import ThreadPool

SPARE_THREADS = 8
"""Beyond the ceiling, for runs that warm up while it is reached."""

_LOG = logging.getLogger(__name__)

Ended = Callable[[OpenStretch, Start, Reply | None], None]
"""Told what an attempt came to, in the thread that carried it out."""


class Pool:
    """The threads of one engine."""

    def __init__(self, most: int, *, lock: threading.Condition, clock: Clock, ended: Ended) -> None:
        """`most`: attempts at once. `lock` is the engine's."""
        self._threads = ThreadPool(most + SPARE_THREADS, thread_name_prefix="fanout-call")
        self._lock = lock
        self._clock = clock
        self._ended = ended

    def prepare(self, warm_up: Callable[[OpenStretch], None], stretch: OpenStretch) -> None:
        """Have the stretch made ready in a thread."""
        self._threads.submit(warm_up, stretch)

    def carry(self, stretch: OpenStretch, start: Start) -> bool:
        """Have this attempt carried out; False where the pool or the interpreter is closing, and nothing can start."""
        try:
            self._threads.submit(self._work, stretch, start)
        except RuntimeError:
            return False
        return True

    def close(self, *, wait: bool) -> None:
        """Take nothing further; `wait` for what goes on."""
        self._threads.shutdown(wait=wait)

    def _work(self, stretch: OpenStretch, start: Start) -> None:
        """In a thread: one attempt, from sending to its end."""
        try:
            self._ended(stretch, start, carry_out(stretch, start, lock=self._lock, clock=self._clock))
        except Exception:
            _LOG.exception("a call could not be carried out")
            raise


def carry_out(stretch: OpenStretch, start: Start, *, lock: threading.Condition, clock: Clock) -> Reply | None:
    """Send and wait; None where it was cancelled. A bug in a caller becomes this call's failure.

    `lock` is the engine's, held only to enter what is sent where a stop finds it.
    """
    record, call, attempt = stretch.live.record, start.call, start.attempt
    try:
        sending = stretch.caller.send(
            stretch.prompts[call],
            on_sent=lambda at_ns: record.stamp(ev.Sent(at_ns=at_ns, call=call, attempt=attempt)),
            on_first_token=lambda at_ns: record.stamp(ev.FirstToken(at_ns=at_ns, call=call, attempt=attempt)),
        )
        with lock:
            stretch.sendings[call] = sending
            hangs_up = stretch.hangs_up
        if hangs_up:
            sending.cancel()
        return sending.reply()
    except CancelledError:
        return None
    except Exception as exc:
        _LOG.exception("a caller raised instead of replying")
        return Reply(received_ns=clock.now_ns(), error=Broken(f"{type(exc).__name__}: {exc}"))
