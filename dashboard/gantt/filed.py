"""Rows of numbers filed under (call, place), written in bulk: what a table of marks keeps between two snapshots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class FiledRows:
    """Rows of one dtype, each filed under (call, place); written in bulk: a numpy scalar costs a microsecond."""

    def __init__(self, dtype: np.dtype[np.void], calls: int) -> None:
        self._array = np.zeros(max(16, calls), dtype)
        self._used = 0
        self._slots: list[list[int]] = [[] for _ in range(calls)]
        self._pending: dict[int, tuple[int, ...]] = {}

    def count_of(self, call: int) -> int:
        """How many rows a call has."""
        return len(self._slots[call])

    def put(self, call: int, place: int, row: tuple[int, ...]) -> None:
        """File a row; a call's places are filled in order."""
        slots = self._slots[call]
        if place == len(slots):
            slots.append(self._used)
            self._used += 1
        self._pending[slots[place]] = row

    def write(self) -> None:
        """Take what was put into the array."""
        if self._used > len(self._array):
            grown = np.zeros(max(self._used, 2 * len(self._array)), self._array.dtype)
            grown[: len(self._array)] = self._array
            self._array = grown
        if self._pending:
            rows = np.array(list(self._pending.values()), self._array.dtype)
            self._array[np.fromiter(self._pending, np.int64, len(self._pending))] = rows
            self._pending.clear()

    def rows(self) -> NDArray[np.void]:
        """All rows that were written, in the order of their first filing."""
        return self._array[: self._used]
