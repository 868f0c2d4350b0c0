"""A run's calls as the rows of a table: which ones, in which order, and what stands in each cell.

Comes in: a `Run`, an order and a filter. Goes out: call indexes, and an Arrow table with one row each. Knows no page.
Cells are plain text and short; the whole text is in the detail. Rows are made once per `Call`: `Cells` keeps them by
identity, so that a refresh of a large run costs what changed.

The completion order only ever grows at its end, and the input order never changes: a row keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import Literal

import pyarrow as pa

from dashboard.rows import model, origin
from fanout.clock import NS_PER_S
from fanout.run import ENDED, Call, CallStatus, Run

Order = Literal["completion", "input"]

MOST_ROWS = 2_000
"""Rows a browser is sent at each refresh; the filter reaches all of them."""
MOST_CHARACTERS = 200
"""Of a prompt or an answer in a cell."""

WORDS: dict[CallStatus, str] = {
    "queued": "queued",
    "running": "in flight",
    "backing_off": "backing off",
    "answered": "answered",
    "failed": "failed",
    "cancelled": "cancelled",
    "not_sent": "not sent",
}
"""A call's fate as the page says it."""


_COMPLETED = attrgetter("completed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to show: statuses (none chosen is all) and a text that the prompt, the answer or the error holds."""

    statuses: frozenset[CallStatus] = frozenset()
    text: str = ""

    @property
    def shows_all(self) -> bool:
        """Whether nothing is filtered."""
        return not self.statuses and not self.text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of one call."""

    call: Call
    status: str
    prompt: str
    answer: str
    origin: str | None
    """Whose answer it has; None where it was sent for."""
    model: str | None
    """Whose it is, where the run had several."""
    latency_s: float | None
    first_token_s: float | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None


def arrange(run: Run, *, order: Order, only: Filter) -> tuple[int, ...]:
    """The calls to show, by index.

    In completion order those that have ended, as they ended; what goes on follows in input order where the filter asks
    for it. In input order all.
    """
    calls: Iterable[Call] = run.calls
    if order == "completion":
        ended = sorted([call for call in run.calls if call.completed is not None], key=_COMPLETED)
        asked = only.statuses - ENDED
        calls = [*ended, *(call for call in run.calls if call.fate in asked)]
    if only.shows_all:
        return tuple(call.index for call in calls)
    text = only.text.strip().casefold()
    return tuple(
        call.index
        for call in calls
        if (not only.statuses or call.fate in only.statuses) and (not text or _holds(call, text))
    )


def _holds(call: Call, text: str) -> bool:
    if text in call.prompt.casefold() or (call.output is not None and text in call.output.casefold()):
        return True
    return call.error is not None and text in said(call).casefold()


def said(call: Call) -> str:
    """The answer, or what the failure says; empty while there is neither."""
    if call.status == "answered":
        return call.output or ""
    if call.error is None:
        return ""
    words = call.error.provider_words
    return f"{call.error.sentence} {words}" if words else call.error.sentence


def clip(text: str) -> str:
    """One line of at most 200 characters; what was cut is marked."""
    line = " ".join(text[: 4 * MOST_CHARACTERS].split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


class Cells:
    """The rows of one run, each made once per `Call`. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._models: tuple[object, ...] = ()
        self._last: tuple[tuple[Call, ...], pa.Table] | None = None

    def row(self, run: Run, call: Call) -> Row:
        """The row of this call; the one made before, where the call did not change."""
        kept = self._rows.get(call.index)
        if kept is None or kept.call is not call:
            kept = self._rows[call.index] = _row(run, call)
        return kept

    def table(self, run: Run, indexes: Iterable[int]) -> pa.Table:
        """An Arrow table of these calls, in this order; the one made last, where none of them changed."""
        calls = tuple(run.calls[index] for index in indexes)
        if self._models != run.had("model"):  # it goes on under another one: from now on each row says whose it is
            self._models = run.had("model")
            self._rows.clear()
            self._last = None
        if self._last is None or not _identical(self._last[0], calls):
            self._last = (calls, _table([self.row(run, call) for call in calls]))
        return self._last[1]


def _identical(before: tuple[Call, ...], now: tuple[Call, ...]) -> bool:
    return len(before) == len(now) and all(map(is_, before, now))


def _table(rows: list[Row]) -> pa.Table:
    origins, models = [row.origin for row in rows], [row.model for row in rows]
    return pa.table(
        {
            "status": pa.array([row.status for row in rows], pa.string()),
            "prompt": pa.array([row.prompt for row in rows], pa.string()),
            "latency": pa.array([row.latency_s for row in rows], pa.float64()),
            **({"origin": pa.array(origins, pa.string())} if any(origins) else {}),
            **({"model": pa.array(models, pa.string())} if any(models) else {}),
            "answer": pa.array([row.answer for row in rows], pa.string()),
            "first_token": pa.array([row.first_token_s for row in rows], pa.float64()),
            "attempts": pa.array([row.attempts for row in rows], pa.int32()),
            "tokens_in": pa.array([row.input_tokens for row in rows], pa.int64()),
            "tokens_out": pa.array([row.output_tokens for row in rows], pa.int64()),
            "number": pa.array([row.call.index + 1 for row in rows], pa.int32()),
        }
    )


def _row(run: Run, call: Call) -> Row:
    return Row(
        call=call,
        status=WORDS[call.fate],
        prompt=clip(call.prompt),
        answer=clip(said(call)),
        origin=origin(call, run_id=run.run_id),
        model=model(run, call),
        latency_s=_seconds(call.latency_ns),
        first_token_s=_seconds(call.first_token_ns),
        attempts=len(call.attempts),
        input_tokens=call.usage.input_tokens,
        output_tokens=call.usage.output_tokens,
    )


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / NS_PER_S
