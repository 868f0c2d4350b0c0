"""What an Executor's calls left behind, and the `Run` that is made of it.

Comes in: `Recorded`s, stamped by the threads that ran them. Goes out: events, and their fold, a `Run`. Knows no pool
and no clock: the instant at which the picture is cut is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from time import monotonic_ns
from typing import Any, Literal

from fanout import events as ev
from fanout.batch import MOST_WORKERS, Batch
from fanout.clock import seconds
from fanout.errors import Broken, CallFailed
from fanout.fold import fold
from fanout.run import Run

Outcome = Literal["answered", "failed", "cancelled", "not_sent"]

_NOT_READY = Broken("A thread initializer failed: the pool took no further call.")


class Recorded:
    """One call's stamps. Written by one thread at a time, `ended_ns` last; read by anybody. It is a `spans.Span`."""

    __slots__ = (
        "cost_usd",
        "ended_ns",
        "error",
        "first_token_ns",
        "outcome",
        "output",
        "prompt",
        "queued_ns",
        "received_ns",
        "returned_ns",
        "sent_ns",
        "started_ns",
        "usage",
    )

    def __init__(self, prompt: str, queued_ns: int) -> None:
        self.prompt = prompt
        self.queued_ns = queued_ns
        self.started_ns: int | None = None
        self.sent_ns: int | None = None
        self.first_token_ns: int | None = None
        self.received_ns: int | None = None
        self.returned_ns: int | None = None
        self.outcome: Outcome | None = None
        self.output: str | None = None
        self.error: CallFailed | None = None
        self.usage: ev.Usage | None = None
        self.cost_usd: float | None = None
        self.ended_ns: int | None = None

    def on_sent(self, at_ns: int) -> None:
        """The first request of the function left."""
        if self.sent_ns is None:
            self.sent_ns = at_ns

    def on_first_token(self, at_ns: int) -> None:
        """The first piece of its first streamed answer arrived."""
        if self.first_token_ns is None:
            self.first_token_ns = at_ns

    def received(self, at_ns: int, *, usage: ev.Usage = ev.Usage(), cost_usd: float | None = None) -> None:  # noqa: B008
        """The last byte of an answer arrived; a function that asks twice is received when the last one is."""
        self.received_ns = at_ns
        known = self.usage or ev.Usage()
        self.usage = ev.Usage(
            input_tokens=_sum(known.input_tokens, usage.input_tokens),
            output_tokens=_sum(known.output_tokens, usage.output_tokens),
        )
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    def end(
        self,
        outcome: Outcome,
        returned_ns: int,
        *,
        output: str | None = None,
        error: CallFailed | None = None,
    ) -> None:
        """The function returned or raised at `returned_ns`; its worker is free from now on."""
        self.returned_ns = returned_ns
        self.outcome = outcome
        self.output = output
        self.error = error
        self.ended_ns = monotonic_ns()

    def never_began(self, future: Future[Any]) -> None:
        """A done-callback: of futures that end without a worker, because they or the whole pool were given up."""
        if self.started_ns is None:
            self.end("cancelled" if future.cancelled() else "not_sent", monotonic_ns())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All that a run is made of."""

    cut_ns: int
    calls: tuple[Recorded, ...]
    run_id: str
    name: str | None
    function: str | None
    max_workers: int
    wall_offset_s: float
    stopped_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A `Recorded` as it stood at the cut: what was stamped later has not happened."""

    queued_ns: int
    started_ns: int | None
    ended_ns: int | None
    of: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dated:
    """An event and its place among those of one instant."""

    rank: int
    event: ev.Event


def run_of(recording: Recording) -> Run:
    """The run as it stood at `recording.cut_ns`.

    The cut must be taken before the calls are read: a worker starts its next call after it stored the end of the last
    one, so that no more calls than workers are ever seen in flight.
    """
    calls = [_seen(call, recording.cut_ns) for call in recording.calls]
    run = fold(_events(recording, calls))
    # Calls of a pool are queued one by one, not with their stretch.
    dated = tuple(replace(call, queued_ns=(seen.queued_ns,)) for call, seen in zip(run.calls, calls, strict=True))
    return replace(run, calls=dated)


def _seen(call: Recorded, cut_ns: int) -> _Seen:
    ended_ns = _before(call.ended_ns, cut_ns)
    started_ns = _before(call.started_ns, cut_ns)
    return _Seen(queued_ns=call.queued_ns, started_ns=started_ns, ended_ns=ended_ns, of=call)


def _events(recording: Recording, calls: list[_Seen]) -> Iterator[ev.Event]:
    opened_ns = min(call.queued_ns for call in calls)
    yield ev.RunOpened(
        at_ns=opened_ns,
        run_id=recording.run_id,
        batch=Batch(
            prompts=tuple(call.of.prompt for call in calls),
            model=f"python:{recording.function}",
            max_workers=min(recording.max_workers, MOST_WORKERS),  # the stretch says how many there really are
            retries=0,
            stream=False,
            name=recording.name,
        ),
        opened_at_s=seconds(opened_ns) + recording.wall_offset_s,
    )
    yield ev.StretchBegan(
        at_ns=opened_ns,
        stretch=0,
        purpose="first",
        max_workers=recording.max_workers,
        calls=tuple(range(len(calls))),
    )
    lanes = _lanes(calls)
    dated = [one for index, call in enumerate(calls) for one in _of_call(index, lanes[index], call, recording.cut_ns)]
    dated.extend(_stops(recording, calls))
    dated.sort(key=lambda one: (one.event.at_ns, one.rank))
    yield from (one.event for one in dated)
    ends = [call.ended_ns for call in calls if call.ended_ns is not None]
    if len(ends) == len(calls):
        yield ev.StretchEnded(at_ns=max(ends), stretch=0, reason=_reason(recording, calls))


