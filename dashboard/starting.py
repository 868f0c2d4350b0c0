"""The only place from which pages start runs: a person, a batch, and whether the one may start the other.

Comes in: a person, and a batch that was checked or a run that was opened for them. Goes out: the run, or NotAllowed
with the sentence to show. A control that is not drawn is no protection: what a browser sends is held to the same rules
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard import house
from fanout.batch import Batch
from fanout.errors import NotAllowed
from fanout.library import Opened
from fanout.live import LiveRun
from fanout.people import Person, Visibility, may_start, may_use_model


def start(
    person: Person,
    batch: Batch,
    *,
    baseline_of: str | None = None,
    visibility: Visibility | None = None,
    carry_from: str | None = None,
    token: str | None = None,
) -> LiveRun:
    """Start this batch as this person. `visibility`: who else sees it; None is as usual here.

    `carry_from`: a run whose answers it takes where the prompt is the same; `token`: of the link they came to it by.
    """
    check(person, batch.model, offered=house.settings().models)
    return house.library().start(
        batch, by=person, baseline_of=baseline_of, visibility=visibility, carry_from=carry_from, token=token
    )


def resume(person: Person, opened: Opened, *, changes: Mapping[str, Any] | None = None) -> LiveRun:
    """Send, as this person, what has no answer, with these settings changed."""
    model = (changes or {}).get("model") or opened.run.snapshot().batch.model
    check(person, model, offered=house.settings().models)
    return house.library().resume(person, opened.row.run_id, changes=changes)


def check(person: Person, model: str, *, offered: tuple[str, ...]) -> None:
    """Raise NotAllowed where this person may not start a run on this model."""
    if not may_start(person):
        raise NotAllowed("viewers read runs and start none: ask an admin to make you a member")
    if not may_use_model(person, model, offered=offered):
        names = ", ".join(("sandbox", *offered))
        raise NotAllowed(f"members send to the models on offer ({names}), got {model!r}: ask an admin to offer it")
