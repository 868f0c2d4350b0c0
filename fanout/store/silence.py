"""Whether the database leaves its questions without an answer, as the threads of one process find out together.

The writer waits as long as it takes: what it asked may be done all the same. Whoever looks at a page does not. Once the
writer has waited too long, others wait briefly; and once one of them has waited in vain too, the rest do not ask.
"""

from __future__ import annotations

from dataclasses import dataclass

BRIEF_S = 2.0
"""How long others wait while the writer has no answer."""


@dataclass(slots=True)
class Silence:
    """Two flags, each set by one step; a late look at one costs a wait and nothing else. From any thread."""

    hangs: bool = False
    """Whether the writer has waited too long."""
    unheard: bool = False
    """Whether somebody else has waited in vain since."""

    @property
    def is_known(self) -> bool:
        """Whether asking is of no use until the writer has an answer."""
        return self.hangs and self.unheard

    def most_s(self, usual_s: float) -> float:
        """How long somebody who would wait so long waits now."""
        return min(usual_s, BRIEF_S) if self.hangs else usual_s

    def is_over(self) -> None:
        """The writer has an answer."""
        self.hangs = self.unheard = False
