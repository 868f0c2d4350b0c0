"""Names of columns: which one looks like it holds the prompts, and how names are shown in a sentence.

Comes in: names, and how long the texts under them are. Goes out: one of the names. Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PROMPT_NAMES = (
    "prompt", "prompts", "user_prompt", "text", "texts", "question", "questions", "query", "input", "inputs",
    "message", "instruction", "request", "content", "sentence", "review", "comment", "feedback", "ticket", "utterance",
    "document", "passage", "article", "post", "tweet", "email", "abstract", "description", "body", "task", "title",
    "human",
)  # fmt: skip
"""What people call the column we look for, likeliest first."""

NAMES_SAID = 12
LETTERS_SAID = 60


def best_name(lengths: Mapping[str, float]) -> str | None:
    """The likeliest of the names: one of `PROMPT_NAMES`, else one with such a word in it (`review_text`), else the
    one whose texts are longest, the first of equals; None where there is no name."""
    plain = {name: _plain(name) for name in lengths}
    for wanted in PROMPT_NAMES:
        for name in lengths:
            if plain[name] == wanted:
                return name
    for wanted in PROMPT_NAMES:
        for name in lengths:
            if wanted in re.split(r"[_.]", plain[name]):
                return name
    return max(lengths, key=lambda name: lengths[name], default=None)


def is_prompt_name(name: str) -> bool:
    """Whether a lone cell is certainly a header: a known name, or one word of letters, _ and - with one in it."""
    plain = _plain(name)
    return plain in PROMPT_NAMES or (" " not in name.strip() and bool({*plain.split("_")} & {*PROMPT_NAMES}))


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names, none blank and none twice: `column 3`, `text (2)`."""
    given: dict[str, None] = {}
    for place, raw in enumerate(names, start=1):
        name = wanted = raw.strip() or f"column {place}"
        number = 2
        while name in given:
            name = f"{wanted} ({number})"
            number += 1
        given[name] = None
    return tuple(given)


def quoted(name: str) -> str:
    """A name from outside as it is said in a sentence: on one line, in quotes, at most 60 letters."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name[: LETTERS_SAID + 1])
    return f"“{plain[:LETTERS_SAID]}{'…' if len(plain) > LETTERS_SAID else ''}”"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, the first twelve."""
    every = list(names)
    said = ", ".join(quoted(name) for name in every[:NAMES_SAID])
    return said + (f" and {len(every) - NAMES_SAID:,} more" if len(every) > NAMES_SAID else "")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
