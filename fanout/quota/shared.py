"""One SQLite file through which the processes of a host share their gates: a row for each account and model.

Comes in: gates that are about to change, and the bounds of a transaction (`with file:`). Goes out: gates that know what
other processes did, and the row that tells them what this one did. Instants are of CLOCK_MONOTONIC, which all processes
of a Linux host share.

The transaction begins when the first gate is used, not before, and ends with the block. A file that cannot be used is
never a reason to lose a prompt: the process goes on alone, says so, tries again every second, and takes off the
shared levels then what it took alone.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, get_args

from fanout.clock import NS_PER_S
from fanout.events import LimitName
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.gate import Gate
from fanout.quota.limits import RATES, Source
from fanout.quota.meters import DAILY, KeptLimit
from fanout.quota.together import Contender, Lease

BUSY_S = 0.05
"""How long another process may keep the file before this one goes on alone: it stands under the engine's lock."""
OPENING_S = 1.0
"""The same, before anything runs: processes that start together make the file one after the other."""
TRY_AGAIN_NS = NS_PER_S
LOOK_AT_PATH_NS = NS_PER_S
"""How often it is seen whether the file is still the one that was opened."""
REBOOT_NS = NS_PER_S
"""A row from so far in the future was written before the host started again; from less, by a process that was later."""
LEASE_GRACE_NS = 10 * NS_PER_S
"""Beyond its timeout, for an attempt that ends late."""
SEEN_NS = NS_PER_MINUTE
"""A run that neither asked nor started for so long is not told to the others."""

