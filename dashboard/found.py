"""The runs that a page may show, by their id: the one place that knows where they are kept.

Comes in: an id, out of an address that anybody may have written. Goes out: the run as it stands, or None. An id that
was guessed and one that never was get the same answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dashboard import house, wording
from dashboard.safe import cut
from dashboard.units import duration
from fanout.clock import seconds
from fanout.metrics import wall_ns
from fanout.run import Run

NOT_KNOWN = "This run is not known here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A run to choose, with the line that stands for it: plain text, one line."""

    run_id: str
    label: str


def find(run_id: str) -> Run | None:
    """The run of this id as it stands; None where it is not known to whoever asks."""
    live_run = house.engine().find(run_id)
    return None if live_run is None else live_run.snapshot()


def choices() -> tuple[Choice, ...]:
    """The runs there are, the newest first."""
    return tuple(choice_of(live_run.snapshot()) for live_run in house.engine().runs())


def choice_of(run: Run) -> Choice:
    """A run with its name or the time it began, and what became of it."""
    began = time.strftime("%H:%M:%S", time.localtime(run.opened_at_s))
    facts = [cut(run.batch.name, 40), began] if run.batch.name else [began]
    facts += [wording.counts_sentence(run), cut(run.batch.model, 40), f"max_workers {run.max_workers}"]
    facts.append(duration(seconds(wall_ns(run))) if run.ended else wording.run_state(run))
    return Choice(run_id=run.run_id, label=" · ".join(facts))
