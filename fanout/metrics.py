"""The numbers of a run: counts, times, tokens, cost, and how much was gained.

Comes in: a `Run`, and the instant at which what goes on is cut. Goes out: `Metrics`, in seconds and counts, unknown as
None; and a `SpeedUp` where a baseline allows to speak of one. Knows no clock, no words and no formatting.

Percentiles are nearest-rank: the p95 of 40 latencies is the 38th smallest, a latency that some call really had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, sqrt
from typing import Literal

from fanout.clock import NS_PER_S, seconds
from fanout.events import Usage
from fanout.run import Call, Run

FEWEST_ALONE = 3
"""Calls that must have been in flight alone before their mean is taken for that of a call alone."""
MOST_STANDARD_ERROR = 0.2
"""Of that mean, as a share of it: past it the sample says too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowest:
    """The attempt with the longest service time."""

    index: int
    """Of its call."""
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Two percentiles of one quantity, in seconds; None where nothing of it is known."""

    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a run came to, or has come to so far."""

    calls: int
    queued: int
    """Waiting for their first or next attempt, those that back off included."""
    backing_off: int
    """Of these: not sent again before an instant that has not come yet."""
    running: int
    answered: int
    reused: int
    """Of the answered: by an answer that was there already, and not sent."""
    failed: int
    cancelled: int
    not_sent: int
    attempts: int
    """Attempts that were sent: the quota slots used."""
    retries: int
    """Attempts that followed a failed one in the same stretch."""
    retried_calls: int
    wall_s: float
    """Of all stretches, not the time between; the one that goes on is cut at now."""
    service_s: float
    """Sum of the service times (sent to received) of all attempts that have both."""
    slowest: Slowest | None
    overlap: float | None
    """Calls in flight on average: the time that attempts were in flight over wall_s. Once all were received, that is
    service_s / wall_s; before, what is in flight or was hung up counts too. Not a speed-up."""
    answered_per_s: float | None
    latency: Spread
    """Service time of answered calls."""
    experienced: Spread
    """Queued to ended, of answered calls."""
    first_token: Spread
    input_tokens: int | None
    output_tokens: int | None
    """Sums of what the provider told; None where it told nothing of any call."""
    cost_usd: float | None
    cost_known_for: int
    """Calls whose cost is in `cost_usd`."""
    worst_lag_s: float | None
    """How late our own event loop was at worst; None where it never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """How much shorter the run was than its calls one after another."""

    factor: float
    one_after_another_s: float
    judged_by: Literal["baseline", "alone"]
    """A run with one worker, measured; or calls of this run that were in flight alone, extended to all."""
    calls_alone: int | None = None


def measure(run: Run, *, now_ns: int | None = None) -> Metrics:
    """All numbers of `run`, in one pass over its calls. What goes on is cut at `now_ns`, else at its last stamp."""
    found = _tally(run, now_ns)
    status, service_ns, wall = found.status, sum(found.services), wall_ns(run, now_ns=now_ns)
    return Metrics(
        calls=len(run.calls),
        queued=status["queued"] + status["backing_off"],
        backing_off=sum(backs_off(call, now_ns=now_ns) for call in run.calls) if status["backing_off"] else 0,
        running=status["running"],
        answered=status["answered"],
        reused=found.reused,
        failed=status["failed"],
        cancelled=status["cancelled"],
        not_sent=status["not_sent"],
        attempts=found.sent,
        retries=sum(found.retries),
        retried_calls=sum(count > 0 for count in found.retries),
        wall_s=seconds(wall),
        service_s=seconds(service_ns),
        slowest=found.slowest,
        overlap=(service_ns + found.unreceived_ns) / wall if wall and service_ns + found.unreceived_ns else None,
        answered_per_s=(status["answered"] - found.reused) * NS_PER_S / wall if wall and found.latencies else None,
        latency=_spread(found.latencies),
        experienced=_spread(found.experienced),
        first_token=_spread(found.first_tokens),
        input_tokens=_sum_of_known([usage.input_tokens for usage in found.usages]),
        output_tokens=_sum_of_known([usage.output_tokens for usage in found.usages]),
        cost_usd=sum(found.costs) if found.costs else None,
        cost_known_for=len(found.costs) + (found.reused if found.costs else 0),
        worst_lag_s=seconds(max(lag.lag_ns for lag in run.lags)) if run.lags else None,
    )


def backs_off(call: Call, *, now_ns: int | None) -> bool:
    """Whether a retried call is not due yet at `now_ns`; None: whether it was retried and has not started since."""
    if call.status != "backing_off":
        return False
    return now_ns is None or (call.attempts[-1].ready_ns or 0) > now_ns


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What one pass over the calls finds; times in ns."""

    status: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    slowest: Slowest | None = None
    services: list[int] = field(default_factory=list)
    unreceived_ns: int = 0
    """Time in flight of attempts that were sent and never answered: still in flight, or hung up."""
    retries: list[int] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    experienced: list[int] = field(default_factory=list)
    first_tokens: list[int] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    reused: int = 0


