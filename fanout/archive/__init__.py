"""A run as a file that loses nothing: its events, one JSON object a line, under a header; and the way back.

Comes in: events, or the lines of such a file from anybody. Goes out: lines, or events of which a run can be folded and
asked everything. Knows no file, no page and no store. What is read is trusted with nothing: every field has its type
and its bounds, the events tell a story that can have happened, and whatever else is in the file is a BadInput that
names the line.

    {"kind": "fanout_run", "version": 2, "run_id": "3f2a...", "events": 1234, "tags": ["weekly"]}
    {"kind": "run_opened", "version": 1, "at_ns": 5000000000, ...}
    ...
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fanout import events as ev
from fanout.archive.expected import EXPECTED, MOST_AT_S, RUN_ID
from fanout.archive.story import Story
from fanout.errors import BadInput
from fanout.export import json_line

KIND = "fanout_run"
"""Of the header: what tells such a file from any other JSON lines."""
TAGGED_VERSION = 2
"""Of the header of a run with tags: a program that knows of none refuses it. Without tags the header is as ever."""
MOST_TAGS = 1_000
"""That are read; what a run may have is the store's."""
MOST_EVENTS = 5_000_000
MOST_CHARACTERS = 1_000_000_000
"""Of all lines; a run of 10,000 calls has about ten million."""
NOT_A_RUN = "this is not a run file: expected what “Run file” on a run's page, or `export --format run`, saves"
SHOWN_CHARACTERS = 60
"""Of a wrong value inside our sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What such a file holds."""

    events: tuple[ev.Event, ...]
    tags: tuple[str, ...] = ()


