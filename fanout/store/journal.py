"""The journal of one run in a database: what waits to be committed, and what its summary needs.

Comes in: events, from the threads of calls. Goes out: to the writer, chunks. Its fields are the writer's: every one of
them is touched under the writer's lock, or by the writer's thread alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fanout.events import Event, StretchEnded, StretchOpened
from fanout.people import Visibility
from fanout.store.memory import Kept, Shown


class Keeper(Protocol):
    """What a journal asks of the writer."""

    def append(self, journal: SqlJournal, events: tuple[Event, ...]) -> None: ...  # noqa: D102
    def reopen(self, journal: SqlJournal) -> None: ...  # noqa: D102
    def events(self, run_id: str) -> tuple[Event, ...]: ...  # noqa: D102


class SqlJournal:
    """One run's. Appending never waits for the database."""

    def __init__(
        self,
        keeper: Keeper,
        run_id: str,
        *,
        user_id: str,
        visibility: Visibility,
        prompts: Sequence[str],
        next_seq: int = 0,
        shift_ns: int = 0,
        size: int = 0,
    ) -> None:
        """`next_seq`: how many events are stored. `shift_ns`: this process's instants minus the run's own."""
        self.run_id = run_id
        self.user_id = user_id
        self.prompts = prompts
        self.next_seq = next_seq
        self.shift_ns = shift_ns
        self.size = size
        """Characters that are stored of it."""
        self.forgotten = False
        """Whether the engine remembers it no longer."""
        self.visibility = visibility
        self.goes_on = False
        """Whether a stretch is open: this process beats for it."""
        self.dirty = False
        """Whether the summary in the store is older than what is kept."""
        self.fenced = False
        """Whether another process drives the run now, or it was deleted: nothing further is stored."""
        self.kept: Kept = lambda _: None
        self.shown: Shown | None = None
        self._keeper = keeper

    def __repr__(self) -> str:
        return f"<SqlJournal {self.run_id[:4]} {self.next_seq} events{', fenced' if self.fenced else ''}>"

    def append(self, events: tuple[Event, ...]) -> None:
        """Keep these events, after all those before them."""
        self._keeper.append(self, events)

    def bind(self, kept: Kept, shown: Shown) -> None:
        """Whom to tell, and whom to ask for the run's summary."""
        self.kept, self.shown = kept, shown

    def events(self) -> tuple[Event, ...]:
        """All that is stored, on the run's own clock."""
        return self._keeper.events(self.run_id)

    def reopen(self) -> None:
        """Before another stretch."""
        self._keeper.reopen(self)

    def told(self) -> None:
        """The store has been told of how the run stands."""
        self.dirty = self.goes_on

    def fence(self) -> None:
        """The run is another process's now, or it was deleted: this one neither writes nor beats for it."""
        self.fenced, self.goes_on, self.dirty = True, False, False

    def note(self, events: tuple[Event, ...]) -> None:
        """These events are stored now: what they mean for the beat."""
        self.dirty = True
        for event in events:
            if type(event) is StretchOpened:
                self.goes_on = True
            elif type(event) is StretchEnded:
                self.goes_on = False
