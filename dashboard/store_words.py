"""What is said while the store cannot be written or read: of a run that it holds, and of a page that needs it.

Comes in: a `Run` by all that is kept of it, its `Metrics`, or the error. Goes out: plain text. What came to a run since
the store was lost is in memory only and is not shown, so nothing is said here of what is in flight or still to go.
"""

from __future__ import annotations

from dashboard.reasons import failures
from fanout.metrics import Metrics
from fanout.run import Run
from fanout.store.database import StoreLost


def counts(metrics: Metrics) -> str:
    """How many prompts are answered and kept."""
    failed = f"{metrics.failed:,} failed, " if metrics.failed else ""
    return f"{failed}{metrics.answered:,} of {metrics.calls:,} answered and stored"


def held_sentence(run: Run, metrics: Metrics) -> str:
    """What is read first of a run that is held."""
    said = [
        *failures(run),
        f"{metrics.answered:,} of {metrics.calls:,} answered and stored.",
        "What arrives now is kept in memory and shown once it is stored; then the run goes on by itself.",
    ]
    return " ".join(said)


def lost_sentence(error: StoreLost) -> str:
    """Why a page cannot be drawn."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
