"""What is to be run: prompts, a model and the settings, checked once and frozen.

Comes in: whatever a caller, a page or a command line gives. Goes out: a `Batch` that every later stage may trust,
or a `BadInput` that says which value was wrong and what is expected. Knows neither files (`prompts`) nor providers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from fanout.errors import BadInput
from fanout.letters import sendable
from fanout.names import visible
from fanout.sandbox.profile import SandboxProfile

MOST_WORKERS = 512
"""The ceiling of max_workers: past it pool threads cost more than they carry (docs/performance.md)."""
MOST_RETRIES = 20
MOST_TIMEOUT_S = 3600.0
MOST_QUOTA = 10_000_000_000
"""Of a rate or a cap: far beyond any account's."""
MOST_WEIGHT = 100
STREAM_UP_TO_WORKERS = 16
"""With `stream=None`, calls stream up to this many workers: a streamed call costs 4 ms of CPU, a plain one 2.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Prompts to be sent side by side, and how. Raises BadInput on anything that cannot be run.

    >>> Batch(prompts=["Reply: alpha"]).model
    'sandbox'
    """

    prompts: Sequence[str]
    """One call each, at least one; kept as a tuple. None may be blank; half a letter in one is replaced by U+FFFD."""
    model: str = "sandbox"
    """`sandbox`, or a pydantic-ai model string such as `openai-chat:gpt-5-mini`."""
    max_workers: int = 8
    """Calls in flight at most, 1 to 512. The slider can change it while the run goes on."""
    instructions: str | None = None
    """The system prompt of every call."""
    temperature: float | None = None
    """0 to 2; None leaves it to the provider."""
    max_output_tokens: int | None = None
    """Tokens an answer may have, >= 1; None leaves it to the provider."""
    timeout_s: float = 60.0
    """Seconds one attempt may take, from sending to its last byte; above 0, at most an hour."""
    retries: int = 2
    """Further attempts after a timeout, a lost connection, a 5xx or a 429; 0 to 20. See `fanout.retry`."""
    stream: bool | None = None
    """Stream the answers to learn the time to first token; None streams up to 16 workers."""
    name: str | None = None
    """What people call this run."""
    auto_workers: bool = False
    """Whether max_workers is a ceiling, under which Little's law sizes the calls in flight (`fanout.tuning.auto`)."""
    requests_per_minute: int | None = None
    """Requests this run may start a minute; None is what the account allows. Never more than that."""
    tokens_per_minute: int | None = None
    """Tokens (input and output) this run may use a minute; None is what the account allows. Never more than that."""
    burst: int | None = None
    """Requests that may start at one instant after a quiet while; None is the account's, or one second's worth."""
    weight: int = 1
    """This run's share beside others on the same account, 1 to 100; more than 1 only where the settings allow it."""
    cap_tokens: int | None = None
    """Tokens (input and output) after which the run pauses and asks; None is no cap."""
    cap_usd: float | None = None
    """Dollars after which the run pauses and asks; None is no cap."""
    reuse_answers: bool = False
    """Whether prompts that were answered before, by the same model under the same settings, take that answer."""
    identical_once: bool = False
    """Whether identical prompts of this batch are sent once, and share the answer."""
    sandbox: SandboxProfile | None = None
    """How the sandbox behaves for this batch; only with model `sandbox`, which takes the default for None."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", _prompts(self.prompts))
        object.__setattr__(self, "model", _model(self.model))
        object.__setattr__(self, "instructions", _text("instructions", self.instructions))
        object.__setattr__(self, "name", visible(_text("name", self.name)))
        check_max_workers(self.max_workers)
        if self.temperature is not None:
            _number("temperature", self.temperature, low=0.0, high=2.0)
        if self.max_output_tokens is not None:
            whole("max_output_tokens", self.max_output_tokens, low=1, high=10_000_000)
        _number("timeout_s", self.timeout_s, low=0.0, high=MOST_TIMEOUT_S, above=True)
        whole("retries", self.retries, low=0, high=MOST_RETRIES)
        if self.stream is not None and not isinstance(self.stream, bool):
            raise BadInput(f"stream must be True, False or None, got {self.stream!r}")
        for name in ("auto_workers", "reuse_answers", "identical_once"):
            if not isinstance(getattr(self, name), bool):
                raise BadInput(f"{name} must be True or False, got {getattr(self, name)!r}")
        for name in ("requests_per_minute", "tokens_per_minute", "burst", "cap_tokens"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), low=1, high=MOST_QUOTA)
        check_weight(self.weight)
        if self.cap_usd is not None:
            _number("cap_usd", self.cap_usd, low=0.0, high=1_000_000.0, above=True)
        if self.sandbox is not None and not isinstance(self.sandbox, SandboxProfile):
            raise BadInput(f"sandbox must be a SandboxProfile, got {type(self.sandbox).__name__}")
        if self.sandbox is not None and self.model != "sandbox":
            raise BadInput(f"a sandbox profile goes with the model 'sandbox' only, got {self.model!r}")

    @property
    def streams(self) -> bool:
        """Whether calls are streamed, the default settled."""
        return self.max_workers <= STREAM_UP_TO_WORKERS if self.stream is None else self.stream

    def as_json(self) -> dict[str, Any]:
        """The batch as a JSON object; it holds no key."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["prompts"] = list(self.prompts)
        values["sandbox"] = None if self.sandbox is None else self.sandbox.as_json()
        return values

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """This batch with some settings changed, given as `as_json` writes them. Raises BadInput on any other.

        With another model than the sandbox, the sandbox's profile goes.
        """
        if not changes:
            return self
        known = {field.name for field in fields(self)} - {"prompts"}
        for name in changes:
            if name not in known:
                raise BadInput(f"a run can go on with other settings, but {name!r} is none of them")
        profile = {} if changes.get("model", "sandbox") == "sandbox" else {"sandbox": None}
        return self.from_json({**self.as_json(), **profile, **changes})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `as_json` wrote."""
        profile = values.get("sandbox")
        known = {field.name for field in fields(cls)}
        settings = {k: v for k, v in values.items() if k in known and k != "sandbox"}
        return cls(**settings, sandbox=None if profile is None else SandboxProfile.from_json(profile))


def check_max_workers(value: object) -> int:
    """`value` as max_workers, or BadInput."""
    return whole("max_workers", value, low=1, high=MOST_WORKERS)


def check_weight(value: object) -> int:
    """`value` as a weight, or BadInput. What the settings allow may be less."""
    return whole("weight", value, low=1, high=MOST_WEIGHT)


def _prompts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadInput(f"prompts must be a list of texts, got {type(value).__name__}")
    if not value:
        raise BadInput("there are no prompts: give at least one")
    for number, prompt in enumerate(value, start=1):
        if not isinstance(prompt, str):
            raise BadInput(f"prompt {number} must be text, got {type(prompt).__name__}")
        if not prompt.strip():
            raise BadInput(f"prompt {number} is blank: remove it or fill it in")
    return tuple(sendable(prompt) for prompt in value)


def _model(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"model must be 'sandbox' or 'provider:name', got {value!r}")
    return value.strip()


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadInput(f"{name} must be text, got {type(value).__name__}")
    return sendable(value) if value.strip() else None


def _number(name: str, value: object, *, low: float, high: float, above: bool = False) -> None:
    expected = f"a number {'above' if above else 'from'} {low:g} {'and at most' if above else 'to'} {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{name} must be {expected}, got {value!r}")
    if not low <= value <= high or (above and value == low):
        raise BadInput(f"{name} must be {expected}, got {value!r}")


def whole(name: str, value: object, *, low: int, high: int) -> int:
    """`value` as a whole number within these bounds, or BadInput that names it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    if not low <= value <= high:
        raise BadInput(f"{name} must be from {low} to {high}, got {value!r}")
    return value


def twins(prompts: Sequence[str], calls: Sequence[int]) -> dict[int, list[int]]:
    """For each prompt that comes again, its first call and the others."""
    first: dict[str, int] = {}
    found: dict[int, list[int]] = {}
    for call in calls:
        leader = first.setdefault(prompts[call], call)
        if leader != call:
            found.setdefault(leader, []).append(call)
    return found
