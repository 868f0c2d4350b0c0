"""How a run is made of its events: `fold(events)` is the run, and `Fold` makes it one event at a time.

Comes in: events (`fanout.events`), in the order they were recorded. Goes out: a `Run`. Knows no clock and no thread:
the same events give an equal `Run` every time, live or read back years later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from typing import Any

from fanout import events as ev
from fanout.draft import AttemptDraft, CallDraft, Tally
from fanout.errors import CallFailed
from fanout.run import (
    AttemptStatus,
    Call,
    CallStatus,
    CapState,
    Hold,
    Lag,
    Origin,
    QuotaStep,
    Run,
    RunState,
    Step,
    Stretch,
)


def fold(events: Iterable[ev.Event]) -> Run:
    """The run that these events tell of. The first one must be its RunOpened; raises ValueError otherwise."""
    return folded(events).run()


def folded(events: Iterable[ev.Event]) -> Fold:
    """The same, ready for further events."""
    stream = iter(events)
    opened = next(stream, None)
    if not isinstance(opened, ev.RunOpened):
        raise ValueError("the first event of a run is RunOpened")
    state = Fold(opened)
    for event in stream:
        state.add(event)
    return state


class Fold:
    """Events in, a `Run` out, at any moment. Not thread-safe: its owner holds a lock."""

    def __init__(self, opened: ev.RunOpened) -> None:
        self._opened = opened
        self._batch = opened.batch
        self._version = 1
        self._calls = [Call(index=i, prompt=prompt) for i, prompt in enumerate(opened.batch.prompts)]
        self._drafts: dict[int, CallDraft] = {}
        """The calls of which something has happened since somebody looked."""
        self._stretches: list[Stretch] = []
        self._limits: list[Step] = []
        self._quota: list[QuotaStep] = []
        self._weights: list[Step] = [Step(at_ns=opened.at_ns, value=opened.batch.weight)]
        self._cap: CapState | None = None
        self._holds: list[Hold] = []
        self._lags: list[Lag] = []
        self._state: RunState = "opening"
        self._max_workers = opened.batch.max_workers
        self._stop_reason: ev.StopReason | None = None
        self._stop_error: CallFailed | None = None
        self._completed = 0
        self.tally = Tally()
        """The calls in numbers, kept up without a value of every call that has changed."""
        self._snapshot: Run | None = None

    def add(self, event: ev.Event) -> None:
        """Take one event in. Events come in the order they were recorded."""
        self._version += 1
        self._snapshot = None
        _FOLDERS[type(event)](self, event)

    def copy(self) -> Fold:
        """Another one of the same events, which goes on by itself."""
        self.run()  # drafts are calls now
        other = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list | dict | Tally):
                setattr(other, name, copy(value))
        return other

    def call(self, index: int) -> Call:
        """The call as it stands."""
        draft = self._drafts.pop(index, None)
        if draft is not None:
            self._calls[index] = draft.value()
        return self._calls[index]

    def last_attempt(self, index: int) -> AttemptDraft | None:
        """The call's last attempt, to look at and not to write on: it changes while the call goes on."""
        return self._draft(index).last

    def _draft(self, index: int) -> CallDraft:
        draft = self._drafts.get(index)
        if draft is None:
            draft = self._drafts[index] = CallDraft(self._calls[index])
        return draft

    @property
    def version(self) -> int:
        """As of its `run`."""
        return self._version

    @property
    def stretches(self) -> int:
        """How many have begun."""
        return len(self._stretches)

    @property
    def state(self) -> RunState:
        """As of its `run`."""
        return self._state

    @property
    def max_workers(self) -> int:
        """As of its `run`."""
        return self._max_workers

    @property
    def stop_reason(self) -> ev.StopReason | None:
        """As of its `run`."""
        return self._stop_reason

    @property
    def goes_on(self) -> bool:
        """Whether a stretch is being opened or goes on."""
        return self._state != "ended"

    def run(self) -> Run:
        """The run as it stands; the same object until the next event."""
        if self._snapshot is None:
            for index, draft in self._drafts.items():
                self._calls[index] = draft.value()
            self._drafts.clear()
            self._snapshot = Run(
                run_id=self._opened.run_id,
                batch=self._batch,
                opened_ns=self._opened.at_ns,
                opened_at_s=self._opened.opened_at_s,
                baseline_of=self._opened.baseline_of,
                user_id=self._opened.user_id,
                user_name=self._opened.user_name,
                server=self._opened.server,
                state=self._state,
                version=self._version,
                max_workers=self._max_workers,
                calls=tuple(self._calls),
                stretches=tuple(self._stretches),
                limits=tuple(self._limits),
                quota=tuple(self._quota),
                weights=tuple(self._weights),
                cap=self._cap,
                holds=tuple(self._holds),
                lags=tuple(self._lags),
                stop_reason=self._stop_reason,
                stop_error=self._stop_error,
            )
        return self._snapshot

    def _opened_again(self, event: ev.RunOpened) -> None:
        raise ValueError(f"a run is opened once: {event.run_id}")

    def _stretch_opened(self, event: ev.StretchOpened) -> None:
        if event.changes:
            self._batch = self._batch.changed(event.changes)
        self._state = "opening"
        self._cap = None  # where it still holds, the stretch says so again
        self._stop_reason = None
        self._stop_error = None

    def _stretch_began(self, event: ev.StretchBegan) -> None:
        self._stretches.append(
            Stretch(
                number=event.stretch,
                purpose=event.purpose,
                began_ns=event.at_ns,
                max_workers=event.max_workers,
                calls=event.calls,
                batch=self._batch,
            )
        )
        for index in event.calls:
            draft = self._draft(index)
            self.tally.take_off(draft)
            draft.queue(event.at_ns)
            self.tally.add(draft)
        self._limits.append(Step(at_ns=event.at_ns, value=event.max_workers))
        self._max_workers = event.max_workers
        self._state = "running"

    def _stretch_ended(self, event: ev.StretchEnded) -> None:
        self._stretches[-1] = replace(self._stretches[-1], ended_ns=event.at_ns, reason=event.reason)
        self._state = "ended"
        self._stop_reason = event.reason

    def _hold_changed(self, event: ev.HoldChanged) -> None:
        self._holds.append(Hold(at_ns=event.at_ns, held_by=event.held_by))
        if self._state in ("running", "paused"):
            self._state = "paused" if event.held_by in ("paused", "cap") else "running"

    def _started(self, event: ev.Started) -> None:
        self._draft(event.call).begin(
            AttemptDraft(
                number=event.attempt,
                stretch=len(self._stretches) - 1,
                model=self._batch.model,
                lane=event.lane,
                started_ns=event.at_ns,
            )
        )

    def _sent(self, event: ev.Sent) -> None:
        self._draft(event.call).attempt.sent_ns = event.at_ns

    def _first_token(self, event: ev.FirstToken) -> None:
        self._draft(event.call).attempt.first_token_ns = event.at_ns

    def _retrying(self, event: ev.Retrying) -> None:
        draft = self._draft(event.call)
        draft.status = "backing_off"
        draft.attempt.ready_ns = event.ready_ns
        _end_attempt(draft.attempt, "retried", event.at_ns, received_ns=event.received_ns, error=event.error)

    def _succeeded(self, event: ev.Succeeded) -> None:
        draft = self._draft(event.call)
        _end_attempt(draft.attempt, "answered", event.at_ns, received_ns=event.received_ns)
        self._end(draft, event.at_ns, "answered", output=event.output, usage=event.usage, cost_usd=event.cost_usd)

    def _failed(self, event: ev.Failed) -> None:
        draft = self._draft(event.call)
        _end_attempt(draft.attempt, "failed", event.at_ns, received_ns=event.received_ns, error=event.error)
        self._end(draft, event.at_ns, "failed", error=event.error)

    def _cancelled(self, event: ev.Cancelled) -> None:
        draft = self._draft(event.call)
        if event.attempt is not None:
            draft.attempt.status = "cancelled"
            draft.attempt.ended_ns = event.at_ns
            draft.attempt.lost = event.lost
        self._given_up(draft, event.at_ns, "cancelled")

    def _reused(self, event: ev.Reused) -> None:
        origin = Origin(run_id=event.of_run, call=event.of_call, answered_at_s=event.answered_at_s, model=event.model)
        self._end(self._draft(event.call), event.at_ns, "answered", output=event.output, origin=origin)

    def _not_sent(self, event: ev.NotSent) -> None:
        self._given_up(self._draft(event.call), event.at_ns, "not_sent")

    def _given_up(self, draft: CallDraft, at_ns: int, status: CallStatus) -> None:
        """What failed in an earlier stretch, and was not sent again, keeps saying so, and of what."""
        last = draft.last
        if last is not None and last.status == "failed":
            self._end(draft, at_ns, "failed", error=last.error)
        else:
            self._end(draft, at_ns, status)

    def _end(self, draft: CallDraft, at_ns: int, status: CallStatus, **what: Any) -> None:
        """At the next place in completion order; `what` came of it, as `CallDraft.end` takes it."""
        self.tally.take_off(draft)
        draft.end(at_ns, status, completed=self._completed, **what)
        self.tally.add(draft)
        self._completed += 1

    def _limit_changed(self, event: ev.LimitChanged) -> None:
        if event.limit != "max_workers":
            self._quota.append(
                QuotaStep(at_ns=event.at_ns, limit=event.limit, value=event.new, reason=event.reason, why=event.why)
            )
        elif event.new is not None:
            self._limits.append(Step(at_ns=event.at_ns, value=event.new, reason=event.reason, why=event.why))
            self._max_workers = event.new

    def _weight_changed(self, event: ev.WeightChanged) -> None:
        self._weights.append(Step(at_ns=event.at_ns, value=event.new, reason=event.reason))

    def _cap_reached(self, event: ev.CapReached) -> None:
        self._cap = CapState(
            cap=event.cap, used=event.used, allowed=event.allowed, of=event.of, expected=event.expected
        )

    def _cap_raised(self, event: ev.CapRaised) -> None:
        self._cap = None

    def _stop_asked(self, event: ev.StopAsked) -> None:
        self._state = "stopping"
        self._stop_reason = event.reason
        self._stop_error = event.error

    def _client_lagged(self, event: ev.ClientLagged) -> None:
        self._lags.append(Lag(at_ns=event.at_ns, lag_ns=event.lag_ns))