def _tally(run: Run, now_ns: int | None) -> _Tally:
    """One pass, because 10,000 calls do not fit the processor's cache: each further pass costs as much again."""
    found = _Tally(status=Counter([call.fate for call in run.calls]))
    services = found.services
    slowest_ns, slowest_index = -1, -1
    for call in run.calls:
        service_ns: int | None = None
        for attempt in call.attempts:
            service_ns, sent_ns = None, attempt.sent_ns
            if sent_ns is None:
                continue
            found.sent += 1
            received_ns = attempt.received_ns
            if received_ns is not None:
                service_ns = received_ns - sent_ns
                services.append(service_ns)
                if service_ns > slowest_ns:
                    slowest_ns, slowest_index = service_ns, call.index
            elif (until_ns := attempt.ended_ns or now_ns) is not None:
                found.unreceived_ns += max(0, until_ns - sent_ns)
        if len(call.attempts) > 1:
            found.retries.append(_retries(call))
        if call.status == "answered":
            _tally_answer(found, call, service_ns)
    if slowest_index >= 0:
        found.slowest = Slowest(index=slowest_index, latency_s=seconds(slowest_ns))
    return found


def _tally_answer(found: _Tally, call: Call, service_ns: int | None) -> None:
    if call.origin is not None:  # it was not sent: it took no time, no tokens and no money
        found.reused += 1
        return
    if service_ns is not None:
        found.latencies.append(service_ns)
    last = call.attempts[-1]
    if last.first_token_ns is not None and last.sent_ns is not None:
        found.first_tokens.append(last.first_token_ns - last.sent_ns)
    found.experienced.append(call.ended_ns[-1] - call.queued_ns[-1])
    found.usages.append(call.usage)
    if call.cost_usd is not None:
        found.costs.append(call.cost_usd)


def wall_ns(run: Run, *, now_ns: int | None = None) -> int:
    """The length of all stretches, in ns; the one that goes on is cut at `now_ns`, else at its last stamp."""
    total_ns = 0
    for stretch in run.stretches:
        ended_ns = stretch.ended_ns
        if ended_ns is None:
            ended_ns = last_stamp_ns(run) if now_ns is None else now_ns
        total_ns += max(0, ended_ns - stretch.began_ns)
    return total_ns


def last_stamp_ns(run: Run) -> int:
    """The latest instant that the run tells of, on its own clock."""
    stamps = [run.opened_ns]
    stamps.extend(stretch.began_ns for stretch in run.stretches[-1:])
    stamps.extend(stretch.ended_ns for stretch in run.stretches if stretch.ended_ns is not None)
    for told in (run.limits, run.quota, run.weights, run.holds, run.lags):
        stamps.extend(each.at_ns for each in told[-1:])
    for call in run.calls:
        stamps.extend(call.ended_ns[-1:])
        for last in call.attempts[-1:]:
            known = (last.started_ns, last.sent_ns, last.first_token_ns, last.ended_ns)
            stamps.extend(at_ns for at_ns in known if at_ns is not None)
    return max(stamps)


