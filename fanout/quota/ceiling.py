"""What the schedule asks before a call starts, and the ceiling on calls in flight over all runs of a process.

Pure bookkeeping on instants that are given: `ask` every limit, then `book` every limit, at one instant; `give_back`
when the call ends. Nothing here waits: the schedule says until when, the engine does. Not thread-safe: the engine's
lock stands over every limit that runs share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fanout.events import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a call may not start now."""

    until_ns: int | None
    """Ask again then; None: when somebody has given back."""
    held_by: Held


class Limit(Protocol):
    """Something that may hold a call back. A call is named by its index in the batch."""

    def ask(self, call: int, at_ns: int) -> Hold | None:
        """None where the call may start at this instant. Nothing is booked."""
        ...

    def book(self, call: int, at_ns: int) -> None:
        """Take the place that `ask` found at this very instant."""
        ...

    def give_back(self, call: int, at_ns: int) -> None:
        """The attempt that was booked has ended."""
        ...


class InFlightCeiling:
    """At most `most` calls in flight, over all schedules that share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<InFlightCeiling {self.in_flight} of {self.most} in flight>"

    def ask(self, call: int, at_ns: int) -> Hold | None:
        """Now while there is room, otherwise when somebody gives back."""
        return None if self.in_flight < self.most else Hold(until_ns=None, held_by="concurrency")

    def book(self, call: int, at_ns: int) -> None:
        """One more in flight."""
        self.in_flight += 1

    def give_back(self, call: int, at_ns: int) -> None:
        """One less in flight."""
        self.in_flight -= 1
