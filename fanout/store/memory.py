"""The store of a process that remembers nothing past its end: events in lists."""

from __future__ import annotations

import threading
from typing import Protocol

from fanout.events import Event


class Store(Protocol):
    """Keeps the events of runs. Every method may be called from any thread."""

    def append(self, run_id: str, event: Event) -> None:
        """Keep one more event of this run; the first makes the run known."""
        ...

    def events(self, run_id: str) -> tuple[Event, ...]:
        """All events of the run, in the order they were appended; KeyError where the run is not known."""
        ...

    def run_ids(self) -> tuple[str, ...]:
        """Every run that is known, the newest first."""
        ...

    def forget(self, run_id: str) -> None:
        """Drop the run; nothing happens where it is not known."""
        ...


class MemoryStore:
    """Events in lists, for as long as the process lives."""

    def __init__(self) -> None:
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()  # protects _events: runs append from workers, pages read

    def append(self, run_id: str, event: Event) -> None:
        """Keep one more event of this run."""
        with self._lock:
            self._events.setdefault(run_id, []).append(event)

    def events(self, run_id: str) -> tuple[Event, ...]:
        """All events of the run, in order."""
        with self._lock:
            return tuple(self._events[run_id])

    def run_ids(self) -> tuple[str, ...]:
        """Every run, the newest first."""
        with self._lock:
            return tuple(reversed(self._events))

    def forget(self, run_id: str) -> None:
        """Drop the run."""
        with self._lock:
            self._events.pop(run_id, None)
