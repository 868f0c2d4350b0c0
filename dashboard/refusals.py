"""The 429s of an account as rows: the same explanation once, with how often and when last.

Comes in: `Refused` records, the newest last, and what the viewer may know of their runs. Goes out: `Explained` values,
the newest first. Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fanout.events import LimitName
from fanout.quota.view import Refused

_NUMBERS = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Refusals that are explained alike, but for the numbers in the sentence; those shown are of the last one."""

    last_ns: int
    why: str
    remedy: str
    limit: LimitName | None
    times: int
    """Instants at which it happened."""
    calls: int
    longest_s: float | None
    """None where nobody waited: the run stopped."""
    runs: tuple[str, ...]
    """Ids, the newest first."""


def explained(refusals: Iterable[Refused]) -> list[Explained]:
    """One for each explanation.

    A learnt pace is another number each time, so numbers do not tell explanations apart.
    """
    alike: dict[tuple[LimitName | None, str, str], list[Refused]] = {}
    for each in refusals:
        alike.setdefault((each.limit, _NUMBERS.sub("#", each.why), _NUMBERS.sub("#", each.remedy)), []).append(each)
    groups = [_one(several) for several in alike.values()]
    return sorted(groups, key=lambda group: group.last_ns, reverse=True)


def runs_words(runs: Iterable[str], name: Callable[[str], str | None]) -> str:
    """The run they came to, or how many runs; `name` gives None for one that the viewer may not see."""
    named = [name(run_id) for run_id in runs]
    if len(named) > 1:
        return f"{len(named)} runs"
    return next((each for each in named if each is not None), "another's run")


def _one(several: list[Refused]) -> Explained:
    last = several[-1]
    return Explained(
        last_ns=last.at_ns,
        why=last.why,
        remedy=last.remedy,
        limit=last.limit,
        times=len(several),
        calls=sum(each.count for each in several),
        longest_s=max((each.wait_s for each in several if each.wait_s is not None), default=None),
        runs=tuple(dict.fromkeys(each.run_id for each in reversed(several))),
    )
