"""The only polling: one fragment that draws again while something goes on, and what all its viewers share.

Comes in: a look at what there is, which says how often to look. Goes out: what it found, drawn again and again until it
says that nothing goes on. The timer runs in the browser: nobody looking costs nothing. What is derived from a run
(numbers, tables) is made once per version of it, for all viewers of the process, under a lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import streamlit as st

from dashboard import door, elements, store_words, wording
from dashboard.figures import Figure
from dashboard.rows import HELD
from dashboard.tables import MOST_ROWS, Cells, Filter, Order, arrange
from fanout.metrics import measure
from fanout.run import ENDED, Run
from fanout.store.database import StoreLost

FIRST_S = 0.1
"""Until the first answer is on the page: it shows within 300 ms of its arrival."""
LIST_S = 2.0
STILL_S = 5.0
"""How long a run that stands still may stand on a page after it went on elsewhere, was withdrawn or deleted."""
TICK_NS = 200_000_000
"""Numbers of a run in which nothing happened are made again after this long: its clock goes on."""
RUNS_KEPT = 20
TABLES_KEPT = 4


def period_s(run: Run) -> float | None:
    """How often a page that watches this run is drawn again; None where nothing goes on."""
    if run.ended:
        return None
    if not any(call.status in ENDED for call in run.calls):
        return FIRST_S
    calls = len(run.calls)
    return 0.5 if calls < 500 else 1.0 if calls < 5_000 else 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found at this instant."""

    every_s: float | None
    """How long until the next look; None where nothing goes on."""
    draw: Callable[[], None]
    """Draws what was found."""


def poll(look: Callable[[], Look], *, key: str) -> None:
    """Look and draw now, and again as often as that look says while the page is looked at.

    Where a later look wants another period, the whole page runs again. Where the store is lost meanwhile, that is said
    in its place until the next time; lost at the first look, it raises StoreLost.
    """
    first = [look()]
    every_s = first[0].every_s

    def drawn() -> None:
        if not door.is_in():
            st.rerun()  # a login ends while its page is looked at: the page says so, and shows nothing more
        try:
            found = first.pop() if first else look()
            # Before anything is drawn, and never at first: a rerun throws away what has not reached the browser yet,
            # and with it the values that its controls begin with.
            if found.every_s != every_s:
                st.rerun()
            found.draw()
        except StoreLost as exc:
            elements.wrong(store_words.lost_sentence(exc))

    # Streamlit names a fragment by its function's name and its place, not by the key. Without this, a refresh that one
    # page asked for would be run as the next page's own, in the middle of drawing it, and half of that would be lost.
    drawn.__qualname__ = f"{poll.__qualname__}.{key}"
    # A refresh that is asked for while the page is drawn may take this part's place in the page out of what the browser
    # gets of that drawing; the browser then moves up what stands behind it, and the refresh is put over that. Within a
    # container nothing stands behind it.
    with st.container():
        st.fragment(drawn, run_every=every_s, key=key)()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the page says of one version of a run."""

    version: int
    held: bool
    """Whether the store cannot be written."""
    at_ns: int
    state: str
    counts: str
    sentence: str
    figures: tuple[Figure, ...]
    answered: int
    failed: int
    given_up: int
    """Calls that were cancelled or not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows a table shows: which calls, how many the filter found, and their cells."""

    indexes: tuple[int, ...]
    found: int
    cells: pa.Table


@dataclass(slots=True)
class _Kept:
    """What is kept of one run; its lock protects everything in it from the threads of several viewers."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    cells: Cells = field(default_factory=Cells)
    told: Told | None = None
    tables: OrderedDict[tuple[int, Order, Filter], Rows] = field(default_factory=OrderedDict)


class Derived:
    """Numbers and tables of runs, each made once per version. From any thread."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()  # protects the dict of runs; never held while something is made

    def told(self, run: Run, *, now_ns: int, held: bool = False) -> Told:
        """The words and figures of this version; while it goes on and nothing happens, at most 0.2 s old.

        `held`: whether the store cannot be written, so that a run that goes on waits for it.
        """
        held = held and not run.ended
        kept = self._of(run)
        with kept.lock:
            told = kept.told
            fresh = told is not None and (run.ended or now_ns - told.at_ns < TICK_NS)
            if told is None or (told.version, told.held) != (run.version, held) or not fresh:
                told = kept.told = _tell(run, now_ns, held=held)
            return told

    def rows(self, run: Run, *, order: Order, only: Filter) -> Rows:
        """The rows of this version in this order, at most 2,000 of them."""
        kept = self._of(run)
        asked = (run.version, order, only)
        with kept.lock:
            if asked not in kept.tables:
                kept.tables[asked] = _rows(run, kept.cells, order=order, only=only)
                while len(kept.tables) > TABLES_KEPT:
                    kept.tables.popitem(last=False)
            return kept.tables[asked]

    def _of(self, run: Run) -> _Kept:
        with self._lock:
            kept = self._runs.setdefault(run.run_id, _Kept())
            self._runs.move_to_end(run.run_id)
            while len(self._runs) > RUNS_KEPT:
                self._runs.popitem(last=False)
            return kept


def _tell(run: Run, now_ns: int, *, held: bool) -> Told:
    metrics = measure(run, now_ns=None if run.ended else now_ns)
    return Told(
        version=run.version,
        held=held,
        at_ns=now_ns,
        state=HELD if held else wording.run_state(run),
        counts=store_words.counts(metrics) if held else wording.counts_sentence(run, now_ns=now_ns),
        sentence=store_words.held_sentence(run, metrics) if held else wording.run_sentence(run, metrics),
        figures=tuple(wording.figures(run, metrics)),
        answered=metrics.answered,
        failed=metrics.failed,
        given_up=metrics.cancelled + metrics.not_sent,
    )


def _rows(run: Run, cells: Cells, *, order: Order, only: Filter) -> Rows:
    found = arrange(run, order=order, only=only)
    shown = found[:MOST_ROWS]
    return Rows(indexes=shown, found=len(found), cells=cells.table(run, shown))


derived = Derived()
"""Shared by all sessions of the process: it holds nothing of a person."""
