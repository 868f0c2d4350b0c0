"""Limits of a day that the provider has said are used up, whatever was counted here: until when, and who may try.

Comes in: what a 429 said and when. Goes out: which limit is used up at an instant, and whether one call may try it. The
provider's word may be overtaken (a larger plan, a day that rolls), so it blocks nobody: one call goes first, and the
others follow once it is answered. Pure: knows no clock.
"""

from __future__ import annotations

from fanout.events import LimitName
from fanout.quota.view import SpentDay


class SpentDays:
    """Of one account. Not thread-safe: its gate's owner holds a lock."""

    def __init__(self) -> None:
        self._said: dict[LimitName, SpentDay] = {}

    def __repr__(self) -> str:
        return f"<SpentDays {', '.join(self._said)}>"

    def __bool__(self) -> bool:
        return bool(self._said)

    def said(self, name: LimitName, *, until_ns: int, is_told: bool, at_ns: int) -> None:
        """A 429 says that this limit is used up until then; `is_told`: by the provider, else its documents say so."""
        self._said[name] = SpentDay(name=name, said_ns=at_ns, until_ns=until_ns, is_told=is_told)

    def answered(self, booked_ns: int) -> tuple[LimitName, ...]:
        """A call that was booked then has an answer: what was said before it started holds no more, of these limits."""
        if not self._said:
            return ()
        over = tuple(name for name, each in self._said.items() if each.said_ns <= booked_ns)
        for name in over:
            del self._said[name]
        return over

    def at(self, at_ns: int) -> tuple[SpentDay, ...]:
        """What is used up at this instant."""
        if not self._said:
            return ()
        self._said = {name: each for name, each in self._said.items() if each.until_ns > at_ns}
        return tuple(self._said.values())
