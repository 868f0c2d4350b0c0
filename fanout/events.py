"""What happened in a run: past-tense records, each with its instant and, where something chose, its reason.

Comes in: stamps taken where things happen. Goes out: frozen events and their JSON, tagged and versioned; a run is
`fold(events)` (see `fanout.run`). Events are never changed: a new field gets a default. Knows no clock and no thread.

All `at_ns` are integers of nanoseconds of one monotonic clock, whose zero means nothing; `RunOpened.opened_at_s` is
the wall time that belongs to its `at_ns`, for showing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from fanout.batch import Batch
from fanout.errors import BadInput, CallFailed
from fanout.reasons import Cap as Cap
from fanout.reasons import CapOf as CapOf
from fanout.reasons import Held as Held
from fanout.reasons import LimitName as LimitName
from fanout.reasons import LimitReason as LimitReason
from fanout.reasons import Purpose as Purpose
from fanout.reasons import StopReason as StopReason

SCHEMA_VERSION = 1
"""Written into every event's JSON; a newer one is refused, not misread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpened:
    """A run came to be. Always the first event."""

    kind: ClassVar[str] = "run_opened"
    at_ns: int
    run_id: str
    batch: Batch
    opened_at_s: float
    baseline_of: str | None = None
    """The run whose speed-up this one measures: the same list with one worker."""
    user_id: str = "local"
    """Who started it: a key of theirs, never an address."""
    user_name: str = "this machine"
    versions: Mapping[str, str] | None = None
    """Of Fanout, Python and the libraries that made the calls."""
    server: str | None = None
    """Where they were sent, as digits that tell servers apart and name none; None of the sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchOpened:
    """A stretch was asked for; its model is being made ready, its clock has not started."""

    kind: ClassVar[str] = "stretch_opened"
    at_ns: int
    stretch: int
    """From 0."""
    changes: Mapping[str, Any] | None = None
    """Settings of the batch that are others from here on, by field, as JSON."""
    user_name: str | None = None
    """Who asked for it, where it was not the one who started the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchBegan:
    """An uninterrupted part of the run began: its clock runs."""

    kind: ClassVar[str] = "stretch_began"
    at_ns: int
    stretch: int
    """From 0."""
    purpose: Purpose
    max_workers: int
    calls: tuple[int, ...]
    """The prompts' indexes that are queued at this instant, in sending order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchEnded:
    """Every call of the stretch has ended."""

    kind: ClassVar[str] = "stretch_ended"
    at_ns: int
    stretch: int
    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChanged:
    """From here on, this is what holds the next queued call back; None is nothing."""

    kind: ClassVar[str] = "hold_changed"
    at_ns: int
    held_by: Held | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An attempt took a worker."""

    kind: ClassVar[str] = "started"
    at_ns: int
    call: int
    attempt: int
    """From 1, over all stretches of the call."""
    lane: int
    """The worker's row, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The request left for the provider: from here on a quota slot is used."""

    kind: ClassVar[str] = "sent"
    at_ns: int
    call: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstToken:
    """The first piece of the answer arrived (streamed calls only)."""

    kind: ClassVar[str] = "first_token"
    at_ns: int
    call: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """An attempt failed; the call is sent again, not before `ready_ns`. It holds no worker until then."""

    kind: ClassVar[str] = "retrying"
    at_ns: int
    call: int
    attempt: int
    error: CallFailed
    received_ns: int | None = None
    ready_ns: int
    reason: Literal["backoff", "retry_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The call was answered; `received_ns` is when its last byte came."""

    kind: ClassVar[str] = "succeeded"
    at_ns: int
    call: int
    attempt: int
    output: str
    received_ns: int | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The call failed for good in this stretch."""

    kind: ClassVar[str] = "failed"
    at_ns: int
    call: int
    attempt: int
    error: CallFailed
    received_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The call was stopped; `attempt` is the one in flight, None where none was (it may have had attempts before)."""

    kind: ClassVar[str] = "cancelled"
    at_ns: int
    call: int
    attempt: int | None = None
    lost: bool = False
    """The process ended while the attempt was in flight: it may have been answered and billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The call took an answer that was there already: it was not sent and cost no quota slot."""

    kind: ClassVar[str] = "reused"
    at_ns: int
    call: int
    output: str
    of_run: str
    of_call: int
    """The prompt's index in that run, which may be this very one."""
    answered_at_s: float
    """When it was answered: wall time, seconds."""
    model: str | None = None
    """That answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The call was given up before anything of it was sent, because every call would fail alike."""

    kind: ClassVar[str] = "not_sent"
    at_ns: int
    call: int
    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """A limit came to be known, or moved, while the run went on; None is unknown."""

    kind: ClassVar[str] = "limit_changed"
    at_ns: int
    limit: Literal["max_workers"] | LimitName
    old: int | None
    new: int | None
    reason: LimitReason
    why: str | None = None
    """A sentence, where there is more to say than the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightChanged:
    """The run's share beside others on its account moved while the run was remembered."""

    kind: ClassVar[str] = "weight_changed"
    at_ns: int
    old: int
    new: int
    reason: Literal["user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapReached:
    """What may be used is used: nothing further starts until somebody raises the run's cap, or a new day begins."""

    kind: ClassVar[str] = "cap_reached"
    at_ns: int
    cap: Cap
    used: float
    """By what has ended, and by the estimate of what is in flight."""
    allowed: float
    of: CapOf = "run"
    expected: float | None = None
    """What the next call is expected to use; None: nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapRaised:
    """Somebody allowed the run more, or a day's cap holds it no longer."""

    kind: ClassVar[str] = "cap_raised"
    at_ns: int
    cap: Cap
    allowed: float
    of: CapOf = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """No further call starts from here on; calls in flight are cancelled."""

    kind: ClassVar[str] = "stop_asked"
    at_ns: int
    reason: StopReason
    error: CallFailed | None = None
    """The failure that every further call would share, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLagged:
    """Our own event loop woke up late: latencies around this instant include our own delay."""

    kind: ClassVar[str] = "client_lagged"
    at_ns: int
    lag_ns: int


Event = (
    RunOpened
    | StretchOpened
    | StretchBegan
    | StretchEnded
    | HoldChanged
    | Started
    | Sent
    | FirstToken
    | Retrying
    | Succeeded
    | Failed
    | Cancelled
    | Reused
    | NotSent
    | LimitChanged
    | WeightChanged
    | CapReached
    | CapRaised
    | StopAsked
    | ClientLagged
)
"""Everything that can happen to a run."""

KINDS: Mapping[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        RunOpened,
        StretchOpened,
        StretchBegan,
        StretchEnded,
        HoldChanged,
        Started,
        Sent,
        FirstToken,
        Retrying,
        Succeeded,
        Failed,
        Cancelled,
        Reused,
        NotSent,
        LimitChanged,
        WeightChanged,
        CapReached,
        CapRaised,
        StopAsked,
        ClientLagged,
    )
}


def as_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object: its kind, the schema's version and its fields."""
    cls = type(event)
    values: dict[str, Any] = {"kind": cls.kind, "version": SCHEMA_VERSION}
    for name in _FIELDS[cls]:
        values[name] = getattr(event, name)
    for name in _READ_FIELDS[cls]:
        if values[name] is not None:
            values[name] = _WRITERS[name](values[name])
    return values


def from_json(values: Mapping[str, Any]) -> Event:
    """Read back what `as_json` wrote. Raises BadInput on a newer version or an unknown kind."""
    if values.get("version", 0) > SCHEMA_VERSION:
        raise BadInput(f"this event was written by a newer Fanout (schema {values['version']}): update this one")
    cls = KINDS.get(values.get("kind", ""))
    if cls is None:
        raise BadInput(f"unknown kind of event: {values.get('kind')!r}")
    given = {name: values[name] for name in _FIELDS[cls] if name in values}
    for name in _READ_FIELDS[cls]:
        if given.get(name) is not None:
            given[name] = _READERS[name](given[name])
    return cls(**given)


_WRITERS: Mapping[str, Callable[[Any], object]] = {
    "error": lambda value: value.as_json(),
    "batch": lambda value: value.as_json(),
    "usage": lambda value: {"input_tokens": value.input_tokens, "output_tokens": value.output_tokens},
    "calls": list,
}
"""The fields that are not JSON as they are, by name: an event is written for every step of every call."""
_READERS: Mapping[str, Callable[[Any], object]] = {
    "error": CallFailed.from_json,
    "batch": Batch.from_json,
    "usage": lambda value: Usage(**value),
    "calls": tuple,
}
_FIELDS: Mapping[type, tuple[str, ...]] = {cls: tuple(field.name for field in fields(cls)) for cls in KINDS.values()}
_READ_FIELDS = {cls: tuple(name for name in names if name in _READERS) for cls, names in _FIELDS.items()}
