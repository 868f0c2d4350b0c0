"""An engine with several runs, many threads, and a program's end."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fanout.batch import Batch
from fanout.engine import Engine
from fanout.errors import EngineClosed
from tests.engines import Bench, statuses
from tests.hands import WAIT_S, HandCaller

ROOT = Path(__file__).parent.parent


def test_one_ceiling_stands_over_all_runs() -> None:
    bench = Bench(max_in_flight=3)
    with bench.engine:
        first = bench.start(4, max_workers=4)
        bench.caller.taken(3)
        second = bench.start(4, max_workers=4)
        callers = bench.callers
        bench.store.await_run(second, lambda run: run.holds[-1:] != () and run.holds[-1].held_by == "concurrency")
        for caller in callers:
            for place in range(4):
                caller.taken(place + 1)[place].answer()
        assert first.wait(WAIT_S)
        assert second.wait(WAIT_S)
        assert most_in_flight(first.snapshot().calls + second.snapshot().calls) <= 3


def test_the_oldest_ended_runs_are_forgotten_and_running_ones_never() -> None:
    bench = Bench(keep_runs=2)
    with bench.engine:
        going = bench.start(1)
        ended = []
        for _ in range(3):
            live = bench.start(1)
            bench.caller.taken(1)[0].answer()
            assert live.wait(WAIT_S)
            ended.append(live)
        assert bench.engine.find(going.run_id) is going
        assert bench.engine.find(ended[0].run_id) is None
        assert bench.engine.runs() == (ended[2], going)
        assert set(bench.store.run_ids()) == {going.run_id, ended[2].run_id}


def test_closing_interrupts_every_run_and_refuses_new_ones() -> None:
    bench = Bench()
    live = bench.start(4, max_workers=2)
    bench.caller.taken(2)
    bench.engine.close()
    assert statuses(live) == ["cancelled"] * 4
    assert live.snapshot().stop_reason == "interrupted"
    with pytest.raises(EngineClosed):
        bench.start(1)
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("fanout-call", "fanout-timer"))]


LEAVES = """
from tests.hands import HandCaller
from fanout import Batch, Engine

class Echo(HandCaller):
    def send(self, prompt, **stamps):
        sending = super().send(prompt, **stamps)
        sending.answer(prompt)
        return sending

engine = Engine(caller_for=lambda batch, clock: Echo())
live = engine.start(Batch(prompts=["p"] * 20_000, max_workers=4))
next(live.as_completed())
print("left", flush=True)
"""


def test_a_script_that_ends_in_the_middle_of_a_run_exits_quietly() -> None:
    """Nothing further starts, and 20,000 queued calls are given up without a word and without a deep recursion."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_many_workers_and_many_threads_lose_nothing() -> None:
    class Echo(HandCaller):
        def send(self, prompt: str, **stamps: object) -> object:  # type: ignore[override]
            sending = super().send(prompt, **stamps)  # type: ignore[arg-type]
            sending.answer(prompt.upper())
            return sending

    with Engine(caller_for=lambda batch, clock: Echo()) as engine:  # type: ignore[arg-type, return-value]
        batch = Batch(prompts=[f"p{n}" for n in range(400)], max_workers=32)
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda _: engine.start(batch), range(4)))
        for live in runs:
            assert [result.output for result in live.results()] == [f"P{n}" for n in range(400)]
            run = live.snapshot()
            assert most_in_flight(run.calls) <= 32


def most_in_flight(calls: tuple) -> int:  # type: ignore[type-arg]
    edges = []
    for call in calls:
        for attempt in call.attempts:
            edges += [(attempt.started_ns, 1), (attempt.ended_ns, -1)]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def test_a_late_loop_is_told_to_the_runs_it_slowed_and_to_no_other() -> None:
    late = iter([999_000_000, 5_000_000, 50_000_000])  # before the stretch; too little to tell; worth a word

    class EverySecond:
        now = 0

        def now_ns(self) -> int:
            EverySecond.now += 2_000_000_000
            return EverySecond.now

    caller = HandCaller()
    with Engine(caller_for=lambda batch, clock: caller, clock=EverySecond(), lag_ns=lambda: next(late, 0)) as engine:
        live = engine.start(Batch(prompts=["a", "b"], max_workers=2))
        first, second = caller.taken_for("a"), caller.taken_for("b")
        first.answer()
        assert next(live.as_completed()).index == 0
        second.answer()
        assert live.wait(WAIT_S)
    assert [lag.lag_ns for lag in live.snapshot().lags] == [50_000_000]
