"""What a store is to the engine, and the store of a process that remembers nothing past its end: events in lists."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from fanout.errors import BadInput
from fanout.events import Event, RunOpened, StopReason
from fanout.people import Visibility
from fanout.store.rows import Summary

Kept = Callable[[tuple[Event, ...]], None]
"""Told of events, in their order, once they are kept: from here on they may be shown."""
Shown = Callable[[], tuple[Summary, int]]
"""How a run stands, and of how many events."""


class Journal(Protocol):
    """The events of one run, as its record writes them. From any thread."""

    def append(self, events: tuple[Event, ...]) -> None:
        """Keep these events, after all those before them. Never waits."""
        ...

    def bind(self, kept: Kept, shown: Shown) -> None:
        """Whom to tell of events that are kept, and how the run stands by all that are. Before any `append`."""
        ...

    def events(self) -> tuple[Event, ...]:
        """All that is kept, in the order it was appended, on the run's own clock."""
        ...

    def reopen(self) -> None:
        """Before another stretch of an ended run; may take as long as the database. Raises BadInput where another
        process has gone on with it."""
        ...


class NoSuchRun(BadInput):
    """No run of this id is stored, or none that the asker may see: the same answer on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that this process drives from now on."""

    journal: Journal
    events: tuple[Event, ...]
    """All there are, on this process's clock; the last one ends a stretch."""


class Attached(Protocol):
    """What a store asks of the engine that writes into it. From the store's own thread."""

    def stop_run(self, run_id: str, reason: StopReason) -> None:
        """`stopped`: another process asks for it. `interrupted`: another process drives the run now, or it was
        deleted, and nothing of it is kept from here on."""
        ...

    def store_changed(self) -> None:
        """`trouble` is another than it was."""
        ...


class Store(Protocol):
    """Keeps the events of runs. Every method may be called from any thread."""

    immediate: bool
    """Whether events are kept the moment they are appended."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be kept now, as a sentence; None where all is well."""
        ...

    @property
    def holds_calls(self) -> bool:
        """Whether nothing further should start: it is in trouble, or too much waits to be written."""
        ...

    def attach(self, engine: Attached) -> None:
        """The engine that writes into it; one at most."""
        ...

    def open(self, opened: RunOpened, *, visibility: Visibility | None = None) -> Journal:
        """A new run's journal; the event itself is not in it yet. `visibility`: who may see it; None: as usual here."""
        ...

    def claim(self, run_id: str) -> Claimed:
        """Drive this run from now on: `reopen` its journal before its next stretch. May take as long as the database.

        Raises BadInput while another process drives it, NoSuchRun where there is none.
        """
        ...

    def forget(self, run_id: str) -> None:
        """The engine remembers the run no longer; a store that outlives the process keeps it."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended is kept; False when the time ran out first."""
        ...


class MemoryStore:
    """Events in lists, for as long as the process lives."""

    immediate = True
    trouble: str | None = None
    holds_calls = False

    def __init__(self) -> None:
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()  # protects _events: runs append from workers, pages read

    def attach(self, engine: Attached) -> None:
        """Nothing here ever needs the engine."""

    def open(self, opened: RunOpened, *, visibility: Visibility | None = None) -> Journal:
        """A list for the run."""
        with self._lock:
            events = self._events.setdefault(opened.run_id, [])
        return _Pages(events)

    def events(self, run_id: str) -> tuple[Event, ...]:
        """All events of the run, in order; KeyError where it is not known."""
        with self._lock:
            return tuple(self._events[run_id])

    def run_ids(self) -> tuple[str, ...]:
        """Every run, the newest first."""
        with self._lock:
            return tuple(reversed(self._events))

    def claim(self, run_id: str) -> Claimed:
        """What the engine has forgotten is gone."""
        raise NoSuchRun("no such run")

    def forget(self, run_id: str) -> None:
        """Drop the run."""
        with self._lock:
            self._events.pop(run_id, None)

    def flush(self, timeout_s: float) -> bool:
        """All is kept at once."""
        return True


@dataclass(slots=True)
class _Pages:
    pages: list[Event]
    kept: Kept = field(default=lambda _: None)

    def append(self, events: tuple[Event, ...]) -> None:
        self.pages.extend(events)
        self.kept(events)

    def bind(self, kept: Kept, shown: Shown) -> None:
        self.kept = kept

    def events(self) -> tuple[Event, ...]:
        return tuple(self.pages)

    def reopen(self) -> None:
        pass
