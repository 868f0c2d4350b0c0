"""What the store costs: CPU a call with it and without, opening stored runs, listing many.

`python -m tests.bench store` prints all tables; `python -m tests.bench.store calls`, `opening` or `listing` one of
them. Calls with and without the store take turns in one process, against one cheap server in another, so that the ratio
holds when the machine's speed drifts. What the store's own thread used is told beside: it drifts less.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fanout.batch import Batch
from fanout.engine import Engine
from fanout.events import Event, RunOpened
from fanout.people import LOCAL
from fanout.store.database import executes, open_database, url_of
from fanout.store.encoding import write
from fanout.store.reading import StoredRun
from fanout.store.shelf import Shelf, Wanted
from fanout.store.sql import SqlStore
from tests.runs import history, prompts_for

ROUNDS = 8
CALLS = 1000
IN_A_CHUNK = 10
"""Events that were committed together: about what a run at 32 workers has."""


def cpu_ms_a_call(store: SqlStore | None, *, stream: bool, count: int = CALLS) -> float:
    """Of a run of calls of 50 ms at 32 workers, the engine's making and the last commit included."""
    prompts = [f"Call {number}: wait 50 ms" for number in range(count)]
    began_s = time.process_time()
    with Engine(store=store) as engine:
        live = engine.start(Batch(prompts=prompts, model="openai-chat:bench", max_workers=32, stream=stream))
        assert all(result.status == "answered" for result in live.results())
        if store is not None:
            store.flush(60)
    return (time.process_time() - began_s) * 1000 / count


def calls(folder: Path) -> None:
    """CPU a call with the store beside without, in turns: plain calls, and streamed ones."""
    from tests.bench.__main__ import server, table

    rows = []
    with server() as port:
        os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
        os.environ["OPENAI_API_KEY"] = "x"
        store = SqlStore(open_database(url_of(folder / "calls")))
        thread = store._writer._thread.ident
        assert thread is not None
        clock = time.pthread_getcpuclockid(thread)
        for stream in (False, True):
            cpu_ms_a_call(None, stream=stream, count=200)  # imports are not what is measured
            cpu_ms_a_call(store, stream=stream, count=200)
            began_s = time.clock_gettime(clock)
            without: list[float] = []
            with_store: list[float] = []
            for turn in range(ROUNDS):
                for which in (0, 1) if turn % 2 else (1, 0):
                    if which:
                        with_store.append(cpu_ms_a_call(store, stream=stream))
                    else:
                        without.append(cpu_ms_a_call(None, stream=stream))
            own_ms = (time.clock_gettime(clock) - began_s) * 1000 / (ROUNDS * CALLS)
            ratio = statistics.median(with_store) / statistics.median(without)
            numbers = (statistics.median(without), statistics.median(with_store), ratio, own_ms)
            rows.append(("streamed" if stream else "plain", *(f"{number:.3f}" for number in numbers)))
        store.close()
    print(f"### {ROUNDS} turns of {CALLS:,} calls of 50 ms at 32 workers, with the store and without")
    table(("calls", "CPU ms a call without", "with", "ratio", "of which the store's thread"), rows)


def put(store: SqlStore, events: tuple[Event, ...]) -> str:
    """Store a synthetic run chunk by chunk, as it would have been."""
    opened = events[0]
    assert isinstance(opened, RunOpened)
    statements = store._statements
    with store.database.write() as connection:
        statements.open_run(connection, opened, visibility="team")
        for seq in range(0, len(events), IN_A_CHUNK):
            some = events[seq : seq + IN_A_CHUNK]
            statements.append(executes(connection), run_id=opened.run_id, seq=seq, events=len(some), data=write(some))
    return opened.run_id


def took_s(do: Callable[[], object]) -> float:
    """The median of three times."""
    times = []
    for _ in range(3):
        began_s = time.perf_counter()
        do()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)


def opening(folder: Path) -> None:
    """Opening a stored run of many calls."""
    from tests.bench.__main__ import table

    store = SqlStore(open_database(url_of(folder / "opening")))
    rows = []
    for count in (10_000, 100_000):
        events = history(n=count, max_workers=32, run_id=f"run{count}")
        run_id = put(store, events)
        took = took_s(lambda run_id=run_id: StoredRun(store, run_id).snapshot())  # type: ignore[misc]
        rows.append((f"{count:,}", f"{len(events):,}", f"{took:.2f}"))
        del events
    store.close()
    print("### Opening a stored run")
    table(("calls", "events", "s"), rows)


def listing(folder: Path) -> None:
    """The list of ten thousand runs."""
    from tests.bench.__main__ import table

    store = SqlStore(open_database(url_of(folder / "listing")))
    batch = Batch(prompts=prompts_for(3))
    with store.database.write() as connection:
        for number in range(10_000):
            opened = RunOpened(
                at_ns=number,
                run_id=f"{number:016x}",
                batch=replace(batch, name=f"Reviews of week {number % 60}"),
                opened_at_s=1.7e9 + number,
                user_id=f"user{number % 20}",
            )
            store._statements.open_run(connection, opened, visibility="team" if number % 3 else "private")
    shelf = Shelf(store.database)
    person = replace(LOCAL, user_id="user1", role="member")
    asked = {
        "the newest hundred, an admin": (LOCAL, Wanted()),
        "the newest hundred, a member": (person, Wanted()),
        "by two words": (person, Wanted(words="week 17")),
        "by name, the last page": (person, Wanted(sort="name", offset=6_500)),
        "all ten thousand": (LOCAL, Wanted(limit=10_000)),
    }
    rows = []
    for name, (who, wanted) in asked.items():
        took = took_s(lambda who=who, wanted=wanted: shelf.list(who, wanted))  # type: ignore[misc]
        rows.append((name, f"{took * 1000:.0f}"))
    store.close()
    print("### A list of 10,000 runs")
    table(("what", "ms"), rows)


def store(*names: str) -> None:
    """All of it, or the tables named."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names or TABLES:
            TABLES[name](Path(folder))


TABLES = {"calls": calls, "opening": opening, "listing": listing}


if __name__ == "__main__":
    store(*sys.argv[1:])
