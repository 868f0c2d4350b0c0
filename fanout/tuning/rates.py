"""The quota of a run as a rate over time: what it let through, how early it could have, and what it lets through now.

Comes in: a `Run`. Goes out: for each limit of a minute the earliest instant at which the stretch's use fits it, and the
calls a second that the limits allow as they are known last. Knows no clock, and nothing of what the account's other
users took: a rate here is what the account allows, not what this run got of it.

    used by t <= burst + rate x t         (a token bucket), so
    t >= (used - burst) / rate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fanout.clock import NS_PER_S, nanoseconds
from fanout.errors import RateLimited
from fanout.events import Held
from fanout.run import Call, Run, Stretch

RateName = Literal["requests", "tokens", "input_tokens", "output_tokens"]
RATE_NAMES: tuple[RateName, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
"""The limits of a minute."""

QUOTA_HOLDS: frozenset[Held] = frozenset(
    {"requests", "tokens", "input_tokens", "output_tokens", "requests_per_day", "tokens_per_day", "turn", "penalty"}
)
"""What holds a call back because of a quota: a limit, another run's turn at it, a 429."""

_WITHOUT_END: frozenset[Held] = frozenset({"requests_per_day", "tokens_per_day", "cap", "paused", "store"})
"""Holds whose end no pace tells."""

S_PER_MINUTE = 60
NS_PER_MINUTE = S_PER_MINUTE * NS_PER_S


class RateStep(NamedTuple):
    """A rate that was known from `at_ns` on."""

    at_ns: int
    per_minute: int | None
    """None: unknown."""


class Used(NamedTuple):  # a tuple: 10,000 of them are made at a time
    """So much of a limit was used at this instant."""

    at_ns: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The calls a second that the tightest known limit lets through."""

    rate_per_s: float
    by: RateName


def known_rates(run: Run) -> tuple[RateName, ...]:
    """The limits of a minute that were known at some instant of the run."""
    known = {step.limit for step in run.quota if step.value is not None}
    return tuple(name for name in RATE_NAMES if name in known or _own(run, name) is not None)


def rate_steps(run: Run, name: RateName, *, began_ns: int) -> list[RateStep]:
    """What was known of this limit from `began_ns` on; the first step begins there."""
    own = _own(run, name)
    before: int | None = None
    later: list[RateStep] = []
    for step in run.quota:
        if step.limit != name:
            continue
        if step.at_ns <= began_ns:
            before = step.value
        else:
            later.append(RateStep(step.at_ns, _tighter(step.value, own)))
    return [RateStep(began_ns, _tighter(before, own)), *later]


def uses(run: Run, name: RateName) -> dict[int, list[Used]]:
    """What each stretch used of this limit, by its number, in order of time: at the instant each request was sent.

    Tokens are those that were told of answered calls: what else a provider counted only makes a bound larger.
    """
    found: dict[int, list[Used]] = {stretch.number: [] for stretch in run.stretches}
    if name == "requests":
        for call in run.calls:
            for attempt in call.attempts:
                if attempt.sent_ns is not None:
                    found[attempt.stretch].append(Used(attempt.sent_ns, 1))
    else:
        for call in run.calls:
            if call.status == "answered" and call.origin is None and (tokens := _tokens(call, name)):
                last = call.attempts[-1]
                if last.sent_ns is not None:
                    found[last.stretch].append(Used(last.sent_ns, tokens))
    for of_stretch in found.values():
        of_stretch.sort()
    return found


def earliest_ns(run: Run, stretch: Stretch, name: RateName, used: Sequence[Used]) -> int:
    """How long after its beginning the stretch can have used all this, at the rates that were known; 0 where none was.

    While a rate was unknown, what was used is taken as allowed. The burst is the run's own, or one second's worth, or
    what the use itself shows to have been let through at once: so no use is ever earlier than its bound.
    """
    steps = rate_steps(run, name, began_ns=stretch.began_ns)
    curve, needed = _grown(steps, used, burst=_burst(run, name, steps))
    for piece, following in zip(curve, [*curve[1:], None], strict=True):
        if needed <= piece.grown:
            return piece.at_ns - stretch.began_ns
        if piece.per_minute is None:
            if following is None or needed <= following.grown:
                return piece.at_ns - stretch.began_ns
        elif following is None or needed <= following.grown:
            return piece.at_ns - stretch.began_ns + (needed - piece.grown) // piece.per_minute
    return 0


def allowed(run: Run) -> Allowed | None:
    """The calls a second that the limits allow, as they were known last; tokens by the mean of answered calls.

    None where no rate is known, or only one of tokens and no answer told any.
    """
    found: list[Allowed] = []
    for name in RATE_NAMES:
        per_minute = rate_steps(run, name, began_ns=run.quota[-1].at_ns if run.quota else 0)[0].per_minute
        if per_minute is not None and (mean := _mean_use(run, name)):
            found.append(Allowed(rate_per_s=per_minute / S_PER_MINUTE / mean, by=name))
    return min(found, key=lambda one: one.rate_per_s, default=None)


def least_s(run: Run, waiting: int, now_ns: int) -> float | None:
    """The seconds that the known limits need to let `waiting` calls start from now on; None where nobody can tell.

    While a quota holds the next call, nothing is left of its burst; after a 429 nothing starts before the provider's
    time, and then what it has gained by then.
    """
    known, blocked = allowed(run), blocked_s(run, now_ns)
    if known is None or blocked is None:
        return None
    held = bool(run.holds) and run.holds[-1].held_by in QUOTA_HOLDS
    set_burst = run.batch.burst if known.by == "requests" else None
    burst = 0.0 if held else set_burst or burst_for(known.rate_per_s)
    return max(blocked, max(0.0, waiting - burst) / known.rate_per_s)


def blocked_s(run: Run, now_ns: int) -> float | None:
    """The seconds for which nothing of the run may start, whatever its pace; 0 where a call may start as it comes.

    After a 429 that is until the provider's time. None where the run knows no end of it: another run's 429, a limit of
    the day, a cap, a pause, a store that cannot be written.
    """
    held = run.holds[-1].held_by if run.holds else None
    if held in _WITHOUT_END:
        return None
    if held != "penalty":
        return 0.0
    until_ns = max((_refused_until_ns(call) for call in run.calls if call.attempts), default=0)
    return (until_ns - now_ns) / NS_PER_S if until_ns > now_ns else None


def _refused_until_ns(call: Call) -> int:
    """Until when the last 429 of this call keeps all of them back; 0 where none does. Also of one that was given up."""
    last = call.attempts[-1]
    if not isinstance(last.error, RateLimited) or last.ended_ns is None:
        return 0
    return last.ready_ns or last.ended_ns + nanoseconds(last.error.retry_after_s or 0.0)


def burst_for(rate_per_s: float) -> float:
    """What may start at once where nobody set a burst: one second's worth, at least 1."""
    return max(1.0, rate_per_s)


