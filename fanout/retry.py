"""A failed attempt in, a verdict out: send it again, and when, or give it up.

Pure arithmetic on instants that are given; the chance is given too (`jitter`, drawn by the caller), so a test decides.
Knows no thread and no provider: what kind of failure it was, `fanout.errors` says.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal

from fanout.clock import NS_PER_S, nanoseconds
from fanout.errors import CallFailed, RateLimited
from fanout.events import StopReason

BASE_S = 0.5
"""Longest wait after the first failure, in seconds; doubles with each further one."""
CAP_S = 30.0
"""Longest wait that we choose ourselves, in seconds."""
GETS_ON_NS = 90 * NS_PER_S
"""A run gets on for so long after an answer: no limit of a minute is used up for longer."""
MOST_EPISODES = 5
"""Episodes of 429s that lengthen the wait: to 8 s at most, so that a minute's end is not missed by much."""
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


def verdict(
    error: CallFailed, *, at_ns: int, counted: int, retries: int, jitter: float, episodes: int = 0
) -> Again | GiveUp:
    """What becomes of a call whose attempt failed at `at_ns` with `error`.

    `counted` is how many of its attempts have failed in this stretch, this one included, without those that
    `is_free` forgives; `retries` how many further attempts the user allows; `jitter` a draw from [0, 1). `episodes` of
    429s without an answer between them make the wait longer as failures of its own do.
    """
    if error.stops_run:
        return GiveUp(stops_run=True)
    if not error.retryable or retries == 0 or counted > retries:
        return GiveUp(stops_run=False)
    wait_s = backoff_s(max(counted, min(episodes, MOST_EPISODES)), jitter=jitter)
    asked_s = error.retry_after_s
    if asked_s is not None and asked_s > 0:
        wait_s = max(wait_s, min(asked_s, LONGEST_RETRY_AFTER_S))
    return Again(
        ready_ns=at_ns + nanoseconds(wait_s),
        reason="backoff" if asked_s is None else "retry_after",
        everyone_waits=isinstance(error, RateLimited),
    )


def is_free(error: CallFailed, *, refused_before_ns: int, last_answer_ns: int | None, at_ns: int) -> bool:
    """Whether a failure does not count against `retries`: a 429 while the run gets on.

    A 429 says "later", not "no": as long as any call of the run was answered since this one was last refused (or first
    started, `refused_before_ns`), waiting works, and a prompt is not given up for it. Nor is it while the last answer
    is younger than `GETS_ON_NS`: a provider that counts whole minutes may refuse all for one. Where nothing is answered
    for longer, a 429 counts like any other failure, so a provider that only refuses ends the run.
    """
    if not isinstance(error, RateLimited) or last_answer_ns is None:
        return False
    return last_answer_ns > refused_before_ns or at_ns - last_answer_ns < GETS_ON_NS


class Refusals:
    """Which failures of one stretch do not count, and its 429s since the last answer as episodes.

    What was in flight together is refused together: that is one episode.
    """

    def __init__(self) -> None:
        self.episodes = 0
        self._episode_ns = 0
        self._failed_ns: dict[int, int] = {}  # when a call last failed, by call
        self._last_answer_ns: int | None = None

    def __contains__(self, call: int) -> bool:
        """Whether this call has ever failed."""
        return call in self._failed_ns

    def answered(self, at_ns: int) -> None:
        """Waiting works."""
        self.episodes = 0
        self._last_answer_ns = at_ns

    def forgives(self, call: int, error: CallFailed, *, started_ns: int, at_ns: int) -> bool:
        """A call that had started at `started_ns` failed: whether that counts against nothing (`is_free`)."""
        before_ns = self._failed_ns.get(call, started_ns)
        self._failed_ns[call] = at_ns
        if isinstance(error, RateLimited):
            self.episodes += self.episodes == 0 or started_ns >= self._episode_ns
            self._episode_ns = at_ns
        return is_free(error, refused_before_ns=before_ns, last_answer_ns=self._last_answer_ns, at_ns=at_ns)


