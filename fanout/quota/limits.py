"""What an account may use of a model: a checked, frozen value, and where each of its numbers came from.

Comes in: numbers of the settings, a page or a command line. Goes out: `Limits`, or BadInput with the number that is
wrong. Knows no time and no provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from fanout.errors import BadInput
from fanout.events import LimitName

RATES: tuple[LimitName, ...] = (
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "requests_per_day",
    "tokens_per_day",
)
"""The limits that fill again with time; `concurrency` is given back by calls."""
TOKENS: frozenset[LimitName] = frozenset({"tokens", "input_tokens", "output_tokens"})
"""Of a minute: what a call takes of these is an estimate until it has ended."""

Source = Literal["run", "setting", "header", "learnt"]
"""Where a limit's number came from: the run asked for it; `fanout.toml`; a response; 429s."""

Charge = Literal["used", "max_tokens"]
"""What a provider takes off the token limits for an answer: the tokens it has, or the most it might have had."""

MOST = 10_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one account allows for one model. None is unknown, and then learnt. Raises BadInput."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together."""
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    max_in_flight: int | None = None
    """Calls in flight at most, over all runs on this account and model."""
    burst: int | None = None
    """Requests that may start at one instant after a quiet while; None is one second's worth, at least 1."""
    charge: Charge | None = None
    """None is what the provider's documents say, and "used" where they are not known."""
    never_exceed: bool = False
    """For a provider that counts each window by itself: no 60 s hold more than the limit, at the price of the burst."""
    day_zone: str | None = None
    """The time zone whose midnight ends a day's limits; None is what the provider's documents say, else UTC."""
    max_weight: int = 1
    """The largest weight a run may give itself among the runs that share this account, >= 1."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("charge", "never_exceed", "day_zone"):
                continue
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST):
                raise BadInput(f"the limit {field.name} must be a whole number from 1 to {MOST:,}, got {value!r}")
        if self.charge not in (None, "used", "max_tokens"):
            raise BadInput(f"the limit's charge must be 'used' or 'max_tokens', got {self.charge!r}")
        if not isinstance(self.never_exceed, bool):
            raise BadInput(f"the limit's never_exceed must be true or false, got {self.never_exceed!r}")

    def rate(self, name: LimitName) -> int | None:
        """The number of this limit: of its minute or day, or of calls in flight; None where it is unknown."""
        return _NUMBERS[name](self)

    def as_json(self) -> dict[str, Any]:
        """The limits as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `as_json` wrote, or a table of `fanout.toml`; names it does not know are refused."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            known = ", ".join(field.name for field in fields(cls))
            raise BadInput(f"a limit has no {', '.join(sorted(map(repr, unknown)))}: expected {known}")
        return cls(**values)


def check_weight(weight: int, limits: Limits, *, model: str) -> None:
    """Raise BadInput where the settings allow no run of this model such a share."""
    most = limits.max_weight
    if weight > most:
        allowed = "must be 1" if most == 1 else f"must be at most {most}"
        raise BadInput(f"weight {allowed} for {model}, got {weight}: more needs a max_weight for it in fanout.toml")


_NUMBERS: Mapping[LimitName, Callable[[Limits], int | None]] = {
    "requests": lambda limits: limits.requests_per_minute,
    "tokens": lambda limits: limits.tokens_per_minute,
    "input_tokens": lambda limits: limits.input_tokens_per_minute,
    "output_tokens": lambda limits: limits.output_tokens_per_minute,
    "requests_per_day": lambda limits: limits.requests_per_day,
    "tokens_per_day": lambda limits: limits.tokens_per_day,
    "concurrency": lambda limits: limits.max_in_flight,
}
