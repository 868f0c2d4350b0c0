"""What the limits known of an account mean for a batch that is not sent yet, in words.

Comes in: a batch and its `Prospect`. Goes out: plain text. Knows no page.
"""

from __future__ import annotations

from dashboard.quota_words import ago, limit_name
from dashboard.units import counted, duration
from fanout.batch import Batch
from fanout.clock import seconds
from fanout.quota.view import SpentDay
from fanout.tuning.prospect import Prospect, Today

TRIES = "one call is sent first, to see whether that still holds; the others follow once it is answered."
WORTH_SAYING_S = 1.0
"""A quota that holds the batch for less is not worth a word."""


def least_words(quota: Prospect) -> str | None:
    """at least 28 s by the quota; None where no limit of a minute holds the batch back."""
    if quota.starts_s is None or quota.starts_s < WORTH_SAYING_S or quota.by is None:
        return None
    return f"at least {duration(quota.starts_s, digits=2)} by the quota of {limit_name(quota.by)}"


def cautions(batch: Batch, quota: Prospect, *, has_unpriced: bool = False) -> list[str]:
    """What to know before it is sent: a day's limit that does not hold all of it, a cap that nobody can count.

    `has_unpriced`: of a run that goes on, whether an answer that its model gave has no price.
    """
    unpriced = unpriced_words(batch, quota, has_unpriced=has_unpriced)
    return [*day_lines(quota), *([] if unpriced is None else [unpriced])]


def day_lines(quota: Prospect) -> list[str]:
    """What a day's limit means for it: one that the provider has said is used up, or one that has too little left."""
    said = [] if quota.spent is None else [spent_words(quota.spent, at_ns=quota.at_ns)]
    if quota.today is not None and (quota.spent is None or quota.spent.name != quota.today.name):
        said.append(_today(quota.today))
    return said


def unpriced_words(batch: Batch, quota: Prospect, *, has_unpriced: bool = False) -> str | None:
    """That the cap in dollars cannot be kept; None where there is none, or it can."""
    if batch.cap_usd is None or (quota.is_priced and not has_unpriced):
        return None
    instead = "A cap in tokens is counted." if batch.cap_tokens is None else "Its cap in tokens is counted."
    then = "one call goes first, and the run pauses after it and asks, unless its answer has a price."
    if has_unpriced:
        then = "the run pauses before its next call and asks, unless it was told to go on without the cap."
    return f"The price of {batch.model} is not known here, so nobody can count dollars: {then} {instead}"


def spent_words(spent: SpentDay, *, at_ns: int) -> str:
    """That a day's limit is used up, who said so, when it comes back, and what a run does until then."""
    back = duration(seconds(spent.until_ns - at_ns), digits=2)
    until = f"it asked to wait another {back}" if spent.is_told else f"its day ends in {back}"
    said = f"The provider said {ago(at_ns - spent.said_ns)} that the limit of {limit_name(spent.name)} is used up"
    return f"{said}; {until}. {TRIES.capitalize()}"


def _today(today: Today) -> str:
    of = f"{today.number:,} {limit_name(today.name)}"
    if not today.left:
        return (
            f"Of {of} nothing is left: {TRIES if today.is_told else 'none of these calls is sent before its day ends.'}"
        )
    return (
        f"Of {of} {today.left:,} are left: the run stops after {counted(today.left, 'call')}, keeps the answers, "
        "and the rest can be sent the next day."
    )