class _Piece(NamedTuple):
    """From `at_ns` on, the allowance grows from `grown` (in units x ns a minute) by `per_minute`."""

    at_ns: int
    grown: int
    per_minute: int | None


def _grown(steps: Sequence[RateStep], used: Sequence[Used], *, burst: int) -> tuple[list[_Piece], int]:
    """How the allowance grew, and where it had to come to, with the burst there from the beginning."""
    curve: list[_Piece] = []
    grown = total = place = 0
    most_ahead = burst * NS_PER_MINUTE
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        curve.append(_Piece(step.at_ns, grown, step.per_minute))
        while place < len(used) and (following is None or used[place].at_ns < following.at_ns):
            amount = used[place].amount * NS_PER_MINUTE
            total += amount
            if step.per_minute is None:
                grown += amount
            else:
                since_ns = max(0, used[place].at_ns - step.at_ns)
                most_ahead = max(most_ahead, total - grown - since_ns * step.per_minute)
            place += 1
        if following is not None and step.per_minute is not None:
            grown += (following.at_ns - step.at_ns) * step.per_minute
    return curve, total - most_ahead


def _burst(run: Run, name: RateName, steps: Sequence[RateStep]) -> int:
    if name == "requests" and run.batch.burst is not None:
        return run.batch.burst
    fastest = max((step.per_minute for step in steps if step.per_minute is not None), default=0)
    return max(1, fastest // S_PER_MINUTE)


def _own(run: Run, name: RateName) -> int | None:
    """What the run asked for itself: never more than that."""
    own: Mapping[RateName, int | None] = {
        "requests": run.batch.requests_per_minute,
        "tokens": run.batch.tokens_per_minute,
    }
    return own.get(name)


def _tighter(one: int | None, other: int | None) -> int | None:
    known = [rate for rate in (one, other) if rate is not None]
    return min(known) if known else None


def _tokens(call: Call, name: RateName) -> int:
    usage = call.usage
    if name == "input_tokens":
        return usage.input_tokens or 0
    if name == "output_tokens":
        return usage.output_tokens or 0
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _mean_use(run: Run, name: RateName) -> float:
    """What a call takes of this limit on average; 0 where no answer told."""
    if name == "requests":
        return 1.0
    told = [tokens for call in run.calls if call.status == "answered" and (tokens := _tokens(call, name))]
    return sum(told) / len(told) if told else 0.0
