"""What the sandbox leaves to chance, drawn from seeds: latency by the prompt, faults by the request's number.

Comes in: a profile, with the prompt's text or the request's ordinal. Goes out: whole nanoseconds, a fault's name, a
choice. The same in always gives the same out, in every process, so that one list measured twice has the same latencies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from fanout.sandbox.profile import SandboxProfile

NS_PER_MS = 1_000_000
MAX_LATENCY_MS = 86_400_000.0  # a day: what exp() of a wide sigma may not exceed

Fault = Literal["error", "hang", "truncation"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How one answer is paced, counted from the request's arrival."""

    first_token_ns: int
    token_ns: int

    def due_ns(self, token: int) -> int:
        """When the token of this index (0 is the first) is there."""
        return self.first_token_ns + token * self.token_ns

    def grown(self, *, in_flight: int, capacity: int | None) -> Latency:
        """The same at this load: in proportion to in_flight / capacity once that exceeds 1."""
        if capacity is None or in_flight <= capacity:
            return self
        return Latency(
            first_token_ns=self.first_token_ns * in_flight // capacity,
            token_ns=self.token_ns * in_flight // capacity,
        )


def latency(profile: SandboxProfile, text: str) -> Latency:
    """The latency of this text: two lognormals with the profile's medians and sigmas (Box-Muller)."""
    radius_draw, angle_draw = _uniforms(profile.seed, "latency", text)
    radius = math.sqrt(-2.0 * math.log(1.0 - radius_draw))
    first, further = radius * math.cos(2 * math.pi * angle_draw), radius * math.sin(2 * math.pi * angle_draw)
    return Latency(
        first_token_ns=_lognormal_ns(profile.first_token_ms, profile.first_token_sigma, first),
        token_ns=_lognormal_ns(profile.token_ms, profile.token_sigma, further),
    )


def fault(profile: SandboxProfile, ordinal: int) -> Fault | None:
    """What goes wrong with the request of this number, None for nothing."""
    if not (profile.error_rate or profile.hang_rate or profile.truncation_rate):
        return None
    draw, _ = _uniforms(profile.seed, "fault", str(ordinal))
    if draw < profile.error_rate:
        return "error"
    if draw < profile.error_rate + profile.hang_rate:
        return "hang"
    if draw < profile.error_rate + profile.hang_rate + profile.truncation_rate:
        return "truncation"
    return None


def choice(seed: int, text: str, options: Sequence[T]) -> T:
    """One of the options, always the same for the same seed and text."""
    draw, _ = _uniforms(seed, "choice", text)
    return options[int(draw * len(options))]


def _lognormal_ns(median_ms: float, sigma: float, normal: float) -> int:
    return round(min(MAX_LATENCY_MS, median_ms * math.exp(sigma * normal)) * NS_PER_MS)


def _uniforms(seed: int, purpose: str, text: str) -> tuple[float, float]:
    """Two draws from [0, 1) with 53 bits each; `purpose` keeps one draw from telling of another."""
    drawn = hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=16, key=seed.to_bytes(8, "big"), person=purpose.encode()
    ).digest()
    first, second = int.from_bytes(drawn[:8], "big"), int.from_bytes(drawn[8:], "big")
    return (first >> 11) / 2**53, (second >> 11) / 2**53