def _of_call(index: int, lane: int | None, call: _Seen, cut_ns: int) -> Iterator[_Dated]:
    recorded = call.of
    if call.started_ns is None or lane is None:
        if call.ended_ns is not None:
            yield _Dated(rank=4, event=_gave_up(index, call.ended_ns, recorded))
        return
    yield _Dated(rank=1, event=ev.Started(at_ns=call.started_ns, call=index, attempt=1, lane=lane))
    last_ns = cut_ns if call.ended_ns is None or recorded.returned_ns is None else recorded.returned_ns
    sent_ns = _within(recorded.sent_ns, call.started_ns, last_ns)
    if sent_ns is not None or recorded.error is None or recorded.error.was_sent:
        # A plain function stamps nothing: all of it counts as in flight.
        sent_ns = call.started_ns if sent_ns is None else sent_ns
        yield _Dated(rank=2, event=ev.Sent(at_ns=sent_ns, call=index, attempt=1))
        first_ns = _within(recorded.first_token_ns, sent_ns, last_ns)
        if first_ns is not None:
            yield _Dated(rank=3, event=ev.FirstToken(at_ns=first_ns, call=index, attempt=1))
    if call.ended_ns is not None:
        received_ns = _within(recorded.received_ns, sent_ns or call.started_ns, last_ns)
        yield _Dated(
            rank=4, event=_end(index, call.ended_ns, last_ns if received_ns is None else received_ns, recorded)
        )


def _end(index: int, at_ns: int, received_ns: int, call: Recorded) -> ev.Event:
    if call.outcome == "answered":
        return ev.Succeeded(
            at_ns=at_ns,
            call=index,
            attempt=1,
            output=call.output or "",
            received_ns=received_ns,
            usage=call.usage or ev.Usage(),
            cost_usd=call.cost_usd,
        )
    if call.outcome == "failed":
        error = call.error or Broken("it failed")
        return ev.Failed(at_ns=at_ns, call=index, attempt=1, error=error, received_ns=received_ns)
    return ev.Cancelled(at_ns=at_ns, call=index, attempt=1)


def _gave_up(index: int, at_ns: int, call: Recorded) -> ev.Event:
    if call.outcome == "not_sent":
        return ev.NotSent(at_ns=at_ns, call=index, reason="not_ready")
    return ev.Cancelled(at_ns=at_ns, call=index)


def _stops(recording: Recording, calls: list[_Seen]) -> Iterator[_Dated]:
    if recording.stopped_ns is not None and recording.stopped_ns <= recording.cut_ns:
        yield _Dated(rank=0, event=ev.StopAsked(at_ns=recording.stopped_ns, reason="stopped"))
    broken = [call.ended_ns for call in calls if call.ended_ns is not None and call.of.outcome == "not_sent"]
    if broken:
        yield _Dated(rank=0, event=ev.StopAsked(at_ns=min(broken), reason="not_ready", error=_NOT_READY))


def _reason(recording: Recording, calls: list[_Seen]) -> ev.StopReason:
    if any(call.of.outcome == "not_sent" for call in calls):
        return "not_ready"
    return "finished" if recording.stopped_ns is None else "stopped"


def _lanes(calls: list[_Seen]) -> list[int | None]:
    """Each call's lane: the lowest that was free when it started; None for one that never did."""
    turns: list[tuple[int, int, int]] = []
    for index, call in enumerate(calls):
        if call.started_ns is not None:
            turns.append((call.started_ns, 1, index))
            if call.ended_ns is not None:
                # At one instant an end comes before a start, but for the end of a call of no length.
                turns.append((call.ended_ns, 0 if call.ended_ns > call.started_ns else 2, index))
    lanes: list[int | None] = [None] * len(calls)
    free: list[int] = []
    made = 0
    for _, turn, index in sorted(turns):
        if turn == 1:
            if not free:
                free.append(made)
                made += 1
            lanes[index] = heapq.heappop(free)
        else:
            heapq.heappush(free, lanes[index] or 0)
    return lanes


def _before(at_ns: int | None, cut_ns: int) -> int | None:
    return at_ns if at_ns is not None and at_ns <= cut_ns else None


def _within(at_ns: int | None, low_ns: int, high_ns: int) -> int | None:
    """A stamp of the function's own, where it lies in its life: a late one (after a time-out) is not believed."""
    return at_ns if at_ns is not None and low_ns <= at_ns <= high_ns else None


def _sum(known: int | None, more: int | None) -> int | None:
    return known if more is None else (known or 0) + more
