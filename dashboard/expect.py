"""What a batch will come to, judged by what this process has seen of its model and knows of its account.

Comes in: a batch that is not sent yet, which of its prompts have an answer, the runs so far and the account as it
stands. Goes out: the calls it sends, expected seconds and dollars, each None where no run tells, and what the limits
mean for it. Looks at nothing but these: the estimate itself is `fanout.tuning.bounds`, the limits' `prospect`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.quota.view import AccountView
from fanout.run import Run
from fanout.tuning.bounds import at_the_quota, estimate
from fanout.tuning.prospect import Prospect, prospect


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Time and cost are None until a run of the same model, on the same sandbox profile, has answers."""

    calls: int
    """That are sent: a quota slot each."""
    reused: int = 0
    """Prompts that take an answer that is there already."""
    shared: int = 0
    """Prompts that share the call of an identical one."""
    wall_s: float | None = None
    cost_usd: float | None = None
    quota: Prospect = Prospect()
    """What the limits that are known mean for it."""


def expected(
    batch: Batch,
    runs: Iterable[LiveRun],
    *,
    reused: Collection[int] = frozenset(),
    account: AccountView | None = None,
) -> Expected:
    """By the newest run of this model that was answered at all. `reused`: prompts that have an answer, by place.

    `account`: the one that it would use, as it stands now; None where that is not known.
    """
    left = [prompt for place, prompt in enumerate(batch.prompts) if place not in reused]
    sends = list(dict.fromkeys(left)) if batch.identical_once else left
    calls = len(sends)
    sent = Expected(calls=calls, reused=len(reused), shared=len(left) - calls)
    if not calls:
        return sent
    if account is not None:
        sent = replace(sent, quota=prospect(account, batch, sends))
    for live in runs:
        if live.batch.model == batch.model and live.batch.sandbox == batch.sandbox:
            run = live.snapshot()
            latencies_s = [
                seconds(call.latency_ns) for call in run.calls if call.output is not None and call.latency_ns
            ]
            if latencies_s:
                wall_s = estimate(
                    calls,
                    batch.max_workers,
                    latencies_s,
                    requests_per_minute=_requests_per_minute(batch, run),
                    burst=batch.burst,
                )
                if wall_s is not None and sent.quota.starts_s is not None:
                    wall_s = at_the_quota(wall_s, sent.quota.starts_s, latencies_s)
                return replace(sent, wall_s=wall_s, cost_usd=_cost_usd(run, calls))
    return sent


def _requests_per_minute(batch: Batch, run: Run) -> int | None:
    """The tighter of what the batch asks for and what that run knew of the account at last, beside its own."""
    known = {step.limit: step.value for step in run.quota if step.reason != "run"}.get("requests")
    found = [rate for rate in (batch.requests_per_minute, known) if rate is not None]
    return min(found, default=None)


def _cost_usd(run: Run, calls: int) -> float | None:
    known = [call.cost_usd for call in run.calls if call.cost_usd is not None]
    return calls * sum(known) / len(known) if known else None
