"""How a run ends whose process ended without a word: the events that close it, made by whoever finds it. Pure.

What was in flight may have been answered and billed: its attempt is marked as lost. What waited was not sent.
"""

from __future__ import annotations

from fanout import events as ev
from fanout.metrics import last_stamp_ns
from fanout.run import ENDED, Call, Run


def closing(run: Run, *, at_ns: int) -> tuple[ev.Event, ...]:
    """The events that end this run at `at_ns`, or at its last stamp where that is later; none where it has ended."""
    if run.ended:
        return ()
    at_ns = max(at_ns, last_stamp_ns(run))
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
        cancelled = [_cancelled(call, at_ns) for call in run.calls if call.status not in ENDED]
    closed.append(ev.StopAsked(at_ns=at_ns, reason="interrupted"))
    closed.extend(cancelled)
    closed.append(ev.StretchEnded(at_ns=at_ns, stretch=number, reason="interrupted"))
    return tuple(closed)


def _cancelled(call: Call, at_ns: int) -> ev.Cancelled:
    in_flight = call.status == "running"
    return ev.Cancelled(
        at_ns=at_ns, call=call.index, attempt=call.attempts[-1].number if in_flight else None, lost=in_flight
    )
