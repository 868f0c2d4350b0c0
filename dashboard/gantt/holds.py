"""What held the queue, over time: the names of a run's waits, as columns that a viewer can cut any wait with.

Comes in: successive `Run`s of one run. Goes out: `Holds`, a timeline that is kept once for the run instead of once per
wait: ten thousand queued calls wait for the same thing at the same time. A wait's own share of it is found when
somebody asks (`held_in`, and tip.js in the live chart), so a refresh costs only the holds that are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dashboard.gantt.axis import Axis
from dashboard.palette import LookName
from fanout.clock import NS_PER_S
from fanout.events import Held
from fanout.run import Run

HELD: Final[tuple[Held, ...]] = get_args(Held)
"""What a code stands for."""
MOST_HOLDS: Final = 2_000
"""Changes above which the timeline is bins of equal width, each named after what held longest in it."""
NOTHING: Final = len(HELD)
"""The code of a time when no call was ready to start. A wait that lies in it is one for a worker."""
_CODE: Final = {name: code for code, name in enumerate(HELD)}
_WORKERS: Final = _CODE["workers"]


def hold_look(name: Held) -> LookName | Literal["paused"]:
    """How a wait for it is drawn: for a limit of the account, or of the run, apart from all others."""
    if name == "paused":
        return name
    return "waiting" if name in ("workers", "cap", "store") else "quota"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holds:
    """From each `at_s` on, `code` (of `HELD`, or `NOTHING`) held the next call; before the first one, workers did."""

    at_s: NDArray[np.float64]
    code: NDArray[np.uint8]


class HoldTable:
    """The holds of one run, converted once each. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._at_ns: list[int] = []
        self._code: list[int] = []

    def update(self, run: Run, axis: Axis, *, last_s: float) -> Holds:
        """The timeline of `run`, which is a later snapshot than those before."""
        for hold in run.holds[len(self._at_ns) :]:
            self._at_ns.append(hold.at_ns)
            self._code.append(NOTHING if hold.held_by is None else _CODE[hold.held_by])
        at_s = _seconds(axis, np.array(self._at_ns, np.int64))
        code = np.array(self._code, np.uint8)
        return binned(Holds(at_s=at_s, code=code), last_s, most=MOST_HOLDS)


def binned(holds: Holds, last_s: float, *, most: int) -> Holds:
    """The same timeline; of more than `most` changes it is so many pieces of equal width, up to `last_s`."""
    at_s, code = holds.at_s, holds.code
    return _changes(*((at_s, code) if len(at_s) <= most else _pieces(at_s, code, last_s, most)))


def held_in(holds: Holds, from_s: float, to_s: float) -> Mapping[Held, float]:
    """Seconds that each thing held within [from, to), in the order in which they began; they add up to its length."""
    first = int(np.searchsorted(holds.at_s, from_s, "right"))
    last = max(first, int(np.searchsorted(holds.at_s, to_s, "left")))
    edges = [from_s, *holds.at_s[first:last].tolist(), to_s]
    codes = [_WORKERS if first == 0 else int(holds.code[first - 1]), *holds.code[first:last].tolist()]
    found: dict[Held, float] = {}
    for code, (begins_s, ends_s) in zip(codes, pairwise(edges), strict=True):
        if ends_s > begins_s:
            name = HELD[_WORKERS if code == NOTHING else code]
            found[name] = found.get(name, 0.0) + ends_s - begins_s
    return found


def _seconds(axis: Axis, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places on the axis; within idle time that of the break."""
    if not axis.began_ns:
        return np.zeros(len(at_ns), np.float64)
    stretch = np.maximum(np.searchsorted(np.array(axis.began_ns), at_ns, "right") - 1, 0)
    endless = np.iinfo(np.int64).max
    lengths = np.array([endless if length is None else length for length in axis.lengths_ns], np.int64)[stretch]
    into = np.clip(at_ns - np.array(axis.began_ns, np.int64)[stretch], 0, lengths)
    return np.asarray((into + np.array(axis.offsets_ns, np.int64)[stretch]) / NS_PER_S, np.float64)


def _pieces(
    at_s: NDArray[np.float64], code: NDArray[np.uint8], last_s: float, most: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    edges = np.linspace(0.0, max(last_s, float(at_s[-1])), most, endpoint=False)
    cuts = np.unique(np.concatenate((edges, at_s)))
    lengths = np.diff(cuts, append=max(last_s, float(cuts[-1])))
    place = np.searchsorted(at_s, cuts, "right") - 1
    held = np.where(place >= 0, code[np.maximum(place, 0)], NOTHING)
    bins = np.searchsorted(edges, cuts, "right") - 1
    sums = np.zeros((len(edges), len(HELD) + 1))
    np.add.at(sums, (bins, held), lengths)
    return edges, sums.argmax(axis=1).astype(np.uint8)


def _changes(at_s: NDArray[np.float64], code: NDArray[np.uint8]) -> Holds:
    """Of several at one instant the last, and only where the name changes."""
    last = np.append(at_s[1:] != at_s[:-1], True) if len(at_s) else np.zeros(0, bool)
    at_s, code = at_s[last], code[last]
    changed = np.append(True, code[1:] != code[:-1]) if len(code) else np.zeros(0, bool)
    return Holds(at_s=at_s[changed], code=code[changed])
