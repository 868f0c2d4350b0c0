"""How many workers a rate needs: Little's law, with a quarter to spare.

Comes in: the calls a second that a quota allows, and how long a call takes. Goes out: a number of workers and why, or
None where the present one is near enough. Knows no run and no time.

    in flight on average = rate x mean latency          (Little, "A proof for the queuing formula L = lambda W", 1961)

The mean, not the median: latencies lean to the right, and by the median the workers come out a quarter too few. In a
simulation of 600 requests a minute, 1.0 times as many workers made 562 answers a minute, 1.25 times as many 572, and
three times as many no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

HEADROOM = 1.25
NEAR = 0.1
"""A change by no more than this share is not worth making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """So many workers, and why."""

    max_workers: int
    why: str
    """`10 calls a second x 0.8 s x 1.25`"""


def workers_for(*, rate_per_s: float, latency_s: float, ceiling: int | None = None) -> int:
    """The workers that keep a rate busy: ceil(1.25 x rate x mean latency), at least 1, at most `ceiling`.

    >>> workers_for(rate_per_s=10.0, latency_s=0.8)
    10
    """
    wanted = HEADROOM * rate_per_s * latency_s
    if ceiling is not None:
        wanted = min(wanted, ceiling)
    return max(1, ceil(round(wanted, 9)))  # rounded: 10.000000000000002 is 10


def size(*, rate_per_s: float, latency_s: float, ceiling: int, now: int) -> Sized | None:
    """How many workers there should be instead of `now`; None where that is within a tenth, or one, of it.

    One more all the same where fewer than rate x latency are there: those could not use the rate. Always at most
    `ceiling`.
    """
    wanted = workers_for(rate_per_s=rate_per_s, latency_s=latency_s, ceiling=ceiling)
    too_few = now < min(rate_per_s * latency_s, ceiling)
    near = abs(wanted - now) <= max(1.0, NEAR * now)
    if wanted == now or (near and not too_few and now <= ceiling):
        return None
    held = f", but at most {ceiling:,}" if wanted == ceiling < HEADROOM * rate_per_s * latency_s else ""
    return Sized(max_workers=wanted, why=f"{rate_per_s:.3g} calls a second x {latency_s:.3g} s x {HEADROOM:g}{held}")
