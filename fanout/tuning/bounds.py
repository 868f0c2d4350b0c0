"""What no schedule could have beaten, what a batch will take, and what a run has still to go.

Comes in: a `Run`, or latencies. Goes out: lower bounds of the makespan and which one binds; expected seconds, None
where no latency is known. Knows no clock and draws no random numbers: the same input gives the same answer.

    makespan >= max(longest call, sum of latencies / max_workers,
                    (requests - burst) / request rate, (tokens - burst) / token rate)

Once the slider has moved, the second term is the earliest time at which max_workers integrated over time reaches the
sum; so are the others as a limit changes (`fanout.tuning.rates`). A limit that nobody knew has no term. Each stretch
has its own bounds; those of the run are their sums.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, repeat
from math import sqrt
from typing import Literal, NamedTuple

from fanout.clock import NS_PER_S, seconds
from fanout.metrics import wall_ns
from fanout.run import Attempt, Call, CallStatus, Run, Stretch
from fanout.tuning import rates

BoundName = Literal["longest_call", "workers", "requests", "tokens", "input_tokens", "output_tokens"]

MOST_SIMULATED = 1_000
"""Calls that an estimate plays through; the rest counts as mean latency / max_workers each."""
MOST_SAMPLED = 2_000
"""Calls whose latencies an estimate is made of; of longer runs every n-th is taken."""
_WAITING: frozenset[CallStatus] = frozenset({"queued", "backing_off"})
_GOLDEN = (sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A time that the run could not beat, and why."""

    name: BoundName
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How close the run came to what was possible with these latencies."""

    bounds: tuple[Bound, ...]
    """One per limit that is known, each summed over the stretches; the longest call and the workers come first."""
    lower_s: float
    """The stretches' largest bounds, added up: no schedule is faster."""
    binds: BoundName | None
    """The limit that holds most of `lower_s`; None where nothing was sent."""
    wall_s: float
    closeness: float | None
    """wall_s / lower_s: 1 is perfect; None where nothing was sent."""
    longest_call: int | None
    """The index of the call with the longest way: its attempts one after another, and the backing off between."""


def bounds(run: Run, *, now_ns: int | None = None) -> Bounds:
    """The bounds of what was sent so far; attempts in flight count up to `now_ns`, or not at all where it is None."""
    ways: dict[int, list[_Way]] = {stretch.number: [] for stretch in run.stretches}
    for call in run.calls:
        for way in _ways(call, now_ns):
            ways[way.stretch].append(way)
    used = {name: rates.uses(run, name) for name in rates.known_rates(run)}
    totals: dict[BoundName, int] = {"longest_call": 0, "workers": 0, **dict.fromkeys(used, 0)}
    held = dict(totals)
    for stretch in run.stretches:
        terms = _terms_ns(run, stretch, ways[stretch.number], now_ns)
        for name, of_stretches in used.items():
            terms[name] = rates.earliest_ns(run, stretch, name, of_stretches[stretch.number])
        binding: BoundName = max(terms, key=lambda name: terms[name])
        held[binding] += terms[binding]
        totals = {bound: total_ns + terms[bound] for bound, total_ns in totals.items()}
    binds: BoundName = max(held, key=lambda name: held[name])
    lower_ns, wall = sum(held.values()), wall_ns(run, now_ns=now_ns)
    longest = max((way for one in ways.values() for way in one), key=lambda way: way.way_ns, default=None)
    return Bounds(
        bounds=tuple(Bound(name=bound, seconds=seconds(total_ns)) for bound, total_ns in totals.items()),
        lower_s=seconds(lower_ns),
        binds=binds if lower_ns else None,
        wall_s=seconds(wall),
        closeness=wall / lower_ns if lower_ns else None,
        longest_call=None if longest is None else longest.call,
    )


