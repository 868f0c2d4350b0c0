"""The store as a limit of every schedule: nothing starts while what comes of it could not be kept."""

from __future__ import annotations

from fanout.quota.ceiling import Hold
from fanout.store.memory import Store


class StoreLimit:
    """Holds calls while the store is in trouble, or slower than they are. It says itself when that is over."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, call: int, at_ns: int) -> Hold | None:
        """Now, or when the store has changed."""
        return Hold(until_ns=None, held_by="store") if self._store.holds_calls else None

    def book(self, call: int, at_ns: int) -> None:
        """Nothing is counted."""

    def give_back(self, call: int, at_ns: int) -> None:
        """Nothing was counted."""
