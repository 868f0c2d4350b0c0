"""Processes that share one quota through a file: each has its own gate and its own connection; time is the test's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fanout.clock import NS_PER_S
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.gates import Gates, view_of
from fanout.quota.limits import Limits
from fanout.quota.shared_file import SharedFile
from fanout.quota.sharers import Reservation
from fanout.quota.view import AccountView
from tests.gates import ACCOUNT, ONE

TIMEOUT_NS = 30 * NS_PER_S


class Process:
    """What one process has: its own gate, its own connection to the file, one run."""

    def __init__(
        self,
        path: Path,
        limits: Limits,
        *,
        run_id: str,
        weight: int = 1,
        wall_offset_ns: int = 0,
        timeout_ns: int = TIMEOUT_NS,
    ) -> None:
        """`timeout_ns`: when each of its calls has ended, whatever happens."""
        self.file = SharedFile(path, wall_offset_ns=wall_offset_ns)
        self.gate: Gate = Gates(wall_offset_ns=wall_offset_ns, together=self.file).at(ACCOUNT, limits, 0)
        self.run_id = run_id
        self.gate.join(run_id, weight=weight)
        self.gate.lease(run_id, timeout_ns)

    def try_start(self, at_ns: int, cost: Cost = ONE) -> Reservation | Hold:
        """One transaction: ask, and book where nothing holds it."""
        with self.file:
            self.gate.new_round()
            return self.gate.ask(self.run_id, cost, at_ns) or self.gate.book(self.run_id, cost, at_ns)

    def start(self, at_ns: int, cost: Cost = ONE) -> Reservation:
        started = self.try_start(at_ns, cost)
        assert isinstance(started, Reservation)
        return started

    def settle(self, booked: Reservation, used: Cost, at_ns: int) -> None:
        with self.file:
            self.gate.settle(booked, used, at_ns)

    def view(self, at_ns: int) -> AccountView:
        with self.file:
            return view_of(self.gate, waiting={}, at_ns=at_ns)


@contextmanager
def processes(
    count: int,
    limits: Limits,
    *,
    weights: tuple[int, ...] = (),
    wall_offset_ns: int = 0,
    timeout_ns: int = TIMEOUT_NS,
) -> Iterator[tuple[Process, ...]]:
    """So many on one new file."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = []
        for place in range(count):
            one = Process(
                Path(folder) / "deep" / "quota.sqlite",
                limits,
                run_id=f"run {place}",
                weight=weights[place] if weights else 1,
                wall_offset_ns=wall_offset_ns,
                timeout_ns=timeout_ns,
            )
            stack.callback(one.file.close)
            made.append(one)
        yield tuple(made)
