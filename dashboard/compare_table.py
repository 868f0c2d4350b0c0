"""The prompts of two runs as the rows of a table: which ones, in which order, and what stands in each cell.

Comes in: a `Comparison`, an order and a filter. Goes out: places in its pairs, and an Arrow table with one row each.
Knows no page. Cells are plain text and short; the whole texts are in the detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from dashboard.compare_words import WORDS
from dashboard.tables import WORDS as STATUSES
from dashboard.tables import clip, said
from fanout.clock import NS_PER_S
from fanout.compare import Answers, Comparison, Pair
from fanout.run import Call

Order = Literal["given", "slower", "faster"]
Show = Literal["all", "changed", "same", "one"]

SHOWS: Mapping[Show, frozenset[Answers]] = {
    "all": frozenset(WORDS),
    "changed": frozenset({"changed"}),
    "same": frozenset({"same"}),
    "one": frozenset({"only_a", "only_b", "neither"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which pairs, and a text that the prompt or one of the answers holds."""

    show: Show = "all"
    text: str = ""


def arrange(found: Comparison, *, order: Order, only: Filter) -> tuple[int, ...]:
    """The pairs to show, by their place; where a latency is unknown, last."""
    text, shown = only.text.strip().casefold(), SHOWS[only.show]
    places = [
        place
        for place, pair in enumerate(found.pairs)
        if pair.answers in shown and (not text or any(text in each for each in _texts(pair)))
    ]
    if order != "given":
        sign = -1 if order == "slower" else 1
        places.sort(key=lambda place: _rank(found.pairs[place].slower_ns, sign))
    return tuple(places)


def _texts(pair: Pair) -> Iterable[str]:
    yield pair.a.prompt.casefold()
    yield said(pair.a).casefold()
    yield said(pair.b).casefold()


def _rank(slower_ns: int | None, sign: int) -> tuple[bool, int]:
    return (slower_ns is None, sign * (slower_ns or 0))


def cells(pairs: Sequence[Pair]) -> pa.Table:
    """An Arrow table of these pairs, in this order; costs only where one is known."""
    columns = {
        "answers": pa.array([_MARKS[pair.answers] for pair in pairs], pa.string()),
        "prompt": pa.array([clip(pair.a.prompt) for pair in pairs], pa.string()),
        "answer_a": pa.array([clip(said(pair.a)) for pair in pairs], pa.string()),
        "answer_b": pa.array([clip(said(pair.b)) for pair in pairs], pa.string()),
        "latency_a": _seconds(pair.a.latency_ns for pair in pairs),
        "latency_b": _seconds(pair.b.latency_ns for pair in pairs),
        "slower": _hundredths(pair.slower_ns for pair in pairs),
        "tokens_a": _counts(pair.a.usage.output_tokens for pair in pairs),
        "tokens_b": _counts(pair.b.usage.output_tokens for pair in pairs),
        "more_tokens": _counts(pair.more_tokens for pair in pairs),
    }
    if any(call.cost_usd is not None for pair in pairs for call in (pair.a, pair.b)):
        columns["cost_a"] = pa.array([pair.a.cost_usd for pair in pairs], pa.float64())
        columns["cost_b"] = pa.array([pair.b.cost_usd for pair in pairs], pa.float64())
        columns["dearer"] = pa.array([pair.dearer_usd for pair in pairs], pa.float64())
    columns["number"] = _counts(pair.a.index + 1 for pair in pairs)
    return pa.table(columns)


_MARKS: Mapping[Answers, str] = {
    **WORDS,
    "same": f"= {WORDS['same']}",
    "changed": f"≠ {WORDS['changed']}",
}
"""A sign before the word: a column of words alone is read one by one."""


def left_over(calls: Sequence[Call]) -> pa.Table:
    """An Arrow table of the calls that only one of the runs has."""
    return pa.table(
        {
            "status": pa.array([STATUSES[call.fate] for call in calls], pa.string()),
            "prompt": pa.array([clip(call.prompt) for call in calls], pa.string()),
            "answer": pa.array([clip(said(call)) for call in calls], pa.string()),
            "latency": _seconds(call.latency_ns for call in calls),
            "number": _counts(call.index + 1 for call in calls),
        }
    )


def _seconds(durations_ns: Iterable[int | None]) -> pa.Array:
    return pa.array([None if each is None else each / NS_PER_S for each in durations_ns], pa.float64())


def _hundredths(durations_ns: Iterable[int | None]) -> pa.Array:
    """In seconds as they are shown: what is less than half a hundredth has no sign."""
    return pa.array([None if each is None else round(each / NS_PER_S, 2) + 0.0 for each in durations_ns], pa.float64())


def _counts(counts: Iterable[int | None]) -> pa.Array:
    return pa.array(list(counts), pa.int64())
