"""The runs that an engine remembers, what sends their calls, and which of them go on.

Comes in: runs as they are started or read back, stretches as they open and end. Goes out: the same, found again; what
another stretch would send. No lock of its own: the engine calls every method under its lock.
"""

from __future__ import annotations

from fanout.calls import Caller
from fanout.errors import BadInput
from fanout.live import LiveRun
from fanout.stretch import OpenStretch


class Remembered:
    """Runs by id, the oldest first; `keep` of them, and all that go on."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._runs: dict[str, LiveRun] = {}
        self.callers: dict[str, Caller] = {}
        self.going: dict[str, OpenStretch] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, live: LiveRun, caller: Caller | None = None) -> LiveRun:
        """Remember it; its caller may come with its next stretch."""
        self._runs[live.run_id] = live
        if caller is not None:
            self.callers[live.run_id] = caller
        return live

    def find(self, run_id: str) -> LiveRun | None:
        """The run of this id; None where it is not remembered."""
        return self._runs.get(run_id)

    def newest_first(self) -> tuple[LiveRun, ...]:
        """All of them."""
        return tuple(reversed(self._runs.values()))

    def too_many(self) -> tuple[str, ...]:
        """Those to forget: beyond `keep`, the oldest that have ended."""
        ended = [run_id for run_id in self._runs if run_id not in self.going]
        return tuple(ended[: max(0, len(self._runs) - self._keep)])

    def forget(self, run_id: str) -> bool:
        """Whether it was remembered, and did not go on."""
        if run_id in self.going or self._runs.pop(run_id, None) is None:
            return False
        self.callers.pop(run_id, None)
        return True

    def unanswered(self, live: LiveRun) -> tuple[int, ...]:
        """The calls that another stretch would send. Raises BadInput where none can be opened."""
        if live.run_id in self.going:
            raise BadInput("this run still goes on: stop it first, or wait for its end")
        if live.run_id not in self._runs:
            raise BadInput("this run is no longer remembered: open its link again")
        return tuple(call.index for call in live.record.now().calls if call.status != "answered")

    def end_if_done(self, stretch: OpenStretch, at_ns: int) -> None:
        """Close the stretch once every call of it has ended."""
        if stretch.began and stretch.schedule.done and self.going.pop(stretch.live.run_id, None) is not None:
            stretch.end(at_ns)