def makespan_s(
    latencies_s: Iterable[float], max_workers: int, *, free_s: Sequence[float] = (), ready_s: Iterable[float] = ()
) -> float:
    """When calls of these latencies, started in this order as workers become free, have all ended.

    `free_s` is when the busy workers become free; the others are free now. `ready_s`: before which each call may not
    start, in the same order; those that follow may start now.
    """
    lanes = sorted(free_s)[-max_workers:] if len(free_s) > max_workers else [*free_s]
    lanes += [0.0] * (max_workers - len(lanes))
    heapq.heapify(lanes)
    end_s = max(free_s, default=0.0)
    for latency_s, may_s in zip(latencies_s, chain(ready_s, repeat(0.0)), strict=False):
        ends_s = max(lanes[0], may_s) + latency_s
        heapq.heapreplace(lanes, ends_s)
        end_s = max(end_s, ends_s)
    return end_s


def estimate(
    n: int,
    max_workers: int,
    latencies_s: Sequence[float],
    *,
    requests_per_minute: int | None = None,
    burst: int | None = None,
) -> float | None:
    """The seconds that `n` calls are expected to take, when they take as long as those known; None if none is.

    List scheduling of `n` latencies spread like the known ones, in a mixed order that is always the same. Under
    `requests_per_minute` the last call starts at (n - burst) / rate, and then takes as long as calls take on average;
    `burst` None is one second's worth.
    """
    expected_s = _expected(n, max_workers, sorted(latencies_s), free_s=())
    if expected_s is None or requests_per_minute is None:
        return expected_s
    rate_per_s = requests_per_minute / rates.S_PER_MINUTE
    at_once = rates.burst_for(rate_per_s) if burst is None else burst
    return at_the_quota(expected_s, max(0.0, n - at_once) / rate_per_s, latencies_s)


def remaining_s(run: Run, now_ns: int) -> float | None:
    """The seconds that the run has to go if its calls go on as those answered; None where nobody can tell.

    Nobody can tell before the first answer, in a pause or a stop, while something without a known end lets nothing
    start (`rates.blocked_s`), and once all that is left has been in flight longer than any call that was answered.
    Never less than the limits that are known need to let the rest start, and a call that backs off starts when it is
    due.
    """
    known, blocked_s = sorted(answered_s(run)), rates.blocked_s(run, now_ns)
    if run.state != "running" or not known or blocked_s is None:
        return None
    ready_s = sorted(max(blocked_s, _due_s(call, now_ns)) for call in run.calls if call.status in _WAITING)
    waiting = len(ready_s)
    longest_s = [0.0, *accumulate(reversed(known))]
    left = [_left_s(call.attempts[-1], now_ns, known, longest_s) for call in run.calls if call.status == "running"]
    if not waiting and not any(left):
        return None
    expected_s = _expected(waiting, run.max_workers, known, free_s=left, ready_s=ready_s)
    starts_s = rates.least_s(run, waiting, now_ns)
    return expected_s if expected_s is None or starts_s is None else at_the_quota(expected_s, starts_s, known)


