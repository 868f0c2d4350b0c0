"""What the body of an error says about limits: which one is used up, and how long to wait.

Comes in: the body of a response that is no success, parsed where it was JSON. Goes out: a `Refusal`. Google names the
limit in google.rpc.QuotaFailure, everybody else in a sentence. It raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fanout.events import LimitName
from fanout.providers.numbers import count, span_s
from fanout.quota.report import Reading

MOST_WORDS = 2_000
"""Characters of an error's message that are read."""
SPENT = "enforced_spend_limit_reached"
"""Anthropic's code, in an error of the type that its rate limits have."""
_SPENDING_CODES = frozenset(
    {
        SPENT,
        "billing_hard_limit_reached",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)
"""The others are OpenAI's: developers.openai.com/api/docs/guides/error-codes."""
DAYS: tuple[LimitName, ...] = ("requests_per_day", "tokens_per_day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error's body says of limits."""

    exhausted: LimitName | None = None
    delay_s: float | None = None
    """google.rpc.RetryInfo."""
    words_s: float | None = None
    """Of a sentence: `Please try again in 7m12s`."""
    requested: int | None = None
    """Of a sentence: `Requested 1200`, the units that the provider counts for the call."""
    limit: int | None = None
    """Of a sentence: `Limit 200`, `limit of 50,000 input tokens per minute`; of the limit that it names."""
    readings: tuple[tuple[LimitName, Reading], ...] = ()
    by_quota_id: bool = False
    """Whether google.rpc.QuotaFailure named the limit, and not a sentence."""

    def best_wait_s(self, header_s: float | None) -> float | None:
        """The wait to believe, in seconds, where the headers ask for `header_s`."""
        if self.exhausted in DAYS:
            # Gemini sends the minute's delay with a spent day too; OpenAI's headers may speak of another limit than
            # the one that its words name.
            first = None if self.by_quota_id else self.words_s
            return header_s if first is None else first
        return next((s for s in (header_s, self.delay_s, self.words_s) if s is not None), None)


def refusal_of(body: object, *, now_s: float) -> Refusal:
    """What `body` says; `now_s` is the wall time of its arrival."""
    inner = _error_in(body)
    words = inner.get("message") if isinstance(inner, Mapping) else inner
    words = words[:MOST_WORDS] if isinstance(words, str) else ""
    details = inner.get("details") if isinstance(inner, Mapping) else None
    named: list[tuple[LimitName, Reading]] = []
    delay_s = None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            named.extend(_violations(detail.get("violations")))
            delay = detail.get("retryDelay")
            delay_s = span_s(delay, now_s) if isinstance(delay, str) else delay_s
    first_day = next((name for name, _ in named if name in DAYS), None)  # waiting a minute gives no day back
    first = first_day or (named[0][0] if named else None)
    return Refusal(
        exhausted=first or _limit_in_words(words),
        delay_s=delay_s,
        words_s=_wait_in_words(words, now_s),
        requested=int(asked[1]) if (asked := _REQUESTED.search(words)) else None,
        limit=_number_in_words(words),
        readings=tuple((name, reading) for name, reading in named if reading.limit is not None),
        by_quota_id=first is not None,
    )


def is_about_spending(body: object) -> bool:
    """Whether the error says that the account may spend no more, though it is sent as a limit's refusal."""
    inner = _error_in(body)
    if not isinstance(inner, Mapping):
        return isinstance(inner, str) and SPENT in inner[:MOST_WORDS]
    details = inner.get("details")
    codes = (inner.get("code"), inner.get("type"), details.get("error_code") if isinstance(details, Mapping) else None)
    return any(isinstance(code, str) and code in _SPENDING_CODES for code in codes)


def _error_in(body: object) -> object:
    if isinstance(body, list) and len(body) == 1:  # Google's OpenAI-compatible API
        body = body[0]
    return body.get("error", body) if isinstance(body, Mapping) else body


def _violations(violations: object) -> Iterator[tuple[LimitName, Reading]]:
    """google.rpc.QuotaFailure: the limit of each violation, with its number where it is told."""
    for violation in violations if isinstance(violations, list) else ():
        quota_id = violation.get("quotaId") if isinstance(violation, Mapping) else None
        if isinstance(quota_id, str) and (name := _limit_of_quota_id(quota_id)) is not None:
            value = violation.get("quotaValue")
            yield name, Reading(limit=(count(value) or None) if isinstance(value, str) else None)


def _limit_of_quota_id(quota_id: str) -> LimitName | None:
    """`GenerateContentInputTokensPerModelPerMinute-FreeTier` -> input_tokens."""
    tokens = "Tokens" in quota_id
    if "PerDay" in quota_id:
        return "tokens_per_day" if tokens else "requests_per_day"
    if "PerMinute" not in quota_id:
        return None
    if tokens:
        return "input_tokens" if "Input" in quota_id else "output_tokens" if "Output" in quota_id else "tokens"
    return "requests" if "Requests" in quota_id else None


_LIMIT_WORDS = re.compile(
    r"(?:\b(?P<side>input|output) )?\b(?P<unit>request|token)s? per (?P<window>min|day)"
    r"|\((?P<short>rpm|tpm|itpm|otpm|rpd|tpd)\)"
    r"|(?P<concurrency>\bconcurrent (?:request|connection))"
    r"|\bexceeded (?P<azure>call|token) rate limit"
)
_SHORT: dict[str, LimitName] = {
    "rpm": "requests",
    "tpm": "tokens",
    "itpm": "input_tokens",
    "otpm": "output_tokens",
    "rpd": "requests_per_day",
    "tpd": "tokens_per_day",
}


def _limit_in_words(words: str) -> LimitName | None:
    """`Rate limit reached for gpt-4o on requests per min (RPM)` -> requests: the first limit that is named."""
    found = _LIMIT_WORDS.search(words.lower())
    if found is None:
        return None
    if found["short"]:
        return _SHORT[found["short"]]
    if found["concurrency"]:
        return "concurrency"
    if found["azure"]:
        return "requests" if found["azure"] == "call" else "tokens"
    if found["window"] == "day":
        return "requests_per_day" if found["unit"] == "request" else "tokens_per_day"
    if found["unit"] == "request":
        return "requests"
    return "input_tokens" if found["side"] == "input" else "output_tokens" if found["side"] else "tokens"


_NUMBER_WORDS = re.compile(
    r"\bLimit:? (?P<short>\d{1,12})\b|\blimit of (?P<long>\d[\d,]{0,14}) (?:(?:input|output) )?(?:request|token)s? per "
)


def _number_in_words(words: str) -> int | None:
    """`(RPM): Limit 3, Used 3` -> 3; None where it tells none."""
    found = _NUMBER_WORDS.search(words)
    return None if found is None else int((found["short"] or found["long"]).replace(",", "")) or None


_REQUESTED = re.compile(r"\b[Rr]equested:? (\d{1,9})\b")


_WAIT_WORDS = re.compile(
    r"(?:try again|retry) (?:in|after) (?:(?P<whole>\d{1,9}) seconds?\b|"
    r"(?P<span>(?:\d{1,9}(?:\.\d{1,12})?(?:ms|[dhms]))+))"
)


def _wait_in_words(words: str, now_s: float) -> float | None:
    """`Please try again in 7m12s.` -> 432.0"""
    found = _WAIT_WORDS.search(words.lower())
    return None if found is None else span_s(found["whole"] or found["span"], now_s)
