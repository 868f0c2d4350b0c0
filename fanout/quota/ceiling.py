"""What a limit is, and the ceiling on calls in flight that stands over all runs of a process.

Pure bookkeeping on instants that are given: `ask` every limit, then `book` every limit, at one instant; `give_back`
when the call ends. Nothing here waits: the schedule says until when, the engine does. Not thread-safe: the engine's
lock stands over every limit that runs share.
"""

from __future__ import annotations

from typing import Protocol

from fanout.events import Held


class Limit(Protocol):
    """Something that may hold a call back."""

    @property
    def held_by(self) -> Held:
        """The name of the wait that it causes."""
        ...

    def ask(self, at_ns: int) -> int | None:
        """The earliest instant >= at_ns at which one call may start; None where first somebody must give back."""
        ...

    def book(self, at_ns: int) -> None:
        """Take the place that `ask` found at this very instant."""
        ...

    def give_back(self, at_ns: int) -> None:
        """The call that booked has ended."""
        ...


class InFlightCeiling:
    """At most `most` calls in flight, over all schedules that share it."""

    held_by: Held = "concurrency"

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<InFlightCeiling {self.in_flight} of {self.most} in flight>"

    def ask(self, at_ns: int) -> int | None:
        """Now while there is room, otherwise when somebody gives back."""
        return at_ns if self.in_flight < self.most else None

    def book(self, at_ns: int) -> None:
        """One more in flight."""
        self.in_flight += 1

    def give_back(self, at_ns: int) -> None:
        """One less in flight."""
        self.in_flight -= 1