def answered_s(run: Run) -> list[float]:
    """Service times of answered calls: of all of them, or of every n-th in a longer run."""
    return [
        seconds(last.received_ns - last.sent_ns)
        for call in run.calls[:: 1 + len(run.calls) // MOST_SAMPLED]
        if call.status == "answered"
        and call.origin is None
        and (last := call.attempts[-1]).sent_ns is not None
        and last.received_ns is not None
    ]


def at_the_quota(expected_s: float, starts_s: float, latencies_s: Sequence[float]) -> float:
    """What is expected where the quota lets the last call start after `starts_s`; 0 is: it does not hold it back."""
    return max(expected_s, starts_s + sum(latencies_s) / len(latencies_s)) if starts_s else expected_s


def _expected(
    n: int, max_workers: int, known: Sequence[float], *, free_s: Sequence[float], ready_s: Sequence[float] = ()
) -> float | None:
    if not known:
        return None
    played = min(n, MOST_SIMULATED)
    rest_s = (n - played) * (sum(known) / len(known)) / max_workers
    workers = min(max_workers, max(n, len(free_s), 1))
    return rest_s + makespan_s(_sample(known, played), workers, free_s=free_s, ready_s=ready_s[n - played :])


def _sample(known: Sequence[float], n: int) -> list[float]:
    """`n` values spread like the sorted ones, mixed: large ones come neither first nor last."""
    spread = [known[int((place + 0.5) * len(known) / n)] for place in range(n)]
    order = sorted(range(n), key=lambda place: (place * _GOLDEN) % 1.0)
    return [spread[place] for place in order]


def _due_s(call: Call, now_ns: int) -> float:
    """Before which a waiting call may not be sent again; 0: it is due."""
    ready_ns = call.attempts[-1].ready_ns if call.status == "backing_off" else None
    return max(0, (ready_ns or 0) - now_ns) / NS_PER_S


def _left_s(attempt: Attempt, now_ns: int, known: Sequence[float], longest_s: Sequence[float]) -> float:
    """What an attempt in flight has to go: the mean of the known latencies above its age, less that; 0 if none is.

    `known` is sorted; `longest_s[n]` is the sum of its n longest.
    """
    age_s = max(0, now_ns - attempt.started_ns) / NS_PER_S
    longer = len(known) - bisect_right(known, age_s)
    return longest_s[longer] / longer - age_s if longer else 0.0


class _Way(NamedTuple):  # a tuple: 10,000 of them are made at a time
    """What one call did in one stretch."""

    call: int
    stretch: int
    way_ns: int
    """Its attempts one after another and the backing off between: what it takes with workers without end."""
    work_ns: int
    """Its attempts only: what it takes of the workers' time."""


def _ways(call: Call, now_ns: int | None) -> Iterator[_Way]:
    way_ns = work_ns = 0
    for place, attempt in enumerate(call.attempts):
        in_flight_ns = _in_flight_ns(attempt, now_ns)
        way_ns, work_ns = way_ns + in_flight_ns, work_ns + in_flight_ns
        following = call.attempts[place + 1] if place + 1 < len(call.attempts) else None
        if following is not None and following.stretch == attempt.stretch:
            if attempt.ready_ns is not None and attempt.ended_ns is not None:
                way_ns += attempt.ready_ns - attempt.ended_ns
        else:
            if work_ns:
                yield _Way(call=call.index, stretch=attempt.stretch, way_ns=way_ns, work_ns=work_ns)
            way_ns = work_ns = 0


def _in_flight_ns(attempt: Attempt, now_ns: int | None) -> int:
    """Sent to received; of one that was cancelled or goes on, as far as it came."""
    if attempt.sent_ns is None:
        return 0
    ends = (attempt.received_ns, attempt.ended_ns, now_ns)
    end_ns = next((end_ns for end_ns in ends if end_ns is not None), attempt.sent_ns)
    return max(0, end_ns - attempt.sent_ns)


def _terms_ns(run: Run, stretch: Stretch, ways: list[_Way], now_ns: int | None) -> dict[BoundName, int]:
    return {
        "longest_call": max((way.way_ns for way in ways), default=0),
        "workers": _earliest_ns(run, stretch, sum(way.work_ns for way in ways), now_ns),
    }


def _earliest_ns(run: Run, stretch: Stretch, work_ns: int, now_ns: int | None) -> int:
    """How long after its beginning max_workers, added up over time, can have carried `work_ns` of the stretch."""
    steps = [step for step in run.limits if stretch.began_ns <= step.at_ns <= (stretch.ended_ns or step.at_ns)]
    left_ns = work_ns
    for step, following in pairwise(steps):
        carried_ns = (following.at_ns - step.at_ns) * step.value
        if carried_ns >= left_ns:
            return step.at_ns - stretch.began_ns + left_ns // step.value
        left_ns -= carried_ns
    last = steps[-1]
    earliest_ns = last.at_ns - stretch.began_ns + left_ns // last.value
    # Calls in flight outlive a lowered limit: then the work was done sooner than the limit alone allows.
    ended_ns = stretch.ended_ns if stretch.ended_ns is not None else now_ns
    return earliest_ns if ended_ns is None else min(earliest_ns, ended_ns - stretch.began_ns)
