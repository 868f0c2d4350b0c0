"""What a field of an event may hold, read off the events' own annotations.

Comes in: an event's kind and a JSON value. Goes out: whether that field may hold it, and in words what it may. Types
and bounds only; whether the events can have happened is `story`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import CallFailed

MOST_TOKENS = 2**31 - 1
"""Of one call."""
MOST_INTEGER = 2**62
MOST_AT_S = 1e11
"""Seconds since 1970, the year 5138: later instants cannot be shown as a date."""
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an address, a file's name and an element's key can hold."""
MOST_FIELDS = 100
"""Of an object whose fields are not named beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """What one field may hold."""

    name: str
    words: str
    needed: bool
    accepts: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class _Accepts:
    words: str
    test: Callable[[object], bool]


def _accepts(kind: Any) -> _Accepts:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        each = [_accepts(one) for one in get_args(kind)]
        return _Accepts(" or ".join(one.words for one in each), lambda value: any(one.test(value) for one in each))
    if origin is Literal:
        words = get_args(kind)
        return _Accepts(f"one of {', '.join(words)}", lambda value: isinstance(value, str) and value in words)
    if origin is tuple:
        return _Accepts("a list of whole numbers", lambda value: isinstance(value, list) and all(map(_is_whole, value)))
    if origin is not None and issubclass(origin, Mapping):
        of = get_args(kind)[1]
        inner = _ANY if of is Any else _PLAIN[of]
        return _Accepts(f"an object of {inner.words}", lambda value: _is_object(value, inner.test))
    return _PLAIN[kind]


def _is_object(value: object, accepts: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and len(value) <= MOST_FIELDS and all(map(accepts, value.values()))


def _is_whole(value: object) -> bool:
    return type(value) is int and -MOST_INTEGER < value < MOST_INTEGER


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < MOST_INTEGER  # type: ignore[arg-type]  # told by type()


def _is_usage(value: object) -> bool:
    counts = {field.name for field in fields(ev.Usage)}
    return isinstance(value, dict) and all(
        name in counts and (count is None or (type(count) is int and 0 <= count <= MOST_TOKENS))
        for name, count in value.items()
    )


def _is_failure(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    status, after_s = value.get("status_code"), value.get("retry_after_s")
    return (
        isinstance(value.get("class"), str)
        and isinstance(value.get("sentence"), str)
        and isinstance(value.get("provider_words"), str | None)
        and (status is None or _is_whole(status))
        and (after_s is None or _is_number(after_s))
        and isinstance(value.get("was_sent", True), bool)
    )


_ANY = _Accepts("settings", lambda value: value is None or isinstance(value, str | int | float | bool | dict | list))
_PLAIN: Mapping[object, _Accepts] = {
    int: _Accepts("a whole number", _is_whole),
    float: _Accepts("a number", _is_number),
    str: _Accepts("text", lambda value: isinstance(value, str)),
    bool: _Accepts("true or false", lambda value: isinstance(value, bool)),
    NoneType: _Accepts("null", lambda value: value is None),
    Batch: _Accepts("a batch", lambda value: isinstance(value, dict) and isinstance(value.get("prompts"), list)),
    ev.Usage: _Accepts(f"counts of tokens up to {MOST_TOKENS:,}", _is_usage),
    CallFailed: _Accepts("a failure with its class and sentence", _is_failure),
}


def _fields_of(cls: type[ev.Event]) -> tuple[FieldRule, ...]:
    hints = get_type_hints(cls)
    found = []
    for field in fields(cls):
        accepts = _accepts(hints[field.name])
        needed = field.default is MISSING and field.default_factory is MISSING
        found.append(FieldRule(name=field.name, words=accepts.words, needed=needed, accepts=accepts.test))
    return tuple(found)


EXPECTED: Mapping[str, tuple[FieldRule, ...]] = {kind: _fields_of(cls) for kind, cls in ev.KINDS.items()}
"""Of each kind of event, by its fields."""
