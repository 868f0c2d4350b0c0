"""A 429 in words: what happened, and the knob that would have avoided it; and a day's limit that is used up.

Comes in: a gate as it stood, what the response said, the run's settings. Goes out: sentences, and the failure that a
day's end is. Decides nothing.
"""

from __future__ import annotations

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.errors import QuotaExhausted
from fanout.events import Held, LimitName
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.limits import TOKENS
from fanout.quota.meters import DAILY
from fanout.quota.report import RateReport

WORDS: dict[LimitName, str] = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "input_tokens": "input tokens a minute",
    "output_tokens": "output tokens a minute",
    "requests_per_day": "requests a day",
    "tokens_per_day": "tokens a day",
    "concurrency": "calls in flight",
}
_KNOBS: dict[LimitName, str] = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
    "input_tokens": "input_tokens_per_minute",
    "output_tokens": "output_tokens_per_minute",
    "requests_per_day": "requests_per_day",
    "tokens_per_day": "tokens_per_day",
    "concurrency": "max_in_flight",
}


def words_for(
    gate: Gate, report: RateReport, *, batch: Batch, booked_ns: int, reserved: Cost, at_ns: int
) -> tuple[str, str]:
    """Why this 429 came to an attempt that was booked at `booked_ns`, and what would have avoided it."""
    share, limit = gate.learnt.any_pace.share, gate.suspect(report, at_ns)
    if share and not report.readings and report.exhausted is None:
        return (
            f"The provider refuses about {share:.0%} of what is sent, however fast that is.",
            "Nothing here would have avoided it, and going slower did not help. What it refuses is sent again.",
        )
    if limit is None:
        return (
            "The provider refused and did not say which limit was used up.",
            f"Set its limits for this model in fanout.toml, or requests a minute for the run; max_workers "
            f"{batch.max_workers} alone does not pace it.",
        )
    reading, known = report.of(limit), gate.meters.known.get(limit)
    said = None if reading is None else reading.limit
    number = said if said is not None else gate.meters.amount(limit)
    of = WORDS[limit] if number is None else f"{number:,} {WORDS[limit]}"
    others = gate.meters.others_per_minute(limit, at_ns)
    if others:
        return (
            f"The limit of {of} was used up: somebody else uses about {others:,} of them a minute.",
            f"Set {_KNOBS[limit]} in fanout.toml to what is left for this machine, or use a key of your own.",
        )
    if said is None and known is not None and known.source == "learnt":
        return (
            f"The provider refused and did not say its limit; the pace of {of} was a guess by its 429s.",
            f"Set {_KNOBS[limit]} for this model in fanout.toml: then the run is paced from its first call.",
        )
    if limit == "concurrency":
        most = gate.limits.max_in_flight
        if most is None:
            return (
                "The provider allows fewer calls in flight than there were; how many was not known before.",
                "Set max_in_flight for this model in fanout.toml, or a smaller max_workers.",
            )
        return (
            f"The provider allows fewer calls in flight than the {most:,} of the settings.",
            f"Set max_in_flight for this model in fanout.toml below {most:,}.",
        )
    if known is None or (known.known_ns is not None and known.known_ns >= booked_ns):
        return (
            f"The limit of {of} was used up, and it was not known before.",
            f"Set {_KNOBS[limit]} for this model in fanout.toml: then the run is paced from its first call.",
        )
    if limit in DAILY:
        return (
            f"The limit of {of} was used up although less was counted here: the key was used elsewhere today.",
            f"Set {_KNOBS[limit]} in fanout.toml to what is left for this machine, or use a key of your own.",
        )
    if limit in TOKENS:
        return _more_tokens_than_reserved(of, report.requested, reserved.of(limit), batch)
    if limit == "requests" and batch.burst is not None:
        return f"The limit of {of} was used up.", f"A smaller burst than {batch.burst:,} would have avoided it."
    if gate.limits.never_exceed:
        return (
            f"The limit of {of} was used up although no minute held more: the provider allows less.",
            f"Set a lower {_KNOBS[limit]} for this model in fanout.toml.",
        )
    return (
        f"The limit of {of} was used up although the pace kept to it: the provider counts another window than a minute "
        "that moves, or somebody else uses the key.",
        "Set never_exceed = true for this model in fanout.toml, or a smaller burst.",
    )


def _more_tokens_than_reserved(of: str, requested: int | None, reserved: int, batch: Batch) -> tuple[str, str]:
    """The pace kept to what was reserved, so this call counts for more, or others did."""
    if requested is not None and requested > reserved:
        why = f"The limit of {of} was used up: this call counts for {requested:,}, and {reserved:,} were reserved."
    else:
        why = f"The limit of {of} was used up: answers were longer than those by which tokens are reserved."
    if batch.max_output_tokens is None:
        return why, "Set max output tokens for the run: then no answer is longer than what is reserved at first."
    return why, "It is sent again with more reserved; a lower tokens a minute for the run leaves room for such calls."


def spent_words(
    gate: Gate, report: RateReport, *, batch: Batch, booked_ns: int, reserved: Cost, at_ns: int
) -> tuple[LimitName | None, tuple[str, str]]:
    """The same of a 429 that no wait helps: the day's limit, or None where credit or a spending limit is used up."""
    if report.exhausted in DAILY:
        return report.exhausted, words_for(
            gate, report, batch=batch, booked_ns=booked_ns, reserved=reserved, at_ns=at_ns
        )
    return None, (
        "The account has no credit left, or has reached its spending limit.",
        "Add credit, raise the spending limit, or use another key.",
    )


def day_is_over(gate: Gate, limit: Held, *, wait_ns: int) -> QuotaExhausted:
    """The day's limit is used up: the sentence names it, and says when it comes back."""
    name: LimitName = "tokens_per_day" if limit == "tokens_per_day" else "requests_per_day"
    number = gate.meters.amount(name) or 0
    hours, minutes = divmod(round(seconds(wait_ns)) // 60, 60)
    back, then = f"in {hours} h {minutes} min (midnight, {gate.limits.day_zone})", "then"
    if gate.meters.known[name].source == "header":  # days that responses tell may roll
        back, then = f"at midnight ({gate.limits.day_zone}) at the latest", "later: one call tries first"
    return QuotaExhausted(
        f"The limit of {number:,} {WORDS[name]} is used up; it comes back {back}. What was answered is kept; send the "
        f"rest {then}.",
        was_sent=False,
    )
