"""What can have happened to a run: the fold of what was read, which takes no event that contradicts those before.

Comes in: events of the right types. Goes out: why one of them cannot be. So every page may ask a run that came from
outside what it asks its own: calls that are there, attempts that were in flight, a stretch that goes on.
"""

from __future__ import annotations

from fanout import events as ev
from fanout.archive.expected import MOST_AT_S, RUN_ID
from fanout.batch import MOST_WEIGHT
from fanout.clock import NS_PER_S
from fanout.errors import BadInput
from fanout.fold import Fold
from fanout.metrics import measure
from fanout.run import ENDED
from fanout.tuning.bounds import bounds
from fanout.tuning.quota_bound import quota_bound

MOST_LANES = 100_000
MOST_BACK_NS = 3_600 * NS_PER_S
"""Events of several threads may be a little out of order, and a clock may have been set."""
MOST_LONG_NS = 10 * 366 * 24 * 3_600 * NS_PER_S
"""From a run's first event to its last."""


class Story:
    """The fold of what was read so far, which takes nothing that cannot have happened."""

    def __init__(self, opened: ev.RunOpened) -> None:
        self._fold = Fold(opened)
        self._calls = len(opened.batch.prompts)
        self._stretches = 0
        self._going = False
        self._opened_ns = self._last_ns = opened.at_ns

    def take(self, event: ev.Event) -> str | None:
        """Take an event in; why it cannot be, where it cannot."""
        problem = self._when(event) or self._problem(event)
        if problem is None:
            try:
                self._fold.add(event)
            except (BadInput, AttributeError, TypeError, ValueError) as exc:  # settings that a batch cannot have
                return str(exc)
        return problem

    def answers(self) -> None:
        """Ask of the run what every page asks of it; BadInput where it has no answer."""
        run = self._fold.run()
        try:
            measure(run)
            bounds(run)
            quota_bound(run, self._last_ns)
            run.results()
            for call in run.calls:
                run.phases(call)
        except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
            raise BadInput(f"these events tell of no run that can be shown: {exc}") from exc

    def _when(self, event: ev.Event) -> str | None:
        if not self._last_ns - MOST_BACK_NS <= event.at_ns <= self._opened_ns + MOST_LONG_NS:
            return "its at_ns is long before the event before it, or years after the first"
        self._last_ns = max(self._last_ns, event.at_ns)
        return None

    def _problem(self, event: ev.Event) -> str | None:
        match event:
            case ev.RunOpened():
                return "a run is opened once"
            case ev.StretchOpened():
                return None if event.stretch == self._stretches else f"expected stretch {self._stretches}"
            case ev.StretchBegan():
                return self._began(event)
            case ev.StretchEnded():
                return self._ended(event)
            case ev.Started():
                return self._started(event)
            case ev.Reused():
                return self._reused(event)
            case ev.Cancelled() | ev.NotSent() if getattr(event, "attempt", None) is None:
                return self._given_up(event.call)
            case ev.Sent() | ev.FirstToken() | ev.Retrying() | ev.Succeeded() | ev.Failed() | ev.Cancelled():
                return self._of_attempt(event)
            case ev.LimitChanged(limit="max_workers") if event.new is not None:
                return None if 1 <= event.new <= MOST_LANES else f"max_workers is from 1 to {MOST_LANES:,}"
            case ev.WeightChanged():
                return None if 1 <= event.new <= MOST_WEIGHT else f"a weight is from 1 to {MOST_WEIGHT}"
            case _:
                return None

    def _began(self, event: ev.StretchBegan) -> str | None:
        if event.stretch != self._stretches:
            return f"expected stretch {self._stretches}"
        if not all(0 <= call < self._calls for call in event.calls) or len(set(event.calls)) < len(event.calls):
            return f"its calls must be different prompts from 0 to {self._calls - 1}"
        if not 1 <= event.max_workers <= MOST_LANES:
            return f"max_workers is from 1 to {MOST_LANES:,}"
        self._stretches += 1
        self._going = True
        return None

    def _ended(self, event: ev.StretchEnded) -> str | None:
        if not self._going or event.stretch != self._stretches - 1:
            return "this stretch does not go on"
        self._going = False
        return None

    def _started(self, event: ev.Started) -> str | None:
        unknown = self._unknown(event.call)
        if unknown is not None or not self._going:
            return unknown or "no stretch goes on"
        call = self._fold.call(event.call)
        if not call.queued_ns or call.status not in ("queued", "backing_off"):
            return f"call {event.call} does not wait: it is {call.status}"
        if event.attempt != len(call.attempts) + 1:
            return f"expected attempt {len(call.attempts) + 1}"
        return None if 0 <= event.lane < MOST_LANES else f"a lane is from 0 to {MOST_LANES - 1:,}"

    def _of_attempt(
        self, event: ev.Sent | ev.FirstToken | ev.Retrying | ev.Succeeded | ev.Failed | ev.Cancelled
    ) -> str | None:
        unknown = self._unknown(event.call)
        if unknown is not None:
            return unknown
        call = self._fold.call(event.call)
        if call.status != "running" or event.attempt != call.attempts[-1].number:
            return f"attempt {event.attempt} of call {event.call} is not in flight"
        sent_ns, received_ns = call.attempts[-1].sent_ns, getattr(event, "received_ns", None)
        if sent_ns is not None and received_ns is not None and received_ns < sent_ns:
            return "it was received before it was sent"
        return None

    def _reused(self, event: ev.Reused) -> str | None:
        if not RUN_ID.fullmatch(event.of_run) or event.of_call < 0 or not 0 <= event.answered_at_s < MOST_AT_S:
            return "it names no answer that was there"
        return self._given_up(event.call)

    def _given_up(self, index: int) -> str | None:
        unknown = self._unknown(index)
        if unknown is not None:
            return unknown
        call = self._fold.call(index)
        return f"call {index} does not go on" if not call.queued_ns or call.status in ENDED else None

    def _unknown(self, call: int) -> str | None:
        return None if 0 <= call < self._calls else f"there is no call {call}"
