"""Who shares a gate, and what each attempt took of its limits: records that the gate alone changes.

Comes in: nothing. Goes out: `Sharer`, a run at a gate, and `Reservation`, an attempt's until it is settled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fanout.events import LimitName
from fanout.quota.estimate import Cost
from fanout.quota.meters import AtMost


@dataclass(slots=True, kw_only=True)
class Sharer:
    """One run at this gate."""

    weight: int = 1
    tag: int = 0
    """Virtual time of its next start, in ns of the scarcest limit."""
    in_flight: int = 0
    requests: int = 0
    tokens: int = 0
    assumed_tokens: int = 0
    lease_ns: int = 0
    """How long an attempt may hold its place at most."""
    contends_until_ns: int = 0
    seen_ns: int = 0
    tries: bool = True
    """Whether its next call may try a day's limit that is used up by what responses told."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reservation:
    """What one attempt took, until it is settled."""

    run_id: str
    cost: Cost
    booked_ns: int
    order: int
    """Its place among all bookings of the gate."""
    names: set[LimitName]
    """The limits it was taken of."""
    tries: bool
    """Whether a day's limit was used up by what responses told, and this was sent to try it."""
    totals: dict[LimitName, int]
    """Of each limit, what had been taken in all once this was."""
    said: dict[LimitName, tuple[AtMost, int]] = field(default_factory=dict)
    """Of each limit, what its response left there at most, and when it said so."""
