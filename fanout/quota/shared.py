"""The gates of several processes brought together through rows that all of them reach: one for each account and model.

Comes in: gates that are about to change, and the bounds of a transaction (`with shared:`). Goes out: gates that know
what other processes did, and the row that tells them what this one did. Where rows are kept is the `Keeper`'s: a file
of this host (`shared_file`), or a database that several hosts use (`fanout.store.quota_rows`).

The transaction begins when the first gate is used, not before, and ends with the block. Rows that cannot be reached are
never a reason to lose a prompt: the process goes on alone, says so, tries again every second, and takes off the shared
levels then what it took alone.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fanout.clock import NS_PER_S
from fanout.quota.account import Account
from fanout.quota.gate import Gate
from fanout.quota.rows import Row, restore, row_of

TRY_AGAIN_NS = NS_PER_S
_LOG = logging.getLogger(__name__)


class Unreachable(Exception):
    """The rows cannot be read or written now. Its words say why."""


class Keeper(Protocol):
    """Where rows are kept. The engine's lock stands over every method: none waits longer than a moment."""

    over_hosts: bool
    """Whether processes of other hosts reach them too."""

    def begin(self, account: Account, at_ns: int) -> None:
        """Begin a transaction that excludes every other; this account's row is read first. Raises Unreachable."""
        ...

    def read(self, account: Account) -> str | None:
        """The row; None where there is none. Raises Unreachable."""
        ...

    def commit(self, rows: list[tuple[Account, str]]) -> None:
        """Write these rows, and end the transaction. Raises Unreachable."""
        ...

    def offset_ns(self) -> int:
        """An instant of the rows' clock minus the same of this process's. Within a transaction."""
        ...

    def drop(self) -> None:
        """Forget the connection; what was begun is undone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Through what processes share quota, and of which accounts."""

    path: Path | None = None
    """A file of this host."""
    keeper: Keeper | None = None
    """Another keeper of rows, where there is no file."""
    local: bool = True
    """Also of accounts at servers of this machine."""


class SharedGates:
    """What one process shares. Not thread-safe: the engine's lock stands over it (`fanout.quota.together.Together`)."""

    def __init__(self, keeper: Keeper, *, wall_offset_ns: int) -> None:
        """`wall_offset_ns`: ns since 1970 at instant 0 of the clock."""
        self._keeper = keeper
        self._wall_offset_ns = wall_offset_ns
        self._token = secrets.token_hex(4)
        self._alone_until_ns: int | None = None  # None: it could be used when it was last tried
        self._depth = 0
        self._begun = False
        self._closed = False
        self._changed: dict[int, tuple[Gate, int]] = {}  # by id: the gates of this block and the instant they are of
        self._known: dict[int, str | None] = {}  # by id of gate: the row that it agrees with

    def __repr__(self) -> str:
        return f"<SharedGates {self._keeper!r}, {'shared' if self.shared else 'alone'}>"

    @property
    def shared(self) -> bool:
        """Whether the rows can be reached."""
        return self._alone_until_ns is None and not self._closed

    @property
    def over_hosts(self) -> bool:
        """Whether processes of other hosts share them too."""
        return self._keeper.over_hosts

    def __enter__(self) -> Self:
        """From here to the end of the block, gates may be used; others wait."""
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell the others, also after an exception: what was booked is booked."""
        self._depth -= 1
        if self._depth == 0 and self._begun:
            self._commit()

    def close(self) -> None:
        """Alone from now on, without a word."""
        self._closed = True
        self._drop()

    # fanout.quota.together.Together

    def enter(self, gate: Gate, at_ns: int) -> None:
        """Bring the gate up to date, and write it when the block ends."""
        if id(gate) not in self._changed:
            self.look(gate, at_ns)
        if self._begun:
            self._changed[id(gate)] = (gate, at_ns)

    def look(self, gate: Gate, at_ns: int) -> None:
        """Bring the gate up to date."""
        if self._depth and self._begin(gate, at_ns):
            self._load(gate, at_ns)

    # The transaction

    def _begin(self, gate: Gate, at_ns: int) -> bool:
        """Whether the gates may be read and written: a transaction has begun."""
        if self._begun:
            return True
        if self._closed or (self._alone_until_ns is not None and at_ns < self._alone_until_ns):
            return False
        try:
            self._keeper.begin(gate.account, at_ns)
            self._begun = True
        except Unreachable as exc:
            self._go_on_alone(exc, at_ns)
            return False
        if self._alone_until_ns is not None:
            self._alone_until_ns = None
            _LOG.warning("quota is shared through %s again", self._keeper)
        return True

    def _load(self, gate: Gate, at_ns: int) -> None:
        try:
            found = self._keeper.read(gate.account)
            if found is not None and found != self._known.get(id(gate)):
                row = Row.from_json(found).moved(-self._keeper.offset_ns())
                restore(gate, row, at_ns, token=self._token, wall_offset_ns=self._wall_offset_ns)
        except ValueError as exc:
            _LOG.warning("quota in %s cannot be read and is begun anew: %s", self._keeper, exc)
        except Unreachable as exc:
            self._go_on_alone(exc, at_ns)
            return
        self._known[id(gate)] = found

    def _commit(self) -> None:
        changed, self._changed = self._changed, {}
        offset_ns = self._keeper.offset_ns()
        rows = {
            key: row_of(gate, at_ns, token=self._token).moved(offset_ns).as_json()
            for key, (gate, at_ns) in changed.items()
        }
        try:
            self._keeper.commit([(changed[key][0].account, row) for key, row in rows.items()])
        except Unreachable as exc:
            self._go_on_alone(exc, max((at_ns for _, at_ns in changed.values()), default=0))
            return
        self._begun = False
        self._known.update(rows)
        for gate, _ in changed.values():
            gate.meters.told()

    def _go_on_alone(self, exc: Unreachable, at_ns: int) -> None:
        if self._alone_until_ns is None:
            _LOG.warning("quota is not shared, this process goes on alone: %s: %s", self._keeper, exc)
        self._alone_until_ns = at_ns + TRY_AGAIN_NS
        self._drop()

    def _drop(self) -> None:
        """What had begun is undone."""
        self._begun = False
        self._changed.clear()
        self._known.clear()
        self._keeper.drop()
