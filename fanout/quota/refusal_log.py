"""What an account refused, for showing: 429s of one instant are one line.

Comes in: each 429 with its words. Goes out: `Refused`, the oldest first, so many as are kept. Decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from fanout.events import LimitName
from fanout.quota.view import Refused

KEPT = 200
SAME_NS = 1_000_000_000
"""Refusals of one run within it are one line."""


class RefusalLog:
    """The newest refusals of one account. Not thread-safe: its gate's owner holds a lock."""

    def __init__(self) -> None:
        self._noted: deque[Refused] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        return f"<RefusalLog of {len(self._noted)}>"

    def __iter__(self) -> Iterator[Refused]:
        return iter(self._noted)

    def note(
        self, run_id: str, limit: LimitName | None, *, wait_s: float | None, at_ns: int, words: tuple[str, str]
    ) -> None:
        """A 429 to this run. `words` say why it came and what would have avoided it."""
        count, first_ns = 1, at_ns
        last = self._noted[-1] if self._noted else None
        if last is not None and last.run_id == run_id and at_ns - last.at_ns < SAME_NS:
            count += self._noted.pop().count
            first_ns = last.at_ns
            wait_s = max((each for each in (wait_s, last.wait_s) if each is not None), default=None)
        self._noted.append(
            Refused(
                at_ns=first_ns,
                run_id=run_id,
                count=count,
                limit=limit,
                wait_s=wait_s,
                why=words[0],
                remedy=words[1],
            )
        )
