"""How a run ends whose process ended without a word: the events that close it, made by whoever finds it. Pure.

So ends in the store a run, too, that went on when it was saved to a file (`saved`).

What was in flight may have been answered and billed: its attempt is marked as lost. What waited was not sent, but for
what had started after the last commit (`fanout.store.starts`): it counts as in flight, if need be in a stretch that the
run itself does not know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from fanout import events as ev
from fanout.metrics import last_stamp_ns
from fanout.run import ENDED, Call, Run


def closing(
    run: Run, *, at_ns: int, started: Iterable[ev.Started] = (), reason: ev.StopReason = "interrupted"
) -> tuple[ev.Event, ...]:
    """The events that end this run at `at_ns`, or at its last stamp where that is later; none where it has ended.

    `started`: what is known of calls beside the run, in order.
    """
    starts = _unknown(run, started)
    goes_on = bool(run.stretches) and run.stretches[-1].ended_ns is None
    in_it = {call: each for call, each in starts.items() if goes_on and run.calls[call].status not in ENDED}
    # Each of these had ended when it started: it was sent again, and no event of that was committed.
    again = {call: each for call, each in starts.items() if call not in in_it}
    last_ns = last_stamp_ns(run)
    at_ns = max(at_ns, last_ns, *(each.at_ns for each in starts.values()), 0)
    closed: list[ev.Event] = []
    if goes_on:
        closed += in_it.values()
        cancelled = [_cancelled(call, at_ns, in_it.get(call.index)) for call in run.calls if call.status not in ENDED]
        closed += _ended(run.stretches[-1].number, cancelled, at_ns, reason)
    if again or run.state == "opening":
        closed += _never_committed(run, again, last_ns=at_ns if goes_on else last_ns, at_ns=at_ns, reason=reason)
    return tuple(closed)


def _never_committed(
    run: Run, starts: Mapping[int, ev.Started], *, last_ns: int, at_ns: int, reason: ev.StopReason
) -> Iterator[ev.Event]:
    """A stretch that was asked for, maybe, and of which no event says that it began."""
    number = len(run.stretches)
    began_ns = max(last_ns, min((each.at_ns for each in starts.values()), default=at_ns))
    if run.state != "opening":
        yield ev.StretchOpened(at_ns=began_ns, stretch=number)
    # What failed in an earlier stretch, and was not sent again, keeps saying so.
    calls = tuple(sorted(starts)) if number else tuple(call.index for call in run.calls)
    resumes = bool(number) and run.stretches[-1].reason in ("interrupted", "saved")
    yield ev.StretchBegan(
        at_ns=began_ns,
        stretch=number,
        purpose="first" if not number else "resume" if resumes else "retry",
        max_workers=run.max_workers,
        calls=calls,
    )
    for each in starts.values():
        yield replace(each, at_ns=max(began_ns, each.at_ns))
    cancelled = [_cancelled(run.calls[call], at_ns, starts.get(call)) for call in calls]
    yield from _ended(number, cancelled, at_ns, reason)


def _ended(stretch: int, cancelled: Iterable[ev.Cancelled], at_ns: int, reason: ev.StopReason) -> Iterator[ev.Event]:
    yield ev.StopAsked(at_ns=at_ns, reason=reason)
    yield from cancelled
    yield ev.StretchEnded(at_ns=at_ns, stretch=stretch, reason=reason)


def _unknown(run: Run, started: Iterable[ev.Started]) -> dict[int, ev.Started]:
    """By call: the start that the run does not know of. One is enough to say that it may have been sent."""
    found: dict[int, ev.Started] = {}
    for each in started:
        if 0 <= each.call < len(run.calls):
            call = run.calls[each.call]
            is_new = each.attempt > len(call.attempts) and each.at_ns >= max(call.ended_ns, default=each.at_ns)
            if is_new and call.status not in ("running", "answered"):
                found[each.call] = replace(each, attempt=len(call.attempts) + 1)
    return found


def _cancelled(call: Call, at_ns: int, started: ev.Started | None) -> ev.Cancelled:
    attempt = started.attempt if started is not None else call.attempts[-1].number if call.status == "running" else None
    return ev.Cancelled(at_ns=at_ns, call=call.index, attempt=attempt, lost=attempt is not None)
