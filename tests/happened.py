"""What happened to the calls of a run, event by event; the run of it, and its sentence."""

from __future__ import annotations

from dashboard import wording
from fanout import events as ev
from fanout.clock import NS_PER_MS
from fanout.errors import CallFailed, RateLimited
from fanout.fold import fold
from fanout.metrics import measure
from fanout.run import Run
from tests.test_metrics import began, in_order, opened


def ms(value: float) -> int:
    return round(value * NS_PER_MS)


def said(run: Run, at_ms: float | None = None) -> str:
    return wording.run_sentence(run, measure(run, now_ns=None if at_ms is None else ms(at_ms)))


def started(call: int, at_ms: float, *, attempt: int = 1) -> list[ev.Event]:
    return [
        ev.Started(at_ns=ms(at_ms), call=call, attempt=attempt, lane=0),
        ev.Sent(at_ns=ms(at_ms), call=call, attempt=attempt),
    ]


def failed(call: int, start_ms: float, end_ms: float, error: CallFailed, *, attempt: int = 1) -> list[ev.Event]:
    return [
        *started(call, start_ms, attempt=attempt),
        ev.Failed(at_ns=ms(end_ms), call=call, attempt=attempt, error=error, received_ns=ms(end_ms)),
    ]


def run_of(n: int, *happened: list[ev.Event], workers: int = 2, end: ev.Event | None = None) -> Run:
    events = [*opened(n, workers=workers), began(n, workers=workers)]
    for some in happened:
        events += some
    return fold([*in_order(events), *([end] if end else [])])


def cancelled(*calls: int, at_ms: float, attempt: int | None = None) -> list[ev.Event]:
    return [ev.Cancelled(at_ns=ms(at_ms), call=call, attempt=attempt) for call in calls]


def stop(at_ms: float, reason: ev.StopReason, error: CallFailed | None = None) -> list[ev.Event]:
    return [ev.StopAsked(at_ns=ms(at_ms), reason=reason, error=error)]


def stopped(at_ms: float, reason: ev.StopReason) -> ev.Event:
    return ev.StretchEnded(at_ns=ms(at_ms), stretch=0, reason=reason)


LIMIT = RateLimited("The provider answered 429 (60 requests a minute).", status_code=429)
