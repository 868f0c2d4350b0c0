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

SCHEMA_VERSION = 1
"""Written into every event's JSON; a newer one is refused, not misread."""

LimitName = Literal[
    "requests", "tokens", "input_tokens", "output_tokens", "requests_per_day", "tokens_per_day", "concurrency"
]
"""A limit of an account by the name of the wait that it causes; the first four are a minute's."""

Held = Literal[
    "workers",
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "requests_per_day",
    "tokens_per_day",
    "concurrency",
    "turn",
    "penalty",
    "cap",
    "paused",
]
"""What holds the next call back: no free worker, a named quota, the ceiling on calls in flight, another run's turn at
a shared quota, a 429's penalty, the run's own cap, a pause."""

Purpose = Literal["first", "retry", "resume"]
"""Why a stretch began: the first sending, failed prompts sent again, going on after a process ended."""

StopReason = Literal[
    "finished",
    "stopped",
    "key_refused",
    "model_unknown",
    "quota_exhausted",
    "provider_down",
    "same_failure",
    "not_ready",
    "interrupted",
]
"""Why a stretch ended: all prompts ended; the user stopped it; a failure that every call would share; nothing but
faults of the provider in a row; the same refusal of every prompt; the model could not be made ready; the engine was
closed."""

LimitReason = Literal["user", "auto", "run", "setting", "header", "learnt"]
"""Who moved a limit: the user; the automatic max_workers; what the run asked for; `fanout.toml`; a response's
headers; 429s."""

Cap = Literal["tokens", "usd"]
"""What a run's own cap counts."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchOpened:
    """A stretch was asked for; its model is being made ready, its clock has not started."""

    kind: ClassVar[str] = "stretch_opened"
    at_ns: int
    stretch: int
    """From 0."""


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
    """The run has used what it was allowed: nothing further starts until somebody raises the cap."""

    kind: ClassVar[str] = "cap_reached"
    at_ns: int
    cap: Cap
    used: float
    """By what has ended, and by the estimate of what is in flight."""
    allowed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapRaised:
    """Somebody allowed the run more."""

    kind: ClassVar[str] = "cap_raised"
    at_ns: int
    cap: Cap
    allowed: float


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
    values: dict[str, Any] = {"kind": event.kind, "version": SCHEMA_VERSION}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, CallFailed | Batch):
            value = value.as_json()
        elif isinstance(value, Usage):
            value = {"input_tokens": value.input_tokens, "output_tokens": value.output_tokens}
        elif isinstance(value, tuple):
            value = list(value)
        values[field.name] = value
    return values


def from_json(values: Mapping[str, Any]) -> Event:
    """Read back what `as_json` wrote. Raises BadInput on a newer version or an unknown kind."""
    if values.get("version", 0) > SCHEMA_VERSION:
        raise BadInput(f"this event was written by a newer Fanout (schema {values['version']}): update this one")
    cls = KINDS.get(values.get("kind", ""))
    if cls is None:
        raise BadInput(f"unknown kind of event: {values.get('kind')!r}")
    known = {field.name for field in fields(cls)}
    given = {name: value for name, value in values.items() if name in known}
    for name, read in _READERS.items():
        if given.get(name) is not None:
            given[name] = read(given[name])
    return cls(**given)


_READERS: Mapping[str, Callable[[Any], object]] = {
    "error": CallFailed.from_json,
    "batch": Batch.from_json,
    "usage": lambda value: Usage(**value),
    "calls": tuple,
}
