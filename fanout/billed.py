"""Which prompts may have been billed though no answer came of it: what was in flight and was not waited for. Pure.

Comes in: a `Run`. Goes out: places of prompts; the words are each surface's own.
"""

from __future__ import annotations

from fanout.run import Run


def lost(run: Run) -> tuple[int, ...]:
    """The prompts that were in flight when a process ended, whether or not they were answered since."""
    return tuple(call.index for call in run.calls if any(attempt.lost for attempt in call.attempts))


def hung_up(run: Run) -> tuple[int, ...]:
    """The prompts that were cancelled after they had been sent, and not lost; they may have been answered since."""
    return tuple(
        call.index
        for call in run.calls
        if not any(attempt.lost for attempt in call.attempts)
        and any(attempt.status == "cancelled" and attempt.sent_ns is not None for attempt in call.attempts)
    )
