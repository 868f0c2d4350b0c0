"""Whether refusals follow the pace: what was sent and refused at each pace, while no limit is told.

Comes in: sendings, refusals, and when the rate was changed. Goes out: the share that is refused at any pace, where
refusals do not follow it. A limit lets the same number pass a minute however fast is sent; a provider that refuses by
chance, or because others keep it busy, lets the same share pass. So what passed at a slow and at a fast pace is looked
at under both: of all that passed, the fast one has its part of the time by a limit, its part of the sendings by chance.
One is believed once it makes what was seen twenty times as likely as the other does (Wald, 1945: the sequential
probability ratio test).

What was seen counts half after two minutes: the provider may be another one by then. A faster pace at which a smaller
share was refused than chance explains was seen on such another provider, and is forgotten at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fanout.clock import NS_PER_S
from fanout.quota.bucket import NS_PER_MINUTE

LEAST_WINDOW_NS = NS_PER_S
"""Over less, a burst that was let pass would be taken for a rate."""
FEWEST_SENT = 8
"""At each of two paces, before they are compared."""
FEWEST_EACH = 2
"""Passed, and refused, before it is said that both happen at a pace."""
APART = 2.0
"""How many times the slower pace the faster one is at least."""
BELIEVED = math.log(20)
MOST_DEVIATIONS = 3.0
"""Of a number from what a share makes one expect: less chance than that is none."""
HALF_LIFE_NS = 2 * NS_PER_MINUTE
MOST_WAIT_NS = NS_PER_MINUTE
"""A wait between two sendings is a part of their pace; a longer one is a pause."""


@dataclass(slots=True)
class _Pace:
    """What was sent at about one pace."""

    sent: float = 0.0
    refused: float = 0.0
    took_ns: float = 0.0

    def add(self, other: _Pace) -> None:
        self.sent += other.sent
        self.refused += other.refused
        self.took_ns += other.took_ns

    @property
    def passed(self) -> float:
        return self.sent - self.refused

    @property
    def per_minute(self) -> float:
        return self.sent * NS_PER_MINUTE / self.took_ns

    @property
    def share(self) -> float:
        return self.refused / self.sent


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyPace:
    """What is refused at any pace."""

    share: float = 0.0
    """Of what is sent; 0: refusals follow the pace."""
    per_minute: int = 0
    """So fast it was sent without more of it being refused."""

    def explains(self, *, sent: int, refused: int) -> bool:
        """Whether so many of so many are no more than this share makes one expect, within three standard deviations."""
        return self.share > 0 and refused <= self.share * sent + MOST_DEVIATIONS * math.sqrt(self.share * sent) + 1


class RefusedShare:
    """One account's, as one process sees it. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_last", "_noted_ns", "_now", "_paces", "_sent_ns", "_since_ns")

    def __init__(self) -> None:
        self._paces: dict[int, _Pace] = {}  # by the power of two at or below it, a minute
        self._last: _Pace | None = None  # where what was sent last has been noted
        self._now = _Pace()  # what is not noted yet
        self._since_ns: int | None = None
        self._sent_ns = self._noted_ns = 0  # when something was sent last, and noted last

    @property
    def sent(self) -> float:
        """Of what is not noted yet."""
        return self._now.sent

    def started(self, at_ns: int) -> None:
        """A request was sent."""
        if at_ns - self._sent_ns > MOST_WAIT_NS:
            self.note(self._sent_ns)
        if self._since_ns is None:
            self._since_ns = at_ns
        self._sent_ns = at_ns
        self._now.sent += 1

    def refused(self, *, started_ns: int) -> None:
        """It was refused."""
        pace = self._now if self._since_ns is not None and started_ns >= self._since_ns else self._last
        if pace is not None:
            pace.refused = min(pace.sent, pace.refused + 1)

    def note(self, at_ns: int) -> None:
        """The pace may be another one from now on."""
        found, since_ns = self._now, self._since_ns
        self._now, self._since_ns = _Pace(), None
        self._fade(at_ns)
        if found.sent and since_ns is not None:
            waited = since_ns - self._noted_ns <= MOST_WAIT_NS
            found.took_ns = max(LEAST_WINDOW_NS, at_ns - (self._noted_ns if waited else since_ns))
            self._last = self._paces.setdefault(math.floor(math.log2(found.per_minute)), _Pace())
            self._last.add(found)
        self._noted_ns = max(self._noted_ns, at_ns)

    def any_pace(self) -> AnyPace | None:
        """What is refused at any pace; None where no two paces tell."""
        most, found = BELIEVED, None
        for split in sorted(self._paces)[1:]:
            slow, fast = self._pooled(below=split)
            if min(slow.sent, fast.sent) < FEWEST_SENT or fast.per_minute < APART * slow.per_minute:
                continue
            if _deviations(slow, fast) > MOST_DEVIATIONS:
                self._paces = {power: pace for power, pace in self._paces.items() if power < split}
                break
            chance = _chance(slow, fast)
            if abs(chance) < most or (chance > 0 and slow.refused < FEWEST_EACH):
                continue
            most = abs(chance)
            found = AnyPace(share=slow.share, per_minute=round(fast.per_minute)) if chance > 0 else AnyPace()
        return found

    def comes_at(self, per_minute: int) -> bool:
        """Whether some passed and some were refused at this pace or slower ones, of enough to be compared."""
        slow, _ = self._pooled(below=math.floor(math.log2(per_minute)) + 1)
        return slow.sent >= FEWEST_SENT and min(slow.passed, slow.refused) >= FEWEST_EACH

    def _pooled(self, *, below: int) -> tuple[_Pace, _Pace]:
        slow, fast = _Pace(), _Pace()
        for power, pace in self._paces.items():
            (slow if power < below else fast).add(pace)
        return slow, fast

    def _fade(self, at_ns: int) -> None:
        keeps = 0.5 ** (max(0, at_ns - self._noted_ns) / HALF_LIFE_NS)
        for pace in self._paces.values():
            pace.sent *= keeps
            pace.refused *= keeps
            pace.took_ns *= keeps


def _chance(slow: _Pace, fast: _Pace) -> float:
    """The logarithm of how many times as likely chance makes what passed as a limit does."""
    sent, took = fast.sent / (slow.sent + fast.sent), fast.took_ns / (slow.took_ns + fast.took_ns)
    return fast.passed * math.log(sent / took) + slow.passed * math.log((1 - sent) / (1 - took))


def _deviations(slow: _Pace, fast: _Pace) -> float:
    """By how many standard deviations `slow` was refused more often than `fast` (two proportions, pooled)."""
    sent = slow.sent + fast.sent
    share = (slow.refused + fast.refused) / sent
    deviation = math.sqrt(share * (1 - share) * (1 / slow.sent + 1 / fast.sent))
    return (slow.share - fast.share) / deviation if deviation else 0.0
