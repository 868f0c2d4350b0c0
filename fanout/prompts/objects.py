"""JSON lines and JSON lists -> prompts: each entry is a text, or an object with a field that is one.

Comes in: the text of a file. Goes out: a `PromptList`, or the fields that could hold prompts. Knows no encoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fanout.errors import BadInput
from fanout.letters import sendable
from fanout.prompts.encoding import Decoded, split_lines
from fanout.prompts.fields import Absent, likely_field, text_fields, value_at
from fanout.prompts.lists import has_several, holds_prompts, offers, pick
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
    source = _source(name, decoded.text, lines=lines, field=field)
    for entry in source.entries:
        found.append(Found(line=entry.line, text=_text(entry, source.field or field)))
        if isinstance(entry.value, dict):
            had_objects = True
            fields.update(dict.fromkeys(entry.value))
    return gather(
        found,
        where=quoted(name),
        unit="line" if lines else "entry",
        encoding=decoded.encoding,
        column=field if had_objects or source.lists else None,
        columns=tuple(source.lists or fields),
    )


def text_lengths(name: str, text: str, *, lines: bool) -> dict[str, float]:
    """The fields of a file's objects that hold text somewhere, with how many letters in all; where an object holds
    several lists, the names by which each is asked for."""
    source = _source(name, text, lines=lines, field=None)
    if source.lists:
        return dict(source.lists)
    lengths: dict[str, float] = {}
    for entry in source.entries:
        held = entry.value if isinstance(entry.value, dict) else {}
        for field in text_fields(held):
            value = value_at(held, field)
            if isinstance(value, str):
                lengths[field] = lengths.get(field, 0) + len(value)
    return lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a file holds, as it was asked for."""

    entries: Iterator[Entry]
    field: str | None
    """The field of its objects."""
    lists: Mapping[str, float] | None = None
    """Where it is an object with several lists: the names to choose from, with how many letters each has."""


def _source(name: str, text: str, *, lines: bool, field: str | None) -> _Source:
    return _Source(entries=_lines(name, text), field=field) if lines else _list(name, text, field)


def _lines(name: str, text: str) -> Iterator[Entry]:
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
    if isinstance(whole, dict) or (isinstance(whole, list) and holds_prompts(whole)):
        return ".json"
    return None


def _refuse_list(name: str, text: str) -> None:
    """BadInput for one list in a file that should have one value a line."""
    if text.lstrip().startswith("[") and isinstance(_loaded(text), list):
        raise BadInput(f"{quoted(name)} is one JSON list: end its name with .json")


def _list(name: str, text: str, field: str | None) -> _Source:
    if not text.strip():
        raise BadInput(f"{quoted(name)} holds only blanks: expected at least one prompt")
    value = _load(text, quoted(name), hint="; if it holds one value a line, end its name with .jsonl")
    if isinstance(value, list):
        return _Source(entries=_numbered(name, value), field=field)
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "a lone value")
        raise BadInput(f"{quoted(name)} is {kind}: expected a JSON list of texts or objects")
    picked, names = pick(value, field), offers(value)
    if picked is None and (field is not None or not names):
        which = f"; name one in it: {listed(names)}" if names else ""
        raise BadInput(f"{quoted(name)} is an object: expected a JSON list of texts or objects{which}")
    if picked is None:
        return _Source(entries=iter(()), field=None, lists=names)
    return _Source(
        entries=_numbered(name, picked.values), field=picked.field, lists=names if has_several(value) else None
    )


def _numbered(name: str, values: Sequence[object]) -> Iterator[Entry]:
    for number, each in enumerate(values, start=1):
        yield Entry(line=number, where=f"{quoted(name)}, entry {number:,}", value=each)


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
