"""Two runs held against each other: settings, prompts, answers, times, tokens and cost.

Comes in: two `Run`s, A and B, of whatever state. Goes out: a `Comparison`, in integers of nanoseconds, counts and what
the runs hold themselves; unknown is None. Knows no words, no page and no clock: what goes on counts as far as it is
recorded.

Prompts are matched by what they say: the k-th occurrence of a prompt in A with its k-th in B, wherever they stand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Literal, get_args

from fanout.batch import Batch
from fanout.metrics import Metrics, measure, percentile
from fanout.run import Call, PhaseName, Run
from fanout.sandbox.profile import SandboxProfile

Answers = Literal["same", "changed", "only_a", "only_b", "neither"]
"""What became of a prompt's two answers: letter by letter the same, different, or only one of them (or none) came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that differs: its value, or a tuple of all it had, in order, where a run went on under another; of
    `max_workers` always a tuple. A field of the sandbox's profile is named `sandbox.seed`, None without a sandbox."""

    name: str
    a: object
    b: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One prompt that both runs had."""

    a: Call
    b: Call
    answers: Answers

    @property
    def slower_ns(self) -> int | None:
        """How much longer B's answer took than A's (service time); None unless both answered."""
        if self.answers not in ("same", "changed"):
            return None
        return _less(self.b.latency_ns, self.a.latency_ns)

    @property
    def more_tokens(self) -> int | None:
        """How many output tokens B's answer had more."""
        return _less(self.b.usage.output_tokens, self.a.usage.output_tokens)

    @property
    def dearer_usd(self) -> float | None:
        """How much more B's answer cost."""
        if self.a.cost_usd is None or self.b.cost_usd is None:
            return None
        return self.b.cost_usd - self.a.cost_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTotal:
    """The time that all calls of each run spent in one phase, added up."""

    name: PhaseName
    a_ns: int
    b_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs, and its numbers."""

    run: Run
    metrics: Metrics
    latencies_ns: tuple[int, ...]
    """Service times of the answered calls, ascending."""

    def latency_ns(self, share: float) -> int | None:
        """The nearest-rank percentile of its latencies."""
        return percentile(list(self.latencies_ns), share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two runs have in common, and what not."""

    a: Side
    b: Side
    settings: tuple[Setting, ...]
    """Those that differ, in the order of `Batch`; prompts are none of them."""
    pairs: tuple[Pair, ...]
    """In A's input order."""
    only_a: tuple[Call, ...]
    only_b: tuple[Call, ...]
    """Calls whose prompt the other run did not have, or not so often; in input order."""
    phases: tuple[PhaseTotal, ...]
    """Those that either run spent time in, in the order of `PhaseName`."""

    def count(self, *answers: Answers) -> int:
        """How many pairs are of these kinds."""
        return sum(pair.answers in answers for pair in self.pairs)

    @property
    def same_prompts(self) -> bool:
        """Whether both runs had the same prompts, in whatever order."""
        return not self.only_a and not self.only_b


def compare(a: Run, b: Run) -> Comparison:
    """Hold run `b` against run `a`."""
    pairs, only_a, only_b = _matched(a, b)
    return Comparison(
        a=_side(a),
        b=_side(b),
        settings=tuple(_settings(a, b)),
        pairs=pairs,
        only_a=only_a,
        only_b=only_b,
        phases=_phase_totals(a, b),
    )


def _side(run: Run) -> Side:
    latencies = [call.latency_ns for call in run.calls if call.status == "answered"]
    return Side(run=run, metrics=measure(run), latencies_ns=tuple(sorted(one for one in latencies if one is not None)))


