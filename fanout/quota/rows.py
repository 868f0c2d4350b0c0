"""What processes tell one another of a gate, as a row: made of the gate, merged into another process's.

Comes in: a gate and an instant; a row. Goes out: the row, or the gate that knows what others did. Knows nothing of
where rows are kept, nor of the clock that their instants are of.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Self, get_args

from fanout.clock import NS_PER_S
from fanout.events import LimitName
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.gate import Gate
from fanout.quota.limits import RATES, Source
from fanout.quota.meters import DAILY, KeptLimit
from fanout.quota.together import Contender, Lease

FORMAT = 2
"""Of the row: another version of the product that writes another one keeps it elsewhere."""
REBOOT_NS = NS_PER_S
"""A row from so far in the future was written before the host started again; from less, by a process that was later."""
LEASE_GRACE_NS = 10 * NS_PER_S
"""Beyond its timeout, for an attempt that ends late."""
SEEN_NS = NS_PER_MINUTE
"""A run that neither asked nor started for so long is not told to the others."""

_RATES, _SOURCES = frozenset(RATES), frozenset(get_args(Source))
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Row(NamedTuple):
    """What is kept of one gate. It and its parts are tuples: frozen dataclasses cost 20 us a call more."""

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

    def moved(self, by_ns: int) -> Self:
        """The same with every instant later by so much: by another clock. A day's end is of the wall and stays."""
        if by_ns == 0:
            return self
        per_minute, since_ns, passed, changed_ns, grown_ns, steps = self.learnt
        since_ns = None if since_ns is None else since_ns + by_ns
        return self._replace(
            written_ns=self.written_ns + by_ns,
            blocked_until_ns=None if self.blocked_until_ns is None else self.blocked_until_ns + by_ns,
            learnt=(per_minute, since_ns, passed, changed_ns + by_ns, grown_ns + by_ns, steps),
            limits={
                name: kept if name in DAILY else kept._replace(instant_ns=kept.instant_ns + by_ns)
                for name, kept in self.limits.items()
            },
            runs={
                run_id: run._replace(
                    contends_until_ns=run.contends_until_ns + by_ns if run.contends_until_ns else 0,
                    seen_ns=run.seen_ns + by_ns,
                )
                for run_id, run in self.runs.items()
            },
            leases={token: lease._replace(until_ns=lease.until_ns + by_ns) for token, lease in self.leases.items()},
        )


def row_of(gate: Gate, at_ns: int, *, token: str) -> Row:
    """What others are to know of the gate. `token` names this process."""
    runs = {
        run_id: Contender(one.tag, one.weight, one.contends_until_ns, one.seen_ns) for run_id, one in gate.runs.items()
    }
    seen = {run_id: run for run_id, run in {**gate.others.runs, **runs}.items() if at_ns - run.seen_ns < SEEN_NS}
    leases = {process: lease for process, lease in gate.others.leases.items() if at_ns < lease.until_ns}
    if gate.in_flight:
        leases[token] = Lease(calls=gate.in_flight, until_ns=gate.lease_until_ns + LEASE_GRACE_NS)
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


def restore(gate: Gate, row: Row, at_ns: int, *, token: str, wall_offset_ns: int) -> None:
    """Bring the gate up to what others did. `wall_offset_ns`: ns since 1970 at instant 0 of the clock."""
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
        gate.others.leases = {process: lease for process, lease in row.leases.items() if process != token}
    for name, kept in row.limits.items():
        if name in gate.meters.known or not _is_of_nobody(name, kept, row, at_ns, wall_offset_ns):
            change = gate.meters.restore(name, kept, shift_ns=shift_ns, at_ns=at_ns)
            if change is not None:
                gate.became_known(change, at_ns)


def _is_of_nobody(name: LimitName, kept: KeptLimit, row: Row, at_ns: int, wall_offset_ns: int) -> bool:
    """A limit that another process's settings told, and whose window is over: they may have been changed since."""
    if kept.source != "setting":
        return False
    if name in DAILY:
        return at_ns + wall_offset_ns >= kept.instant_ns
    return abs(at_ns - row.written_ns) >= NS_PER_MINUTE


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


def _limit(name: str, source: Any, *numbers: Any) -> KeptLimit:
    kept = KeptLimit(source, *map(int, numbers))
    if name not in _RATES or source not in _SOURCES or kept.amount < 1 or kept.capacity < 1:
        raise ValueError(f"the shared row is not one of ours: {name!r} {kept!r}")
    return kept
