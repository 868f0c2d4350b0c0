"""What a run is: a frozen value made of its events, call by call and attempt by attempt.

Comes in: what `fanout.fold` found in the events. Goes out: a `Run`, its `Call`s, their `Attempt`s, the `Result` a
caller gets, and each call's life cut into phases without gap or overlap. Knows no clock, no thread, no provider.

Unchanged parts are shared: two snapshots of one run hold the identical `Call` object for every call that did not
change between them, so a viewer finds what changed with `is`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import seconds
from fanout.errors import CallFailed

CallStatus = Literal["queued", "running", "backing_off", "answered", "failed", "cancelled", "not_sent"]
ENDED: frozenset[CallStatus] = frozenset({"answered", "failed", "cancelled", "not_sent"})
AttemptStatus = Literal["running", "answered", "failed", "retried", "cancelled"]
RunState = Literal["opening", "running", "paused", "stopping", "ended"]
"""`opening`: the model is being warmed up, the clock has not started."""

PhaseName = Literal[
    ev.Held,
    "client",
    "first_token",
    "generating",
    "in_flight",
    "backoff",
]
"""A `Held`: queued, by what held it. `client`: our own hand-over. `first_token`: sent, waiting for the
first token; `generating`: from it to the last byte; `in_flight`: both, where the call was not streamed.
`backoff`: between two attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One span: one request, one quota slot, one bar on the chart."""

    number: int
    """From 1, over all stretches."""
    stretch: int
    model: str
    """That was asked."""
    lane: int
    started_ns: int
    """When it took a worker."""
    sent_ns: int | None = None
    first_token_ns: int | None = None
    received_ns: int | None = None
    """Last byte, or the moment the failure was known."""
    ended_ns: int | None = None
    """When it gave its worker back; None while it runs."""
    ready_ns: int | None = None
    """When a retried call may be sent again."""
    status: AttemptStatus = "running"
    error: CallFailed | None = None
    lost: bool = False
    """The process ended while it was in flight: it may have been answered and billed."""

    @property
    def latency_ns(self) -> int | None:
        """Service time: sent to received; None before both are known."""
        if self.sent_ns is None or self.received_ns is None:
            return None
        return self.received_ns - self.sent_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an answer that was not asked for again comes from."""

    run_id: str
    call: int
    """The prompt's index in that run."""
    answered_at_s: float
    """Wall time, seconds."""
    model: str | None = None
    """That gave it; None where nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One prompt and all that became of it."""

    index: int
    """The prompt's place in the batch, from 0."""
    prompt: str
    status: CallStatus = "queued"
    queued_ns: tuple[int, ...] = ()
    """When it was queued, once per stretch it took part in."""
    ended_ns: tuple[int, ...] = ()
    """When it ended, once per stretch; one shorter than `queued_ns` while it goes on."""
    attempts: tuple[Attempt, ...] = ()
    output: str | None = None
    error: CallFailed | None = None
    usage: ev.Usage = ev.Usage()
    cost_usd: float | None = None
    completed: int | None = None
    """Its place in completion order over the whole run, from 0; None while it goes on."""
    origin: Origin | None = None
    """Where its answer was taken from; None where it was sent."""

    @property
    def model(self) -> str | None:
        """The model that gave its answer, or that was asked last; None where none was, or nobody said."""
        if self.origin is not None:
            return self.origin.model
        return self.attempts[-1].model if self.attempts else None

    @property
    def fate(self) -> CallStatus:
        """Its status as people are told it: `not_sent` also where it was cancelled before it was sent, in this stretch.

        What an earlier stretch sent of it has an end of its own.
        """
        if self.status != "cancelled":
            return self.status
        since_ns = self.queued_ns[-1] if self.queued_ns else 0
        sent = any((each.sent_ns is not None or each.lost) and each.started_ns >= since_ns for each in self.attempts)
        return "cancelled" if sent else "not_sent"

    @property
    def is_not_sent_again(self) -> bool:
        """Whether it failed in an earlier stretch, and the last one that it was in did not get to it."""
        return self.status == "failed" and bool(self.attempts) and self.attempts[-1].started_ns < self.queued_ns[-1]

    @property
    def latency_ns(self) -> int | None:
        """Service time of the last attempt, in ns."""
        return self.attempts[-1].latency_ns if self.attempts else None

    @property
    def experienced_ns(self) -> int | None:
        """Queued to ended, in the call's last stretch, in ns; None while it goes on or where it never took part."""
        if not self.ended_ns or len(self.ended_ns) < len(self.queued_ns):
            return None
        return self.ended_ns[-1] - self.queued_ns[len(self.ended_ns) - 1]

    @property
    def first_token_ns(self) -> int | None:
        """Sent to first token of the last attempt, in ns; None where the call was not streamed."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or last.sent_ns is None or last.first_token_ns is None:
            return None
        return last.first_token_ns - last.sent_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One uninterrupted part of a run."""

    number: int
    purpose: ev.Purpose
    began_ns: int
    max_workers: int
    calls: tuple[int, ...]
    batch: Batch
    """The settings that held in it."""
    ended_ns: int | None = None
    reason: ev.StopReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A value that holds from `at_ns` on."""

    at_ns: int
    value: int
    reason: ev.LimitReason = "user"
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStep:
    """A limit of the account, as it was known from `at_ns` on; `value` None: unknown from then on."""

    at_ns: int
    limit: ev.LimitName
    value: int | None
    reason: ev.LimitReason
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapState:
    """A cap that holds the run, and that nobody has raised yet."""

    cap: ev.Cap
    used: float
    allowed: float
    of: ev.CapOf = "run"
    expected: float | None = None
    """What the next call is expected to use; None: nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What held the next queued call back, from `at_ns` on."""

    at_ns: int
    held_by: ev.Held | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Our own event loop was `lag_ns` late at `at_ns`."""

    at_ns: int
    lag_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A piece of a call's life, [start_ns, end_ns); of attempt `attempt`, or None while it waits for its first."""

    name: PhaseName
    start_ns: int
    end_ns: int
    attempt: int | None

    @property
    def length_ns(self) -> int:
        """Its length; never negative."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a caller gets for one prompt. Times are seconds; unknown is None."""

    index: int
    prompt: str
    status: Literal["answered", "failed", "cancelled", "not_sent"]
    output: str | None
    error: CallFailed | None
    attempts: int
    latency_s: float | None
    """Service time of the last attempt: sent to last byte."""
    experienced_s: float | None
    """Queued to ended."""
    first_token_s: float | None
    usage: ev.Usage
    cost_usd: float | None
    """None where the price is unknown."""
    model: str | None = None
    """That gave the answer, or was asked last; None where none was. A run may have gone on under another."""
    reused_from: str | None = None
    """The run whose answer it is, where it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stood after its last event; `fold` makes it. A value: it never changes."""

    run_id: str
    batch: Batch
    opened_ns: int
    opened_at_s: float
    baseline_of: str | None
    user_id: str
    """Who started it."""
    user_name: str
    server: str | None
    """Tells apart where its calls went."""
    state: RunState
    version: int
    """How many events made it: two snapshots with one version are equal."""
    max_workers: int
    calls: tuple[Call, ...]
    """One per prompt, in input order."""
    stretches: tuple[Stretch, ...]
    limits: tuple[Step, ...]
    """max_workers over time, first value first."""
    quota: tuple[QuotaStep, ...]
    """The account's limits as they came to be known, and moved."""
    weights: tuple[Step, ...]
    """The run's share beside others over time, first value first."""
    cap: CapState | None
    """The cap that pauses the run now."""
    holds: tuple[Hold, ...]
    lags: tuple[Lag, ...]
    stop_reason: ev.StopReason | None
    """Why it is stopping or has stopped; None while it simply goes on."""
    stop_error: CallFailed | None
    """The failure that stopped it, where one did."""

    @property
    def weight(self) -> int:
        """The run's share beside others on its account."""
        return self.weights[-1].value

    @property
    def ended(self) -> bool:
        """Whether nothing is going on."""
        return self.state == "ended"

    def had(self, setting: str) -> tuple[object, ...]:
        """The values that a setting of its batch had, in order: one, unless the run went on under another."""
        if setting == "max_workers" and self.limits:
            values = [step.value for step in self.limits]
        else:
            values = [getattr(batch, setting) for batch in (*(each.batch for each in self.stretches), self.batch)]
        return (values[0], *(now for before, now in pairwise(values) if now != before))

    def results(self) -> tuple[Result, ...]:
        """Of every call that has ended, in input order."""
        return tuple(result_of(call) for call in self.calls if call.status in ENDED)

    def phases(self, call: Call, *, now_ns: int | None = None) -> tuple[Phase, ...]:
        """The call's life as exclusive phases, in order; they sum to its wall time, stretch by stretch.

        What goes on is cut at `now_ns`, or left out where that is None. Phases of no length are left out.
        """
        return tuple(_phases(self, call, now_ns))


