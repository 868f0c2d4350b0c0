"""The numbers under the chart and in a call's detail: terms and values, in words.

Comes in: a `Run` with its `Metrics`, or a `Call`. Goes out: `Figure`s; what is unknown is a dash with its reason. Knows
no page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import get_args

from dashboard.rows import model
from dashboard.units import count, duration, money, number, percent, tokens
from fanout.clock import seconds
from fanout.events import Held
from fanout.metrics import Metrics, Spread
from fanout.run import Call, Phase, PhaseName, Run
from fanout.tuning.bounds import BoundName, bounds

_PHASES: dict[PhaseName, str] = {
    "workers": "waiting for a worker",
    "requests": "waiting for the request quota",
    "tokens": "waiting for the token quota",
    "input_tokens": "waiting for the input token quota",
    "output_tokens": "waiting for the output token quota",
    "requests_per_day": "waiting for the day's request quota",
    "tokens_per_day": "waiting for the day's token quota",
    "concurrency": "waiting for the concurrency limit",
    "turn": "waiting for its turn: another run shares this account",
    "penalty": "waiting after a 429",
    "cap": "waiting at a cap",
    "paused": "paused",
    "store": "waiting for the store, which could not be written",
    "client": "this machine",
    "first_token": "waiting for the first token",
    "generating": "generating",
    "in_flight": "in flight",
    "backoff": "backing off",
}
"""`turn` says what one would ask next: why. A cap is the run's own or one of the day: the sentence says which."""
_SHORT: dict[Held, str] = {
    "workers": "all workers busy",
    "requests": "request quota",
    "tokens": "token quota",
    "input_tokens": "input token quota",
    "output_tokens": "output token quota",
    "requests_per_day": "the day's requests",
    "tokens_per_day": "the day's tokens",
    "concurrency": "concurrency limit",
    "turn": "another run's turn",
    "penalty": "after a 429",
    "cap": "a cap",
    "paused": "paused",
    "store": "the store",
}
_HELD: frozenset[str] = frozenset(get_args(Held))
MOST_CUTS = 4
"""Pieces up to which a wait is told piece by piece."""
_BINDS: dict[BoundName, str] = {
    "longest_call": "The slowest call binds",
    "workers": "The number of workers binds",
    "requests": "The request quota binds",
    "tokens": "The token quota binds",
    "input_tokens": "The input token quota binds",
    "output_tokens": "The output token quota binds",
}
_NO_ANSWER = "No call has been answered"
_NOT_STREAMED = "Known for streamed answers only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its term; `why` is said on hover, where the value is unknown or needs a word."""

    term: str
    value: str
    why: str | None = None


def figures(run: Run, metrics: Metrics) -> list[Figure]:
    """What a run came to, or has come to so far."""
    sent = metrics.slowest is not None
    return [
        Figure(term="Elapsed", value=duration(metrics.wall_s), why="Of all stretches, not the time between"),
        Figure(term="Latencies add up to", value=duration(metrics.service_s if sent else None), why=_unless(sent)),
        Figure(term="Overlap", value=number(metrics.overlap), why="Calls in flight on average. Not a speed-up"),
        _slowest(metrics),
        _lower_bound(run),
        Figure(term="Answers per second", value=number(metrics.answered_per_s), why=_unless(metrics.answered > 0)),
        _spread("Latency p50 / p95", metrics.latency, "Service time: sent to last byte", _NO_ANSWER),
        _spread("Experienced p50 / p95", metrics.experienced, "Queued to ended", _NO_ANSWER),
        _spread("First token p50 / p95", metrics.first_token, None, _NOT_STREAMED),
        Figure(term="Quota slots", value=count(metrics.attempts), why="One an attempt, however they are sent"),
        Figure(term="Tokens in", value=tokens(metrics.input_tokens), why=_told(metrics.input_tokens)),
        Figure(term="Tokens out", value=tokens(metrics.output_tokens), why=_told(metrics.output_tokens)),
        _cost(run, metrics),
    ]


def why_no_cost(model: str) -> str:
    """Why nothing is said of what the answers of this model cost."""
    return "The sandbox costs nothing" if model == "sandbox" else "No price of its answers is known"


