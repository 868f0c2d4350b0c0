"""An engine whose calls a test finishes by hand, and what its runs came to."""

from __future__ import annotations

from fanout.batch import Batch
from fanout.clock import Clock
from fanout.engine import Engine
from fanout.live import LiveRun
from tests.hands import HandCaller, WatchedStore


class Bench:
    """An engine whose callers are by hand; one caller a run, the newest in `caller`."""

    def __init__(self, *, max_in_flight: int = 64, keep_runs: int = 50) -> None:
        self.callers: list[HandCaller] = []
        self.warm_up_error: Exception | None = None
        self.hold_warm_up = False
        self.store = WatchedStore()
        self.engine = Engine(
            max_in_flight=max_in_flight,
            keep_runs=keep_runs,
            caller_for=self._caller,
            jitter=lambda: 0.0,
            store=self.store,
        )

    @property
    def caller(self) -> HandCaller:
        return self.callers[-1]

    def start(self, count: int = 4, *, max_workers: int = 2, retries: int = 2) -> LiveRun:
        prompts = [f"prompt {number}" for number in range(count)]
        return self.engine.start(Batch(prompts=prompts, max_workers=max_workers, retries=retries))

    def _caller(self, batch: Batch, clock: Clock) -> HandCaller:
        caller = HandCaller(warm_up_error=self.warm_up_error)
        if self.hold_warm_up:
            caller.warm.clear()
        self.callers.append(caller)
        return caller


def statuses(live: LiveRun) -> list[str]:
    return [call.status for call in live.snapshot().calls]
