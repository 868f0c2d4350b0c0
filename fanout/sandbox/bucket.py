"""The simulated account's quota: token buckets in exact integers, on an instant that is given.

Comes in: what a request costs, and when. Goes out: `Admission`, that it may pass or when it might, and the rate-limit
headers that say so honestly. Knows no HTTP beyond the spelling of those headers, and no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fanout.sandbox.profile import SandboxProfile

NS_PER_MINUTE = 60_000_000_000
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

Resource = Literal["requests", "tokens"]


class TokenBucket:
    """Holds at most `per_minute` tokens, full at first, and gains as many a minute, continuously.

    The level is counted in 1/60,000,000,000 of a token, so that one nanosecond's gain is a whole number and no
    sequence of calls rounds anything away.
    """

    __slots__ = ("_at_ns", "_level", "per_minute")

    def __init__(self, *, per_minute: int, at_ns: int) -> None:
        self.per_minute = per_minute
        self._level = per_minute * NS_PER_MINUTE
        self._at_ns = at_ns

    def _refill(self, at_ns: int) -> None:
        gained = max(0, at_ns - self._at_ns) * self.per_minute
        self._level = min(self.per_minute * NS_PER_MINUTE, self._level + gained)
        self._at_ns = max(self._at_ns, at_ns)

    def wait_ns(self, cost: int, *, at_ns: int) -> int | None:
        """How long until `cost` tokens are there: 0 now, None never (more than the bucket holds)."""
        if cost > self.per_minute:
            return None
        self._refill(at_ns)
        missing = cost * NS_PER_MINUTE - self._level
        return max(0, -(-missing // self.per_minute))

    def take(self, cost: int, *, at_ns: int) -> None:
        """Take `cost` tokens that `wait_ns` said are there."""
        self._refill(at_ns)
        if cost * NS_PER_MINUTE > self._level:
            raise ValueError(f"{cost} tokens asked of a bucket that holds {self.remaining(at_ns=at_ns)}")
        self._level -= cost * NS_PER_MINUTE

    def remaining(self, *, at_ns: int) -> int:
        """Whole tokens there now."""
        self._refill(at_ns)
        return self._level // NS_PER_MINUTE

    def reset_ns(self, *, at_ns: int) -> int:
        """How long until the bucket is full, if nobody takes."""
        self._refill(at_ns)
        missing = self.per_minute * NS_PER_MINUTE - self._level
        return -(-missing // self.per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Which limit a request did not pass, and how long until it would."""

    resource: Resource
    per_minute: int
    used: int
    requested: int
    wait_ns: int | None
    """None where it never would: the request alone is larger than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the account said to one request, with the headers that tell it."""

    refusal: Refusal | None
    headers: tuple[tuple[bytes, bytes], ...]


_UNLIMITED = Admission(refusal=None, headers=())


class Account:
    """One key's requests and tokens a minute: a request passes every limit or takes from none."""

    __slots__ = ("_requests", "_tokens")

    def __init__(self, profile: SandboxProfile, *, at_ns: int) -> None:
        self._requests = _bucket(profile.requests_per_minute, at_ns)
        self._tokens = _bucket(profile.tokens_per_minute, at_ns)

    def admit(self, *, tokens: int, at_ns: int) -> Admission:
        """Ask every limit, then book every limit, at one instant. A refused request takes nothing."""
        if self._requests is None and self._tokens is None:
            return _UNLIMITED
        refusal = self._refusal(tokens, at_ns)
        if refusal is None:
            for _, bucket, cost in self._costs(tokens):
                bucket.take(cost, at_ns=at_ns)
        return Admission(refusal=refusal, headers=self._headers(tokens, refusal, at_ns))

    def _costs(self, tokens: int) -> Iterator[tuple[Resource, TokenBucket, int]]:
        if self._requests is not None:
            yield "requests", self._requests, 1
        if self._tokens is not None:
            yield "tokens", self._tokens, tokens

    def _refusal(self, tokens: int, at_ns: int) -> Refusal | None:
        worst: Refusal | None = None
        for resource, bucket, cost in self._costs(tokens):
            wait_ns = bucket.wait_ns(cost, at_ns=at_ns)
            if wait_ns == 0:
                continue
            used = bucket.per_minute - bucket.remaining(at_ns=at_ns)
            refusal = Refusal(
                resource=resource, per_minute=bucket.per_minute, used=used, requested=cost, wait_ns=wait_ns
            )
            if worst is None or _longer(wait_ns, worst.wait_ns):
                worst = refusal
        return worst

    def _headers(self, tokens: int, refusal: Refusal | None, at_ns: int) -> tuple[tuple[bytes, bytes], ...]:
        headers: list[tuple[bytes, bytes]] = []
        for resource, bucket, _ in self._costs(tokens):
            name = resource.encode()
            headers.append((b"x-ratelimit-limit-" + name, b"%d" % bucket.per_minute))
            headers.append((b"x-ratelimit-remaining-" + name, b"%d" % bucket.remaining(at_ns=at_ns)))
            headers.append((b"x-ratelimit-reset-" + name, duration(bucket.reset_ns(at_ns=at_ns)).encode()))
        if refusal is not None:
            headers.extend(_retry_headers(refusal.wait_ns))
        return tuple(headers)


def _bucket(per_minute: int | None, at_ns: int) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute=per_minute, at_ns=at_ns)


def _longer(wait_ns: int | None, other_ns: int | None) -> bool:
    return other_ns is not None and (wait_ns is None or wait_ns > other_ns)


def _retry_headers(wait_ns: int | None) -> tuple[tuple[bytes, bytes], ...]:
    """Rounded up, so that who waits as told is not refused again for a fraction."""
    if wait_ns is None:
        return ((b"x-should-retry", b"false"),)
    return (
        (b"retry-after", b"%d" % -(-wait_ns // NS_PER_S)),
        (b"retry-after-ms", b"%d" % -(-wait_ns // NS_PER_MS)),
    )


def duration(ns: int) -> str:
    """A duration as OpenAI's headers spell it, rounded up to a millisecond: 0s, 120ms, 1.5s, 6m0s, 1h0m0s."""
    ms = -(-ns // NS_PER_MS)
    if 0 < ms < 1000:
        return f"{ms}ms"
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{ms:03}".rstrip("0").rstrip(".") if ms else str(seconds)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