def call_figures(run: Run, call: Call) -> list[Figure]:
    """What is known of one call."""
    unpriced = None if call.cost_usd is not None else why_no_cost(call.model or run.batch.model)
    named = model(run, call)
    return [
        *(
            ()
            if named is None
            else (Figure(term="Model", value=named, why="Not all answers of this run are of one model"),)
        ),
        Figure(term="Latency", value=_duration_ns(call.latency_ns), why="Service time: sent to last byte"),
        Figure(term="Experienced", value=_duration_ns(call.experienced_ns), why="Queued to ended"),
        Figure(
            term="First token",
            value=_duration_ns(call.first_token_ns),
            why=_NOT_STREAMED if call.first_token_ns is None else None,
        ),
        Figure(term="Attempts", value=count(len(call.attempts))),
        Figure(term="Tokens in", value=tokens(call.usage.input_tokens), why=_told(call.usage.input_tokens)),
        Figure(term="Tokens out", value=tokens(call.usage.output_tokens), why=_told(call.usage.output_tokens)),
        Figure(term="Cost", value=money(call.cost_usd), why=unpriced),
    ]


def phase(name: PhaseName) -> str:
    """A phase of a call's life, in words."""
    return _PHASES[name]


def short_hold(name: Held) -> str:
    """What a wait is for, where there is room for a word or two."""
    return _SHORT[name]


def ms(phase: Phase) -> str:
    """A phase's length in milliseconds, to a tenth below ten."""
    return _ms(phase.length_ns)


def phase_rows(phases: Iterable[Phase]) -> list[tuple[str, str, str]]:
    """(attempt, phase, ms) of a call's life, in order; a wait whose reason changed often is summed up by reason.

    What comes before the first attempt of a stretch counts for that attempt.
    """
    rows = []
    for waits, alike in groupby(_led_to(phases), key=lambda each: (each.name in _HELD, each.attempt)):
        several = list(alike)
        if waits[0] and len(several) > MOST_CUTS:
            lengths: dict[PhaseName, int] = {}
            for each in several:
                lengths[each.name] = lengths.get(each.name, 0) + each.length_ns
            rows += [(_attempt(waits[1]), phase(name), _ms(length_ns)) for name, length_ns in lengths.items()]
        else:
            rows += [(_attempt(each.attempt), phase(each.name), ms(each)) for each in several]
    return rows


def _led_to(phases: Iterable[Phase]) -> list[Phase]:
    """The phases, each with its attempt, or with the one that it led to."""
    told: list[Phase] = []
    following: int | None = None
    for each in reversed(list(phases)):
        following = each.attempt or following
        told.append(replace(each, attempt=following))
    return told[::-1]


def _attempt(number: int | None) -> str:
    return "" if number is None else str(number)


def _ms(length_ns: int) -> str:
    length_ms = length_ns / 1_000_000
    return f"{length_ms:,.0f}" if length_ms >= 10 else f"{length_ms:.1f}"


def _slowest(metrics: Metrics) -> Figure:
    if metrics.slowest is None:
        return Figure(term="Slowest call", value=duration(None), why=_unless(False))
    return Figure(
        term="Slowest call",
        value=duration(metrics.slowest.latency_s),
        why=f"Prompt {metrics.slowest.index + 1:,}",
    )


def _lower_bound(run: Run) -> Figure:
    if not run.ended:
        return Figure(term="Lower bound", value=duration(None), why="Known once the run has ended")
    found = bounds(run)
    if found.closeness is None:
        return Figure(term="Lower bound", value=duration(None), why=_unless(False))
    binds = _BINDS[found.binds or "workers"]
    return Figure(
        term="Lower bound",
        value=duration(found.lower_s),
        why=f"{binds}; the run took {percent(found.closeness)} of it",
    )


def _spread(term: str, spread: Spread, why: str | None, unknown: str) -> Figure:
    if spread.p50_s is None:
        return Figure(term=term, value=duration(None), why=unknown)
    return Figure(term=term, value=f"{duration(spread.p50_s)} / {duration(spread.p95_s)}", why=why)


def _cost(run: Run, metrics: Metrics) -> Figure:
    if metrics.cost_usd is None:
        return Figure(term="Cost", value=money(None), why=why_no_cost(run.batch.model))
    partly = metrics.cost_known_for < metrics.answered
    why = f"Known for {metrics.cost_known_for:,} of {metrics.answered:,} answers" if partly else None
    return Figure(term="Cost", value=money(metrics.cost_usd), why=why)


def _unless(known: bool) -> str | None:
    return None if known else "Nothing has been answered yet"


def _told(count_of: int | None) -> str | None:
    return "The provider did not say" if count_of is None else None


def _duration_ns(duration_ns: int | None) -> str:
    return duration(None if duration_ns is None else seconds(duration_ns))