_TABLE = "gates_1"  # the number is of the row's format: another version of the product has a table of its own
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS {_TABLE} "
    "(account TEXT, model TEXT, state TEXT NOT NULL, PRIMARY KEY (account, model)) WITHOUT ROWID"
)
_READ = f"SELECT state FROM {_TABLE} WHERE account = ? AND model = ?"
_WRITE = f"INSERT INTO {_TABLE} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
_RATES, _SOURCES = frozenset(RATES), frozenset(get_args(Source))
_LOG = logging.getLogger(__name__)
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Row(NamedTuple):
    """What the file holds of one gate. It and its parts are tuples: frozen dataclasses cost 20 us a call more."""

    written_ns: int
    virtual: int
    blocked_until_ns: int | None
    heard: bool
    learnt: tuple[int | None, int | None, int, int, int, int]
    limits: dict[LimitName, KeptLimit]
    runs: dict[str, Contender]
    leases: dict[str, Lease]

    def as_json(self) -> str:
        """One compact text."""
        return _dump(
            {
                "at": self.written_ns,
                "virtual": self.virtual,
                "blocked": self.blocked_until_ns,
                "heard": self.heard,
                "learnt": self.learnt,
                "limits": self.limits,
                "runs": self.runs,
                "leases": self.leases,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `as_json` wrote. Raises ValueError where it did not."""
        try:
            return cls._read(json.loads(text))
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError) as exc:
            raise ValueError(f"the shared row is not one of ours: {type(exc).__name__} {exc}") from exc

    @classmethod
    def _read(cls, values: dict[str, Any]) -> Self:
        per_minute, since_ns, *counts = values["learnt"]
        passed, changed_ns, grown_ns, steps = map(int, counts)
        return cls(
            written_ns=int(values["at"]),
            virtual=int(values["virtual"]),
            blocked_until_ns=_int_or_none(values["blocked"]),
            heard=bool(values["heard"]),
            learnt=(_int_or_none(per_minute), _int_or_none(since_ns), passed, changed_ns, grown_ns, steps),
            limits={name: _limit(name, *fields) for name, fields in values["limits"].items()},
            runs={run_id: Contender._make(map(int, fields)) for run_id, fields in values["runs"].items()},
            leases={token: Lease._make(map(int, fields)) for token, fields in values["leases"].items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Through which file processes share quota, and of which accounts."""

    path: Path
    local: bool = True
    """Also of accounts at servers of this machine."""


class SharedFile:
    """The file of one process. Not thread-safe: the engine's lock stands over it (`fanout.quota.together.Together`)."""

    def __init__(self, path: Path, *, wall_offset_ns: int) -> None:
        """`wall_offset_ns`: ns since 1970 at instant 0 of the clock."""
        self._path = path
        self._wall_offset_ns = wall_offset_ns
        self._token = secrets.token_hex(4)
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._looked_ns: int | None = None
        self._alone_until_ns: int | None = None  # None: it could be used when it was last tried
        self._depth = 0
        self._begun = False
        self._closed = False
        self._changed: dict[int, tuple[Gate, int]] = {}  # by id: the gates of this block and the instant they are of
        self._fresh: dict[int, int] = {}  # by id of gate: the file's version that it knows
        self._version = 0
        with suppress(sqlite3.Error, OSError):  # the first use tries again, and tells
            self._connect(OPENING_S)

    def __repr__(self) -> str:
        return f"<SharedFile {self._path.name}, {'shared' if self.shared else 'alone'}>"

    @property
    def shared(self) -> bool:
        """Whether the file can be used."""
        return self._alone_until_ns is None and not self._closed

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
        if self._depth and self._begin(at_ns) and self._fresh.get(id(gate)) != self._version:
            self._load(gate, at_ns)

    # The transaction

    def _begin(self, at_ns: int) -> bool:
        """Whether the gates may be read and written: a transaction has begun."""
        if self._begun:
            return True
        if self._closed or (self._alone_until_ns is not None and at_ns < self._alone_until_ns):
            return False
        try:
            connection = self._open(at_ns)
            connection.execute("BEGIN IMMEDIATE")
            self._begun = True
            self._version = connection.execute("PRAGMA data_version").fetchone()[0]
        except (sqlite3.Error, OSError) as exc:
            self._go_on_alone(exc, at_ns)
            return False
        if self._alone_until_ns is not None:
            self._alone_until_ns = None
            _LOG.warning("quota is shared through %s again", self._path)
        return True

    def _open(self, at_ns: int) -> sqlite3.Connection:
        """The connection to the file that is at the path now."""
        if self._connection is not None and self._looked_ns is not None and at_ns - self._looked_ns < LOOK_AT_PATH_NS:
            return self._connection
        self._looked_ns = at_ns
        if self._connection is not None and self._inode_now() != self._inode:
            self._drop()  # deleted, or put in the place of the one that was opened
        return self._connection or self._connect(BUSY_S)

    def _connect(self, busy_s: float) -> sqlite3.Connection:
        """Open the file, and make it where there is none."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_CREATE)
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
            self._inode = self._inode_now()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _inode_now(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _load(self, gate: Gate, at_ns: int) -> None:
        assert self._connection is not None
        try:
            found = self._connection.execute(_READ, (gate.account.account, gate.account.model)).fetchone()
            if found is not None:
                self._restore(gate, Row.from_json(found[0]), at_ns)
        except ValueError as exc:
            _LOG.warning("quota in %s cannot be read and is begun anew: %s", self._path, exc)
        except sqlite3.Error as exc:
            self._go_on_alone(exc, at_ns)
            return
        self._fresh[id(gate)] = self._version

    def _commit(self) -> None:
        changed, self._changed = self._changed, {}
        assert self._connection is not None
        try:
            for gate, at_ns in changed.values():
                row = self._row(gate, at_ns).as_json()
                self._connection.execute(_WRITE, (gate.account.account, gate.account.model, row))
            self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._go_on_alone(exc, max((at_ns for _, at_ns in changed.values()), default=0))
            return
        self._begun = False
        for gate, _ in changed.values():
            gate.meters.told()

    def _go_on_alone(self, exc: Exception, at_ns: int) -> None:
        if self._alone_until_ns is None:
            _LOG.warning("quota is not shared, this process goes on alone: %s: %s", self._path, exc)
        self._alone_until_ns = at_ns + TRY_AGAIN_NS
        self._drop()

    def _drop(self) -> None:
        """Forget the connection; what it had begun is undone."""
        connection, self._connection = self._connection, None
        self._begun = False
        self._changed.clear()
        self._fresh.clear()
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # What is in a row

    def _row(self, gate: Gate, at_ns: int) -> Row:
        runs = {
            run_id: Contender(one.tag, one.weight, one.contends_until_ns, one.seen_ns)
            for run_id, one in gate.runs.items()
        }
        seen = {run_id: run for run_id, run in {**gate.others.runs, **runs}.items() if at_ns - run.seen_ns < SEEN_NS}
        leases = {token: lease for token, lease in gate.others.leases.items() if at_ns < lease.until_ns}
        if gate.in_flight:
            leases[self._token] = Lease(calls=gate.in_flight, until_ns=gate.lease_until_ns + LEASE_GRACE_NS)
        return Row(
            written_ns=at_ns,
            virtual=gate.virtual,
            blocked_until_ns=gate.blocked_until_ns,
            heard=gate.heard,
            learnt=gate.learnt.state(),
            limits=gate.meters.state(),
            runs=seen,
            leases=leases,
        )

    def _restore(self, gate: Gate, row: Row, at_ns: int) -> None:
        ahead_ns = row.written_ns - at_ns
        shift_ns = ahead_ns if ahead_ns > REBOOT_NS else 0
        gate.virtual = max(gate.virtual, row.virtual)
        gate.heard = gate.heard or row.heard
        if row.blocked_until_ns is not None:
            gate.blocked_until_ns = max(gate.blocked_until_ns or 0, row.blocked_until_ns - shift_ns)
        gate.learnt.restore(row.learnt, shift_ns=shift_ns)
        if shift_ns:
            gate.others.runs, gate.others.leases = {}, {}  # none of them lived through it
        else:
            gate.others.runs = {run_id: run for run_id, run in row.runs.items() if run_id not in gate.runs}
            gate.others.leases = {token: lease for token, lease in row.leases.items() if token != self._token}
        for name, kept in row.limits.items():
            if name in gate.meters.known or not self._is_of_nobody(name, kept, row, at_ns):
                change = gate.meters.restore(name, kept, shift_ns=shift_ns, at_ns=at_ns)
                if change is not None:
                    gate.became_known(change, at_ns)

    def _is_of_nobody(self, name: LimitName, kept: KeptLimit, row: Row, at_ns: int) -> bool:
        """A limit that another process's settings told, and whose window is over: they may have been changed since."""
        if kept.source != "setting":
            return False
        if name in DAILY:
            return at_ns + self._wall_offset_ns >= kept.instant_ns
        return abs(at_ns - row.written_ns) >= NS_PER_MINUTE


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


def _limit(name: str, source: Any, *numbers: Any) -> KeptLimit:
    kept = KeptLimit(source, *map(int, numbers))
    if name not in _RATES or source not in _SOURCES or kept.amount < 1 or kept.capacity < 1:
        raise ValueError(f"the shared row is not one of ours: {name!r} {kept!r}")
    return kept
