"""The list of runs in words: its columns, the cells of a row, what is asked before runs are deleted. Pure.

Comes in: rows of the library. Goes out: plain text, in which names, models and tags are others' words; whoever draws
them shows them as text. Nothing of a row that its reader may not have (its link's token) goes into a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from dashboard import zones
from dashboard.figures import why_no_cost
from dashboard.rows import IMPORTED, row_state, title, when
from dashboard.safe import cut
from dashboard.units import UNKNOWN, count, counted, duration, money, number
from fanout.store.rows import RunRow
from fanout.store.shelf import Show, Sort, Wanted

SHOWS: dict[Show, str] = {
    "all": "All",
    "mine": "Mine",
    "going": "Going on",
    "ended": "Ended",
    "failures": "With failures",
    "interrupted": "Interrupted",
}
Tone = Literal["going", "caution", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the list."""

    key: str
    head: str
    cell: Callable[[RunRow], str]
    sort: Sort | None = None
    is_number: bool = False
    why: Callable[[RunRow], str | None] | None = None
    """Of a cell that holds a dash."""
    note: str | None = None
    """Of its head."""

    @property
    def first_descending(self) -> bool:
        """Whether the first press on its head wants the greatest first."""
        return self.is_number or self.key == "when"


def state_words(row: RunRow) -> str:
    """How the run stands, with how far it is while it goes on."""
    far = f", {row.answered + row.failed:,} of {row.prompts:,}" if row.goes_on else ""
    return row_state(row) + far


def tone(row: RunRow) -> Tone | None:
    """How the state is to look beside what it says."""
    word = row_state(row)
    if row.held:
        return "caution"
    if row.goes_on:
        return "going"
    return None if word in ("Done", "Ended", "Stopped") else "wrong" if word == "Not started" else "caution"


def columns(*, with_owner: bool, zone: tzinfo | None) -> tuple[Column, ...]:
    """The columns from the left; `with_owner` where people log in."""
    return tuple(each for each in (*_FIRST, _when(zone), *_FURTHER) if with_owner or each.key != "who")


def payload(
    rows: Sequence[RunRow], wanted: Wanted, *, with_owner: bool, found: int, zone: tzinfo | None
) -> dict[str, Any]:
    """What the table in the browser is drawn from. `zone`: in which its times are."""
    shown = columns(with_owner=with_owner, zone=zone)
    return {
        "caption": f"{counted(len(rows), 'run')} of {found:,}",
        "columns": [_head(each, wanted) for each in shown],
        "rows": [
            {
                "id": row.run_id,
                "title": title(row),
                "named": bool(row.name),
                "note": IMPORTED if row.imported else "",
                "tone": tone(row),
                "cells": [each.cell(row) for each in shown],
                "whys": [None if each.why is None else each.why(row) for each in shown],
                "tags": list(row.tags),
            }
            for row in rows
        ],
    }


def _head(column: Column, wanted: Wanted) -> dict[str, Any]:
    is_sorted = column.sort is not None and column.sort == wanted.sort
    descending = not wanted.descending if is_sorted else column.first_descending
    return {
        "key": column.key,
        "head": column.head,
        "number": column.is_number,
        "note": column.note,
        "next": None if column.sort is None else f"{'-' if descending else ''}{column.sort}",
        "sorted": None if not is_sorted else "descending" if wanted.descending else "ascending",
    }


def _why_no_wall(row: RunRow) -> str | None:
    return "It has not ended" if row.wall_s is None else None


def _why_no_overlap(row: RunRow) -> str | None:
    if row.overlap is not None:
        return None
    return "It has not ended" if row.wall_s is None else "Nothing was answered"


def _why_no_cost(row: RunRow) -> str | None:
    return None if row.cost_usd is not None else why_no_cost(row.model)


def _when(zone: tzinfo | None) -> Column:
    return Column(
        key="when",
        head="When",
        cell=lambda row: when(row.opened_at, zone=zone),
        sort="opened_at",
        note=zones.words(zone),
    )


_FIRST = (
    Column(key="name", head="Name", cell=title, sort="name"),
    Column(key="state", head="State", cell=state_words),
)
_FURTHER = (
    Column(key="who", head="Who", cell=lambda row: cut(row.owner_name, 40), sort="owner_name"),
    Column(key="model", head="Model", cell=lambda row: cut(row.model, 60), sort="model"),
    Column(key="prompts", head="Prompts", cell=lambda row: count(row.prompts), sort="prompts", is_number=True),
    Column(key="answered", head="Answered", cell=lambda row: count(row.answered), is_number=True),
    Column(key="failed", head="Failed", cell=lambda row: count(row.failed), sort="failed", is_number=True),
    Column(
        key="wall",
        head="Wall",
        cell=lambda row: duration(row.wall_s),
        sort="wall_s",
        is_number=True,
        why=_why_no_wall,
    ),
    Column(
        key="overlap",
        head="Overlap",
        cell=lambda row: number(row.overlap),
        sort="overlap",
        is_number=True,
        why=_why_no_overlap,
    ),
    Column(
        key="cost", head="Cost", cell=lambda row: money(row.cost_usd), sort="cost_usd", is_number=True, why=_why_no_cost
    ),
    Column(key="tags", head="Tags", cell=lambda row: ", ".join(row.tags) or UNKNOWN),
)


# What is said


def counted_runs(found: int, wanted: Wanted) -> str:
    """How many there are, and which of them are on this page."""
    if found <= wanted.limit:
        return counted(found, "run")
    last = min(found, wanted.offset + wanted.limit)
    return f"{wanted.offset + 1:,} to {last:,} of {counted(found, 'run')}"


def nothing_found(wanted: Wanted) -> str:
    """Why the list is empty where there are runs."""
    words = f" by “{cut(wanted.words, 60)}”" if wanted.words.strip() else ""
    kind = "" if wanted.show == "all" else f" under “{SHOWS[wanted.show]}”"
    return f"No run is found{words}{kind}."


def delete_question(rows: Sequence[RunRow]) -> str:
    """What will be gone, before it is."""
    prompts = sum(row.prompts for row in rows)
    which = f"“{cut(title(rows[0]), 60)}”" if len(rows) == 1 else f"these {len(rows):,} runs"
    return (
        f"Delete {which}? {counted(prompts, 'prompt')}, every answer and the timeline will be gone for everybody, and "
        "nothing brings them back. What was spent stays counted."
    )


def not_theirs(rows: Sequence[RunRow], *, may_start: bool) -> str:
    """Of selected runs that whoever looks may only read."""
    if len(rows) == 1:
        duplicate = ", and duplicate it" if may_start else ""
        return f"“{cut(title(rows[0]), 60)}” is {cut(rows[0].owner_name, 40)}'s: you can look at it{duplicate}."
    return f"{counted(len(rows), 'run')} of these are others': you can look at them, and compare them."