def result_of(call: Call) -> Result:
    """What the caller gets for a call that has ended; ValueError for one that has not."""
    if call.status not in ENDED:
        raise ValueError(f"call {call.index} has not ended: {call.status}")
    return Result(
        index=call.index,
        prompt=call.prompt,
        status=call.status,  # type: ignore[arg-type]  # narrowed by the line above
        output=call.output,
        error=call.error,
        attempts=len(call.attempts),
        latency_s=_seconds(call.latency_ns),
        experienced_s=_seconds(call.experienced_ns),
        first_token_s=_seconds(call.first_token_ns),
        usage=call.usage,
        cost_usd=call.cost_usd,
        model=call.model,
        reused_from=None if call.origin is None else call.origin.run_id,
    )


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else seconds(duration_ns)


def _phases(run: Run, call: Call, now_ns: int | None) -> Iterator[Phase]:
    for place, queued_ns in enumerate(call.queued_ns):
        ended_ns = call.ended_ns[place] if place < len(call.ended_ns) else now_ns
        if ended_ns is None:
            last = call.attempts[-1].ended_ns if call.attempts else None
            ended_ns = max(queued_ns, last or queued_ns)
        in_stretch = [a for a in call.attempts if queued_ns <= a.started_ns <= ended_ns]
        at_ns = queued_ns
        number: int | None = None
        for attempt in in_stretch:
            yield from _waiting(run, at_ns, attempt.started_ns, number)
            number = attempt.number
            end_ns = ended_ns if attempt.ended_ns is None else min(attempt.ended_ns, ended_ns)
            yield from _attempt_phases(attempt, end_ns)
            at_ns = end_ns
            if attempt.ready_ns is not None:
                following = next((a.started_ns for a in in_stretch if a.number == number + 1), ended_ns)
                ready_ns = min(max(attempt.ready_ns, at_ns), following)
                yield from _cut("backoff", at_ns, ready_ns, number)
                at_ns = ready_ns
        yield from _waiting(run, at_ns, ended_ns, number)


