"""Files and pasted text -> prompts.

Comes in: pasted text, or a file's name and its bytes. Goes out: a frozen `PromptList`, which says in one sentence what
was found, what was doubled and what was skipped; or a `BadInput` that says what is wrong, where, and what to do.
Pure: opens no file, knows no page and no command line. `encoding` makes text of bytes, `table` reads CSV, `objects`
reads JSON, `prompt_list` is the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from fanout.errors import BadInput
from fanout.prompts import objects, table
from fanout.prompts.encoding import MARK, MOST_BYTES, decode, refuse_page, refuse_size, split_lines
from fanout.prompts.names import best_name, quoted
from fanout.prompts.prompt_list import MOST_PROMPTS, Found, PromptList, Skipped, SkipReason, Unit, gather

__all__ = [
    "ENDINGS",
    "MOST_BYTES",
    "MOST_PROMPTS",
    "Mode",
    "PromptList",
    "SkipReason",
    "Skipped",
    "columns",
    "guess_column",
    "name_of_piped",
    "read_file",
    "read_text",
]

Mode = Literal["line", "paragraph", "dashes"]
"""How a text holds its prompts: one a line; parted by blank lines; parted by lines of `---`."""

ENDINGS = (".txt", ".md", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
"""The files that can be read, by the ending of their names."""

_UNITS: dict[Mode, Unit] = {"line": "line", "paragraph": "paragraph", "dashes": "part"}


def read_text(text: str, *, mode: Mode = "line") -> PromptList:
    """The prompts of a pasted text. Raises BadInput where there are none.

    >>> read_text("Reply: alpha\\n\\nReply: beta").sentence
    '2 prompts; 1 blank line skipped (line 2)'
    """
    refuse_size("the text", len(text))
    if mode not in _UNITS:
        raise BadInput(f"mode must be one of {', '.join(_UNITS)}, got {mode!r}")
    return gather(_pieces(text.lstrip(MARK), mode), where="the text", unit=_UNITS[mode])


def read_file(name: str, content: bytes, *, column: str | None = None, mode: Mode = "line") -> PromptList:
    """The prompts of a file; `name` tells its kind by its ending (see `ENDINGS`).

    `mode` is for .txt and .md. `column` is a column of a .csv or .tsv (None: see `guess_column`), or a field of the
    objects of a .jsonl, .ndjson or .json, or a path in them such as `messages.user.content` (None: `prompt`), or of one
    object in a .json one of its lists, `question` or `train.text`.
    """
    ending = _ending(name, content)
    decoded = decode(name, content)
    if ending in (".txt", ".md"):
        if column is not None:
            raise BadInput(
                f"{quoted(name)} is read as plain text, which has no column {quoted(column)}: "
                "end its name with .csv, .tsv or .jsonl, or name no column"
            )
        if mode == "line":
            refuse_page(name, decoded.text)
            objects.refuse_lines(name, decoded.text)
        pieces = _pieces(decoded.text, mode)
        return gather(pieces, where=quoted(name), unit=_UNITS[mode], encoding=decoded.encoding)
    if ending in (".csv", ".tsv"):
        return table.read(name, decoded, tabs=ending == ".tsv", column=column)
    return objects.read(name, decoded, lines=ending != ".json", field=column or "prompt")


def columns(name: str, content: bytes) -> tuple[str, ...]:
    """The columns of a .csv or .tsv, the text fields of JSON objects, or the lists of one object; empty where there is
    nothing to choose."""
    ending = _ending(name, content)
    if ending in (".txt", ".md"):
        return ()
    decoded = decode(name, content)
    if ending in (".csv", ".tsv"):
        return table.parse(name, decoded.text, tabs=ending == ".tsv").names
    return tuple(objects.text_lengths(name, decoded.text, lines=ending != ".json"))


def guess_column(name: str, content: bytes) -> str | None:
    """The column that most likely holds the prompts: by its name (`prompt`, `text`, `question`, ...), else the one
    with the longest texts; None where there is nothing to choose."""
    ending = _ending(name, content)
    if ending in (".txt", ".md"):
        return None
    decoded = decode(name, content)
    if ending in (".csv", ".tsv"):
        return table.parse(name, decoded.text, tabs=ending == ".tsv").best_column()
    return best_name(objects.text_lengths(name, decoded.text, lines=ending != ".json"))


def name_of_piped(content: bytes, *, column: str | None) -> str:
    """The name that bytes from a pipe would have as a file: JSON where they are, a table where a column is asked for,
    text otherwise."""
    refuse_size("standard input", len(content))
    kind = objects.kind_of(decode("standard input", content).text)
    return f"standard input{kind or ('.txt' if column is None else '.csv')}"


def _ending(name: str, content: bytes) -> str:
    refuse_size(quoted(name), len(content))
    ending = PurePath(name).suffix.lower()
    if ending not in ENDINGS:
        decode(name, content)  # a workbook or a picture is named for what it is, before its ending is
        said = f"ends with {ending!r}" if ending else "has no ending"
        raise BadInput(f"{quoted(name)} {said}: expected one of {', '.join(ENDINGS)}")
    return ending


def _pieces(text: str, mode: Mode) -> Iterator[Found]:
    lines = split_lines(text)
    if mode == "line":
        yield from (Found(line=number, text=line.strip()) for number, line in enumerate(lines, start=1))
        return
    part: list[str] = []
    first = 1
    for number, line in enumerate(lines, start=1):
        if line.strip() != ("---" if mode == "dashes" else ""):
            part.append(line)
            continue
        yield from _part(part, first, mode)
        part, first = [], number + 1
    yield from _part(part, first, mode)


def _part(lines: list[str], first: int, mode: Mode) -> Iterator[Found]:
    """The lines between two separators: blank lines at its ends go, inner ones and indentation stay."""
    start = next((place for place, line in enumerate(lines) if line.strip()), None)
    if start is not None:
        yield Found(line=first + start, text="\n".join(lines[start:]).rstrip())
    elif lines and mode == "dashes":
        yield Found(line=first, text="")
