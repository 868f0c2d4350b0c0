"""THE RULE: which call may start now, else when to ask again, and what holds it back.

Rule 1: everything that decides about starting lives in this file. Rule 2: this file does nothing but decide: no thread,
no I/O, no clock of its own; every instant is given. So the engine drives it with real time, a replay with recorded
latencies, and a test by hand, and they cannot disagree.

A call is in exactly one of four places: `fresh` (in the order it was added), `backing off` (until an instant), `in
flight` (it holds a lane), or gone. The order of the questions in `next` is the order of the answers a user gets:
paused, nothing to do, no free worker, a limit by name.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fanout.events import Held
from fanout.quota.ceiling import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start this attempt now."""

    call: int
    attempt: int
    """From 1."""
    lane: int
    """The worker's row, from 0; free until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing may start now."""

    until_ns: int | None
    """Ask again then; None: only when something has changed."""
    held_by: Held | None
    """What holds the next call back; None where no call is ready to start."""


class Schedule:
    """The calls of one stretch and the order in which they may start. Not thread-safe: its owner holds a lock."""

    def __init__(
        self, *, max_workers: int, limits: Sequence[Limit] = (), attempts: Mapping[int, int] | None = None
    ) -> None:
        """`attempts`: how many attempts a call has had before this stretch, for those that had any."""
        self.max_workers = max_workers
        self.only_again = False
        """Whether fresh calls are kept back while the provider may be down: those that come again will tell."""
        self._limits = tuple(limits)
        self._attempts = dict(attempts or {})
        self._fresh: deque[int] = deque()
        self._backing_off: list[tuple[int, int, int]] = []  # (ready_ns, order, call), a heap
        self._in_flight: dict[int, int] = {}  # call -> lane
        self._free_lanes: list[int] = []  # a heap, so that the lowest row is taken first
        self._lanes = 0
        self._order = 0
        self._paused = False

    def __repr__(self) -> str:
        state = " paused" if self._paused else ""
        return (
            f"<Schedule{state} {self.in_flight} in flight of {self.max_workers}, "
            f"{len(self._fresh)} fresh, {len(self._backing_off)} backing off>"
        )

    @property
    def in_flight(self) -> int:
        """Calls that hold a lane."""
        return len(self._in_flight)

    @property
    def queued(self) -> int:
        """Calls that hold none: fresh or backing off."""
        return len(self._fresh) + len(self._backing_off)

    @property
    def done(self) -> bool:
        """Whether every call that was added is gone."""
        return not (self._fresh or self._backing_off or self._in_flight)

    def add(self, calls: Iterable[int]) -> None:
        """Queue these calls behind the ones that are there."""
        self._fresh.extend(calls)

    def next(self, at_ns: int) -> Start | Wait:
        """The next start at this instant, booked, or why there is none. Ask until it answers `Wait`."""
        if self._paused:
            return Wait(until_ns=None, held_by="paused")
        if not self._ready(at_ns):
            return Wait(until_ns=self._backing_off[0][0] if self._backing_off else None, held_by=None)
        if self.in_flight >= self.max_workers:
            return Wait(until_ns=None, held_by="workers")
        return self._ask(at_ns) or self._start(at_ns)

    def ended(self, call: int, *, at_ns: int) -> None:
        """The call gives its lane back and is gone."""
        heapq.heappush(self._free_lanes, self._in_flight.pop(call))
        for limit in self._limits:
            limit.give_back(call, at_ns)

    def again(self, call: int, *, at_ns: int, ready_ns: int) -> None:
        """The call gives its lane back and comes again at `ready_ns`, ahead of fresh calls."""
        self.ended(call, at_ns=at_ns)
        self._order += 1
        heapq.heappush(self._backing_off, (ready_ns, self._order, call))

    def pause(self) -> None:
        """Nothing starts until `continue_`; what is in flight goes on."""
        self._paused = True

    def continue_(self) -> None:
        """After a pause."""
        self._paused = False

    def stop(self) -> tuple[int, ...]:
        """Give up every call that holds no lane: these, in the order in which they would have started."""
        waiting = (*(call for _, _, call in sorted(self._backing_off)), *self._fresh)
        self._backing_off.clear()
        self._fresh.clear()
        return waiting

    def _ready(self, at_ns: int) -> bool:
        return (bool(self._fresh) and not self.only_again) or self._comes_again(at_ns)

    def _ask(self, at_ns: int) -> Wait | None:
        """The limit that lets the call go last, if any does not let it go now. Nothing is booked."""
        call = self._backing_off[0][2] if self._comes_again(at_ns) else self._fresh[0]
        latest: Wait | None = None
        for limit in self._limits:
            hold = limit.ask(call, at_ns)
            if hold is None:
                continue
            if hold.until_ns is None:
                return Wait(until_ns=None, held_by=hold.held_by)
            if latest is None or hold.until_ns > (latest.until_ns or 0):
                latest = Wait(until_ns=hold.until_ns, held_by=hold.held_by)
        return latest

    def _start(self, at_ns: int) -> Start:
        call = self._take(at_ns)
        for limit in self._limits:
            limit.book(call, at_ns)
        lane = self._lane()
        self._in_flight[call] = lane
        self._attempts[call] = self._attempts.get(call, 0) + 1
        return Start(call=call, attempt=self._attempts[call], lane=lane)

    def _comes_again(self, at_ns: int) -> bool:
        return bool(self._backing_off) and self._backing_off[0][0] <= at_ns

    def _take(self, at_ns: int) -> int:
        """The next call: one whose backoff is over goes before a fresh one, since it has waited longest."""
        if self._comes_again(at_ns):
            return heapq.heappop(self._backing_off)[2]
        return self._fresh.popleft()

    def _lane(self) -> int:
        if self._free_lanes:
            return heapq.heappop(self._free_lanes)
        self._lanes += 1
        return self._lanes - 1
