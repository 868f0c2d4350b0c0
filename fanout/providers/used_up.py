"""A quota that is used up, in a sentence: which limit, until when, what to do.

Comes in: the limit that a provider named, and the wait that it asks for. Goes out: the second half of a sentence whose
first is `The provider answered 429:`.
"""

from __future__ import annotations

from collections.abc import Mapping

from fanout.events import LimitName

NO_CREDIT = "the account has no credit left. Add credit, or use another key."
SPENDING = "the account has reached its spending limit. Raise the limit, or use another key."

_OF: Mapping[LimitName, str] = {
    "requests": "limit of requests per minute",
    "tokens": "limit of tokens per minute",
    "input_tokens": "limit of input tokens per minute",
    "output_tokens": "limit of output tokens per minute",
    "requests_per_day": "limit of requests per day",
    "tokens_per_day": "limit of tokens per day",
    "concurrency": "limit of requests in flight",
}
_MIDNIGHT: Mapping[str, str] = {"google": "at midnight Pacific time"}
"""By provider, where its documents say when a day ends."""


def for_now(limit: LimitName | None, wait_s: float | None) -> str:
    """Of a limit that is worth waiting for."""
    named = "limit" if limit is None else _OF[limit]
    if wait_s is None:
        return (
            f"its {named} is used up for now. It did not say how long to wait: send it again later, or lower "
            "max_workers."
        )
    return f"its {named} is used up for now. It asks to wait {_seconds(wait_s)}."


def for_the_day(limit: LimitName, wait_s: float | None, *, provider: str) -> str:
    """Of a day's limit."""
    unit = "tokens" if limit == "tokens_per_day" else "requests"
    if wait_s is not None:
        back = f"It asks to wait {_seconds(wait_s) if wait_s < 100 else _long(wait_s)}"
    else:
        back = f"They come back {_MIDNIGHT.get(provider, 'within a day')}"
    return f"the day's {unit} are used up. {back}: go on then, or use another key or model."


def _seconds(wait_s: float) -> str:
    return f"{wait_s:{'.3g' if wait_s < 100 else '.0f'}} s"


def _long(wait_s: float) -> str:
    """Rounded up to a minute."""
    hours, minutes = divmod(-int(-wait_s // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
