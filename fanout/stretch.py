"""One stretch of a run while it goes on: what the schedule and the retry rule decide, written into the run's record.

Comes in: instants, replies, what the user asks. Goes out: starts for the engine to carry out, events into the record.
No thread and no lock of its own: the engine calls every method under its lock, and sends nothing until it let go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fanout import events as ev
from fanout import retry
from fanout.batch import twins
from fanout.calls import Caller, Reply, Sending
from fanout.clock import NS_PER_S, nanoseconds
from fanout.errors import BadInput, Broken, CallFailed, KeyRefused, ModelUnknown, QuotaExhausted, RateLimited
from fanout.live import LiveRun
from fanout.quota.meters import DAILY, Change
from fanout.quota.refusals import day_is_over, spent_words, words_for
from fanout.quota.told import limit_moved, limits_known
from fanout.quota.turns import Spent, Turns
from fanout.run import Origin, Run
from fanout.schedule import Schedule, Start, Wait
from fanout.tuning.auto import size

_STOP_REASONS: dict[type[CallFailed], ev.StopReason] = {
    KeyRefused: "key_refused",
    ModelUnknown: "model_unknown",
    QuotaExhausted: "quota_exhausted",
}
WAITS_FOR_MIDNIGHT_NS = 60 * NS_PER_S
"""A day's limit that ends within it is waited for; a longer one stops the run."""
AUTO_EVERY_NS = 2 * NS_PER_S
"""How often at most the automatic max_workers is sized again."""
_LOG = logging.getLogger(__name__)
_BY_HAND: frozenset[ev.StopReason] = frozenset({"stopped", "interrupted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An answer that a prompt takes instead of being sent."""

    output: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a stretch was asked for."""

    purpose: ev.Purpose
    changes: Mapping[str, Any] | None = None
    """Settings of the batch that are others from here on."""
    by: str | None = None
    """The name of who asked."""
    reused: Mapping[int, Known] = field(default_factory=dict)
    """Answers that some of its calls take, by call."""


def workers_wanted(run: Run, changes: Mapping[str, Any] | None = None) -> int:
    """The max_workers that the user set last, whatever the automatic one made of it."""
    if changes and "max_workers" in changes:
        return int(changes["max_workers"])
    by_hand = [step.value for step in run.limits if step.reason == "user"]
    return by_hand[-1] if by_hand else run.max_workers


class OpenStretch:
    """A stretch from its queueing to its end."""

    def __init__(
        self,
        *,
        live: LiveRun,
        caller: Caller,
        schedule: Schedule,
        turns: Turns,
        calls: tuple[int, ...],
        asked: Asked,
        jitter: Callable[[], float],
    ) -> None:
        self.live = live
        self.caller = caller
        self.schedule = schedule
        self.turns = turns
        self.ceiling = schedule.max_workers
        """Where the user set max_workers; the automatic one stays below."""
        self.began = False
        self.stop_reason: ev.StopReason | None = None
        self.hangs_up = False
        """Whether what is in flight is to be cancelled too."""
        self.wake_ns: int | None = None
        """When to ask again for a start; None: when something has changed."""
        self.sendings: dict[int, Sending] = {}
        """What is in flight, by call, so that it can be hung up."""
        self._calls = calls
        self._asked = asked
        self._number = len(live.record.now().stretches)
        self._jitter = jitter
        self._failures: dict[int, int] = {}  # those that count against retries, by call
        self._refusals = retry.Refusals()
        self._streak = retry.Streak()
        self._budget = retry.RetryBudget()
        self._sized_ns = 0
        self._latency_ns = self._latencies = 0
        self.held_by: ev.Held | None = None
        self._capped: Spent | None = None  # the cap that was told, until it is raised
        live.record.add(
            ev.StretchOpened(at_ns=live.now_ns(), stretch=self._number, changes=asked.changes, user_name=asked.by)
        )
        self.prompts = live.batch.prompts
        to_send = [call for call in calls if call not in asked.reused]
        self._twins = twins(self.prompts, to_send) if live.batch.identical_once else {}
        unsent = {call for each in self._twins.values() for call in each}
        schedule.add(call for call in to_send if call not in unsent)

    def why_not_ready(self) -> CallFailed | None:
        """Make the caller ready, in a pool thread; None where it is."""
        try:
            self.caller.warm_up()
        except CallFailed as exc:
            return exc.bare()
        except BadInput as exc:
            return CallFailed(str(exc), was_sent=False)
        except Exception as exc:
            _LOG.exception("the caller could not warm up")
            return Broken(f"{type(exc).__name__}: {exc}", was_sent=False)
        return None

    def begin(self, at_ns: int) -> None:
        """The clock of the stretch starts."""
        self.began = True
        self.turns.begin()
        self.live.record.add(
            ev.StretchBegan(
                at_ns=at_ns,
                stretch=self._number,
                purpose=self._asked.purpose,
                max_workers=self.schedule.max_workers,
                calls=self._calls,
            ),
            *limits_known(self.live.batch, self.turns.gate.meters, at_ns),
            *(_reused(call, known, at_ns) for call, known in self._asked.reused.items()),
            ev.HoldChanged(at_ns=at_ns, held_by=None),
        )

    def next(self, at_ns: int) -> Start | None:
        """The next attempt that may start now, booked and recorded; None and `wake_ns` where there is none."""
        answer = self.schedule.next(at_ns)
        if isinstance(answer, Start):
            self._cap_is_over(at_ns)
            self.live.record.add(ev.Started(at_ns=at_ns, call=answer.call, attempt=answer.attempt, lane=answer.lane))
            return answer
        self.wake_ns = answer.until_ns
        self._read_hold(answer, at_ns)
        if answer.held_by != self.held_by:
            self.held_by = answer.held_by
            self.live.record.add(ev.HoldChanged(at_ns=at_ns, held_by=answer.held_by))
        return None

    def ended(self, start: Start, reply: Reply | None, at_ns: int) -> None:
        """The attempt came to this; None: it was cancelled."""
        self.sendings.pop(start.call, None)
        if reply is not None:
            self.turns.observe(start.call, reply.report, at_ns)
        if self._was_not_sent(start, reply):
            self.turns.unsent(start.call, at_ns)
        if reply is None:
            self.schedule.ended(start.call, at_ns=at_ns)
            self.live.record.add(
                ev.Cancelled(at_ns=at_ns, call=start.call, attempt=start.attempt), *self._twins_end(start.call, at_ns)
            )
        elif reply.error is None:
            self._answered(start, reply, at_ns)
        else:
            self._failed(start, reply, reply.error.bare(), at_ns)

    def give_up(self, reason: ev.StopReason, at_ns: int, error: CallFailed | None = None) -> None:
        """Nothing further starts; what waits ends now, what is in flight ends by itself or is hung up by the engine."""
        self.stop_reason = reason
        happened: list[ev.Event] = [ev.StopAsked(at_ns=at_ns, reason=reason, error=error)]
        for call in self.schedule.stop():
            if reason in _BY_HAND or call in self._refusals:
                happened.append(ev.Cancelled(at_ns=at_ns, call=call))
            else:
                happened.append(ev.NotSent(at_ns=at_ns, call=call, reason=reason))
            happened.extend(self._twins_end(call, at_ns))
        self.live.record.add(*happened)

    def end(self, at_ns: int) -> None:
        """Every call has ended."""
        reason = self.stop_reason or "finished"
        self.live.record.add(ev.StretchEnded(at_ns=at_ns, stretch=self._number, reason=reason))

    def _answered(self, start: Start, reply: Reply, at_ns: int) -> None:
        self._refusals.answered(at_ns)
        self._streak.answered()
        self.schedule.only_again = False
        self._budget.answered()
        self.turns.answered(start.call, reply.usage, reply.cost_usd, at_ns)
        self.schedule.ended(start.call, at_ns=at_ns)
        self.live.record.add(
            ev.Succeeded(
                at_ns=at_ns,
                call=start.call,
                attempt=start.attempt,
                output=reply.output or "",
                received_ns=reply.received_ns,
                usage=reply.usage,
                cost_usd=reply.cost_usd,
            ),
            *self._twins_answered(start.call, reply, at_ns),
        )
        self._size_workers(start.call, reply, at_ns)

    def _failed(self, start: Start, reply: Reply, error: CallFailed, at_ns: int) -> None:
        """Again later, or the end of this call, or of the whole run."""
        decided = self._verdict(start.call, error, at_ns)
        stops = self._streak.failed(start.call, error, given_up=isinstance(decided, retry.GiveUp))
        self.schedule.only_again = self._streak.doubted
        if isinstance(error, RateLimited):
            self._everyone_waits(start, reply, error, decided, at_ns)
        elif isinstance(error, QuotaExhausted):
            self._nobody_waits(start, reply, error, at_ns)
        if isinstance(decided, retry.Again) and self.stop_reason is None:
            self._again(start, reply, error, decided, at_ns)
            return
        self.schedule.ended(start.call, at_ns=at_ns)
        self.live.record.add(
            ev.Failed(at_ns=at_ns, call=start.call, attempt=start.attempt, error=error, received_ns=reply.received_ns),
            *self._twins_end(start.call, at_ns),
        )
        if isinstance(decided, retry.GiveUp) and decided.stops_run and self.stop_reason is None:
            self.give_up(_STOP_REASONS[type(error)], at_ns, error)
        elif stops is not None and self.stop_reason is None:
            self.give_up(stops, at_ns, error)

    def _again(self, start: Start, reply: Reply, error: CallFailed, decided: retry.Again, at_ns: int) -> None:
        ready_ns = decided.ready_ns
        if not decided.everyone_waits:
            ready_ns = self._budget.ready_ns(ready_ns)
        self.schedule.again(start.call, at_ns=at_ns, ready_ns=ready_ns)
        self.live.record.add(
            ev.Retrying(
                at_ns=at_ns,
                call=start.call,
                attempt=start.attempt,
                error=error,
                received_ns=reply.received_ns,
                ready_ns=ready_ns,
                reason=decided.reason,
            )
        )

    def _everyone_waits(
        self, start: Start, reply: Reply, error: CallFailed, decided: retry.Again | retry.GiveUp, at_ns: int
    ) -> None:
        """A 429 speaks to the account, also where this call is given up."""
        until_ns = at_ns + nanoseconds(error.retry_after_s or 0.0)
        if isinstance(decided, retry.Again):
            until_ns = decided.ready_ns
        started_ns = self.live.record.call(start.call).attempts[-1].started_ns
        words = words_for(
            self.turns.gate,
            reply.report,
            batch=self.live.batch,
            booked_ns=started_ns,
            reserved=self.turns.reserved(start.call),
            at_ns=at_ns,
        )
        self.turns.refused(start.call, reply.report, until_ns=until_ns, at_ns=at_ns, words=words)

    def _nobody_waits(self, start: Start, reply: Reply, error: CallFailed, at_ns: int) -> None:
        """A day's limit or the credit is used up: noted with the account, and the run stops."""
        booked_ns = self.live.record.call(start.call).attempts[-1].started_ns
        limit, words = spent_words(
            self.turns.gate,
            reply.report,
            batch=self.live.batch,
            booked_ns=booked_ns,
            reserved=self.turns.reserved(start.call),
            at_ns=at_ns,
        )
        wait_ns = None if error.retry_after_s is None else nanoseconds(error.retry_after_s)
        self.turns.used_up(start.call, limit, wait_ns=wait_ns, at_ns=at_ns, words=words)

    def _verdict(self, call: int, error: CallFailed, at_ns: int) -> retry.Again | retry.GiveUp:
        started_ns = self.live.record.call(call).attempts[-1].started_ns
        if not self._refusals.forgives(call, error, started_ns=started_ns, at_ns=at_ns):
            self._failures[call] = self._failures.get(call, 0) + 1
        return retry.verdict(
            error,
            at_ns=at_ns,
            counted=self._failures.get(call, 0),
            retries=self.live.batch.retries,
            jitter=self._jitter(),
            episodes=self._refusals.episodes,
        )

    # Identical prompts

    def _twins_answered(self, call: int, reply: Reply, at_ns: int) -> list[ev.Event]:
        """What was not sent because `call` was takes its answer."""
        at_s, model = self.live.wall_s(at_ns), self.live.batch.model
        origin = Origin(run_id=self.live.run_id, call=call, answered_at_s=at_s, model=model)
        known = Known(output=reply.output or "", origin=origin)
        return [_reused(twin, known, at_ns) for twin in self._twins.pop(call, ())]

    def _twins_end(self, call: int, at_ns: int) -> list[ev.Event]:
        """What was not sent because `call` was, and has no answer now either."""
        reason = self.stop_reason or "same_failure"
        return [ev.NotSent(at_ns=at_ns, call=twin, reason=reason) for twin in self._twins.pop(call, ())]

    # The quota

    def move_workers(self, max_workers: int) -> None:
        """The user moved max_workers: from now on the automatic one stays below it."""
        self.ceiling = self.schedule.max_workers = max_workers

    def raise_cap(self, at_ns: int) -> None:
        """Allow as much again as the cap allowed at first."""
        raised = self.turns.raise_cap()
        if raised is not None:
            self._capped = None
            self.live.record.add(ev.CapRaised(at_ns=at_ns, cap=raised.cap, allowed=raised.allowed))

    def _cap_is_over(self, at_ns: int) -> None:
        """A call starts again: what a day's cap allows is there."""
        over, self._capped = self._capped, None
        if over is not None:
            self.live.record.add(ev.CapRaised(at_ns=at_ns, cap=over.cap, allowed=over.allowed, of=over.of))

    def tell_change(self, change: Change, at_ns: int) -> None:
        """A limit of the account came to be known, or moved."""
        self.live.record.add(limit_moved(change, at_ns))

    def _read_hold(self, answer: Wait, at_ns: int) -> None:
        """A cap that is reached is told; a day's limit that is used up for hours stops the run."""
        spent = self.turns.spent() if answer.held_by == "cap" else None
        if spent is not None and (self._capped is None or self._capped.of != spent.of):
            self._capped = spent
            self.live.record.add(
                ev.CapReached(
                    at_ns=at_ns,
                    cap=spent.cap,
                    used=spent.used,
                    allowed=spent.allowed,
                    of=spent.of,
                    expected=spent.expected,
                )
            )
        if answer.held_by in DAILY and answer.until_ns is not None and self.stop_reason is None:
            wait_ns = answer.until_ns - at_ns
            may_come_back = self.turns.gate.in_flight > 0  # what is in flight may settle to less
            if wait_ns > WAITS_FOR_MIDNIGHT_NS and not may_come_back:
                self.give_up("quota_exhausted", at_ns, day_is_over(self.turns.gate, answer.held_by, wait_ns=wait_ns))

    def _was_not_sent(self, start: Start, reply: Reply | None) -> bool:
        if reply is None:
            return self.live.record.call(start.call).attempts[-1].sent_ns is None
        return reply.error is not None and not reply.error.was_sent

    def _size_workers(self, call: int, reply: Reply, at_ns: int) -> None:
        """Auto: as many workers as the quota's rate and the latency seen keep busy, up to the user's max_workers."""
        sent_ns = self.live.record.call(call).attempts[-1].sent_ns
        if not self.live.batch.auto_workers or sent_ns is None:
            return
        self._latency_ns += reply.received_ns - sent_ns
        self._latencies += 1
        rate_per_s = self.turns.rate_per_s()
        if rate_per_s is None or self._latencies < 3 or at_ns - self._sized_ns < AUTO_EVERY_NS:
            return
        self._sized_ns = at_ns
        latency_s = self._latency_ns / self._latencies / NS_PER_S
        sized = size(rate_per_s=rate_per_s, latency_s=latency_s, ceiling=self.ceiling, now=self.schedule.max_workers)
        if sized is not None:
            old, self.schedule.max_workers = self.schedule.max_workers, sized.max_workers
            self.live.record.add(
                ev.LimitChanged(
                    at_ns=at_ns, limit="max_workers", old=old, new=sized.max_workers, reason="auto", why=sized.why
                )
            )


def _reused(call: int, known: Known, at_ns: int) -> ev.Reused:
    return ev.Reused(
        at_ns=at_ns,
        call=call,
        output=known.output,
        of_run=known.origin.run_id,
        of_call=known.origin.call,
        answered_at_s=known.origin.answered_at_s,
        model=known.origin.model,
    )
