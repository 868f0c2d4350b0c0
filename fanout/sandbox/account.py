"""The simulated account: all limits of one key, asked and booked at one instant that is given.

Comes in: what a request costs, when it arrives, and that it has ended. Goes out: `Admission`, that it may pass, or the
limit it did not pass and when it might. Knows no clock; `spelling` puts into words what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from fanout.sandbox.bucket import NS_PER_DAY, NS_PER_MINUTE, PPM, Allowance, FixedWindow, TokenBucket
from fanout.sandbox.profile import SandboxProfile

Resource = Literal["requests", "tokens", "requests_per_day", "concurrency"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Which limit a request did not pass, and how long until it would."""

    resource: Resource
    limit: int
    at_once: int
    """The most that is ever there at one instant; other than `limit` with a burst or another user."""
    used: int
    requested: int
    wait_ns: int | None
    """None where nobody can tell: too large, or waiting for a call to end."""
    too_large: bool = False
    """It never would: the request alone is larger than what is ever there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one limit stands after a request."""

    resource: Resource
    limit: int
    remaining: int
    reset_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the account said to one request, and how its limits a minute stand now."""

    refusal: Refusal | None
    standings: tuple[Standing, ...]


_UNLIMITED = Admission(refusal=None, standings=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    resource: Resource
    allowance: Allowance

    def cost(self, tokens: int) -> int:
        return tokens if self.resource == "tokens" else 1

    def refusal(self, tokens: int, at_ns: int) -> Refusal | None:
        cost, allowance = self.cost(tokens), self.allowance
        wait_ns = allowance.wait_ns(cost, at_ns=at_ns)
        if wait_ns == 0:
            return None
        return Refusal(
            resource=self.resource,
            limit=allowance.limit,
            at_once=allowance.capacity,
            used=allowance.used(at_ns=at_ns),
            requested=cost,
            wait_ns=wait_ns,
            too_large=wait_ns is None,
        )


class Account:
    """One key's limits: a request passes every limit or takes from none, unless rejected calls burn quota."""

    __slots__ = ("_in_flight", "_limits", "_max_in_flight", "_rejected_burn")

    def __init__(self, profile: SandboxProfile, *, at_ns: int) -> None:
        """`at_ns` is the instant of the account's first request: its windows and its day begin there."""
        self._limits = tuple(_limits(profile, at_ns))
        self._max_in_flight = profile.max_in_flight
        self._rejected_burn = profile.rejected_burn
        self._in_flight = 0

    def admit(self, *, tokens: int, at_ns: int) -> Admission:
        """Ask every limit, then book every limit, at one instant. Who is admitted must `release` at its end."""
        refusal = self._refusal(tokens, at_ns)
        if refusal is None:
            self._in_flight += 1
            for limit in self._limits:
                limit.allowance.take(limit.cost(tokens), at_ns=at_ns)
        elif self._rejected_burn:
            refusal = self._burned(refusal, tokens, at_ns)
        return Admission(refusal=refusal, standings=self._standings(at_ns)) if self._limits or refusal else _UNLIMITED

    def release(self) -> None:
        """An admitted request has ended. Gives back its place in flight; what it was charged stays charged."""
        self._in_flight -= 1

    def _refusal(self, tokens: int, at_ns: int) -> Refusal | None:
        """Of all limits that it does not pass, the one that holds it back for the longest."""
        refusals = [refusal for limit in self._limits if (refusal := limit.refusal(tokens, at_ns)) is not None]
        if self._max_in_flight is not None and self._in_flight >= self._max_in_flight:
            refusals.append(_crowded(self._max_in_flight, self._in_flight))
        return max(refusals, key=lambda refusal: (refusal.too_large, refusal.wait_ns or 0), default=None)

    def _burned(self, refusal: Refusal, tokens: int, at_ns: int) -> Refusal:
        """The refusal of a request that counts all the same: with the wait as it is after that.

        OpenAI: "unsuccessful requests contribute to your per-minute limit", so the minute's alone, and not the day's.
        """
        for limit in self._limits:
            if limit.resource == "requests":
                limit.allowance.burn(at_ns=at_ns)
        if refusal.too_large:
            return refusal
        waits_ns = [limit.allowance.wait_ns(limit.cost(tokens), at_ns=at_ns) or 0 for limit in self._limits]
        return replace(refusal, wait_ns=max(waits_ns, default=0) or None)

    def _standings(self, at_ns: int) -> tuple[Standing, ...]:
        return tuple(
            Standing(
                resource=limit.resource,
                limit=limit.allowance.limit,
                remaining=limit.allowance.remaining(at_ns=at_ns),
                reset_ns=limit.allowance.reset_ns(at_ns=at_ns),
            )
            for limit in self._limits
            if limit.resource != "requests_per_day"  # OpenAI's headers tell of minutes; a day shows when it is used up
        )


def _limits(profile: SandboxProfile, at_ns: int) -> Iterator[_Limit]:
    if (rpm := profile.requests_per_minute) is not None:
        yield _Limit(resource="requests", allowance=_of_a_minute(profile, rpm, profile.burst, at_ns))
    if (tpm := profile.tokens_per_minute) is not None:
        yield _Limit(resource="tokens", allowance=_of_a_minute(profile, tpm, profile.token_burst, at_ns))
    if (rpd := profile.requests_per_day) is not None:
        day = FixedWindow(limit=rpd, period_ns=NS_PER_DAY, start_ns=at_ns)
        yield _Limit(resource="requests_per_day", allowance=day)


def _of_a_minute(profile: SandboxProfile, per_minute: int, burst: int | None, at_ns: int) -> Allowance:
    others_ppm = round(profile.other_user_share * PPM)
    if profile.hard_window:
        return FixedWindow(limit=per_minute, period_ns=NS_PER_MINUTE, start_ns=at_ns, others_ppm=others_ppm)
    return TokenBucket(per_minute=per_minute, capacity=burst, at_ns=at_ns, others_ppm=others_ppm)


def _crowded(limit: int, in_flight: int) -> Refusal:
    return Refusal(resource="concurrency", limit=limit, at_once=limit, used=in_flight, requested=1, wait_ns=None)
