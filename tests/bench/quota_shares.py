"""Quota between runs and between processes, over real HTTP against the sandbox; and what waiting for it costs.

`python -m tests.bench.quota_shares [NAME ...]` runs the cases named, or all, and prints a line each. What is shared is
counted only while both sides wait: from the instant that the second has asked, for `FAIR_S` seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from fanout.batch import Batch
from fanout.engine import Engine
from fanout.quota.limits import Limits
from fanout.run import Run
from tests.bench.quota import FAST, PACED, prompts, refused

FAIR_S = 24.0
"""At ten calls a second a call more or less is below half a percent of a half."""
TARGET = 0.1
WAITING_S = 10.0


def starts_ns(run: Run) -> list[int]:
    """When its attempts took their quota."""
    return [attempt.started_ns for call in run.calls for attempt in call.attempts]


def split(names: tuple[str, str], starts: tuple[list[int], list[int]], *, from_ns: int, wanted: float) -> str:
    """How many of each started in the time that counts, and how far their ratio is from the one wanted."""
    until_ns = from_ns + round(FAIR_S * 1e9)
    one, other = (sum(from_ns <= at_ns < until_ns for at_ns in each) for each in starts)
    off = one / max(1, other) / wanted - 1
    verdict = "" if abs(off) <= TARGET else ": MISSES ITS TARGET"
    return (
        f"{names[0]} {one}, {names[1]} {other} starts in {FAIR_S:.0f} s: {one / max(1, other):.2f} to 1, "
        f"{off:+.1%} of {wanted:g} to 1{verdict}; {(one + other) / FAIR_S * 60:.0f} a minute"
    )


def weights() -> str:
    """Two runs of weights 3 and 1 at a limit that the settings tell."""
    limits = Limits(requests_per_minute=600, burst=20, max_weight=3)
    batch = Batch(prompts=prompts(1_000), max_workers=32, sandbox=replace(PACED, headers=False, seed=1))
    with Engine(limits_for=lambda _: limits) as engine:
        heavy = engine.start(replace(batch, weight=3))
        next(heavy.as_completed())
        light = engine.start(batch)
        time.sleep(FAIR_S + 2.0)
        light.cancel()
        heavy.cancel()
    runs = heavy.snapshot(), light.snapshot()
    told = split(
        ("weight 3", "weight 1"),
        (starts_ns(runs[0]), starts_ns(runs[1])),
        from_ns=runs[1].stretches[0].began_ns,
        wanted=3.0,
    )
    return f"weights: {told}; {sum(map(refused, runs))} 429s"


def moved() -> str:
    """The same two runs begin alike; the weight of one is moved to 3 while both wait."""
    limits = Limits(requests_per_minute=600, burst=20, max_weight=3)
    batch = Batch(prompts=prompts(1_000), max_workers=32, sandbox=replace(PACED, headers=False, seed=2))
    with Engine(limits_for=lambda _: limits) as engine:
        one, other = engine.start(batch), engine.start(batch)
        time.sleep(4.0)
        one.weight = 3
        time.sleep(FAIR_S + 1.0)
        one.cancel()
        other.cancel()
    runs = one.snapshot(), other.snapshot()
    told = split(
        ("moved to 3", "weight 1"),
        (starts_ns(runs[0]), starts_ns(runs[1])),
        from_ns=runs[0].weights[-1].at_ns,
        wanted=3.0,
    )
    return f"a weight moved: {told}; {sum(map(refused, runs))} 429s"


def waiting() -> str:
    """CPU of the process while 512 calls wait for quota, beside the same process with nothing to do."""
    limits = Limits(requests_per_minute=1, burst=1)
    with Engine(limits_for=lambda _: limits) as engine:
        batch = Batch(prompts=prompts(513), max_workers=512, sandbox=replace(FAST, seed=3))
        engine.start(Batch(prompts=prompts(1), sandbox=replace(FAST, seed=4))).results()  # so that all is warm
        idle_s = cpu_s()
        live = engine.start(batch)
        next(live.as_completed())
        time.sleep(0.5)
        waiting_s = cpu_s()
        waits = sum(call.status == "queued" for call in live.snapshot().calls)
        live.cancel()
    return (
        f"waiting: {waits} calls wait {WAITING_S:.0f} s for {1000 * waiting_s:.1f} ms of CPU; "
        f"the same process idle: {1000 * idle_s:.1f} ms"
    )


def cpu_s() -> float:
    """CPU that this process uses in `WAITING_S` seconds, all threads."""
    before_s = time.process_time()
    time.sleep(WAITING_S)
    return time.process_time() - before_s


SHARER = """
import json, sys, time
from pathlib import Path
from fanout.batch import Batch
from fanout.engine import Engine
from fanout.quota.limits import Limits
from fanout.settings import name_sandbox, read_settings
from tests.bench.quota import prompts, refused
from tests.bench.quota_shares import FAIR_S, starts_ns

at_s, path = float(sys.argv[1]), Path(sys.argv[2])
limits = Limits(requests_per_minute=600, burst=8)
name_sandbox(read_settings())
with Engine(limits_for=lambda _: limits, quota_file=path) as engine:
    engine.start(Batch(prompts=prompts(1))).results()  # so that both are warm
    time.sleep(max(0.0, at_s - time.time()))
    live = engine.start(Batch(prompts=prompts(1000), max_workers=32))
    time.sleep(FAIR_S + 2.0)
    shared = engine.quota()[0].shared_file
    live.cancel()
    run = live.snapshot()
print(json.dumps({"began": run.stretches[0].began_ns, "starts": starts_ns(run), "refused": refused(run),
    "shared": shared}))
"""


@contextlib.contextmanager
def one_sandbox() -> Iterator[str]:
    """The address of a sandbox that enforces 600 requests a minute, a burst of 9."""
    flags = "--port 0 --rpm 600 --burst 9 --first-token-ms 100 --first-token-sigma 0 --token-ms 0"
    serving = [sys.executable, "-m", "fanout", "sandbox", *flags.split()]
    with subprocess.Popen(serving, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            url = next(word for word in served.stderr.readline().split() if word.startswith("http"))
            yield url.removesuffix("/v1")
        finally:
            served.terminate()


def two_processes() -> str:
    """Two greedy processes on one account, which one sandbox enforces."""
    with tempfile.TemporaryDirectory() as folder, one_sandbox() as url:
        at_s, path = str(time.time() + 8.0), str(Path(folder) / "quota.sqlite")
        command = [sys.executable, "-c", SHARER, at_s, path]
        environment = {**os.environ, "FANOUT_SANDBOX_URL": url}
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in "ab"]
        told = [json.loads(one.communicate(timeout=90)[0]) for one in running]
    first, second = sorted(told, key=lambda each: each["began"])  # one clock for all processes of a host
    shares = split(("first", "second"), (first["starts"], second["starts"]), from_ns=second["began"], wanted=1.0)
    together = "one file" if first["shared"] and second["shared"] else "NOT SHARED"
    return f"two processes, {together}: {shares}; {first['refused'] + second['refused']} 429s"


CASES: Mapping[str, Callable[[], str]] = {case.__name__: case for case in (weights, moved, waiting, two_processes)}


def main(names: list[str]) -> None:
    """Run the cases named, or all."""
    for name in names or list(CASES):
        print(CASES[name](), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
