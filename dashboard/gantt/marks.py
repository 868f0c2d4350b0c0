"""A run as columns: one mark per attempt, one wait per piece of waiting, and the steps of what was in flight.

Comes in: successive `Run`s of one run. Goes out: `Marks`, arrays in an order of their own that depends on the run
alone: sorted by start. A `MarkTable` re-encodes only the calls whose `Call` object changed (compared with `is`), so a
refresh at 10,000 calls costs a few milliseconds. Knows no Plotly, no Streamlit and no colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dashboard.gantt.axis import Axis, Break, axis_of, breaks_of
from dashboard.gantt.filed import FiledRows
from dashboard.gantt.holds import Holds, HoldTable
from dashboard.gantt.waits import UNKNOWN, waits_of
from dashboard.palette import MARK_STATUSES
from dashboard.rows import origin
from fanout.clock import NS_PER_S
from fanout.run import Attempt, Call, CallStatus, Origin, Run

HAND_OVER_S = 0.005
"""A gap up to this between two calls of a lane is our own hand-over, not a free worker."""
EXACT_UP_TO: Final = 1_500
"""Attempts up to which the in-flight steps are exact; above, bins of maximum."""
BINS: Final = 1_200
MOST_ORIGINS: Final = 200
"""Different words for where answers came from; what comes after them is only from an earlier run."""
MOST_ERRORS: Final = 254
"""Different error sentences kept for hovering; further ones read as the last."""

CALL_STATUSES: tuple[CallStatus, ...] = (
    "queued",
    "running",
    "backing_off",
    "answered",
    "failed",
    "cancelled",
    "not_sent",
)
_MARK_CODE: Final = {status: code for code, status in enumerate(MARK_STATUSES)}
_CALL_CODE: Final = {status: code for code, status in enumerate(CALL_STATUSES)}
_RUNNING: Final = _MARK_CODE["running"]
_CANCELLED: Final = _MARK_CODE["cancelled"]

_STAMPS: Final = ("started", "sent", "first", "received", "ended")
_MARK: Final = np.dtype(
    [("call", "i4"), ("number", "i4"), ("lane", "i4"), ("stretch", "i4"), ("status", "u1"), ("error", "i4")]
    + [(name, "i8") for name in _STAMPS]
)
_WAIT: Final = np.dtype([("call", "i4"), ("stretch", "i4"), ("kind", "u1"), ("from", "i8"), ("to", "i8")])

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """A value that holds from each `at_s` on."""

    at_s: Floats
    value: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marks:
    """A run's marks at one version. All times are seconds on the chart's axis; NaN is unknown, or not yet.

    `call` to `end_s` have one entry per attempt, sorted by start; `wait_*` one per wait, by call; `call_status`,
    `input_tokens`, `output_tokens` (-1 is unknown), `origin` and `row` one per prompt. `row` is the prompt's place when
    sorted by its first start: a call that has started never moves again. `origin` is the prompt whose call it shares,
    -1 for its own; below that it says by which of `origins` its answer came, -2 is the first.
    """

    run_id: str
    version: int
    call: Ints
    number: Ints
    lane: Ints
    status: Codes
    error: Codes
    """Index into `errors` from 1; 0 is none."""
    start_s: Floats
    sent_s: Floats
    first_s: Floats
    received_s: Floats
    end_s: Floats
    wait_call: Ints
    wait_kind: Codes
    wait_from_s: Floats
    wait_to_s: Floats
    call_status: Codes
    input_tokens: Ints
    output_tokens: Ints
    origin: Ints
    row: Ints
    origins: tuple[str, ...]
    errors: tuple[str, ...]
    lanes: int
    """Lanes to draw: the most max_workers has been, or more where more were used. Of a run that sizes itself only those
    that were used: its ceiling is no plan."""
    last_s: float
    """The last instant that anything is known of."""
    ended: bool
    axis: Axis
    breaks: tuple[Break, ...]
    max_workers: Steps
    holds: Holds
    """What the waits waited for."""

    def count(self, status: str) -> int:
        """How many attempts have that status."""
        return int(np.count_nonzero(self.status == _MARK_CODE[status]))  # type: ignore[index]  # any word may be asked


class MarkTable:
    """One run's marks, kept up to date from snapshot to snapshot. Not thread-safe: its owner holds a lock."""

    def __init__(self, run: Run) -> None:
        count = len(run.calls)
        self._batch = run.batch
        self._run_id = run.run_id
        self._calls: Sequence[Call | None] = (None,) * count
        self._marks = FiledRows(_MARK, count)
        self._waits = FiledRows(_WAIT, count)
        self._holds = HoldTable()
        self._call_status = np.zeros(count, np.uint8)
        self._tokens = np.full((2, count), -1, np.int32)
        self._origin = np.full(count, -1, np.int32)
        self._origin_ids: dict[str, int] = {}
        self._first_start = np.full(count, np.iinfo(np.int64).max, np.int64)
        self._error_ids: dict[str, int] = {}
        self._stretch_of: dict[int, int] = {}
        self._latest: Marks | None = None
        self.encoded = 0
        """How many calls were encoded so far: what a refresh costs."""

    def holds(self, run: Run) -> bool:
        """Whether `run` is a snapshot of the run that this table is of."""
        return run.batch is self._batch

    def update(self, run: Run) -> Marks:
        """The marks of `run`, or newer ones if a newer snapshot was given before."""
        if self._latest is not None and run.version <= self._latest.version:
            return self._latest
        self._stretch_of = {stretch.began_ns: stretch.number for stretch in run.stretches}
        for old, call in zip(self._calls, run.calls, strict=True):
            if call is not old:
                self._encode(call, old)
        self._marks.write()
        self._waits.write()
        self._calls = run.calls
        self._latest = self._columns(run)
        return self._latest

    def _encode(self, call: Call, old: Call | None) -> None:
        index = call.index
        self.encoded += 1
        self._call_status[index] = _CALL_CODE[call.fate]
        if call.usage.input_tokens is not None:
            self._tokens[0, index] = call.usage.input_tokens
        if call.usage.output_tokens is not None:
            self._tokens[1, index] = call.usage.output_tokens
        if call.origin is not None:
            self._origin[index] = self._origin_of(call, call.origin)
        if call.attempts:
            self._first_start[index] = call.attempts[0].started_ns
        known = old.attempts if old is not None else ()
        for place, attempt in enumerate(call.attempts):
            if place >= len(known) or known[place] is not attempt:
                self._marks.put(index, place, self._mark(index, attempt))
        waits = list(waits_of(call, self._stretch_of))
        for place, wait in enumerate(waits):
            self._waits.put(index, place, wait)
        for place in range(len(waits), self._waits.count_of(index)):
            self._waits.put(index, place, (index, 0, 0, 0, 0))

    def _origin_of(self, call: Call, source: Origin) -> int:
        if source.run_id == self._run_id:
            return source.call
        words = origin(call, run_id=self._run_id) or ""
        if words not in self._origin_ids and len(self._origin_ids) >= MOST_ORIGINS:
            words = "from an earlier run"
        return -2 - self._origin_ids.setdefault(words, len(self._origin_ids))

    def _mark(self, index: int, attempt: Attempt) -> tuple[int, ...]:
        sentence = "" if attempt.error is None else attempt.error.sentence
        stamps = (
            attempt.started_ns,
            attempt.sent_ns,
            attempt.first_token_ns,
            attempt.received_ns,
            attempt.ended_ns,
        )
        return (
            index,
            attempt.number,
            attempt.lane,
            attempt.stretch,
            _MARK_CODE[attempt.status],
            0 if not sentence else self._error_ids.setdefault(sentence, len(self._error_ids) + 1),
            *(UNKNOWN if stamp is None else stamp for stamp in stamps),
        )

    def _columns(self, run: Run) -> Marks:
        axis = axis_of(run)
        rows = self._marks.rows()
        rows = rows[np.lexsort((rows["number"], rows["call"], rows["started"], rows["stretch"]))]
        times = {name: _on_axis(axis, rows["stretch"], rows[name]) for name in _STAMPS}
        status = rows["status"].copy()
        _close_left_open(run, rows["stretch"], status, times["ended"], axis)
        waits = self._waits.rows()
        waits = waits[(waits["from"] != waits["to"])]
        waits = waits[np.lexsort((waits["from"], waits["stretch"], waits["call"]))]
        error, errors = _errors(rows["error"], self._error_ids)
        max_workers = _max_workers(run, axis)
        used = int(rows["lane"].max(initial=-1)) + 1
        wait_to_s = _on_axis(axis, waits["stretch"], waits["to"])
        _close_left_open(run, waits["stretch"], None, wait_to_s, axis)
        last_s = _last_s(run, axis, times)
        return Marks(
            run_id=run.run_id,
            version=run.version,
            call=rows["call"].copy(),
            number=rows["number"].copy(),
            lane=rows["lane"].copy(),
            status=status,
            error=error,
            start_s=times["started"],
            sent_s=times["sent"],
            first_s=times["first"],
            received_s=times["received"],
            end_s=times["ended"],
            wait_call=waits["call"].copy(),
            wait_kind=waits["kind"].copy(),
            wait_from_s=_on_axis(axis, waits["stretch"], waits["from"]),
            wait_to_s=wait_to_s,
            call_status=self._call_status.copy(),
            input_tokens=self._tokens[0].copy(),
            output_tokens=self._tokens[1].copy(),
            origin=self._origin.copy(),
            row=self._row(run),
            origins=tuple(self._origin_ids),
            errors=errors,
            lanes=max(used, 1 if run.batch.auto_workers else int(max_workers.value.max(initial=run.max_workers))),
            last_s=last_s,
            ended=run.ended,
            axis=axis,
            breaks=breaks_of(run, axis),
            max_workers=max_workers,
            holds=self._holds.update(run, axis, last_s=last_s),
        )

    def _row(self, run: Run) -> Ints:
        """Each prompt's place by first start; those that have not started follow, in sending order."""
        count = len(run.calls)
        place = np.arange(count)
        if run.stretches:
            sending = np.array(run.stretches[0].calls, np.int64)
            place[sending] = np.arange(len(sending)) - len(sending)
        row = np.empty(count, np.int32)
        row[np.lexsort((place, self._first_start))] = np.arange(count, dtype=np.int32)
        return row


