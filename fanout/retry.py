"""A failed attempt in, a verdict out: send it again, and when, or give it up.

Pure arithmetic on instants that are given; the chance is given too (`jitter`, drawn by the caller), so a test decides.
Knows no thread and no provider: what kind of failure it was, `fanout.errors` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fanout.clock import nanoseconds
from fanout.errors import CallFailed, RateLimited

BASE_S = 0.5
"""Longest wait after the first failure, in seconds; doubles with each further one."""
CAP_S = 30.0
"""Longest wait that we choose ourselves, in seconds."""
LONGEST_RETRY_AFTER_S = 24 * 3600.0
"""A provider's wish beyond a day is taken as a day: the user can stop the run at any moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Send the call again, not before `ready_ns`."""

    ready_ns: int
    reason: Literal["backoff", "retry_after"]
    everyone_waits: bool
    """Whether the whole run holds back until then: a 429 speaks to the account, not to one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The call has failed for good."""

    stops_run: bool
    """Whether every further call would fail alike."""


def verdict(error: CallFailed, *, at_ns: int, counted: int, retries: int, jitter: float) -> Again | GiveUp:
    """What becomes of a call whose attempt failed at `at_ns` with `error`.

    `counted` is how many of its attempts have failed in this stretch, this one included, without those that
    `is_free` forgives; `retries` how many further attempts the user allows; `jitter` a draw from [0, 1).
    """
    if error.stops_run:
        return GiveUp(stops_run=True)
    if not error.retryable or retries == 0 or counted > retries:
        return GiveUp(stops_run=False)
    wait_s = backoff_s(counted, jitter=jitter)
    asked_s = error.retry_after_s
    if asked_s is not None and asked_s > 0:
        wait_s = max(wait_s, min(asked_s, LONGEST_RETRY_AFTER_S))
    return Again(
        ready_ns=at_ns + nanoseconds(wait_s),
        reason="backoff" if asked_s is None else "retry_after",
        everyone_waits=isinstance(error, RateLimited),
    )


def is_free(error: CallFailed, *, refused_before_ns: int, last_answer_ns: int | None) -> bool:
    """Whether a failure does not count against `retries`: a 429 while the run gets on.

    A 429 says "later", not "no": as long as any call of the run was answered since this one was last refused (or first
    started, `refused_before_ns`), waiting works, and a prompt is not given up for it. Where nothing is answered in
    between, a 429 counts like any other failure, so a provider that only refuses ends the run.
    """
    return isinstance(error, RateLimited) and last_answer_ns is not None and last_answer_ns > refused_before_ns


def backoff_s(failures: int, *, jitter: float) -> float:
    """Exponential backoff with full jitter: `jitter * min(CAP_S, BASE_S * 2**(failures - 1))` seconds.

    `failures` >= 1. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    >>> backoff_s(1, jitter=1.0), backoff_s(3, jitter=1.0), backoff_s(50, jitter=0.5)
    (0.5, 2.0, 15.0)
    """
    doublings: int = min(max(failures, 1) - 1, 32)
    return jitter * min(CAP_S, BASE_S * float(2**doublings))
