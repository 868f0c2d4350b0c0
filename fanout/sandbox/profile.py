"""How the sandbox behaves for one batch: a frozen value that travels with it.

Comes in: numbers from a page or the command line. Goes out: a checked `SandboxProfile` and its spelling in a URL,
so that the server keeps no list of profiles and nobody's change disturbs another's run. Knows no HTTP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from fanout.errors import BadInput

_COUNTS = (
    "requests_per_minute",
    "tokens_per_minute",
    "requests_per_day",
    "burst",
    "token_burst",
    "max_in_flight",
    "capacity",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProfile:
    """Latency, quota and faults of the simulated provider. Two equal profiles share one simulated account."""

    seed: int = 1
    """Of every draw: the same seed and prompt give the same latency and the same answer."""
    first_token_ms: float = 300.0
    """Median time to the first token, in ms; >= 0."""
    first_token_sigma: float = 0.5
    """Sigma of its lognormal, 0 (always the median) to 3."""
    token_ms: float = 15.0
    """Median time of each further token, in ms; >= 0."""
    token_sigma: float = 0.3
    """Sigma of its lognormal, drawn once a request, 0 to 3."""
    requests_per_minute: int | None = None
    """Requests the simulated account may send a minute; None is no limit."""
    tokens_per_minute: int | None = None
    """Tokens (prompt and answer) a minute; None is no limit."""
    requests_per_day: int | None = None
    """Requests in 24 hours from the account's first one; None is no limit."""
    burst: int | None = None
    """Requests that may start at one instant after a quiet while; None is a minute's worth."""
    token_burst: int | None = None
    """Tokens that may be used at one instant after a quiet while, and the most of one request; None as above."""
    max_in_flight: int | None = None
    """Calls in flight above which a further one is refused; None is no limit."""
    headers: bool = True
    """Whether responses tell of the limits, and a 429 how much they are and when to come again; it always names one."""
    hard_window: bool = False
    """The limits a minute hold for fixed minutes from the account's first request, and do not refill in between."""
    rejected_burn: bool = False
    """A refused request is taken off the requests a minute as well."""
    other_user_share: float = 0.0
    """Share of the requests and tokens a minute that another user of the same key takes, 0 to 0.9."""
    charge_max_tokens: bool = False
    """The token limit is charged with the longest answer asked for, where one was, and not with the answer's own."""
    error_rate: float = 0.0
    """Share of requests answered with a 500, 0 to 1."""
    hang_rate: float = 0.0
    """Share of requests that are never answered, 0 to 1."""
    truncation_rate: float = 0.0
    """Share of answers that end half-way, 0 to 1."""
    capacity: int | None = None
    """Requests in flight above which latency grows in proportion; None is no limit."""

    def __post_init__(self) -> None:
        for name in ("first_token_ms", "token_ms"):
            _number(name, getattr(self, name), low=0, high=600_000)
        for name in ("first_token_sigma", "token_sigma"):
            _number(name, getattr(self, name), low=0, high=3)
        for name in ("error_rate", "hang_rate", "truncation_rate"):
            _number(name, getattr(self, name), low=0, high=1)
        if self.error_rate + self.hang_rate + self.truncation_rate > 1:
            raise BadInput(
                "error_rate, hang_rate and truncation_rate are together more than 1, which is every call: "
                "lower one of them"
            )
        _number("other_user_share", self.other_user_share, low=0, high=0.9)
        for name in _COUNTS:
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), low=1, high=100_000_000)
        _whole("seed", self.seed, low=0, high=2**63 - 1)
        for name in ("headers", "hard_window", "rejected_burn", "charge_max_tokens"):
            if not isinstance(getattr(self, name), bool):
                raise BadInput(f"sandbox {name} must be true or false, got {getattr(self, name)!r}")
        self._check_burst("burst", "requests_per_minute")
        self._check_burst("token_burst", "tokens_per_minute")

    def _check_burst(self, name: str, limit: str) -> None:
        if getattr(self, name) is None:
            return
        if getattr(self, limit) is None:
            raise BadInput(f"sandbox {name} goes with {limit}: set that as well, or leave {name} out")
        if self.hard_window:
            raise BadInput(
                f"sandbox {name} goes with a limit that refills, not with a hard window: leave one of them out"
            )

    def as_json(self) -> dict[str, Any]:
        """The profile as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `as_json` wrote; names it does not know are refused."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise BadInput(f"the sandbox profile has no {', '.join(sorted(map(repr, unknown)))}")
        return cls(**values)

    def encoded(self) -> str:
        """The profile as one URL path segment (URL-safe base64 of what differs from the defaults)."""
        standard = SandboxProfile()
        changed = {k: v for k, v in self.as_json().items() if v != getattr(standard, k)}
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, segment: str) -> Self:
        """Read back what `encoded` wrote; raises BadInput on anything else."""
        try:
            padded = segment + "=" * (-len(segment) % 4)
            values = json.loads(base64.urlsafe_b64decode(padded.encode()))
        except (ValueError, RecursionError) as exc:
            raise BadInput("this is not a sandbox profile: copy the address again") from exc
        if not isinstance(values, dict):
            raise BadInput("this is not a sandbox profile: copy the address again")
        return cls.from_json(values)


def _number(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"sandbox {name} must be a number from {low:g} to {high:g}, got {value!r}")
    if not low <= value <= high:  # NaN is in no range
        raise BadInput(f"sandbox {name} must be from {low:g} to {high:g}, got {value!r}")


def _whole(name: str, value: object, *, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"sandbox {name} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise BadInput(f"sandbox {name} must be from {low} to {high}, got {value!r}")
