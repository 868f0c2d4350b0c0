"""One measured client in a process of its own: `python -m tests.bench.client MODE PORT COUNT WORKERS LATENCY SEED`.

Prints a JSON object: wall and CPU seconds (imports excluded), the lower bound, the first answer, memory.
LATENCY is `200` (every call, in ms) or `lognormal:400:0.8` (median in ms, sigma).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import math
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    mode: str
    port: int
    workers: int
    latencies_ms: tuple[int, ...]

    @property
    def prompts(self) -> list[str]:
        return [f"Call {n}: wait {ms} ms" for n, ms in enumerate(self.latencies_ms)]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@dataclass(slots=True, kw_only=True)
class Taken:
    """What a mode reports: when each answer was in the caller's hands."""

    answers_s: list[float]
    first_sent_s: float


def draw(latency: str, count: int, seed: int) -> tuple[int, ...]:
    if not latency.startswith("lognormal"):
        return (int(latency),) * count
    _, median, sigma = latency.split(":")
    chance = random.Random(seed)
    return tuple(round(chance.lognormvariate(math.log(float(median)), float(sigma))) for _ in range(count))


def fanout_run(plan: Plan, *, stream: bool) -> Taken:
    import fanout
    from fanout.engine import Engine

    began_s = time.perf_counter()
    answers: list[float] = []
    with Engine() as engine:
        batch = fanout.Batch(
            prompts=plan.prompts, model="openai-chat:bench", max_workers=plan.workers, stream=stream, timeout_s=300
        )
        live = engine.start(batch)
        for result in live.as_completed():
            assert result.status == "answered", result
            answers.append(time.perf_counter() - began_s)
        run = live.snapshot()
    first_ns = min(call.attempts[0].sent_ns or 0 for call in run.calls)
    now_ns, now_s = time.monotonic_ns(), time.perf_counter()
    return Taken(answers_s=answers, first_sent_s=now_s - began_s - (now_ns - first_ns) / 1e9)


def openai_sdk(plan: Plan) -> Taken:
    import openai

    async def main() -> Taken:
        began_s = time.perf_counter()
        answers: list[float] = []
        gate = asyncio.Semaphore(plan.workers)
        async with openai.AsyncOpenAI(base_url=plan.base_url, api_key="x", max_retries=0, timeout=300) as client:

            async def one(prompt: str) -> None:
                async with gate:
                    await client.chat.completions.create(model="bench", messages=[{"role": "user", "content": prompt}])
                answers.append(time.perf_counter() - began_s)

            await asyncio.gather(*(one(prompt) for prompt in plan.prompts))
        return Taken(answers_s=answers, first_sent_s=0.0)

    return asyncio.run(main())


def agent_per_call(plan: Plan) -> Taken:
    """The code that one writes first: an Agent made in every call, each with a client of its own."""
    from pydantic_ai import Agent

    return in_threads(plan, lambda prompt: Agent("openai-chat:bench").run_sync(prompt))


def shared_agent(plan: Plan) -> Taken:
    """The code that one writes next: one Agent, whose client several event loops then share."""
    from pydantic_ai import Agent

    agent = Agent("openai-chat:bench")
    return in_threads(plan, agent.run_sync)


def in_threads(plan: Plan, call: Callable[[str], object]) -> Taken:
    began_s = time.perf_counter()
    answers: list[float] = []
    with concurrent.futures.ThreadPoolExecutor(plan.workers) as pool:
        for future in concurrent.futures.as_completed([pool.submit(call, prompt) for prompt in plan.prompts]):
            if future.exception() is None:
                answers.append(time.perf_counter() - began_s)
    return Taken(answers_s=answers, first_sent_s=0.0)


MODES: dict[str, Callable[[Plan], Taken]] = {
    "fanout": lambda plan: fanout_run(plan, stream=False),
    "fanout-stream": lambda plan: fanout_run(plan, stream=True),
    "openai": openai_sdk,
    "agent-per-call": agent_per_call,
    "shared-agent": shared_agent,
}


def import_all(mode: str) -> None:
    """Imports are not what is measured."""
    if mode != "openai":
        import pydantic_ai.direct
        import pydantic_ai.models.openai  # noqa: F401

        import fanout.calls.completion  # noqa: F401
    import openai.resources.chat.completions  # noqa: F401


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    mode, port, count, workers, latency, seed = sys.argv[1:]
    plan = Plan(mode=mode, port=int(port), workers=int(workers), latencies_ms=draw(latency, int(count), int(seed)))
    os.environ["OPENAI_BASE_URL"] = plan.base_url
    os.environ["OPENAI_API_KEY"] = "x"
    import_all(mode)
    memory_before = memory_mb()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    taken = MODES[mode](plan)
    wall_s = time.perf_counter() - wall_s
    print(
        json.dumps(
            {
                "mode": mode,
                "wall_s": wall_s,
                "cpu_ms_a_call": (time.process_time() - cpu_s) * 1000 / int(count),
                "first_answer_s": taken.answers_s[0] - taken.first_sent_s,
                "memory_mb": memory_mb() - memory_before,
                "answers": len(taken.answers_s),
            }
        )
    )


if __name__ == "__main__":
    main()