def in_flight(marks: Marks) -> Steps:
    """How many attempts held a worker, over time: exact up to 1,500 attempts, above as 1,200 bins of maximum.

    A worker that went on to its next call at once never left: without that, each hand-over of a tenth of a
    millisecond is a notch in the line, and forty notches look as if something were wrong.
    """
    ends = _handed_over(marks)
    ends = ends[~np.isnan(ends)]
    times = np.concatenate((marks.start_s, ends))
    change = np.concatenate((np.ones(len(marks.start_s), np.int32), np.full(len(ends), -1, np.int32)))
    order = np.argsort(times, kind="stable")
    times, level = times[order], np.cumsum(change[order], dtype=np.int32)
    settled = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, bool)
    times, level = times[settled], level[settled]
    if len(marks.call) > EXACT_UP_TO:
        times, level = _binned(times, level, marks.last_s)
    if not len(times) or times[0] > 0:
        times, level = np.append(0.0, times), np.append(np.int32(0), level)
    return Steps(at_s=times, value=level.astype(np.int32))


def _handed_over(marks: Marks) -> Floats:
    """Each attempt's end, moved to the start of the next one of its lane where that lies within the hand-over."""
    ends = marks.end_s.copy()
    order = np.lexsort((marks.start_s, marks.lane))
    this, following = order[:-1], order[1:]
    gap_s = marks.start_s[following] - ends[this]
    at_once = (marks.lane[this] == marks.lane[following]) & (gap_s > 0) & (gap_s <= HAND_OVER_S)
    ends[this[at_once]] = marks.start_s[following[at_once]]
    return ends


