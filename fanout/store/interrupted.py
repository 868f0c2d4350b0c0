"""How a run ends whose process ended without a word: the events that close it, made by whoever finds it. Pure.

What was in flight may have been answered and billed: its attempt is marked as lost. What waited was not sent, but for
what had started after the last commit (`fanout.store.starts`): it counts as in flight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fanout import events as ev
from fanout.metrics import last_stamp_ns
from fanout.run import ENDED, Call, Run


def closing(run: Run, *, at_ns: int, started: Iterable[ev.Started] = ()) -> tuple[ev.Event, ...]:
    """The events that end this run at `at_ns`, or at its last stamp where that is later; none where it has ended.

    `started`: what is known of calls beside the run, in order.
    """
    if run.ended:
        return ()
    starts = {} if run.state == "opening" else _unknown(run, started)
    at_ns = max(at_ns, last_stamp_ns(run), *(each.at_ns for each in starts.values()), 0)
    closed: list[ev.Event] = []
    if not run.stretches or run.stretches[-1].ended_ns is not None:  # it never came to begin
        number = len(run.stretches)
        # What failed in an earlier stretch keeps saying so.
        waiting = () if number else tuple(call.index for call in run.calls)
        closed.append(
            ev.StretchBegan(
                at_ns=at_ns,
                stretch=number,
                purpose="retry" if number else "first",
                max_workers=run.max_workers,
                calls=waiting,
            )
        )
        cancelled = [ev.Cancelled(at_ns=at_ns, call=index) for index in waiting]
    else:
        number = run.stretches[-1].number
        closed.extend(starts.values())
        cancelled = [_cancelled(call, at_ns, starts.get(call.index)) for call in run.calls if call.status not in ENDED]
    closed.append(ev.StopAsked(at_ns=at_ns, reason="interrupted"))
    closed.extend(cancelled)
    closed.append(ev.StretchEnded(at_ns=at_ns, stretch=number, reason="interrupted"))
    return tuple(closed)


def _unknown(run: Run, started: Iterable[ev.Started]) -> dict[int, ev.Started]:
    """By call: the start that the run does not know of. One is enough to say that it may have been sent."""
    found: dict[int, ev.Started] = {}
    for each in started:
        if 0 <= each.call < len(run.calls):
            call = run.calls[each.call]
            if call.status in ("queued", "backing_off") and each.attempt > len(call.attempts):
                found[each.call] = replace(each, attempt=len(call.attempts) + 1)
    return found


def _cancelled(call: Call, at_ns: int, started: ev.Started | None) -> ev.Cancelled:
    attempt = started.attempt if started is not None else call.attempts[-1].number if call.status == "running" else None
    return ev.Cancelled(at_ns=at_ns, call=call.index, attempt=attempt, lost=attempt is not None)
