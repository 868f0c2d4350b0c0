"""The rules of the Chrome trace format that Perfetto holds a timeline to, as a checker.

Comes in: a trace's text. Goes out: what is wrong with it, a sentence each; nothing for a good one. Sources: the Trace
Event Format's description and Perfetto's "importing JSON": slices of one thread must nest, never overlap halfway.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]

_NEEDED = {
    "X": ("name", "pid", "tid", "ts", "dur"),
    "M": ("name", "pid", "tid", "args"),
    "b": ("name", "cat", "id", "pid", "tid", "ts"),
    "e": ("name", "cat", "id", "pid", "tid", "ts"),
    "i": ("name", "pid", "tid", "ts", "s"),
    "C": ("name", "pid", "ts", "args"),
}
_TEXTS = ("name", "cat", "id", "s", "ph")
_WHOLE = ("pid", "tid", "ts", "dur")


def check_trace(text: str) -> list[str]:
    """Everything that breaks a rule, in the order of the rules; empty for a trace that Perfetto takes whole."""
    try:
        trace = json.loads(text, parse_constant=_refused)
    except ValueError as exc:
        return [f"not JSON: {exc}"]
    events = trace.get("traceEvents") if isinstance(trace, dict) else None
    if not isinstance(events, list):
        return ["no list of traceEvents"]
    faults = [fault for place, event in enumerate(events) for fault in _form(place, event)]
    if faults:
        return faults
    return [*_names(events), *_order(events), *_nesting(events), *_pairs(events), *_counters(events)]


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _form(place: int, event: object) -> Iterator[str]:
    if not isinstance(event, dict) or event.get("ph") not in _NEEDED:
        yield f"event {place}: unknown form {event!r}"
        return
    for key in _NEEDED[event["ph"]]:
        if key not in event:
            yield f"event {place} ({event['ph']}): no {key}"
    for key in _TEXTS:
        if key in event and not isinstance(event[key], str):
            yield f"event {place}: {key} is not text"
    for key in _WHOLE:
        if key in event and (type(event[key]) is not int or event[key] < 0):
            yield f"event {place}: {key} is not a whole number from 0: {event[key]!r}"
    if event["ph"] == "i" and event.get("s") not in ("t", "p", "g"):
        yield f"event {place}: an instant's scope is t, p or g"


def _names(events: list[Event]) -> Iterator[str]:
    """Every process and thread that has events has one name."""
    named = [(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"]
    used = {(e["pid"], e["tid"]) for e in events if e["ph"] != "M" and "tid" in e}
    yield from (f"thread {thread} has no name" for thread in sorted(used - set(named)))
    yield from (f"thread {thread} has two names" for thread in sorted({t for t in named if named.count(t) > 1}))
    processes = [e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"]
    if sorted(processes) != sorted({e["pid"] for e in events}):
        yield f"processes {sorted({e['pid'] for e in events})} are named {processes}"


def _order(events: list[Event]) -> Iterator[str]:
    """Events come in the order of time."""
    stamps = [event["ts"] for event in events if event["ph"] != "M"]
    if stamps != sorted(stamps):
        yield "events are not in the order of time"


def _nesting(events: list[Event]) -> Iterator[str]:
    """On one thread a slice lies wholly inside the one that is open, or begins where that has ended."""
    open_ends: dict[tuple[int, int], list[int]] = {}
    for place, event in enumerate(events):
        if event["ph"] != "X":
            continue
        ends = open_ends.setdefault((event["pid"], event["tid"]), [])
        start, end = event["ts"], event["ts"] + event["dur"]
        while ends and ends[-1] <= start:
            ends.pop()
        if ends and end > ends[-1]:
            yield f"event {place}: slice [{start}, {end}] reaches over the end {ends[-1]} of the one it began in"
        ends.append(end)


def _pairs(events: list[Event]) -> Iterator[str]:
    """Every b has its e, by category, id and name, the last begun ending first."""
    begun: dict[tuple[str, str], list[str]] = {}
    for place, event in enumerate(events):
        if event["ph"] not in "be":
            continue
        names = begun.setdefault((event["cat"], event["id"]), [])
        if event["ph"] == "b":
            names.append(event["name"])
        elif not names or names.pop() != event["name"]:
            yield f"event {place}: {event['name']!r} of {event['id']} ends and was not begun"
    yield from (f"{names} of {key} never end" for key, names in begun.items() if names)


def _counters(events: list[Event]) -> Iterator[str]:
    """A counter has the same series throughout, in numbers from 0, and one value at one instant."""
    series: dict[str, set[str]] = {}
    last: dict[str, int] = {}
    for place, event in enumerate(events):
        if event["ph"] != "C":
            continue
        name, values = event["name"], event["args"]
        if set(values) != series.setdefault(name, set(values)) or not values:
            yield f"event {place}: the series of {name!r} changed"
        if not all(type(value) in (int, float) and value >= 0 for value in values.values()):
            yield f"event {place}: {name!r} is not a number from 0: {values}"
        if last.get(name) == event["ts"]:
            yield f"event {place}: {name!r} has two values at {event['ts']}"
        last[name] = event["ts"]
