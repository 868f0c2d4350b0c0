"""Events as the text of a chunk and back, moved from one process's clock to another's, and under the present name.

A run's instants are of the monotonic clock of the process that began it. Another process that goes on with the run has
another clock: what it reads is moved onto its own, what it writes is moved back, so that the stored run keeps one time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from fanout.events import Event, RunOpened, StretchOpened, as_json
from fanout.events import from_json as event_from_json


def write(events: Iterable[Event]) -> str:
    """A JSON array of the events."""
    values = [as_json(event) for event in events]
    try:
        return to_json(values).decode()
    except (PydanticSerializationError, UnicodeError):  # an unpaired surrogate in an answer
        return json.dumps(values)


def read(text: str) -> list[Event]:
    """The events of such an array."""
    return [event_from_json(value) for value in values_of(text)]


def values_of(text: str) -> list[dict[str, Any]]:
    """Their JSON objects."""
    try:
        values = from_json(text)
    except ValueError:  # an unpaired surrogate is legal JSON all the same
        values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError("a chunk of events is a JSON array")
    return values


def moved(events: Sequence[Event], by_ns: int) -> tuple[Event, ...]:
    """The events, every instant of them later by `by_ns`."""
    if by_ns == 0:
        return tuple(events)
    return tuple(_moved(event, by_ns) for event in events)


def under_name(events: Iterable[Event], name: str | None) -> tuple[Event, ...]:
    """The events of a run as if it had always been called so: the names that it had before are in none of them."""
    return tuple(_under_name(event, name) for event in events)


def _under_name(event: Event, name: str | None) -> Event:
    if isinstance(event, RunOpened) and event.batch.name != name:
        return replace(event, batch=replace(event.batch, name=name))
    if isinstance(event, StretchOpened) and "name" in (event.changes or {}):
        return replace(event, changes={key: value for key, value in (event.changes or {}).items() if key != "name"})
    return event


def _moved(event: Event, by_ns: int) -> Event:
    changes: dict[str, int] = {"at_ns": event.at_ns + by_ns}
    for name in ("received_ns", "ready_ns"):
        value = getattr(event, name, None)
        if value is not None:
            changes[name] = value + by_ns
    return replace(event, **changes)  # type: ignore[arg-type]  # both are instants of events that have them
