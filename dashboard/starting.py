"""The only place from which pages start runs: a person, a batch, and whether the one may start the other.

Comes in: a person, and a batch that was checked or a run. Goes out: the run, or NotAllowed with the sentence to show.
A control that is not drawn is no protection: what a browser sends is held to the same rules here.
"""

from __future__ import annotations

from dashboard import house
from fanout.batch import Batch
from fanout.errors import NotAllowed
from fanout.live import LiveRun
from fanout.people import Person, may_start, may_use_model


def start(person: Person, batch: Batch, *, baseline_of: str | None = None) -> LiveRun:
    """Start this batch as this person."""
    check(person, batch.model, offered=house.settings().models)
    return house.engine().start(batch, baseline_of=baseline_of)


def retry(person: Person, live_run: LiveRun) -> int:
    """Send again, as this person, what was not answered; gives how many prompts that are."""
    check(person, live_run.batch.model, offered=house.settings().models)
    return live_run.retry_failed()


def check(person: Person, model: str, *, offered: tuple[str, ...]) -> None:
    """Raise NotAllowed where this person may not start a run on this model."""
    if not may_start(person):
        raise NotAllowed("viewers read runs and start none: ask an admin to make you a member")
    if not may_use_model(person, model, offered=offered):
        names = ", ".join(("sandbox", *offered))
        raise NotAllowed(f"members send to the models on offer ({names}), got {model!r}: ask an admin to offer it")