def backoff_s(failures: int, *, jitter: float) -> float:
    """Exponential backoff with full jitter: `jitter * min(CAP_S, BASE_S * 2**(failures - 1))` seconds.

    `failures` >= 1. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    >>> backoff_s(1, jitter=1.0), backoff_s(3, jitter=1.0), backoff_s(50, jitter=0.5)
    (0.5, 2.0, 15.0)
    """
    doublings: int = min(max(failures, 1) - 1, 32)
    return jitter * min(CAP_S, BASE_S * float(2**doublings))


# What many failures together say


FAULTS_IN_A_ROW = 20
"""Faults of the provider without one answer between them, of at least 5 calls: it may be down, and only calls that come
again are sent, until one is answered. Once 5 of them are given up, it is down."""
CALLS_IN_A_ROW = 5
SAME_REFUSALS = 5
"""Calls refused in the same words before any was answered: the settings are wrong, not the prompts."""


class Streak:
    """A circuit breaker over one stretch: what was answered, and what has failed since. Counts, no time."""

    def __init__(self) -> None:
        self._answered = False
        self._faults = 0
        self._calls: set[int] = set()
        self._given_up: set[int] = set()
        self._words: str | None = None
        self._refused: set[int] = set()

    def answered(self) -> None:
        """An answer came: the provider is there, and it takes the settings."""
        self._answered = True
        self._faults = 0
        self._calls.clear()
        self._given_up.clear()

    @property
    def doubted(self) -> bool:
        """Whether the provider may be down, so that nothing new should be sent before it has answered again."""
        return self._faults >= FAULTS_IN_A_ROW and len(self._calls) >= CALLS_IN_A_ROW

    def failed(self, call: int, error: CallFailed, *, given_up: bool) -> StopReason | None:
        """Why the run should stop now, if this failure is one too many. `given_up`: the call is not sent again."""
        if error.kind in ("transient", "overload"):
            self._faults += 1
            self._calls.add(call)
            if given_up:
                self._given_up.add(call)
            if self.doubted and len(self._given_up) >= CALLS_IN_A_ROW:
                return "provider_down"
        elif error.kind == "fatal" and not self._answered:
            words = f"{error.status_code} {error.provider_words or error.sentence}"
            if words != self._words:
                self._words = words
                self._refused.clear()
            self._refused.add(call)
            if len(self._refused) >= SAME_REFUSALS:
                return "same_failure"
        return None


BUDGET_AT_FIRST = 10
BUDGET_SHARE = 0.2
"""Retries allowed for each answer: an outage of a part of the provider must not double its load."""
BEYOND_EVERY_NS = NS_PER_S // 10
"""Once the budget is used up, one retry in this time: ten a second, as Finagle has it."""


class RetryBudget:
    """How soon a call may be sent again when many fail: a budget that answers refill (as Finagle's `RetryBudget`)."""

    def __init__(self) -> None:
        self._left = float(BUDGET_AT_FIRST)
        self._beyond: list[int] = []  # the instants given beyond the budget, in order

    def answered(self) -> None:
        """An answer pays a fifth of a retry."""
        self._left = min(100.0, self._left + BUDGET_SHARE)

    def ready_ns(self, wanted_ns: int) -> int:
        """When a retry that wants to start at `wanted_ns` may: then, or in its turn once the budget is used up."""
        if self._left >= 1:
            self._left -= 1
            return wanted_ns
        ready_ns = wanted_ns
        place = bisect_left(self._beyond, wanted_ns - BEYOND_EVERY_NS + 1)
        # The first gap, not the end of the line: a call that was asked to wait an hour delays nobody who need not.
        while place < len(self._beyond) and self._beyond[place] < ready_ns + BEYOND_EVERY_NS:
            ready_ns = self._beyond[place] + BEYOND_EVERY_NS
            place += 1
        insort(self._beyond, ready_ns)
        return ready_ns
