"""A caller whose sendings a test finishes by hand, in an order that the test chooses; no network, no time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from fanout.calls import Reply, Stamp
from fanout.clock import MonotonicClock
from fanout.errors import CallFailed
from fanout.events import Event, RunOpened, Usage
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import Visibility
from fanout.quota.report import RateReport
from fanout.run import Run
from fanout.store import Journal, MemoryStore

WAIT_S = 20.0
"""Only ever means failure."""


class WatchedStore(MemoryStore):
    """A store that tells whenever an event has come, so that a test waits for what it names and not for time."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Condition()

    def open(self, opened: RunOpened, *, visibility: Visibility | None = None) -> Journal:
        return _Telling(super().open(opened, visibility=visibility), self._tell)

    def _tell(self) -> None:
        with self._told:
            self._told.notify_all()

    def await_run(self, live: LiveRun, wanted: Callable[[Run], bool]) -> Run:
        """Block until the events of the run make it as wanted."""
        with self._told:
            found = self._told.wait_for(lambda: wanted(fold(self.events(live.run_id))), WAIT_S)
        assert found, f"never came to be: {live!r}"
        return live.snapshot()


class _Telling:
    """A journal that tells whenever something was appended."""

    def __init__(self, journal: Journal, tell: Callable[[], None]) -> None:
        self.bind = journal.bind
        self.reopen = journal.reopen
        self.events = journal.events
        self._journal = journal
        self._tell = tell

    def append(self, events: tuple[Event, ...]) -> None:
        self._journal.append(events)
        self._tell()


class HandSending:
    """One attempt in flight, until `answer` or `fail`."""

    def __init__(self, prompt: str, *, on_sent: Stamp, on_first_token: Stamp) -> None:
        self.prompt = prompt
        self._on_first_token = on_first_token
        self._reply: Future[Reply] = Future()
        on_sent(MonotonicClock().now_ns())

    def first_token(self) -> None:
        self._on_first_token(MonotonicClock().now_ns())

    def answer(self, output: str = "yes", *, output_tokens: int | None = 1, cost_usd: float | None = None) -> None:
        usage = Usage(input_tokens=3, output_tokens=output_tokens)
        received_ns = MonotonicClock().now_ns()
        self._reply.set_result(Reply(received_ns=received_ns, output=output, usage=usage, cost_usd=cost_usd))

    def fail(self, error: CallFailed, *, report: RateReport = RateReport()) -> None:  # noqa: B008  # frozen
        self._reply.set_result(Reply(received_ns=MonotonicClock().now_ns(), error=error, report=report))

    def reply(self) -> Reply:
        return self._reply.result(WAIT_S)

    def cancel(self) -> None:
        self._reply.cancel()

    @property
    def cancelled(self) -> bool:
        return self._reply.cancelled()


class HandCaller:
    """Collects what the engine sends; `taken(n)` waits until n attempts have been sent altogether."""

    def __init__(self, *, warm_up_error: Exception | None = None) -> None:
        self._sent: list[HandSending] = []
        self._changed = threading.Condition()
        self._warm_up_error = warm_up_error
        self.warm = threading.Event()
        self.warm.set()

    def warm_up(self) -> None:
        assert self.warm.wait(WAIT_S)
        if self._warm_up_error is not None:
            raise self._warm_up_error

    def send(self, prompt: str, *, on_sent: Stamp, on_first_token: Stamp) -> HandSending:
        sending = HandSending(prompt, on_sent=on_sent, on_first_token=on_first_token)
        with self._changed:
            self._sent.append(sending)
            self._changed.notify_all()
        return sending

    def taken(self, count: int) -> list[HandSending]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._sent) >= count, WAIT_S), (
                f"waited for {count} attempts, {len(self._sent)} were sent"
            )
            return list(self._sent)

    def taken_for(self, prompt: str) -> HandSending:
        """The first attempt of this prompt, once it was sent: workers that start together send in any order."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(each.prompt == prompt for each in self._sent), WAIT_S), (
                f"waited for {prompt!r}, sent were {[each.prompt for each in self._sent]}"
            )
            return next(each for each in self._sent if each.prompt == prompt)

    @property
    def count(self) -> int:
        with self._changed:
            return len(self._sent)
