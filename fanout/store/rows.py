"""What the store says of a run beside its events: the row of a list, and how it is made of a run.

Comes in: a `Run`. Goes out: its `Summary`; `RunRow`, what a list shows; the run under another name; the keys by which
settings and prompts are found again. Pure.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Literal

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.fold import Fold
from fanout.metrics import measure
from fanout.people import Visibility
from fanout.run import Run

RowState = Literal["opening", "running", "paused", "stopping", "ended", "interrupted"]
"""As a run's own; `interrupted`: it had not ended when the process that drove it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run stands, in numbers that a list shows."""

    state: str
    stop_reason: str | None
    answered: int
    failed: int
    max_workers: int
    tokens: int
    cost_usd: float | None
    wall_s: float | None = None
    """Of an ended run."""
    overlap: float | None = None
    ended_at: float | None = None
    """Wall time, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run, as a list shows it."""

    run_id: str
    owner_id: str
    owner_name: str
    visibility: Visibility
    link_token: str | None
    name: str | None
    model: str
    baseline_of: str | None
    opened_at: float
    state: RowState
    stop_reason: str | None
    prompts: int
    answered: int
    failed: int
    max_workers: int
    wall_s: float | None
    overlap: float | None
    tokens: int
    cost_usd: float | None
    events: int
    bytes: int
    process_id: str | None
    tags: tuple[str, ...] = ()
    imported: bool = False
    """Whether it was taken in from a file, of which nobody knows who wrote it."""
    held: bool = False
    """Whether it waits for the store, which cannot be written; known of runs that this process drives."""

    @property
    def goes_on(self) -> bool:
        """Whether some process drives it."""
        return self.state not in ("ended", "interrupted")


def summarize(run: Run) -> Summary:
    """The run in numbers; wall and overlap only once it has ended, since they take a look at every call."""
    answered = failed = tokens = 0
    cost: float | None = None
    for call in run.calls:
        answered += call.status == "answered"
        failed += call.status == "failed"
        tokens += (call.usage.input_tokens or 0) + (call.usage.output_tokens or 0)
        if call.cost_usd is not None:
            cost = (cost or 0.0) + call.cost_usd
    metrics = measure(run) if run.ended else None
    ended_ns = run.stretches[-1].ended_ns if run.ended and run.stretches else None
    return Summary(
        state=run.state,
        stop_reason=run.stop_reason,
        answered=answered,
        failed=failed,
        max_workers=run.max_workers,
        tokens=tokens,
        cost_usd=cost,
        wall_s=None if metrics is None else metrics.wall_s,
        overlap=None if metrics is None else metrics.overlap,
        ended_at=None if ended_ns is None else run.opened_at_s + seconds(ended_ns - run.opened_ns),
    )


def standing(fold: Fold) -> Summary:
    """The same of a run that goes on, at a cost that does not grow with its calls."""
    tally = fold.tally
    return Summary(
        state=fold.state,
        stop_reason=fold.stop_reason,
        answered=tally.answered,
        failed=tally.failed,
        max_workers=fold.max_workers,
        tokens=tally.tokens,
        cost_usd=tally.cost_usd,
    )


def row_of(run: Run, visibility: Visibility = "private") -> RunRow:
    """The row of a run that is not stored, or not yet."""
    found = summarize(run)
    return RunRow(
        run_id=run.run_id,
        owner_id=run.user_id,
        owner_name=run.user_name,
        visibility=visibility,
        link_token=None,
        name=run.batch.name,
        model=run.batch.model,
        baseline_of=run.baseline_of,
        opened_at=run.opened_at_s,
        state=run.state,
        stop_reason=found.stop_reason,
        prompts=len(run.calls),
        answered=found.answered,
        failed=found.failed,
        max_workers=found.max_workers,
        wall_s=found.wall_s,
        overlap=found.overlap,
        tokens=found.tokens,
        cost_usd=found.cost_usd,
        events=run.version,
        bytes=0,
        process_id=None,
    )


def named(run: Run, name: str | None) -> Run:
    """The run as if it had always been called so: a name that it had before is in none of its parts."""
    if all(batch.name == name for batch in (run.batch, *(each.batch for each in run.stretches))):
        return run
    batch = replace(run.batch, name=name)
    stretches = (
        replace(each, batch=batch if each.batch is run.batch else replace(each.batch, name=name))
        for each in run.stretches
    )
    return replace(run, batch=batch, stretches=tuple(stretches))


IMPORTED = "imported:"
"""Before the settings' key of a run that was taken in from a file: its answers are nobody's but the importer's."""


def settings_key(batch: Batch) -> str:
    """A digest of all that an answer depends on beside its prompt: the model, what it is told, how it is sampled."""
    asked = {
        "model": batch.model,
        "instructions": batch.instructions,
        "temperature": batch.temperature,
        "max_output_tokens": batch.max_output_tokens,
        "sandbox": None if batch.sandbox is None else batch.sandbox.as_json(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
