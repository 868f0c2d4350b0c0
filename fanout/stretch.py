"""One stretch of a run while it goes on: what the schedule and the retry rule decide, written into the run's record.

Comes in: instants, replies, what the user asks. Goes out: starts for the engine to carry out, events into the record.
No thread and no lock of its own: the engine calls every method under its lock, and sends nothing until it let go.
"""

from __future__ import annotations

from collections.abc import Callable

from fanout import events as ev
from fanout import retry
from fanout.calls import Caller, Reply, Sending
from fanout.errors import CallFailed, KeyRefused, ModelUnknown, QuotaExhausted
from fanout.live import LiveRun
from fanout.schedule import Schedule, Start

_STOP_REASONS: dict[type[CallFailed], ev.StopReason] = {
    KeyRefused: "key_refused",
    ModelUnknown: "model_unknown",
    QuotaExhausted: "quota_exhausted",
}
_BY_HAND: frozenset[ev.StopReason] = frozenset({"stopped", "interrupted"})


class OpenStretch:
    """A stretch from its queueing to its end."""

    def __init__(
        self,
        *,
        live: LiveRun,
        caller: Caller,
        schedule: Schedule,
        calls: tuple[int, ...],
        purpose: ev.Purpose,
        jitter: Callable[[], float],
    ) -> None:
        self.live = live
        self.caller = caller
        self.schedule = schedule
        self.began = False
        self.stop_reason: ev.StopReason | None = None
        self.wake_ns: int | None = None
        """When to ask again for a start; None: when something has changed."""
        self.sendings: dict[int, Sending] = {}
        """What is in flight, by call, so that it can be hung up."""
        self._calls = calls
        self._purpose = purpose
        self._number = len(live.snapshot().stretches)
        self._jitter = jitter
        self._failures: dict[int, int] = {}  # those that count against retries, by call
        self._refused_ns: dict[int, int] = {}  # when a call last failed, by call
        self._last_answer_ns: int | None = None
        self._held_by: ev.Held | None = None
        schedule.add(calls)
        live.record.add(ev.StretchOpened(at_ns=live.now_ns(), stretch=self._number))

    @property
    def hangs_up(self) -> bool:
        """Whether what is in flight is to be cancelled too."""
        return self.stop_reason in _BY_HAND

    def begin(self, at_ns: int) -> None:
        """The clock of the stretch starts."""
        self.began = True
        self.live.record.add(
            ev.StretchBegan(
                at_ns=at_ns,
                stretch=self._number,
                purpose=self._purpose,
                max_workers=self.schedule.max_workers,
                calls=self._calls,
            ),
            ev.HoldChanged(at_ns=at_ns, held_by=None),
        )

    def next(self, at_ns: int) -> Start | None:
        """The next attempt that may start now, booked and recorded; None and `wake_ns` where there is none."""
        answer = self.schedule.next(at_ns)
        if isinstance(answer, Start):
            self.live.record.add(ev.Started(at_ns=at_ns, call=answer.call, attempt=answer.attempt, lane=answer.lane))
            return answer
        self.wake_ns = answer.until_ns
        if answer.held_by != self._held_by:
            self._held_by = answer.held_by
            self.live.record.add(ev.HoldChanged(at_ns=at_ns, held_by=answer.held_by))
        return None

    def ended(self, start: Start, reply: Reply | None, at_ns: int) -> None:
        """The attempt came to this; None: it was cancelled."""
        self.sendings.pop(start.call, None)
        if reply is None:
            self.schedule.ended(start.call, at_ns=at_ns)
            self.live.record.add(ev.Cancelled(at_ns=at_ns, call=start.call, attempt=start.attempt))
        elif reply.error is None:
            self._answered(start, reply, at_ns)
        else:
            self._failed(start, reply, reply.error.bare(), at_ns)

    def give_up(self, reason: ev.StopReason, at_ns: int, error: CallFailed | None = None) -> None:
        """Nothing further starts; what waits ends now, what is in flight ends by itself or is hung up by the engine."""
        self.stop_reason = reason
        happened: list[ev.Event] = [ev.StopAsked(at_ns=at_ns, reason=reason, error=error)]
        for call in self.schedule.stop():
            if self.hangs_up or call in self._refused_ns:
                happened.append(ev.Cancelled(at_ns=at_ns, call=call))
            else:
                happened.append(ev.NotSent(at_ns=at_ns, call=call, reason=reason))
        self.live.record.add(*happened)

    def end(self, at_ns: int) -> None:
        """Every call has ended."""
        reason = self.stop_reason or "finished"
        self.live.record.add(ev.StretchEnded(at_ns=at_ns, stretch=self._number, reason=reason))

    def _answered(self, start: Start, reply: Reply, at_ns: int) -> None:
        self._last_answer_ns = at_ns
        self.schedule.answered(start.call, at_ns=at_ns)
        self.live.record.add(
            ev.Succeeded(
                at_ns=at_ns,
                call=start.call,
                attempt=start.attempt,
                output=reply.output or "",
                received_ns=reply.received_ns,
                usage=reply.usage,
                cost_usd=reply.cost_usd,
            )
        )

    def _failed(self, start: Start, reply: Reply, error: CallFailed, at_ns: int) -> None:
        """Again later, or the end of this call, or of the whole run."""
        decided = self._verdict(start.call, error, at_ns)
        if isinstance(decided, retry.Again) and self.stop_reason is None:
            self._again(start, reply, error, decided, at_ns)
            return
        self.schedule.ended(start.call, at_ns=at_ns)
        self.live.record.add(
            ev.Failed(at_ns=at_ns, call=start.call, attempt=start.attempt, error=error, received_ns=reply.received_ns)
        )
        if isinstance(decided, retry.GiveUp) and decided.stops_run and self.stop_reason is None:
            self.give_up(_STOP_REASONS[type(error)], at_ns, error)

    def _again(self, start: Start, reply: Reply, error: CallFailed, decided: retry.Again, at_ns: int) -> None:
        if decided.everyone_waits:
            self.schedule.refused(start.call, at_ns=at_ns, until_ns=decided.ready_ns)
        self.schedule.again(start.call, at_ns=at_ns, ready_ns=decided.ready_ns)
        self.live.record.add(
            ev.Retrying(
                at_ns=at_ns,
                call=start.call,
                attempt=start.attempt,
                error=error,
                received_ns=reply.received_ns,
                ready_ns=decided.ready_ns,
                reason=decided.reason,
            )
        )

    def _verdict(self, call: int, error: CallFailed, at_ns: int) -> retry.Again | retry.GiveUp:
        started_ns = self.live.record.call(call).attempts[-1].started_ns
        before_ns = self._refused_ns.get(call, started_ns)
        self._refused_ns[call] = at_ns
        if not retry.is_free(error, refused_before_ns=before_ns, last_answer_ns=self._last_answer_ns):
            self._failures[call] = self._failures.get(call, 0) + 1
        return retry.verdict(
            error,
            at_ns=at_ns,
            counted=self._failures.get(call, 0),
            retries=self.live.batch.retries,
            jitter=self._jitter(),
        )
