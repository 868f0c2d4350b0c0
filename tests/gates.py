"""Gates on instants that a test gives: made, asked until a call may start, taught by what a response says."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fanout.quota.account import Account
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.gates import Gates
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.sharers import Reservation

ONE = Cost(input_tokens=10, output_tokens=10)
ACCOUNT = Account(account="a", model="m", provider="p")
WORDS = ("why", "remedy")


def gate(limits: Limits = Limits(), *runs: str) -> Gate:  # noqa: B008  # frozen
    made = Gates(wall_offset_ns=0).at(ACCOUNT, limits, 0)
    for run_id in runs or ("run",):
        made.join(run_id, weight=1)
    return made


def book_next(made: Gate, run_id: str, cost: Cost, at_ns: int) -> tuple[Reservation, int]:
    """Ask until the call may start, and book it; the reservation and its instant."""
    while True:
        made.new_round()
        hold = made.ask(run_id, cost, at_ns)
        if hold is None:
            return made.book(run_id, cost, at_ns), at_ns
        assert hold.until_ns is not None
        assert hold.until_ns > at_ns
        at_ns = hold.until_ns


def most_within(window_ns: int, taken: Iterable[tuple[int, int]]) -> int:
    """The most that any window of this length holds. `taken`: when and how much, the earliest first."""
    window, inside, most = deque[tuple[int, int]](), 0, 0
    for at_ns, units in taken:
        window.append((at_ns, units))
        inside += units
        while window[0][0] <= at_ns - window_ns:
            inside -= window.popleft()[1]
        most = max(most, inside)
    return most


def served(made: Gate, wants: dict[str, int], *, until_ns: int, from_ns: int = 0) -> dict[str, list[int]]:
    """Everybody asks in the order of the tags, until the time is over: when each run's calls started."""
    found: dict[str, list[int]] = {run_id: [] for run_id in wants}
    at_ns = from_ns
    while at_ns < until_ns and any(len(found[run_id]) < want for run_id, want in wants.items()):
        made.new_round()
        holds = []
        line = [run_id for run_id, want in wants.items() if len(found[run_id]) < want]
        while line:
            run_id = min(line, key=made.tag)
            hold = made.ask(run_id, ONE, at_ns)
            if hold is None:
                made.settle(made.book(run_id, ONE, at_ns), ONE, at_ns)
                found[run_id].append(at_ns)
                line = [one for one in line if len(found[one]) < wants[one]]
            else:
                holds.append(hold.until_ns or at_ns + 1)
                line.remove(run_id)
        at_ns = min(holds, default=at_ns + 1)
    return found


def said(remaining: int, limit: int = 600) -> RateReport:
    return RateReport(readings=(("requests", Reading(limit=limit, remaining=remaining)),))
