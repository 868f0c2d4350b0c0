"""Two runs compared, in words: the verdict, the numbers beside one another, the phases.

Comes in: a `Comparison`. Goes out: plain text, of nobody else's. Knows no page. The verdict says only what is true of
every pair of runs it is said of: faster is spoken of where both answered the same prompts, all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from dashboard.figures import phase
from dashboard.units import UNKNOWN, count, counted, duration, money, number
from fanout.clock import seconds
from fanout.compare import Answers, Comparison, Pair, Side

T = TypeVar("T", int, float)
ALIKE = 1.05
"""Times as long up to which two runs took about the same time."""
WORDS: dict[Answers, str] = {
    "same": "same",
    "changed": "changed",
    "only_a": "only A",
    "only_b": "only B",
    "neither": "neither",
}
"""What became of a prompt's two answers, in a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A number of both runs."""

    term: str
    a: str
    b: str
    more: str
    """B less A; a dash where one of them is unknown."""


# The verdict


def verdict(found: Comparison) -> str:
    """What the comparison comes to, in a few short sentences."""
    a, b = found.a.run, found.b.run
    if a.run_id == b.run_id:
        return "A and B are the same run."
    going = [name for name, run in (("A", a), ("B", b)) if not run.ended]
    said = [f"{' and '.join(going)} still {'goes' if len(going) == 1 else 'go'} on: this is how far."] if going else []
    return " ".join([*said, *_prompts(found), *_times(found), *_reused(found), *_costs(found), *_answers(found)])


def _prompts(found: Comparison) -> list[str]:
    if found.same_prompts:
        return []
    if not found.pairs:
        return ["A and B have no prompt in common."]
    only = [f"{len(calls):,} only in {name}" for name, calls in (("A", found.only_a), ("B", found.only_b)) if calls]
    are = "is" if len(found.pairs) == 1 else "are"
    return [f"{counted(len(found.pairs), 'prompt')} {are} in both, {' and '.join(only)}."]


def _times(found: Comparison) -> list[str]:
    a, b = found.a, found.b
    took_a, took_b = (duration(side.metrics.wall_s, digits=2) for side in (a, b))
    if not (found.same_prompts and _answered_all(a) and _answered_all(b)):
        return [f"{_progress('A', a, took_a)}, {_progress('B', b, took_b)}."]
    prompts = counted(len(found.pairs), "prompt")
    longer, shorter = sorted((a.metrics.wall_s, b.metrics.wall_s), reverse=True)
    if shorter <= 0 or longer / shorter < ALIKE:
        return [f"Both answered {_all(prompts)} in about the same time: A in {took_a}, B in {took_b}."]
    faster = "B" if b.metrics.wall_s < a.metrics.wall_s else "A"
    times = number(longer / shorter, digits=2)
    return [f"Both answered {_all(prompts)}: A in {took_a}, B in {took_b}. {faster} was {times} times as fast."]


def _all(prompts: str) -> str:
    return "the prompt" if prompts == "1 prompt" else f"all {prompts}"


def _answered_all(side: Side) -> bool:
    return side.run.ended and side.metrics.answered == side.metrics.calls


def _progress(name: str, side: Side, took: str) -> str:
    metrics = side.metrics
    return f"{name} answered {metrics.answered:,} of {counted(metrics.calls, 'prompt')} in {took}"


def _reused(found: Comparison) -> list[str]:
    """Answers that were there already took no time, and a run is soon faster by them."""
    said = []
    for name, side in (("A", found.a), ("B", found.b)):
        shared = sum(call.origin is not None and call.origin.run_id == side.run.run_id for call in side.run.calls)
        if taken := side.metrics.reused - shared:
            said.append(f"{name} took {counted(taken, 'answer')} that {'was' if taken == 1 else 'were'} there already.")
        if shared:
            share = "shares" if shared == 1 else "share"
            said.append(f"{counted(shared, 'prompt')} of {name} {share} the call of an identical one.")
    return said


def _costs(found: Comparison) -> list[str]:
    """Said where the price of every answer is known on both sides."""
    for side in (found.a, found.b):
        if not side.metrics.answered or side.metrics.cost_known_for < side.metrics.answered:
            return []
    cost_a, cost_b = money(found.a.metrics.cost_usd), money(found.b.metrics.cost_usd)
    return [f"A cost {cost_a}, B {cost_b}."]


def _answers(found: Comparison) -> list[str]:
    both, same, changed = found.count("same", "changed"), found.count("same"), found.count("changed")
    if not found.pairs:
        return []
    if not both:
        return ["No prompt was answered by both."]
    if both == 1:
        return ["The one answer that both gave is the same." if same else "The one answer that both gave changed."]
    of = f"{both:,} answers" if both == len(found.pairs) else f"{both:,} answers that both gave"
    if not changed:
        return [f"All {of} are the same."]
    if not same:
        return [f"All {of} changed."]
    return [f"Of {of}, {changed:,} changed and {same:,} {'is' if same == 1 else 'are'} the same."]


# The numbers


def numbers(found: Comparison) -> Iterator[Beside]:
    """The numbers of both runs, a row each."""
    a, b = found.a.metrics, found.b.metrics
    yield _row("Prompts answered", a.answered, b.answered, count)
    yield _row("Elapsed", a.wall_s, b.wall_s, duration)
    yield _row("Latency p50", a.latency.p50_s, b.latency.p50_s, duration)
    yield _row("Latency p95", a.latency.p95_s, b.latency.p95_s, duration)
    yield _row("First token p50", a.first_token.p50_s, b.first_token.p50_s, duration)
    yield _row("Latencies add up to", a.service_s, b.service_s, duration)
    yield _row("Overlap", a.overlap, b.overlap, number)
    yield _row("Answers per second", a.answered_per_s, b.answered_per_s, number)
    yield _row("Quota slots", a.attempts, b.attempts, count)
    yield _row("Tokens in", a.input_tokens, b.input_tokens, count)
    yield _row("Tokens out", a.output_tokens, b.output_tokens, count)
    yield _row("Cost", a.cost_usd, b.cost_usd, money)


def phases(found: Comparison) -> Iterator[Beside]:
    """The time that all calls spent in each phase, added up."""
    for each in found.phases:
        yield _row(_capital(phase(each.name)), seconds(each.a_ns), seconds(each.b_ns), duration)


def _row(term: str, a: T | None, b: T | None, say: Callable[[T | None], str]) -> Beside:
    more = UNKNOWN if a is None or b is None else signed(b - a, say)
    return Beside(term=term, a=say(a), b=say(b), more=more)


def signed(more: T, say: Callable[[T], str]) -> str:
    """A difference with its sign: +1.2 s, −300 ms; none where there is none."""
    if not more:
        return "none"
    return f"{'+' if more > 0 else '−'}{say(abs(more))}"  # a minus, as long as the plus


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


# One prompt


def pair_words(pair: Pair) -> str:
    """How the two answers to one prompt compare, beside their texts."""
    said = {
        "same": "both answers are the same",
        "changed": "the answer changed",
        "only_a": "only A answered",
        "only_b": "only B answered",
        "neither": "neither answered",
    }[pair.answers]
    if pair.slower_ns is None:
        return said
    if not pair.slower_ns:
        return f"{said}; both took as long"
    slower = "slower" if pair.slower_ns > 0 else "faster"
    return f"{said}; B was {duration(seconds(abs(pair.slower_ns)))} {slower}"
