"""The measurements of docs/performance.md: `make bench`, or `python -m tests.bench NAME` for one of them.

Each mode runs in a process of its own against one cheap loopback server; modes of one table run in turn, so that the
ratios hold when the machine's speed drifts. Prints Markdown.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.bench.client import draw

ROUNDS = 3

Measured = dict[str, Any]


@contextlib.contextmanager
def server() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)


def ask(port: int, path: str, *, method: str = "GET") -> Measured:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: Measured = json.loads(answer.read())
        return found


def measure(mode: str, *, count: int, workers: int, latency: str = "200", seed: int = 1) -> Measured:
    with server() as port:
        ask(port, "/reset", method="POST")
        command = [sys.executable, "-m", "tests.bench.client", mode, str(port), str(count), str(workers)]
        done = subprocess.run([*command, latency, str(seed)], capture_output=True, text=True, check=True)
        found: Measured = json.loads(done.stdout.splitlines()[-1])
        return {**found, **ask(port, "/stats")}


def greedy_s(latencies_ms: tuple[int, ...], workers: int) -> float:
    """What in-order dispatch to the first free worker takes, without any overhead, in seconds."""
    free = [0] * workers
    for latency in latencies_ms:
        heapq.heappush(free, heapq.heappop(free) + latency)
    return max(free) / 1000


def rounds(modes: tuple[str, ...], **settings: Any) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {mode: [] for mode in modes}
    for _ in range(ROUNDS):
        for mode in modes:
            found[mode].append(measure(mode, **settings))
    return found


def median(runs: list[Measured], field: str) -> float:
    return float(statistics.median(run[field] for run in runs))


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def overhead() -> None:
    print("### 500 prompts of 200 ms at 32 workers")
    found = rounds(("openai", "fanout", "fanout-stream"), count=500, workers=32)
    bound = greedy_s((200,) * 500, 32)
    raw = median(found["openai"], "cpu_ms_a_call")
    rows = [
        (
            mode,
            f"{median(runs, 'wall_s'):.2f}",
            f"{median(runs, 'wall_s') / bound:.2f}",
            f"{median(runs, 'cpu_ms_a_call'):.2f}",
            f"{median(runs, 'cpu_ms_a_call') / raw:.2f}",
            f"{median(runs, 'connections') - 1:.0f}",
            f"{median(runs, 'first_answer_s') * 1000:.0f}",
        )
        for mode, runs in found.items()
    ]
    # One connection less: the one that asked for the counts.
    head = ("client", "wall s", "wall / bound", "CPU ms a call", "CPU / raw SDK", "connections", "first answer ms")
    table(head, rows)


def lognormal() -> None:
    print("### 2,000 lognormal calls (median 400 ms, sigma 0.8) at 128 workers")
    latency = "lognormal:400:0.8"
    ideal = greedy_s(draw(latency, 2000, 1), 128)
    found = rounds(("openai", "fanout"), count=2000, workers=128, latency=latency)
    rows = [
        (
            mode,
            f"{median(runs, 'wall_s'):.2f}",
            f"{ideal:.2f}",
            f"{median(runs, 'wall_s') / ideal:.3f}",
            f"{median(runs, 'cpu_ms_a_call'):.2f}",
        )
        for mode, runs in found.items()
    ]
    table(("client", "wall s", "greedy s", "wall / greedy", "CPU ms a call"), rows)


def scale() -> None:
    print("### 1,000 and 10,000 calls of 50 ms at 256 workers")
    small = rounds(("fanout",), count=1000, workers=256, latency="50")["fanout"]
    large = rounds(("fanout",), count=10_000, workers=256, latency="50")["fanout"]
    rows = [
        (
            str(count),
            f"{median(runs, 'cpu_ms_a_call'):.2f}",
            f"{median(runs, 'memory_mb'):.0f}",
            f"{count / median(runs, 'wall_s'):.0f}",
        )
        for count, runs in ((1000, small), (10_000, large))
    ]
    table(("calls", "CPU ms a call", "memory above start MB", "calls/s"), rows)
    print(f"CPU a call, 10,000 / 1,000: {median(large, 'cpu_ms_a_call') / median(small, 'cpu_ms_a_call'):.2f}\n")


def threads() -> None:
    print("### Forty prompts (median 400 ms, sigma 0.8) at 8 workers: docs/threads.md")
    latency = "lognormal:400:0.8"
    modes = {
        "one after another": ("fanout", 1),
        "Fanout, thread pool": ("fanout", 8),
        "coroutines, raw OpenAI SDK": ("openai", 8),
        "a new Agent per call, in threads": ("agent-per-call", 8),
        "one shared Agent, in threads": ("shared-agent", 8),
    }
    rows = []
    for name, (mode, workers) in modes.items():
        runs = [measure(mode, count=40, workers=workers, latency=latency) for _ in range(ROUNDS)]
        rows.append(
            (
                name,
                f"{median(runs, 'wall_s'):.2f}",
                f"{median(runs, 'cpu_ms_a_call'):.1f}",
                f"{median(runs, 'connections') - 1:.0f}",
                f"{median(runs, 'answers'):.0f}",
                f"{median(runs, 'requests'):.0f}",
            )
        )
    ideal = draw(latency, 40, 1)
    table(("way", "wall s", "CPU ms a call", "connections", "answers", "requests billed"), rows)
    print(f"Sum of the latencies {sum(ideal) / 1000:.2f} s, the longest {max(ideal) / 1000:.2f} s, ", end="")
    print(f"in order at 8 workers {greedy_s(ideal, 8):.2f} s at best.\n")


def store() -> None:
    from tests.bench import store as of_store  # late: it imports the database

    of_store.store()


BENCHES: dict[str, Callable[[], None]] = {
    "overhead": overhead,
    "lognormal": lognormal,
    "scale": scale,
    "threads": threads,
    "store": store,
}


def main() -> None:
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()


if __name__ == "__main__":
    main()
