"""What a batch will come to, judged by what this process has seen of its model.

Comes in: a batch that is not sent yet, and the runs so far. Goes out: expected seconds and dollars, each None where no
run tells. Looks at nothing but runs: the estimate itself is `fanout.tuning.bounds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.run import Run
from fanout.tuning.bounds import estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Both None until a run of the same model, on the same sandbox profile, has answers."""

    wall_s: float | None = None
    cost_usd: float | None = None


def expected(batch: Batch, runs: Iterable[LiveRun]) -> Expected:
    """By the newest run of this model that was answered at all."""
    for live in runs:
        if live.batch.model == batch.model and live.batch.sandbox == batch.sandbox:
            run = live.snapshot()
            latencies_s = [
                seconds(call.latency_ns) for call in run.calls if call.output is not None and call.latency_ns
            ]
            if latencies_s:
                return Expected(
                    wall_s=estimate(
                        len(batch.prompts),
                        batch.max_workers,
                        latencies_s,
                        requests_per_minute=_requests_per_minute(batch, run),
                        burst=batch.burst,
                    ),
                    cost_usd=_cost_usd(run, len(batch.prompts)),
                )
    return Expected()


def _requests_per_minute(batch: Batch, run: Run) -> int | None:
    """The tighter of what the batch asks for and what that run knew of the account at last."""
    known = {step.limit: step.value for step in run.quota}.get("requests")
    found = [rate for rate in (batch.requests_per_minute, known) if rate is not None]
    return min(found, default=None)


def _cost_usd(run: Run, calls: int) -> float | None:
    known = [call.cost_usd for call in run.calls if call.cost_usd is not None]
    return calls * sum(known) / len(known) if known else None