def _attempt_phases(attempt: Attempt, end_ns: int) -> Iterator[Phase]:
    sent_ns = min(end_ns, attempt.sent_ns if attempt.sent_ns is not None else end_ns)
    received_ns = min(end_ns, max(sent_ns, end_ns if attempt.received_ns is None else attempt.received_ns))
    yield from _cut("client", attempt.started_ns, sent_ns, attempt.number)
    if attempt.first_token_ns is None:
        yield from _cut("in_flight", sent_ns, received_ns, attempt.number)
    else:
        first_ns = min(received_ns, max(sent_ns, attempt.first_token_ns))
        yield from _cut("first_token", sent_ns, first_ns, attempt.number)
        yield from _cut("generating", first_ns, received_ns, attempt.number)
    yield from _cut("client", received_ns, end_ns, attempt.number)


def _waiting(run: Run, start_ns: int, end_ns: int, attempt: int | None) -> Iterator[Phase]:
    """[start, end) cut where what held the queue changed; before the first hold, and where nothing held, `workers`."""
    place = bisect_right(run.holds, start_ns, key=lambda hold: hold.at_ns)
    name: PhaseName = (run.holds[place - 1].held_by if place else None) or "workers"
    at_ns = start_ns
    for hold in islice(run.holds, place, None):
        if hold.at_ns >= end_ns:
            break
        yield from _cut(name, at_ns, hold.at_ns, attempt)
        name, at_ns = hold.held_by or "workers", hold.at_ns
    yield from _cut(name, at_ns, end_ns, attempt)


def _cut(name: PhaseName, start_ns: int, end_ns: int, attempt: int | None) -> Iterator[Phase]:
    if end_ns > start_ns:
        yield Phase(name=name, start_ns=start_ns, end_ns=end_ns, attempt=attempt)
