"""The list of prompts that a file or a text held, with what is to be said of it.

Comes in: places and texts, in order. Goes out: a frozen `PromptList` or, where there is no prompt at all or there are
too many, a `BadInput`. Knows no format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fanout.errors import BadInput
from fanout.letters import LOST, sendable

MOST_PROMPTS = 100_000
"""Past it a list is more than one run shows well; each prompt is a call that somebody pays for."""
SKIPS_KEPT = 100
LINES_SAID = 5
_UNSEEN = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]*"
)
"""Letters that nobody sees: Unicode's default ignorable ones, and the blank of Braille."""

Unit = Literal["line", "paragraph", "part", "row", "entry"]
"""What one prompt is in its source: `part` lies between `---` lines, `row` is of a table, `entry` of a JSON list."""

SkipReason = Literal["blank", "above_header", "no_cell", "extra_cells"]
"""Nothing in it; a title over the header; a row too short to have the column; a row with more cells than the header,
most likely a text with an unquoted delimiter, which would be sent cut short."""

_SKIP_WORDS: dict[SkipReason, str] = {
    "blank": "{count} blank {unit} skipped",
    "above_header": "{count} {unit} above the header skipped",
    "no_cell": "{count} {unit} without that column skipped",
    "extra_cells": "{count} {unit} with more cells than the header skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A text at its place; blank ones are sorted out by `gather`."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What did not become a prompt, and why. `line` is from 1, where it begins; in a JSON list the entry's number."""

    line: int
    reason: SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipCount:
    """How many were skipped for one reason."""

    reason: SkipReason
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptList:
    """Prompts in the order of their source, none blank, duplicates kept."""

    prompts: tuple[str, ...]
    duplicates: int
    """How many of them repeat an earlier one."""
    skipped: tuple[Skipped, ...]
    """The first 100."""
    skip_counts: tuple[SkipCount, ...]
    """All of them, counted."""
    unit: Unit
    encoding: str | None = None
    """How a file's bytes were read (`utf-8`, `windows-1252`, ...); None for pasted text."""
    column: str | None = None
    """The column or field that was taken, where there was one."""
    columns: tuple[str, ...] = ()
    """What there was to choose from."""
    delimiter: str | None = None
    header: bool | None = None
    """Whether a table's first row was taken as its header; None where there is no table."""
    mended: tuple[int, ...] = ()
    """The places of prompts with half a letter, which cannot be sent and is replaced by the sign for a lost one."""

    @property
    def skipped_count(self) -> int:
        """How many were skipped in all."""
        return sum(skip.count for skip in self.skip_counts)

    @property
    def sentence(self) -> str:
        """The list in words: its length, duplicates, what was skipped and where, and what was assumed."""
        said = [self._size(), *(self._skips(skip) for skip in self.skip_counts)]
        if self.mended:
            holders = counted(len(self.mended), "prompt")
            said.append(f"half a letter in {holders} replaced by {LOST}{self._at(self.mended)}")
        if len(self.columns) > 1:
            said.append(f"column “{self.column}”")
        if self.header is False:
            said.append("no header row found")
        if self.encoding not in (None, "utf-8"):
            said.append(f"read as {self.encoding}")
        return "; ".join(said)

    def _size(self) -> str:
        size = counted(len(self.prompts), "prompt")
        if not self.duplicates:
            return size
        return f"{size}, {self.duplicates:,} of them {'a duplicate' if self.duplicates == 1 else 'duplicates'}"

    def _skips(self, skip: SkipCount) -> str:
        words = _SKIP_WORDS[skip.reason].format(count=f"{skip.count:,}", unit=_plural(self.unit, skip.count))
        return words + self._at([s.line for s in self.skipped if s.reason == skip.reason], skip.count)

    def _at(self, lines: Sequence[int], count: int | None = None) -> str:
        """` (lines 3, 5)`: the first of `count` places, in brackets; nothing where none is known."""
        if not lines:
            return ""
        count = len(lines) if count is None else count
        said = lines[:LINES_SAID]
        more = f" and {count - len(said):,} more" if count > len(said) else ""
        return f" ({_plural(self._place, count)} {', '.join(map(str, said))}{more})"

    @property
    def _place(self) -> str:
        return "entry" if self.unit == "entry" else "line"


def gather(
    found: Iterable[Found | Skipped],
    *,
    where: str,
    unit: Unit,
    encoding: str | None = None,
    column: str | None = None,
    columns: tuple[str, ...] = (),
    delimiter: str | None = None,
    header: bool | None = None,
) -> PromptList:
    """The list of what was found; BadInput, naming `where`, for no prompt and for too many."""
    prompts: list[str] = []
    skipped: list[Skipped] = []
    mended: list[int] = []
    counts: Counter[SkipReason] = Counter()
    for entry in found:
        if isinstance(entry, Found) and not is_blank(entry.text):
            prompts.append(sendable(entry.text))
            if prompts[-1] is not entry.text and prompts[-1].count(LOST) > entry.text.count(LOST):
                mended.append(entry.line)
            if len(prompts) > MOST_PROMPTS:
                raise BadInput(f"{where} holds more than {MOST_PROMPTS:,} prompts (line {entry.line:,}): split it")
            continue
        skip = entry if isinstance(entry, Skipped) else Skipped(line=entry.line, reason="blank")
        counts[skip.reason] += 1
        if len(skipped) < SKIPS_KEPT:
            skipped.append(skip)
    if not prompts:
        raise BadInput(_nothing(where, unit, counts, column, header))
    return PromptList(
        prompts=tuple(prompts),
        duplicates=len(prompts) - len(set(prompts)),
        skipped=tuple(skipped),
        skip_counts=tuple(SkipCount(reason=reason, count=count) for reason, count in counts.items()),
        unit=unit,
        encoding=encoding,
        column=column,
        columns=columns,
        delimiter=delimiter,
        header=header,
        mended=tuple(mended),
    )


def is_blank(text: str) -> bool:
    """Whether nobody would see a letter of it."""
    first = text.lstrip()[:1]
    return not first or (not first.isascii() and _UNSEEN.fullmatch(text) is not None)


def counted(count: int, noun: str) -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{count:,} {_plural(noun, count)}"


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return "entries" if noun == "entry" else f"{noun}s"


def _nothing(where: str, unit: Unit, counts: Counter[SkipReason], column: str | None, header: bool | None) -> str:
    if not counts:
        kind = "only its header row" if header else "nothing"
        return f"{where} holds {kind}: expected at least one prompt"
    if set(counts) == {"blank"}:
        place = f"the column “{column}” of {where}" if header else where
        return f"{place} holds only blanks ({counted(counts['blank'], unit)}): expected at least one prompt"
    rows = counted(counts.total(), unit)
    return (
        f"{where} holds no row that fits its header ({rows}): "
        "write one cell a column, and put a text that holds the delimiter in double quotes"
    )
