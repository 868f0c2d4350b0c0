"""The dashboard over an engine whose calls are answered by a timer: no provider's CPU in the figures.

`FANOUT_BENCH_CALLS` calls are answered over `FANOUT_BENCH_SECONDS`; `POST /bench/start` begins a run, `GET /bench`
tells the CPU of each refresh in its script's thread, and when the first answer was there.
"""

from __future__ import annotations

import heapq
import os
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from dashboard import app as dashboard_app  # noqa: E402
from dashboard import house, live, watch  # noqa: E402
from dashboard.gantt.assets import routes as gantt_routes  # noqa: E402
from fanout import Batch, Engine  # noqa: E402
from fanout.calls import Reply, Stamp  # noqa: E402
from fanout.events import Usage  # noqa: E402

CALLS = int(os.environ.get("FANOUT_BENCH_CALLS", "1000"))
SECONDS = float(os.environ.get("FANOUT_BENCH_SECONDS", "60"))
WORKERS = 64


held = threading.Event()
"""A run stays in its opening until this is set."""


class Sending:
    def __init__(self) -> None:
        self.future: Future[Reply] = Future()

    def reply(self) -> Reply:
        return self.future.result()

    def cancel(self) -> None:
        self.future.cancel()


class Paced:
    """Answers each call after WORKERS / rate seconds, so that the run takes SECONDS."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Sending, Stamp]] = []
        self._changed = threading.Condition()
        self._count = 0
        threading.Thread(target=self._answer, daemon=True).start()

    def warm_up(self) -> None:
        held.wait()

    def send(self, prompt: str, *, on_sent: Stamp, on_first_token: Stamp) -> Sending:
        on_sent(time.monotonic_ns())
        sending = Sending()
        with self._changed:
            self._count += 1
            latency_s = WORKERS * SECONDS / CALLS * (0.5 + (self._count * 7919 % 100) / 100)
            heapq.heappush(self._due, (time.monotonic() + latency_s, self._count, sending, on_first_token))
            self._changed.notify()
        return sending

    def _answer(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                sending = heapq.heappop(self._due)[2]
            if not sending.future.cancelled():
                reply = Reply(received_ns=time.monotonic_ns(), output="a short answer", usage=Usage(output_tokens=3))
                sending.future.set_result(reply)


refreshes: list[float] = []
_look = watch._look


def timed(run_id: str) -> live.Look:
    began = time.thread_time()
    found = _look(run_id)
    looked = time.thread_time() - began

    def draw() -> None:
        began = time.thread_time()
        try:
            found.draw()
        finally:
            refreshes.append(looked + time.thread_time() - began)

    return replace(found, draw=draw)


watch._look = timed
_open_house = house.open_house


def open_paced(settings: Any, **_: Any) -> None:
    _open_house(settings, engine=Engine(caller_for=lambda batch, clock: Paced()), prepare=False)


house.open_house = open_paced


async def start(request: Request) -> JSONResponse:
    if request.query_params.get("hold"):
        held.clear()
    else:
        held.set()
    prompts = [
        f"Classify the sentiment of review {number}: the battery died after {number} days" for number in range(CALLS)
    ]
    live = house.engine().start(Batch(prompts=prompts, max_workers=WORKERS))
    return JSONResponse({"run_id": live.run_id})


async def go(_: Request) -> JSONResponse:
    held.set()
    return JSONResponse({})


async def told(request: Request) -> JSONResponse:
    """The refreshes since this was last asked, in ms of CPU, and the wall time of the run's first answer."""
    taken, refreshes[:] = list(refreshes), []
    live = house.engine().find(request.query_params.get("run", ""))
    ended = [] if live is None else [call.ended_ns[0] for call in live.snapshot().calls if call.ended_ns]
    first_s = time.time() - (time.monotonic_ns() - min(ended)) / 1e9 if ended else None
    return JSONResponse({"refresh_ms": [1000 * each for each in taken], "first_answer_s": first_s})


app = st.App(
    str(ROOT / "dashboard" / "main.py"),
    lifespan=dashboard_app.lifespan,
    routes=[
        Route("/bench/start", start, methods=["POST"]),
        Route("/bench/go", go, methods=["POST"]),
        Route("/bench", told),
        Route("/health", dashboard_app.health),
        *gantt_routes(),
    ],
)
