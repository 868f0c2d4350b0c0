"""The texts inside a JSON object: its own fields, and those of the objects and lists in it, by a path.

Comes in: an object. Goes out: texts by their names: `prompt`, `row.text`, `messages.user.content`. Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fanout.prompts.names import is_prompt_name

_DEEPEST = 6
_USERS = ("user", "human")
_NO_TEXTS = ("role", "from", "type")


class Absent(Exception):
    """An object has no such field."""


def value_at(entry: Mapping[str, object], name: str) -> object:
    """The field of that name, or what its path leads to. Raises Absent.

    A part of the path is a field's name; in a list a number, -1 for the last; in a list of messages also who sent one,
    for the last of theirs.
    """
    if name in entry:
        return entry[name]
    value: object = entry
    for part in name.split("."):
        try:
            if isinstance(value, dict):
                value = value[part]
            elif isinstance(value, list):
                value = _by_sender(value)[part] if part in _by_sender(value) else value[int(part)]
            else:
                raise Absent
        except (KeyError, ValueError, IndexError):
            raise Absent from None
    return value


def text_fields(entry: Mapping[str, object]) -> Iterator[str]:
    """The names under which the object has texts. Of a list the last entry is looked at, of messages each sender's
    last one, the user's first."""
    return _texts(entry, "", _DEEPEST)


def likely_field(entry: Mapping[str, object], under: str = "") -> str | None:
    """A name that leads to a prompt further down (within the field `under`); None where nothing there looks so."""
    below = (name for name in text_fields(entry) if name.startswith(f"{under}." if under else "") and "." in name)
    return next((name for name in below if _looks_like_prompt(name.split("."))), None)


def _looks_like_prompt(parts: Sequence[str]) -> bool:
    if set(parts) & set(_USERS):
        return parts[-1] in ("content", "text", "value")
    return is_prompt_name(parts[-1]) and not set(parts) & {"system", "developer", "assistant", "tool", "gpt", "model"}


def _texts(value: object, path: str, deeper: int) -> Iterator[str]:
    if isinstance(value, str) and path:
        yield path
    elif deeper and isinstance(value, dict):
        for name, each in value.items():
            if not path or name not in _NO_TEXTS:
                yield from _texts(each, f"{path}.{name}" if path else name, deeper - 1)
    elif deeper and isinstance(value, list) and value:
        senders = _by_sender(value)
        for sender in sorted(senders, key=lambda name: name not in _USERS):
            yield from _texts(senders[sender], f"{path}.{sender}", deeper - 1)
        if not senders:
            yield from _texts(value[-1], f"{path}.-1", deeper - 1)


def _by_sender(values: Sequence[object]) -> dict[str, object]:
    """The last message of each who sent one; empty where these are no messages."""
    senders = {}
    for each in values:
        sender = each.get("role", each.get("from")) if isinstance(each, dict) else None
        if not isinstance(sender, str):
            return {}
        senders[sender] = each
    return senders
