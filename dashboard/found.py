"""The runs that a page may show, by their id: the one place that knows where they are kept.

Comes in: an id, out of an address that anybody may have written. Goes out: the run as it stands, or None. An id that
was guessed and one that never was get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from dashboard import door, house, session_share, zones
from dashboard.rows import counts, row_state, when
from dashboard.safe import cut
from dashboard.units import duration
from fanout.library import Opened
from fanout.run import Run
from fanout.store import NoSuchRun
from fanout.store.rows import RunRow

MOST_CHOICES = 200
NOT_KNOWN = "This run is not known here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A run to choose, with the line that stands for it: plain text, one line."""

    run_id: str
    label: str


def opened(run_id: str) -> Opened | None:
    """The run of this id, for whoever looks; None where it is not known to them."""
    try:
        return house.library().find(door.person(), run_id, token=session_share.link_of(run_id))
    except NoSuchRun:
        return None


def find(run_id: str) -> Run | None:
    """The run of this id as it stands, under the name it has now; None where it is not known to whoever asks."""
    found = opened(run_id)
    return None if found is None else found.named()


def choices() -> tuple[Choice, ...]:
    """The newest runs that whoever looks may see."""
    zone = zones.here()
    return tuple(choice_of(row, zone=zone) for row in house.library().newest(door.person(), MOST_CHOICES))


def choice_of(row: RunRow, *, zone: tzinfo | None) -> Choice:
    """A run with its name and the time it began, in this zone, and what became of it."""
    began = when(row.opened_at, zone=zone)
    facts = [cut(row.name, 40), began] if row.name else [began]
    facts += [counts(row), cut(row.model, 40), f"max_workers {row.max_workers}"]
    facts.append(row_state(row) if row.wall_s is None else duration(row.wall_s))
    return Choice(run_id=row.run_id, label=" · ".join(facts))
