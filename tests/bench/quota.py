"""Quota over real HTTP: what a run takes against the sandbox's limits, beside the least that those limits allow.

`python -m tests.bench.quota [NAME ...]` runs the cases named, or all, and prints a line each: seconds, the bound, their
ratio, 429s, what was lost. Each case has an account of the sandbox of its own. `cost` is what the arithmetic costs,
without HTTP, in process and through the file that processes share. How runs and processes share is in `quota_shares`.
"""

from __future__ import annotations

import heapq
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from fanout.batch import Batch
from fanout.engine import Engine
from fanout.quota.account import Account
from fanout.quota.estimate import Cost
from fanout.quota.gates import Gates
from fanout.quota.limits import Limits
from fanout.quota.shared import Keeper, SharedGates
from fanout.quota.shared_file import FileKeeper
from fanout.run import Run
from fanout.sandbox.profile import SandboxProfile
from fanout.store.database import open_database
from fanout.store.quota_rows import QuotaRows
from tests.hostile import Hostile, Pause, chat, status
from tests.postgres import Postgres

FAST = SandboxProfile(first_token_ms=100, first_token_sigma=0, token_ms=0, token_sigma=0)
PACED = replace(FAST, requests_per_minute=600, burst=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run: how long it took beside its bound."""

    name: str
    wall_s: float
    bound_s: float
    refused: int
    lost: int
    note: str = ""

    def line(self) -> str:
        """A row of the table in docs/performance.md."""
        ratio = self.wall_s / self.bound_s
        return (
            f"| {self.name} | {self.wall_s:.2f} | {self.bound_s:.2f} | {ratio:.3f} "
            f"| {self.refused} | {self.lost} | {self.note} |"
        )


def prompts(count: int) -> list[str]:
    """Each one of its own, answered shortly."""
    return [f"Reply: {number}" for number in range(count)]


def wall_s(run: Run) -> float:
    """Of the first stretch."""
    stretch = run.stretches[0]
    return ((stretch.ended_ns or stretch.began_ns) - stretch.began_ns) / 1e9


def refused(run: Run, *, after_s: float = 0.0) -> int:
    """Attempts that got a 429, of those that started after so many seconds."""
    began_ns = run.stretches[0].began_ns
    return sum(
        attempt.error is not None and attempt.error.status_code == 429
        for call in run.calls
        for attempt in call.attempts
        if attempt.started_ns - began_ns >= after_s * 1e9
    )


def one(name: str, batch: Batch, *, bound_s: float, limits: Limits | None = None, note: str = "") -> Outcome:
    """Run the batch alone."""
    with Engine(limits_for=lambda _: limits or Limits()) as engine:
        live = engine.start(batch)
        results = live.results()
        run = live.snapshot()
    lost = sum(result.status != "answered" for result in results)
    return Outcome(name=name, wall_s=wall_s(run), bound_s=bound_s, refused=refused(run), lost=lost, note=note)


def known() -> Outcome:
    """The settings tell the limit and the burst."""
    batch = Batch(prompts=prompts(300), max_workers=32, sandbox=replace(PACED, headers=False))
    limits = Limits(requests_per_minute=600, burst=20)
    return one("known", batch, bound_s=28.0, limits=limits)


def taught() -> Outcome:
    """Nothing is told; the first response teaches."""
    return one("taught by headers", Batch(prompts=prompts(300), max_workers=32, sandbox=PACED), bound_s=28.0)


def unknown() -> Outcome:
    """No limit, no headers: learnt from 429s."""
    batch = Batch(prompts=prompts(1500), max_workers=32, sandbox=replace(PACED, headers=False))
    with Engine() as engine:
        live = engine.start(batch)
        results = live.results()
        run = live.snapshot()
    late = [a for c in run.calls for a in c.attempts if a.started_ns - run.stretches[0].began_ns >= 60e9]
    share = refused(run, after_s=60) / max(1, len(late))
    lost = sum(result.status != "answered" for result in results)
    return Outcome(
        name="unknown, no headers",
        wall_s=wall_s(run),
        bound_s=148.0,
        refused=refused(run),
        lost=lost,
        note=f"after the first minute {share:.1%} refused",
    )


def burning() -> Outcome:
    """Rejected calls burn quota; headers tell."""
    batch = Batch(prompts=prompts(300), max_workers=32, sandbox=replace(PACED, rejected_burn=True))
    return one("rejected calls burn", batch, bound_s=28.0)


def tokens() -> Outcome:
    """Tokens bind; the estimate is settled to what was used."""
    profile = replace(FAST, tokens_per_minute=6_000, token_burst=600)
    words = [f"Write about number {number}, please, in a few sentences and then some more." for number in range(120)]
    with Engine() as engine:
        live = engine.start(Batch(prompts=words, max_workers=32, sandbox=profile))
        results = live.results()
        run = live.snapshot()
    used = sum((r.usage.input_tokens or 0) + (r.usage.output_tokens or 0) for r in results)
    bound_s = (used - 600) / 100
    lost = sum(result.status != "answered" for result in results)
    return Outcome(
        name="tokens bind",
        wall_s=wall_s(run),
        bound_s=bound_s,
        refused=refused(run),
        lost=lost,
        note=f"{bound_s / wall_s(run):.1%} of the tokens used",
    )


def beside() -> Outcome:
    """Five calls beside 10,000 at 60 a minute."""
    profile = replace(FAST, requests_per_minute=60, burst=1)
    with Engine(limits_for=lambda _: Limits(requests_per_minute=60, burst=1)) as engine:
        large = engine.start(Batch(prompts=prompts(10_000), max_workers=32, sandbox=profile))
        next(large.as_completed())
        small = engine.start(Batch(prompts=prompts(5), max_workers=5, sandbox=profile))
        results = small.results()
        run, beside_it = small.snapshot(), large.snapshot()
        large.cancel()
    lost = sum(result.status != "answered" for result in results)
    began_ns, ended_ns = run.stretches[0].began_ns, run.stretches[0].ended_ns or 0
    served = sum(began_ns <= a.started_ns < ended_ns for call in beside_it.calls for a in call.attempts)
    note = f"beside them {served} of the large run's; alone it would have had {wall_s(run):.0f}"
    return Outcome(name="5 beside 10,000", wall_s=wall_s(run), bound_s=4.1, refused=refused(run), lost=lost, note=note)


def faults() -> Outcome:
    """5 % of 500s and 2 % hangs: beside the fault-free bound."""
    profile = SandboxProfile(
        first_token_ms=200, first_token_sigma=0, token_ms=0, token_sigma=0, error_rate=0.05, hang_rate=0.02, seed=7
    )
    batch = Batch(prompts=prompts(500), max_workers=32, timeout_s=2.0, retries=4, sandbox=profile)
    with Engine() as engine:
        live = engine.start(batch)
        results = live.results()
        run = live.snapshot()
    lost = sum(result.status != "answered" for result in results)
    free_s = 500 * 0.2 / 32
    note = f"seed 7; beside greedy dispatch under the same faults; {wall_s(run) / free_s:.2f} x the fault-free bound"
    return Outcome(name="500s and hangs", wall_s=wall_s(run), bound_s=greedy_s(run), refused=0, lost=lost, note=note)


def chance() -> Outcome:
    """One request in ten is refused, however fast is sent, without a word about a limit or a wait."""
    draws = Random(3)
    no, yes = status(429), [Pause(0.4), *chat("yes")]
    with Hostile(lambda _: no if draws.random() < 0.1 else yes) as server, Engine() as engine:
        os.environ |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        live = engine.start(Batch(prompts=prompts(300), max_workers=16, model="openai-chat:bench"))
        results = live.results()
        run = live.snapshot()
    lost = sum(result.status != "answered" for result in results)
    return Outcome(
        name="refused by chance", wall_s=wall_s(run), bound_s=300 / 16 * 0.4, refused=refused(run), lost=lost
    )


def cost_us() -> float:
    """Microseconds that asking, reserving and settling one call take, with two limits; the best of five loops."""
    limits = Limits(requests_per_minute=1_000_000_000, tokens_per_minute=1_000_000_000)
    gate = Gates(wall_offset_ns=0).at(Account(account="bench", model="bench", provider="bench"), limits, 0)
    gate.join("run", weight=1)
    one_call, calls, best_ns = Cost(input_tokens=10, output_tokens=10), 20_000, float("inf")
    for _ in range(5):
        began_ns = time.perf_counter_ns()
        for tick in range(calls):
            gate.new_round()
            gate.ask("run", one_call, tick * 1_000_000)
            gate.settle(gate.book("run", one_call, tick * 1_000_000), one_call, tick * 1_000_000)
        best_ns = min(best_ns, (time.perf_counter_ns() - began_ns) / calls)
    return best_ns / 1_000


def shared_cost_us(keepers: Sequence[Keeper], *, at_once: bool) -> float:
    """The same through what processes share. More than one: each finds the row changed by another, in each transaction.

    `at_once`: a call's end and the next one's start are one transaction, as in an engine whose calls follow one
    another; else each is one of its own.
    """
    limits = Limits(requests_per_minute=1_000_000_000, tokens_per_minute=1_000_000_000)
    account = Account(account="bench", model="bench", provider="bench")
    one_call, calls, best_ns = Cost(input_tokens=10, output_tokens=10), 1_000, float("inf")
    shared = [SharedGates(keeper, wall_offset_ns=0) for keeper in keepers]
    gates = [Gates(wall_offset_ns=0, together=one).at(account, limits, 0) for one in shared]
    for place, gate in enumerate(gates):
        gate.join(f"run {place}", weight=1)
        gate.lease(f"run {place}", 60 * 1_000_000_000)
    booked: list[Any] = [None] * len(gates)
    for _ in range(5):
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            for place, (one, gate) in enumerate(zip(shared, gates, strict=True)):
                at_ns = time.monotonic_ns()
                with one:
                    if at_once and booked[place] is not None:
                        gate.settle(booked[place], one_call, at_ns)
                    gate.new_round()
                    gate.ask(f"run {place}", one_call, at_ns)
                    booked[place] = gate.book(f"run {place}", one_call, at_ns)
            for one, gate, call in zip(shared, gates, () if at_once else booked, strict=not at_once):
                with one:
                    gate.settle(call, one_call, time.monotonic_ns())
        best_ns = min(best_ns, (time.perf_counter_ns() - began_ns) / calls / len(gates))
    for one in shared:
        assert one.shared
        one.close()
    return best_ns / 1_000


def file_cost_us(processes: int, *, at_once: bool) -> float:
    """Through a file."""
    with tempfile.TemporaryDirectory() as folder:
        keepers = [FileKeeper(Path(folder) / "quota.sqlite") for _ in range(processes)]
        return shared_cost_us(keepers, at_once=at_once)


def hosts_cost_us(processes: int, *, at_once: bool) -> float:
    """Through a PostgreSQL on loopback."""
    server = Postgres()
    try:
        server.start()
        database = open_database(server.fresh())
        database.close()
        return shared_cost_us([QuotaRows(database.url) for _ in range(processes)], at_once=at_once)
    finally:
        server.remove()


def greedy_s(run: Run) -> float:
    """When these attempts and waits between them are over, dispatched at once as workers become free."""
    lanes = [0.0] * run.max_workers
    fresh = deque(run.calls)
    again: list[tuple[float, int, int]] = []  # (ready_s, call, attempt)
    end_s = 0.0
    while fresh or again:
        now_s = heapq.heappop(lanes)
        if again and (again[0][0] <= now_s or not fresh):
            ready_s, index, place = heapq.heappop(again)
            now_s = max(now_s, ready_s)
        else:
            index, place = fresh.popleft().index, 0
        attempts = run.calls[index].attempts
        over_s = now_s + (attempts[place].latency_ns or 0) / 1e9
        heapq.heappush(lanes, over_s)
        end_s = max(end_s, over_s)
        if place + 1 < len(attempts):
            waits_ns = (attempts[place].ready_ns or 0) - (attempts[place].received_ns or 0)
            heapq.heappush(again, (over_s + max(0, waits_ns) / 1e9, index, place + 1))
    return end_s


CASES: Mapping[str, Callable[[], Outcome]] = {
    case.__name__: case for case in (known, taught, unknown, burning, tokens, beside, faults, chance)
}


def main(names: list[str]) -> None:
    """Run the cases named, or all."""
    if not names or "cost" in names:
        print(f"reserve and settle: {cost_us():.1f} us a call in process")
        for name, measured in (("a file", file_cost_us), ("PostgreSQL", hosts_cost_us)):
            for processes in (1, 2):
                once_us, twice_us = (measured(processes, at_once=at_once) for at_once in (True, False))
                print(f"through {name}, {processes} at it: {once_us:.0f} us a call, {twice_us:.0f} in two transactions")
    print("| case | wall s | bound s | wall / bound | 429s | lost | |\n|---|---|---|---|---|---|---|")
    for name in names or list(CASES):
        if name != "cost":
            print(CASES[name]().line(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