def _end_attempt(
    attempt: AttemptDraft,
    status: AttemptStatus,
    at_ns: int,
    *,
    received_ns: int | None,
    error: CallFailed | None = None,
) -> None:
    attempt.status = status
    attempt.ended_ns = at_ns
    attempt.received_ns = received_ns
    if error is not None:
        attempt.error = error


_FOLDERS: dict[type, Callable[[Any, Any], None]] = {
    ev.RunOpened: Fold._opened_again,
    ev.StretchOpened: Fold._stretch_opened,
    ev.StretchBegan: Fold._stretch_began,
    ev.StretchEnded: Fold._stretch_ended,
    ev.HoldChanged: Fold._hold_changed,
    ev.Started: Fold._started,
    ev.Sent: Fold._sent,
    ev.FirstToken: Fold._first_token,
    ev.Retrying: Fold._retrying,
    ev.Succeeded: Fold._succeeded,
    ev.Failed: Fold._failed,
    ev.Cancelled: Fold._cancelled,
    ev.Reused: Fold._reused,
    ev.NotSent: Fold._not_sent,
    ev.LimitChanged: Fold._limit_changed,
    ev.WeightChanged: Fold._weight_changed,
    ev.CapReached: Fold._cap_reached,
    ev.CapRaised: Fold._cap_raised,
    ev.StopAsked: Fold._stop_asked,
    ev.ClientLagged: Fold._client_lagged,
}
"""Each method takes the one kind of event it is filed under."""
