"""What a process knows of the others that take from the same limits: whose turn it is there, what is in flight.

Comes in: instants, what `shared` read of their rows. Goes out: the smallest tag, calls in flight. Knows neither
file nor database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fanout.clock import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from fanout.quota.gate import Gate

LEAD_NS = 50 * NS_PER_MS
"""Virtual time by which a run may be ahead of one of another process: at 1,000 calls a second nobody could ask the
others at each, and at ten a second it is less than a call."""
AGAIN_NS = 50 * NS_PER_MS
"""What other processes do wakes nobody here: a call that waits for it asks again after so long."""
AGAIN_LEAST_NS = 10 * NS_PER_MS
CONTENDS_NS = NS_PER_S // 2
"""A run contends for so long after the instant at which it may ask again: then it has gone."""
CONTENDS_MOST_NS = 60 * NS_PER_S


class Contender(NamedTuple):
    """One run as other processes see it."""

    tag: int
    weight: int
    contends_until_ns: int
    """Its last call was held, and it asks again before this; 0 where it was not, or waits for midnight."""
    seen_ns: int


class Lease(NamedTuple):
    """The calls in flight of one process: theirs, until they end, or the process has died and it expires."""

    calls: int
    until_ns: int


def contends_until_ns(until_ns: int | None, at_ns: int) -> int:
    """How long a run contends whose call was held at `at_ns`. `until_ns`: as its `Hold` says."""
    again_ns = at_ns + AGAIN_NS if until_ns is None else until_ns
    return min(again_ns, at_ns + CONTENDS_MOST_NS) + CONTENDS_NS


@dataclass(slots=True, kw_only=True)
class Others:
    """The other processes at one gate."""

    runs: dict[str, Contender] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    """By process."""

    def in_flight(self, at_ns: int) -> int:
        """Calls that they have in flight."""
        return sum(lease.calls for lease in self.leases.values() if at_ns < lease.until_ns)

    def first(self, tag: int, *, virtual: int, at_ns: int) -> int:
        """The smallest tag of those that contend, and of `tag`."""
        tags = (max(virtual, run.tag) for run in self.runs.values() if at_ns < run.contends_until_ns)
        return min(tag, min(tags, default=tag))


class Together(Protocol):
    """What brings processes together at a gate."""

    @property
    def shared(self) -> bool:
        """Whether it can be reached."""
        ...

    @property
    def over_hosts(self) -> bool:
        """Whether processes of other hosts are among them."""
        ...

    def enter(self, gate: Gate, at_ns: int) -> None:
        """The gate is about to change: it is brought up to date now, and told to the others later."""
        ...

    def look(self, gate: Gate, at_ns: int) -> None:
        """The gate is about to be read: it is brought up to date."""
        ...
