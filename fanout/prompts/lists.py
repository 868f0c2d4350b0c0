"""A JSON object that holds lists -> the one list whose entries are meant, and the names by which each can be asked for.

Comes in: the object, and the name asked for, if any. Goes out: a `Picked`, or None where it cannot be told. A list of
texts goes by its own name, the texts of a list of objects by its name and theirs: `train.text`. Knows no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanout.prompts.fields import Absent, text_fields, value_at

_DEEPEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The list, and the field of its objects that holds the prompts; None where none was asked for."""

    values: Sequence[object]
    field: str | None


def pick(holder: Mapping[str, object], field: str | None) -> Picked | None:
    """The list that is called `field`; else the one whose objects have it; else the one that begins its path; else,
    where nothing certain was asked for, the only one."""
    lists = _lists(holder)
    if field is not None and field in lists:
        values = lists[field]
        return Picked(values=values, field=field if any(_has(each, field) for each in values) else "prompt")
    having = [name for name, values in lists.items() if any(_has(each, field) for each in values)]
    if len(having) == 1:
        return Picked(values=lists[having[0]], field=field)
    for name, values in lists.items():
        inner = (field or "").removeprefix(f"{name}.")
        if inner != field and any(_has(each, inner) for each in values):
            return Picked(values=values, field=inner)
    if field in (None, "prompt") and len(lists) == 1 and (only := next(iter(lists))) in holder:
        return Picked(values=lists[only], field=field)  # one further down may be anything: its name is asked for
    return None


def offers(holder: Mapping[str, object]) -> dict[str, float]:
    """The names to choose from, with how many letters the texts under each have in all."""
    lengths: dict[str, float] = {}
    for name, values in _lists(holder).items():
        for value in values:
            if isinstance(value, str):
                lengths[name] = lengths.get(name, 0) + len(value)
            elif isinstance(value, dict):
                for inner in text_fields(value):
                    text = value_at(value, inner)
                    lengths[f"{name}.{inner}"] = lengths.get(f"{name}.{inner}", 0) + len(str(text))
    return lengths


def has_several(holder: Mapping[str, object]) -> bool:
    """Whether there is more than one list to choose from."""
    return len(_lists(holder)) > 1


def _lists(holder: Mapping[str, object], deeper: int = _DEEPEST) -> dict[str, Sequence[object]]:
    """The lists that may hold prompts, those of its objects too: `data.items`."""
    found: dict[str, Sequence[object]] = {}
    for name, each in holder.items():
        if isinstance(each, list) and holds_prompts(each):
            found[name] = each
        elif deeper and isinstance(each, dict):
            found.update((f"{name}.{inner}", values) for inner, values in _lists(each, deeper - 1).items())
    return found


def holds_prompts(values: Sequence[object]) -> bool:
    """Whether each of them is a text or an object."""
    return bool(values) and all(isinstance(each, dict | str) for each in values)


def _has(value: object, field: str | None) -> bool:
    if not isinstance(value, dict) or field is None:
        return False
    try:
        value_at(value, field)
    except Absent:
        return False
    return True
