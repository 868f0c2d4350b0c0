"""What an account lets a batch do that is not sent yet, by its limits as they stand and its model's price.

Comes in: an `AccountView`, a batch and the calls that it sends. Goes out: a `Prospect`. Pure: knows no clock.

    the last of n calls starts after max(0, (needed - free) / rate) at the earliest        (a token bucket)

where `needed` is what all of them take, the last one no more than the bucket holds: a larger one passes a full bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.events import LimitName
from fanout.quota.estimate import Estimate
from fanout.quota.limits import TOKENS
from fanout.quota.meters import DAILY
from fanout.quota.view import AccountView, SpentDay
from fanout.tuning.rates import S_PER_MINUTE, burst_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """A day's limit that has less left than the batch has calls."""

    name: LimitName
    number: int
    """What it allows a day."""
    left: int
    """Of its own unit, >= 0."""
    is_told: bool
    """Whether a response told the limit: then one call tries it where nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What the limits known now mean for a batch."""

    starts_s: float | None = None
    """Seconds until its last call can have started, >= 0; None where no limit of a minute is known."""
    by: LimitName | None = None
    """The limit that takes so long."""
    today: Today | None = None
    """The day's limit that does not hold all of it."""
    spent: SpentDay | None = None
    """The day's limit that the provider has said is used up, the one that comes back last."""
    is_priced: bool = True
    """Whether list prices know the model: without, no cap in dollars can be kept."""
    at_ns: int = 0
    """When this was so, on the account's clock."""


def prospect(view: AccountView, batch: Batch, prompts: Sequence[str]) -> Prospect:
    """What the account lets this batch do. `prompts`: those of its calls that are sent, one a call.

    Of tokens a call counts for its input alone, at four characters a token: what an answer has is not known yet.
    """
    rates = [
        _Rate(limit.name, limit.number, limit.free, limit.capacity)
        for limit in view.limits
        if limit.name not in DAILY and limit.name not in ("concurrency", "output_tokens")
    ]
    if batch.requests_per_minute is not None:
        rates.append(_own("requests", batch.requests_per_minute, batch.burst))
    if batch.tokens_per_minute is not None:
        rates.append(_own("tokens", batch.tokens_per_minute, None))
    tokens = _input_tokens(batch, prompts) if any(rate.name in TOKENS for rate in rates) else [0]
    blocked_s = 0.0 if view.blocked_until_ns is None else max(0.0, seconds(view.blocked_until_ns - view.at_ns))
    starts_s, by = None, None
    for rate in rates:
        is_tokens = rate.name in TOKENS
        needed = sum(tokens) - tokens[-1] + min(tokens[-1], rate.capacity) if is_tokens else len(prompts)
        start_s = max(blocked_s, (needed - rate.free) / (rate.number / S_PER_MINUTE), 0.0)
        if starts_s is None or start_s > starts_s:
            starts_s, by = start_s, rate.name
    return Prospect(
        starts_s=starts_s,
        by=by,
        today=_today(view, len(prompts)),
        spent=max(view.spent, key=lambda each: each.until_ns, default=None),
        is_priced=view.is_priced,
        at_ns=view.at_ns,
    )


def _today(view: AccountView, calls: int) -> Today | None:
    short = [
        Today(name=limit.name, number=limit.number, left=limit.free, is_told=limit.source == "header")
        for limit in view.limits
        if limit.name == "requests_per_day" and limit.free < calls
    ]
    return short[0] if short else None


class _Rate(NamedTuple):
    """A limit of a minute: what it gains, what is there, and what it holds at most."""

    name: LimitName
    number: int
    free: float
    capacity: float


def _own(name: LimitName, per_minute: int, burst: int | None) -> _Rate:
    """One that the run asks for itself, full as it begins."""
    at_once = burst or burst_for(per_minute / S_PER_MINUTE)
    return _Rate(name, per_minute, at_once, at_once)


def _input_tokens(batch: Batch, prompts: Sequence[str]) -> list[int]:
    estimate = Estimate(instructions=batch.instructions, max_output_tokens=batch.max_output_tokens, charge="used")
    return [estimate.of(prompt).input_tokens for prompt in prompts]
