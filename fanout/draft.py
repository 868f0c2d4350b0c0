"""A call while its events come in: the same as a `Call`, but it can be written on; made into one when somebody looks.

Folding is what recording and reading back cost most: writing on a draft and making the value once takes a fifth of
making a new value at every event. Knows no event.
"""

from __future__ import annotations

from fanout.errors import CallFailed
from fanout.events import Usage
from fanout.run import Attempt, AttemptStatus, Call, CallStatus, Origin

_NO_USAGE = Usage()


class AttemptDraft:
    """An attempt that goes on, or has just ended. Its fields are `Attempt`'s."""

    __slots__ = (
        "ended_ns",
        "error",
        "first_token_ns",
        "lane",
        "lost",
        "model",
        "number",
        "ready_ns",
        "received_ns",
        "sent_ns",
        "started_ns",
        "status",
        "stretch",
    )

    def __init__(self, *, number: int, stretch: int, model: str, lane: int, started_ns: int) -> None:
        self.number = number
        self.stretch = stretch
        self.model = model
        self.lane = lane
        self.started_ns = started_ns
        self.sent_ns: int | None = None
        self.first_token_ns: int | None = None
        self.received_ns: int | None = None
        self.ended_ns: int | None = None
        self.ready_ns: int | None = None
        self.status: AttemptStatus = "running"
        self.error: CallFailed | None = None
        self.lost = False

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptDraft:
        """An attempt that is written on again."""
        draft = cls(
            number=attempt.number,
            stretch=attempt.stretch,
            model=attempt.model,
            lane=attempt.lane,
            started_ns=attempt.started_ns,
        )
        draft.sent_ns = attempt.sent_ns
        draft.first_token_ns = attempt.first_token_ns
        draft.received_ns = attempt.received_ns
        draft.ended_ns = attempt.ended_ns
        draft.ready_ns = attempt.ready_ns
        draft.status = attempt.status
        draft.error = attempt.error
        draft.lost = attempt.lost
        return draft

    def value(self) -> Attempt:
        """The attempt as it stands."""
        return Attempt(
            number=self.number,
            stretch=self.stretch,
            model=self.model,
            lane=self.lane,
            started_ns=self.started_ns,
            sent_ns=self.sent_ns,
            first_token_ns=self.first_token_ns,
            received_ns=self.received_ns,
            ended_ns=self.ended_ns,
            ready_ns=self.ready_ns,
            status=self.status,
            error=self.error,
            lost=self.lost,
        )


class CallDraft:
    """A call of which something has happened since somebody looked. Its fields are `Call`'s."""

    __slots__ = (
        "_before",
        "_last",
        "completed",
        "cost_usd",
        "ended_ns",
        "error",
        "index",
        "origin",
        "output",
        "prompt",
        "queued_ns",
        "status",
        "usage",
    )

    def __init__(self, call: Call) -> None:
        self.index = call.index
        self.prompt = call.prompt
        self.status: CallStatus = call.status
        self.queued_ns = call.queued_ns
        self.ended_ns = call.ended_ns
        self.output = call.output
        self.error = call.error
        self.usage = call.usage
        self.cost_usd = call.cost_usd
        self.completed = call.completed
        self.origin = call.origin
        self._before = call.attempts  # those that nothing more happens to; the last one may still be among them
        self._last: AttemptDraft | None = None

    def queue(self, at_ns: int) -> None:
        """It is to be sent, again maybe."""
        self.status = "queued"
        self.queued_ns = (*self.queued_ns, at_ns)
        self.error = None
        self.completed = None

    def begin(self, attempt: AttemptDraft) -> None:
        """Another attempt."""
        if self._last is not None:
            self._before = (*self._before, self._last.value())
        self._last = attempt
        self.status = "running"

    @property
    def attempt(self) -> AttemptDraft:
        """The last attempt; IndexError where there was none."""
        if self._last is None:
            self._last = AttemptDraft.of(self._before[-1])
            self._before = self._before[:-1]
        return self._last

    @property
    def last(self) -> AttemptDraft | None:
        """The same, or None."""
        return self.attempt if self._last is not None or self._before else None

    def end(
        self,
        at_ns: int,
        status: CallStatus,
        *,
        completed: int,
        output: str | None = None,
        error: CallFailed | None = None,
        usage: Usage = _NO_USAGE,
        cost_usd: float | None = None,
        origin: Origin | None = None,
    ) -> None:
        """It has ended, for this stretch."""
        self.status = status
        self.ended_ns = (*self.ended_ns, at_ns)
        self.completed = completed
        self.output = output
        self.error = error
        self.usage = usage
        self.cost_usd = cost_usd
        self.origin = origin

    def value(self) -> Call:
        """The call as it stands."""
        attempts = self._before if self._last is None else (*self._before, self._last.value())
        return Call(
            index=self.index,
            prompt=self.prompt,
            status=self.status,
            queued_ns=self.queued_ns,
            ended_ns=self.ended_ns,
            attempts=attempts,
            output=self.output,
            error=self.error,
            usage=self.usage,
            cost_usd=self.cost_usd,
            completed=self.completed,
            origin=self.origin,
        )


class Tally:
    """The calls of a run in numbers, while its events come in: how they stand, and what they used."""

    __slots__ = ("_cost_usd", "_priced", "answered", "failed", "tokens")

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.tokens = 0
        """Input and output, of every call that told."""
        self._priced = 0
        self._cost_usd = 0.0

    @property
    def cost_usd(self) -> float | None:
        """Of the calls whose cost is known; None where it is of none."""
        return self._cost_usd if self._priced else None

    def add(self, call: CallDraft) -> None:
        """Count the call as it stands."""
        self._count(call, 1)

    def take_off(self, call: CallDraft) -> None:
        """The call, as it stood when it was counted, is about to change."""
        self._count(call, -1)

    def _count(self, call: CallDraft, sign: int) -> None:
        if call.status == "answered":
            self.answered += sign
        elif call.status == "failed":
            self.failed += sign
        if call.usage is not _NO_USAGE:
            self.tokens += sign * ((call.usage.input_tokens or 0) + (call.usage.output_tokens or 0))
        if call.cost_usd is not None:
            self._priced += sign
            self._cost_usd += sign * call.cost_usd