def _less(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


# --- prompts ------------------------------------------------------------------------------------------------------


def _matched(a: Run, b: Run) -> tuple[tuple[Pair, ...], tuple[Call, ...], tuple[Call, ...]]:
    waiting: defaultdict[str, list[Call]] = defaultdict(list)
    for call in reversed(b.calls):
        waiting[call.prompt].append(call)  # the first occurrence is at the end, where pop() takes it
    pairs, only_a = [], []
    for call in a.calls:
        others = waiting.get(call.prompt)
        if others:
            other = others.pop()
            pairs.append(Pair(a=call, b=other, answers=_answers(call, other)))
        else:
            only_a.append(call)
    left = sorted((call for others in waiting.values() for call in others), key=lambda call: call.index)
    return tuple(pairs), tuple(only_a), tuple(left)


def _answers(a: Call, b: Call) -> Answers:
    if a.status == "answered" and b.status == "answered":
        return "same" if a.output == b.output else "changed"
    if a.status == "answered":
        return "only_a"
    return "only_b" if b.status == "answered" else "neither"


# --- settings -----------------------------------------------------------------------------------------------------


def _settings(a: Run, b: Run) -> Iterator[Setting]:
    for field in fields(Batch):
        if field.name == "prompts":
            continue
        if field.name == "sandbox":
            yield from _profiles(a.batch, b.batch)
            continue
        of_a, of_b = (_setting(run, field.name) for run in (a, b))
        if of_a != of_b:
            yield Setting(name=field.name, a=of_a, b=of_b)


def _setting(run: Run, name: str) -> object:
    had = run.had(name)
    return had if len(had) > 1 or name == "max_workers" else had[0]


def _profiles(a: Batch, b: Batch) -> Iterator[Setting]:
    """Field by field; a batch without a profile has the default one, where its model is the sandbox."""
    of_a, of_b = (
        SandboxProfile() if batch.sandbox is None and batch.model == "sandbox" else batch.sandbox for batch in (a, b)
    )
    for field in fields(SandboxProfile):
        one, other = (None if profile is None else getattr(profile, field.name) for profile in (of_a, of_b))
        if one != other:
            yield Setting(name=f"sandbox.{field.name}", a=one, b=other)


# --- phases -------------------------------------------------------------------------------------------------------


def _phase_totals(a: Run, b: Run) -> tuple[PhaseTotal, ...]:
    of_a, of_b = _totals(a), _totals(b)
    return tuple(
        PhaseTotal(name=name, a_ns=of_a[name], b_ns=of_b[name]) for name in _PHASES if of_a[name] or of_b[name]
    )


def _flat(kind: object) -> Iterator[PhaseName]:
    for each in get_args(kind):
        if isinstance(each, str):
            yield each  # type: ignore[misc]  # the arguments of PhaseName are its words
        else:
            yield from _flat(each)


_PHASES: tuple[PhaseName, ...] = tuple(_flat(PhaseName))


def _totals(run: Run) -> Counter[PhaseName]:
    """The sum of `run.phases(call)` over all calls, without cutting each wait where each hold began.

    10,000 calls that wait through 10,000 changes of what held them have 50 million pieces. So the waits are taken
    whole (a run without holds says `workers` of them all) and counted over the holds once, by how many waited.
    """
    totals: Counter[PhaseName] = Counter()
    waits: list[tuple[int, int]] = []
    whole = replace(run, holds=())
    for call in run.calls:
        for phase in whole.phases(call):
            if phase.name == "workers":
                waits += [(phase.start_ns, 1), (phase.end_ns, -1)]
            else:
                totals[phase.name] += phase.length_ns
    held: list[tuple[int, PhaseName]] = [(hold.at_ns, hold.held_by or "workers") for hold in run.holds]
    moments = sorted({at_ns for at_ns, _ in waits} | {at_ns for at_ns, _ in held})
    change: Counter[int] = Counter()
    for at_ns, step in waits:
        change[at_ns] += step
    by = dict(held)  # of several at one instant, the last holds
    waiting = 0
    now: PhaseName = "workers"
    for at_ns, until_ns in pairwise(moments):
        now = by.get(at_ns, now)
        waiting += change[at_ns]
        if waiting:
            totals[now] += waiting * (until_ns - at_ns)
    return totals