def percentile(ordered: list[int], share: float) -> int | None:
    """The nearest-rank percentile of numbers in ascending order; None of none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def speed_up(run: Run, baseline: Run | None = None) -> SpeedUp | None:
    """How much shorter `run` was than its calls one after another, or None where nobody can tell.

    With a baseline (one worker throughout, the same prompts, model and instructions; both ended, and the same prompts
    answered): its wall time over this run's. Without one: calls of this run that were alone in flight as long as they
    were, if there were at least three, the standard error of their mean is at most a fifth of it, and every prompt was
    answered; that mean for every call, over this run's wall time. A run with one worker throughout has no speed-up.
    """
    wall = wall_ns(run)
    if not run.ended or not wall or _one_worker(run):
        return None
    if baseline is not None:
        return _against(run, wall, baseline)
    return _by_calls_alone(run, wall)


def _against(run: Run, wall: int, baseline: Run) -> SpeedUp | None:
    alike = (
        baseline.ended
        and _one_worker(baseline)
        and (baseline.batch.prompts, baseline.batch.model, baseline.batch.instructions)
        == (run.batch.prompts, run.batch.model, run.batch.instructions)
        and [call.status for call in baseline.calls] == [call.status for call in run.calls]
        and any(call.status == "answered" for call in run.calls)
    )
    if not alike:
        return None
    sequential_ns = wall_ns(baseline)
    return SpeedUp(
        factor=sequential_ns / wall, one_after_another_s=seconds(sequential_ns), judged_by="baseline", calls_alone=None
    )


def _by_calls_alone(run: Run, wall: int) -> SpeedUp | None:
    if any(call.status != "answered" for call in run.calls):
        return None
    alone = _alone(run)
    if len(alone) < FEWEST_ALONE:
        return None
    mean_ns = sum(alone) / len(alone)
    variance = sum((latency_ns - mean_ns) ** 2 for latency_ns in alone) / (len(alone) - 1)
    if sqrt(variance / len(alone)) > MOST_STANDARD_ERROR * mean_ns:
        return None
    sequential_ns = mean_ns * len(run.calls)
    return SpeedUp(
        factor=sequential_ns / wall,
        one_after_another_s=sequential_ns / NS_PER_S,
        judged_by="alone",
        calls_alone=len(alone),
    )


def _alone(run: Run) -> list[int]:
    """Latencies, in ns, of answered attempts during which no other attempt of this run was in flight."""
    held = sorted(_held(run), key=lambda span: span.sent_ns)
    alone: list[int] = []
    busy_until_ns = 0
    for span, following in zip(held, [*held[1:], None], strict=True):
        began_alone = span.sent_ns >= busy_until_ns
        stayed_alone = following is None or following.sent_ns >= span.ended_ns
        if began_alone and stayed_alone and span.latency_ns is not None:
            alone.append(span.latency_ns)
        busy_until_ns = max(busy_until_ns, span.ended_ns)
    return alone


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An attempt that was sent; its latency only where it was answered."""

    sent_ns: int
    ended_ns: int
    latency_ns: int | None


def _held(run: Run) -> Iterator[_Held]:
    for call in run.calls:
        for attempt in call.attempts:
            if attempt.sent_ns is not None and attempt.ended_ns is not None:
                answered = attempt.latency_ns if attempt.status == "answered" else None
                yield _Held(sent_ns=attempt.sent_ns, ended_ns=attempt.ended_ns, latency_ns=answered)


def _one_worker(run: Run) -> bool:
    return all(step.value == 1 for step in run.limits)


def _retries(call: Call) -> int:
    """Attempts that followed a failed one in the same stretch."""
    return sum(
        earlier.status == "retried" and earlier.stretch == later.stretch for earlier, later in pairwise(call.attempts)
    )


def _sum_of_known(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _spread(durations_ns: list[int]) -> Spread:
    durations_ns.sort()
    p50_ns, p95_ns = percentile(durations_ns, 0.5), percentile(durations_ns, 0.95)
    return Spread(
        p50_s=None if p50_ns is None else seconds(p50_ns),
        p95_s=None if p95_ns is None else seconds(p95_ns),
    )