def write_events(events: Sequence[ev.Event], *, tags: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the file, each with its line end: a header, then an event a line, as `events.as_json` spells it."""
    opened = events[0]
    if not isinstance(opened, ev.RunOpened):
        raise ValueError("the first event of a run is RunOpened")
    version = TAGGED_VERSION if tags else ev.SCHEMA_VERSION
    header = {"kind": KIND, "version": version, "run_id": opened.run_id, "events": len(events)}
    if tags:
        header["tags"] = list(tags)
    yield json_line(header) + "\n"
    for event in events:
        yield json_line(ev.as_json(event)) + "\n"


def export_run(events: Sequence[ev.Event], *, tags: Sequence[str] = ()) -> str:
    """The whole file as one text; `import_run` gives the same events back, `read_run` the tags too."""
    return "".join(write_events(events, tags=tags))


def read_events(lines: Iterable[str]) -> tuple[ev.Event, ...]:
    """The events that such lines hold. Raises BadInput, with the line's number, on anything else."""
    return _read(lines).events


def _read(lines: Iterable[str]) -> RunFile:
    numbered = _numbered(lines)
    try:
        first = next(numbered, None)
    except BadInput as exc:
        raise BadInput(f"{NOT_A_RUN}; {exc}") from exc
    if first is None:
        raise BadInput("this file is empty: expected a run that Fanout saved as a run file")
    promised = _header(first)
    events: list[ev.Event] = []
    story: Story | None = None
    for line in numbered:
        if len(events) == promised.events:
            raise BadInput(f"line {line.number}: expected the end of the file after {promised.events:,} events")
        event = _event(line)
        if story is None:
            story = Story(_opened(event, promised, line))
        else:
            problem = story.take(event)
            if problem is not None:
                raise BadInput(f"line {line.number}: {event.kind} cannot be: {problem}")
        events.append(event)
    if story is None or len(events) < promised.events:
        raise BadInput(
            f"this file ends after {len(events):,} of {promised.events:,} events: it was cut off, save it once more"
        )
    story.answers()
    return RunFile(events=tuple(events), tags=promised.tags)


def import_run(text: str | bytes) -> tuple[ev.Event, ...]:
    """The events of a file given as a whole. Raises BadInput as `read_events` does."""
    return read_run(text).events


def read_run(text: str | bytes) -> RunFile:
    """The run of a file given as a whole, ready to be stored. Raises BadInput as `read_events` does."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise BadInput(f"{NOT_A_RUN}; expected UTF-8 text") from exc
    # Not splitlines: it cuts at letters that may stand within a text.
    return _read(text.removeprefix("\ufeff").split("\n"))


def renamed(events: Sequence[ev.Event], run_id: str) -> tuple[ev.Event, ...]:
    """The same run under another id, for where its own is taken."""
    if not RUN_ID.fullmatch(run_id):
        raise BadInput(f"a run's id is 1 to 64 letters, digits, - and _, got {run_id!r}")
    opened = events[0]
    if not isinstance(opened, ev.RunOpened):
        raise ValueError("the first event of a run is RunOpened")
    return (replace(opened, run_id=run_id), *events[1:])


# --- lines and objects --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Promised:
    """What the header says of what follows."""

    run_id: str
    events: int
    tags: tuple[str, ...]


def _numbered(lines: Iterable[str]) -> Iterator[_Line]:
    """Every line that is not blank, as an object."""
    characters = 0
    for number, text in enumerate(lines, start=1):
        characters += len(text)
        if characters > MOST_CHARACTERS:
            raise BadInput(f"line {number}: this file has more than {MOST_CHARACTERS:,} characters: it is not read")
        if text.strip():
            yield _Line(number=number, value=_object(number, text))


def _object(number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"line {number}: expected a JSON object, got {_shown(text.strip())}") from exc
    if not isinstance(value, dict):
        raise BadInput(f"line {number}: expected a JSON object, got {_shown(value)}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _header(line: _Line) -> _Promised:
    value = line.value
    if value.get("kind") != KIND:
        wanted = f'the header of a run file ("kind": "{KIND}")'
        raise BadInput(f"{NOT_A_RUN}; line {line.number}: expected {wanted}, got {_shown(value)}")
    _version(line, newest=TAGGED_VERSION)
    run_id, events = value.get("run_id"), value.get("events")
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise BadInput(
            f"line {line.number}: run_id must be 1 to 64 letters, digits, - and _, got {_shown(value.get('run_id'))}"
        )
    if type(events) is not int or not 1 <= events <= MOST_EVENTS:
        raise BadInput(
            f"line {line.number}: events must be a whole number from 1 to {MOST_EVENTS:,}, got {_shown(events)}"
        )
    tags = value.get("tags", [])
    if not isinstance(tags, list) or len(tags) > MOST_TAGS or not all(isinstance(tag, str) for tag in tags):
        raise BadInput(f"line {line.number}: tags must be a list of up to {MOST_TAGS:,} texts, got {_shown(tags)}")
    return _Promised(run_id=run_id, events=events, tags=tuple(tags))


def _version(line: _Line, *, newest: int = ev.SCHEMA_VERSION) -> None:
    version = line.value.get("version")
    if type(version) is not int or version < 1:
        raise BadInput(f"line {line.number}: version must be a whole number from 1, got {_shown(version)}")
    if version > newest:
        raise BadInput(
            f"line {line.number}: this run was saved by a newer Fanout (schema {version}, this one reads "
            f"{newest}): update this one"
        )


def _event(line: _Line) -> ev.Event:
    _version(line)
    kind = line.value.get("kind")
    expected = EXPECTED.get(kind) if isinstance(kind, str) else None
    if expected is None:
        raise BadInput(f"line {line.number}: unknown kind of event: {_shown(kind)}")
    for each in expected:
        if each.name not in line.value:
            if each.needed:
                raise BadInput(f"line {line.number}: {kind} lacks {each.name}, which must be {each.words}")
        elif not each.accepts(line.value[each.name]):
            got = _shown(line.value[each.name])
            raise BadInput(f"line {line.number}: {each.name} of {kind} must be {each.words}, got {got}")
    try:
        return ev.from_json(line.value)
    except BadInput as exc:
        raise BadInput(f"line {line.number}: {exc}") from exc
    except (TypeError, ValueError, AttributeError) as exc:
        raise BadInput(f"line {line.number}: {kind} cannot be read: {_shown(line.value)}") from exc


def _opened(event: ev.Event, promised: _Promised, line: _Line) -> ev.RunOpened:
    if not isinstance(event, ev.RunOpened):
        raise BadInput(f"line {line.number}: expected run_opened as the first event, got {event.kind}")
    if event.run_id != promised.run_id:
        raise BadInput(f"line {line.number}: run_opened is of {_shown(event.run_id)}, the header of {promised.run_id}")
    if event.baseline_of is not None and not RUN_ID.fullmatch(event.baseline_of):
        raise BadInput(f"line {line.number}: baseline_of is no run's id: {_shown(event.baseline_of)}")
    if not 0 <= event.opened_at_s < MOST_AT_S:
        raise BadInput(f"line {line.number}: opened_at_s must be seconds since 1970, got {event.opened_at_s!r}")
    return event


def _shown(value: object) -> str:
    """A value in a sentence: short, whatever it was."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        return type(value).__name__
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
