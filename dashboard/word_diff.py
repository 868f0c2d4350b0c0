"""Two texts word by word: what they share, what only one of them has.

Comes in: two texts of anybody's. Goes out: each text in pieces, marked or not; put together they are the text again.
Knows no page. The work is bounded whatever the texts are: difflib looks at every pair of equal words, and a text of one
word a thousand times has a million of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_CHARACTERS = 60_000
"""Of each text that is looked at; what comes behind is left out."""
MOST_WORDS = 2_500
"""Of each text between what both begin and end with. difflib goes through what is left once for each piece it finds:
2,500 words with every seventh changed take 0.2 s, 10,000 take 3 s."""
MOST_PAIRS = 30_000
"""Pairs of equal words."""
_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s+|(?:[{_CJK}]|[^\W{_CJK}]+|[^\w\s])\s*")
"""Words and signs, with the space behind them; scripts without spaces letter by letter."""
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

Steps = Literal["words", "lines", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some of a text; `marked` where the other text has not got it there."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two texts in pieces."""

    a: tuple[Piece, ...]
    b: tuple[Piece, ...]
    by: Steps
    """How closely it was looked: longer texts line by line, or only at how far they begin and end alike."""
    cut: bool
    """Whether a text is longer than what is looked at."""


def word_diff(a: str, b: str) -> Difference:
    """What of each text the other has not got.

    >>> [piece.text for piece in word_diff("the cat sat", "the dog sat").b if piece.marked]
    ['dog ']
    """
    cut = max(len(a), len(b)) > MOST_CHARACTERS
    a, b = a[:MOST_CHARACTERS], b[:MOST_CHARACTERS]
    for by, step in _STEPS:
        of_a, of_b = step.findall(a), step.findall(b)
        head = _shared(of_a, of_b)
        tail = _shared(of_a[head:][::-1], of_b[head:][::-1])
        middle_a, middle_b = of_a[head : len(of_a) - tail], of_b[head : len(of_b) - tail]
        if not _too_much(middle_a, middle_b):
            return _difference(of_a, of_b, _marked(middle_a, middle_b), head=head, tail=tail, by=by, cut=cut)
    marks = [True] * len(middle_a), [True] * len(middle_b)
    return _difference(of_a, of_b, marks, head=head, tail=tail, by="whole", cut=cut)


_STEPS: tuple[tuple[Steps, re.Pattern[str]], ...] = (("words", _WORD), ("lines", _LINE))
_Marks = tuple[list[bool], list[bool]]


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words both begin with."""
    return next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


def _too_much(a: Sequence[str], b: Sequence[str]) -> bool:
    of_b = Counter(b)
    pairs = sum(number * of_b[word] for word, number in Counter(a).items())
    return max(len(a), len(b)) > MOST_WORDS or pairs > MOST_PAIRS


def _marked(a: Sequence[str], b: Sequence[str]) -> _Marks:
    marks = [True] * len(a), [True] * len(b)
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        for marked, at in zip(marks, (block.a, block.b), strict=True):
            marked[at : at + block.size] = [False] * block.size
    return marks


def _difference(
    a: Sequence[str], b: Sequence[str], marks: _Marks, *, head: int, tail: int, by: Steps, cut: bool
) -> Difference:
    whole = [[*[False] * head, *marked, *[False] * tail] for marked in marks]
    return Difference(a=tuple(_pieces(a, whole[0])), b=tuple(_pieces(b, whole[1])), by=by, cut=cut)


def _pieces(words: Sequence[str], marked: Sequence[bool]) -> Iterator[Piece]:
    """Neighbours that are marked alike, put together."""
    begin = 0
    for at in range(1, len(words) + 1):
        if at == len(words) or marked[at] != marked[begin]:
            yield Piece(text="".join(words[begin:at]), marked=marked[begin])
            begin = at
