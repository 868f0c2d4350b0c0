"""JSON lines and JSON lists -> prompts: each entry is a text, or an object with a field that is one.

Comes in: the text of a file. Goes out: a `PromptList`, or the fields that could hold prompts. Knows no encoding.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from fanout.errors import BadInput
from fanout.prompts.encoding import Decoded, encodable, split_lines
from fanout.prompts.names import listed, quoted
from fanout.prompts.prompt_list import Found, PromptList, gather

_KINDS = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A JSON value at its place, which `where` says in words; `line` is its line, or its number in a list."""

    line: int
    where: str
    value: object


def read(name: str, decoded: Decoded, *, lines: bool, field: str) -> PromptList:
    """The prompts of a file: its texts, and of its objects the one field."""
    fields: dict[str, None] = {}
    had_objects = False
    found: list[Found] = []
    for entry in _entries(name, decoded.text, lines=lines):
        found.append(Found(line=entry.line, text=_text(entry, field)))
        if isinstance(entry.value, dict):
            had_objects = True
            fields.update(dict.fromkeys(entry.value))
    return gather(
        found,
        where=quoted(name),
        unit="line" if lines else "entry",
        encoding=decoded.encoding,
        column=field if had_objects else None,
        columns=tuple(encodable(name) for name in fields),
    )


def text_lengths(name: str, text: str, *, lines: bool) -> dict[str, float]:
    """The fields of a file's objects that hold text somewhere, with how many letters in all."""
    lengths: dict[str, float] = {}
    for entry in _entries(name, text, lines=lines):
        for field, value in entry.value.items() if isinstance(entry.value, dict) else ():
            if isinstance(value, str):
                lengths[encodable(field)] = lengths.get(encodable(field), 0) + len(value)
    return lengths


def _entries(name: str, text: str, *, lines: bool) -> Iterator[Entry]:
    if not lines:
        yield from _list(name, text)
        return
    for number, line in enumerate(split_lines(text), start=1):
        where = f"{quoted(name)}, line {number:,}"
        value = _load(line, where) if line.strip() else ""
        if isinstance(value, list):
            raise BadInput(f"{where} is a list: write one text or object a line, or end the file's name with .json")
        yield Entry(line=number, where=where, value=value)


def _list(name: str, text: str) -> Iterator[Entry]:
    value = _load(text, quoted(name))
    if not isinstance(value, list):
        kind = _KINDS.get(type(value), "a lone value")
        raise BadInput(f"{quoted(name)} is {kind}: expected a JSON list of texts or objects")
    for number, each in enumerate(value, start=1):
        yield Entry(line=number, where=f"{quoted(name)}, entry {number:,}", value=each)


def _load(text: str, where: str) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as exc:
        place = f"character {exc.colno:,}" if exc.lineno == 1 else f"line {exc.lineno:,}, character {exc.colno:,}"
        hint = "; if it holds one value a line, end its name with .jsonl" if exc.msg == "Extra data" else ""
        raise BadInput(f"{where} is not JSON: {exc.msg} at {place}{hint}") from exc
    except (ValueError, RecursionError) as exc:  # a number of 5,000 digits; ten thousand brackets
        raise BadInput(f"{where} cannot be read as JSON: {exc}") from exc
    return value


def _text(entry: Entry, field: str) -> str:
    value, where = entry.value, entry.where
    if isinstance(value, dict):
        if field not in value:
            has = f"it has {listed(value)}" if value else "it is empty"
            raise BadInput(f"{where}: the object has no field {quoted(field)}, {has}; name one of its fields")
        value, where = value[field], f"{where}, field {quoted(field)}"
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{where} is {_KINDS.get(type(value), 'something else')}: expected text")
    return encodable(value)
