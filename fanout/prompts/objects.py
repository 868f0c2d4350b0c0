"""JSON lines and JSON lists -> prompts: each entry is a text, or an object with a field that is one.

Comes in: the text of a file. Goes out: a `PromptList`, or the fields that could hold prompts. Knows no encoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fanout.errors import BadInput
from fanout.letters import sendable
from fanout.prompts.encoding import Decoded, split_lines
from fanout.prompts.fields import Absent, likely_field, text_fields, value_at
from fanout.prompts.names import is_prompt_name, listed, quoted
from fanout.prompts.prompt_list import Found, PromptList, gather

_SAMPLE = 200_000
_LINES_SEEN = 3
_HALF_LETTER = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A JSON value at its place, which `where` says in words; `line` is its line, or its number in a list."""

    line: int
    where: str
    value: object


def read(name: str, decoded: Decoded, *, lines: bool, field: str) -> PromptList:
    """The prompts of a file: its texts, and of its objects the one field, or what the path leads to (see `fields`)."""
    fields: dict[str, None] = {}
    had_objects = False
    found: list[Found] = []
    for entry in _entries(name, decoded.text, lines=lines, field=field):
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
        columns=tuple(fields),
    )


def text_lengths(name: str, text: str, *, lines: bool) -> dict[str, float]:
    """The fields of a file's objects that hold text somewhere, with how many letters in all."""
    lengths: dict[str, float] = {}
    for entry in _entries(name, text, lines=lines, field=None):
        held = entry.value if isinstance(entry.value, dict) else {}
        for field in text_fields(held):
            value = value_at(held, field)
            if isinstance(value, str):
                lengths[field] = lengths.get(field, 0) + len(value)
    return lengths


def _entries(name: str, text: str, *, lines: bool, field: str | None) -> Iterator[Entry]:
    if not lines:
        yield from _list(name, text, field)
        return
    _refuse_list(name, text)
    for number, line in enumerate(split_lines(text), start=1):
        where = f"{quoted(name)}, line {number:,}"
        value = _load(line.strip().removesuffix(","), where) if line.strip() else ""
        if isinstance(value, list):
            raise BadInput(f"{where} is a list: write one text or object a line, or end the file's name with .json")
        yield Entry(line=number, where=where, value=value)


def refuse_lines(name: str, text: str) -> None:
    """BadInput for a plain text that is JSON lines with a `prompt` each: the JSON itself would be sent."""
    if not text.lstrip().startswith("{"):
        return
    first = [line for line in split_lines(text[:_SAMPLE]) if line.strip()][:_LINES_SEEN]
    values = [_loaded(line) for line in first]
    if all(isinstance(value, dict) and isinstance(value.get("prompt"), str) for value in values):
        raise BadInput(f"{quoted(name)} holds JSON lines, which would be sent as they are: end its name with .jsonl")


def kind_of(text: str) -> Literal[".jsonl", ".json"] | None:
    """Whether a text is JSON lines, its first one an object or a text, or a JSON list of such; None for neither."""
    first = next((line for line in split_lines(text) if line.strip()), "")
    if isinstance(_loaded(first), dict | str):
        return ".jsonl"
    whole = _loaded(text) if first.lstrip()[:1] in ("[", "{") else None
    if isinstance(whole, dict) or (isinstance(whole, list) and _holds_prompts(whole)):
        return ".json"
    return None


def _refuse_list(name: str, text: str) -> None:
    """BadInput for one list in a file that should have one value a line."""
    if text.lstrip().startswith("[") and isinstance(_loaded(text), list):
        raise BadInput(f"{quoted(name)} is one JSON list: end its name with .json")


def _list(name: str, text: str, field: str | None) -> Iterator[Entry]:
    if not text.strip():
        raise BadInput(f"{quoted(name)} holds only blanks: expected at least one prompt")
    value = _load(text, quoted(name), hint="; if it holds one value a line, end its name with .jsonl")
    if isinstance(value, dict):
        value = _list_in(value, field, quoted(name))
    if not isinstance(value, list):
        kind = _KINDS.get(type(value), "a lone value")
        raise BadInput(f"{quoted(name)} is {kind}: expected a JSON list of texts or objects")
    for number, each in enumerate(value, start=1):
        yield Entry(line=number, where=f"{quoted(name)}, entry {number:,}", value=each)


def _list_in(value: dict[str, object], field: str | None, where: str) -> list[object]:
    """The one list of texts or objects in an object, or the one that is called like the field asked for."""
    lists = {name: each for name, each in value.items() if isinstance(each, list) and _holds_prompts(each)}
    wanted = [name for name, each in lists.items() if name == field or _has_field(each[0], field)]
    if not wanted and field in (None, "prompt"):
        wanted = list(lists)
    if len(wanted) == 1:
        return lists[wanted[0]]
    which = (
        f"; its fields {listed(lists)} are some: name one, or a field in its objects, or write it alone"
        if lists
        else ""
    )
    raise BadInput(f"{where} is an object: expected a JSON list of texts or objects{which}")


def _has_field(value: object, field: str | None) -> bool:
    if not isinstance(value, dict) or field is None:
        return False
    try:
        value_at(value, field)
    except Absent:
        return False
    return True


def _holds_prompts(values: list[object]) -> bool:
    return bool(values) and all(isinstance(each, dict | str) for each in values)


def _loaded(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _load(text: str, where: str, *, hint: str = "") -> object:
    names = _sendable_names if _HALF_LETTER.search(text) else None
    try:
        value: object = json.loads(text, object_pairs_hook=names)
    except json.JSONDecodeError as exc:
        place = f"character {exc.colno:,}" if exc.lineno == 1 else f"line {exc.lineno:,}, character {exc.colno:,}"
        raise BadInput(f"{where} is not JSON: {exc.msg} at {place}{hint if exc.msg == 'Extra data' else ''}") from exc
    except (ValueError, RecursionError) as exc:  # a number of 5,000 digits; ten thousand brackets
        raise BadInput(f"{where} cannot be read as JSON: {exc}") from exc
    return value


def _sendable_names(fields: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose fields can be named on a page; what is lost of its texts `gather` says."""
    return {sendable(name): value for name, value in fields}


def _text(entry: Entry, field: str) -> str:
    value, where = entry.value, entry.where
    if isinstance(value, dict):
        held = value
        try:
            value, where = value_at(held, field), f"{where}, field {quoted(field)}"
        except Absent:
            raise BadInput(f"{where}: the object has no field {quoted(field)}, {_instead(held)}") from None
    if value is None:
        return ""
    if not isinstance(value, str):
        likely = likely_field(entry.value, field) if isinstance(entry.value, dict) else None
        further = f"; a text in it is {quoted(likely)}" if likely else ""
        raise BadInput(f"{where} is {_KINDS.get(type(value), 'something else')}: expected text{further}")
    return value


def _instead(value: dict[str, object]) -> str:
    if not value:
        return "it is empty"
    has_text = any(isinstance(each, str) and is_prompt_name(name) for name, each in value.items())
    likely = None if has_text else likely_field(value)
    such = f", such as {quoted(likely)}: that one text is sent, without what else the object holds" if likely else ""
    return f"it has {listed(value)}; name one of its fields{such}"
