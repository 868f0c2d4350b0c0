"""The limits of an account as the record of a run is told of them.

Comes in: what is known of the limits, and what of it moved. Goes out: events. Decides nothing.
"""

from __future__ import annotations

from fanout.batch import Batch
from fanout.events import LimitChanged, LimitName
from fanout.quota.meters import Change, Meters


def limits_known(batch: Batch, meters: Meters, at_ns: int) -> list[LimitChanged]:
    """The limits as they stand when a stretch begins: the account's, and those that the run asked for itself."""
    told = [
        LimitChanged(at_ns=at_ns, limit=name, old=None, new=meters.amount(name), reason=known.source)
        for name, known in meters
    ]
    own: tuple[tuple[LimitName, int | None], ...] = (
        ("requests", batch.requests_per_minute),
        ("tokens", batch.tokens_per_minute),
    )
    for name, number in own:
        if number is not None:
            told.append(LimitChanged(at_ns=at_ns, limit=name, old=None, new=number, reason="run"))
    return told


def limit_moved(change: Change, at_ns: int) -> LimitChanged:
    """A limit came to be known, or moved."""
    return LimitChanged(
        at_ns=at_ns, limit=change.name, old=change.old, new=change.new, reason=change.source, why=change.why
    )
