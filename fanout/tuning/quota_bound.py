"""How much of a run its quota decides: how long it held, how many workers it can use, when it lets the rest end.

Comes in: a `Run` and an instant on its clock. Goes out: a `QuotaBound`, each number None where nobody can tell. Knows
no clock of its own and no words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from fanout.clock import NS_PER_S, seconds
from fanout.events import Held
from fanout.run import Run
from fanout.tuning.auto import workers_for
from fanout.tuning.bounds import answered_s
from fanout.tuning.rates import QUOTA_HOLDS, Allowed, allowed, blocked_s, least_s

PACE_NS = 30 * NS_PER_S
"""The present pace is that of the last half minute ..."""
PACED_CALLS = 16
"""... or of the last 16 answers, where these reach further back."""
_COUNTED: frozenset[Held] = QUOTA_HOLDS | {"workers"}
FEWEST_PACED = 3
"""Answers below which there is no pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaBound:
    """What the quota did to a run, and what it allows."""

    share: float
    """Of the wall time, the share in which a quota held the next call: 0 to 1."""
    by: Held | None
    """What of the quota held longest; None where it never did. Another run's turn only where no limit held: nobody
    takes turns at a limit that has room."""
    rate: Allowed | None
    """The calls a second that the known limits allow; None where none is known."""
    workers_suffice: int | None
    """Workers that keep this rate busy, some to spare: `auto.workers_for`. Where calls waited for a worker all the same
    (`workers_share`), more may gain something."""
    earliest_s: float | None
    """Seconds from now before which the limits let the last waiting call start: 0 where they do not hold it back."""
    turns_share: float = 0.0
    """Of the wall time, the share in which it was another run's turn at the account: 0 to `share`."""
    workers_share: float = 0.0
    """Of the wall time, the share in which the next call waited for a worker: 0 to 1."""
    pace_s: float | None
    """Seconds from now until all are answered, at the pace of the last answers; never sooner than the quota allows, and
    None while something without a known end lets nothing start."""


def quota_bound(run: Run, now_ns: int) -> QuotaBound:
    """What goes on is cut at `now_ns`."""
    held = held_ns(run, now_ns, _COUNTED)
    workers_ns = held.pop("workers", 0)
    wall_ns = sum(max(0, (stretch.ended_ns or now_ns) - stretch.began_ns) for stretch in run.stretches)
    rate = allowed(run)
    latencies_s = answered_s(run)
    waiting = sum(call.status in ("queued", "backing_off") for call in run.calls)
    earliest_s = least_s(run, waiting, now_ns) if waiting else None
    blocked = blocked_s(run, now_ns) if waiting else 0.0
    # Of a wait whose end is told, the pace is the one before it, and goes on after it.
    pace_s = None if blocked is None else _pace_s(run, run.holds[-1].at_ns if blocked else now_ns)
    return QuotaBound(
        share=sum(held.values()) / wall_ns if wall_ns else 0.0,
        turns_share=held["turn"] / wall_ns if wall_ns else 0.0,
        workers_share=workers_ns / wall_ns if wall_ns else 0.0,
        by=max(held.items(), key=lambda one: (one[0] != "turn", one[1]), default=(None, 0))[0],
        rate=rate,
        workers_suffice=(
            workers_for(rate_per_s=rate.rate_per_s, latency_s=sum(latencies_s) / len(latencies_s))
            if rate is not None and latencies_s
            else None
        ),
        earliest_s=earliest_s,
        pace_s=None if pace_s is None or blocked is None else max(blocked + pace_s, earliest_s or 0.0),
    )


def held_ns(run: Run, now_ns: int, kinds: Collection[Held]) -> Counter[Held]:
    """How long each of these held the next call within stretches; only what held at all."""
    found: Counter[Held] = Counter()
    for hold, following in zip(run.holds, [*run.holds[1:], None][: len(run.holds)], strict=True):
        if hold.held_by is None or hold.held_by not in kinds:
            continue
        until_ns = now_ns if following is None else following.at_ns
        for stretch in run.stretches:
            ended_ns = now_ns if stretch.ended_ns is None else stretch.ended_ns
            length_ns = min(until_ns, ended_ns) - max(hold.at_ns, stretch.began_ns)
            if length_ns > 0:
                found[hold.held_by] += length_ns
    return found


def _pace_s(run: Run, now_ns: int) -> float | None:
    """What is left over the pace of the last answers; None in a pause, in a stop and before there is a pace."""
    if run.state != "running":
        return None
    began_ns = run.stretches[-1].began_ns
    answers = sorted(
        call.ended_ns[-1] for call in run.calls if call.status == "answered" and call.ended_ns[-1] >= began_ns
    )
    left = sum(call.status in ("queued", "backing_off", "running") for call in run.calls)
    if len(answers) < FEWEST_PACED or not left:
        return None
    lately = sum(at_ns > now_ns - PACE_NS for at_ns in answers)
    count = min(len(answers), max(lately, PACED_CALLS))
    since_ns = answers[-count - 1] if count < len(answers) else began_ns
    if count == lately:
        since_ns = max(since_ns, now_ns - PACE_NS)
    return left * seconds(now_ns - since_ns) / count if now_ns > since_ns else None