def _binned(times: Floats, level: Ints, until_s: float) -> tuple[Floats, Ints]:
    width_s = max(until_s, float(times[-1])) / BINS or 1.0
    bins = np.minimum((times / width_s).astype(np.int64), BINS - 1)
    edges = np.linspace(0.0, width_s * BINS, BINS, endpoint=False, dtype=np.float64)
    before = np.searchsorted(bins, np.arange(BINS), "left")
    most = np.where(before > 0, level[np.maximum(before - 1, 0)], 0).astype(np.int32)
    np.maximum.at(most, bins, level)
    return edges, most


def _on_axis(axis: Axis, stretch: Ints, stamps: NDArray[np.int64]) -> Floats:
    """Stamps as seconds on the axis, NaN where unknown."""
    began = np.array(axis.began_ns or (0,), np.int64)[stretch]
    offset = np.array(axis.offsets_ns or (0,), np.int64)[stretch]
    endless = np.iinfo(np.int64).max
    length = np.array([endless if n is None else n for n in axis.lengths_ns] or (endless,), np.int64)[stretch]
    known = stamps != UNKNOWN
    into = np.clip(np.where(known, stamps, began) - began, 0, length)
    return np.where(known, (into + offset) / NS_PER_S, np.nan)


def _close_left_open(run: Run, stretch: Ints, status: Codes | None, end_s: Floats, axis: Axis) -> None:
    """What a killed process left open ends with its stretch, as cancelled."""
    for each in run.stretches:
        if each.ended_ns is not None or each.number < len(run.stretches) - 1:
            left = np.isnan(end_s) & (stretch == each.number)
            end_s[left] = (axis.offsets_ns[each.number] + (axis.lengths_ns[each.number] or 0)) / NS_PER_S
            if status is not None:
                status[left & (status == _RUNNING)] = _CANCELLED


def _errors(ids: Ints, sentences: dict[str, int]) -> tuple[Codes, tuple[str, ...]]:
    """Codes and sentences, numbered by first appearance, whatever order they were met in."""
    found, at = np.unique(ids[ids > 0], return_index=True)
    found = found[np.argsort(at)]
    texts = list(sentences)
    code = np.zeros(len(sentences) + 1, np.uint8)
    code[found] = np.minimum(np.arange(1, len(found) + 1), MOST_ERRORS)
    return code[ids], tuple(texts[i - 1] for i in found[:MOST_ERRORS])


def _max_workers(run: Run, axis: Axis) -> Steps:
    """max_workers over time, one step per change."""
    at_s: list[float] = []
    value: list[int] = []
    for step in run.limits:
        place = axis.seconds(step.at_ns)
        if at_s and at_s[-1] == place:
            at_s.pop(), value.pop()
        if not value or value[-1] != step.value:
            at_s.append(place)
            value.append(step.value)
    return Steps(at_s=np.array(at_s, np.float64), value=np.array(value, np.int32))


def _last_s(run: Run, axis: Axis, times: dict[str, Floats]) -> float:
    latest = [float(np.nanmax(each)) for each in times.values() if not np.isnan(each).all()]
    latest += [axis.seconds(stretch.ended_ns) for stretch in run.stretches if stretch.ended_ns is not None]
    latest += [axis.seconds(step.at_ns) for step in run.limits[-1:]]
    latest += [axis.seconds(hold.at_ns) for hold in run.holds[-1:]]
    return max(latest, default=0.0)
