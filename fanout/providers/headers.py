"""What a response says about limits, whoever spelled it: headers and an error's body in, one `RateReport` out.

Comes in: the headers as they came, the status, the body of an error, the wall time. Goes out: a report; what is absent,
absurd (-1, 0 of a limit, NaN) or garbage is not in it. It raises nothing, keeps nothing and asks no clock.

Sources: developers.openai.com/api/docs/guides/rate-limits, platform.claude.com/docs/en/api/rate-limits,
console.groq.com/docs/rate-limits, inference-docs.cerebras.ai/support/rate-limits, ai.google.dev/gemini-api/docs/
rate-limits, learn.microsoft.com (Azure OpenAI quota); Mistral's spelling is as its responses have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fanout.events import LimitName
from fanout.providers.bodies import refusal_of
from fanout.providers.numbers import count, milliseconds, span_s
from fanout.quota.limits import RATES
from fanout.quota.report import RateReport, Reading

Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]]
"""By name, in any case; or pairs as they came over the wire, which costs less than a mapping made of them."""

NOTHING = RateReport()


def report(
    headers: Headers, *, provider: str, status_code: int, body: object | None = None, now_s: float
) -> RateReport:
    """What one response said. `now_s` is the wall time of its arrival; `body` is an error's, parsed where it was JSON.

    `provider` as `account.Account.provider`: Groq's `x-ratelimit-*-requests` count a day, everybody else's a minute.

    >>> said = report({"x-ratelimit-limit-requests": "500", "retry-after-ms": "250"},
    ...               provider="openai", status_code=429, now_s=0.0)
    >>> said.of("requests").limit, said.retry_after_s
    (500, 0.25)
    """
    texts: dict[str, dict[str, str]] = {}
    for meaning, text in _recognised(headers):
        texts.setdefault(meaning.group, {})[meaning.field] = text
    failed = status_code >= 400
    if not texts and not (failed and body):
        return NOTHING
    asked = texts.pop(_WAIT, {}) if texts else {}
    readings = _readings(texts, provider=provider, failed=failed, now_s=now_s) if texts else {}
    if not failed:  # a success asks for no wait
        return RateReport(readings=tuple(readings.items())) if readings else NOTHING
    wait_s = milliseconds(asked.get("ms", ""))
    if wait_s is None:
        wait_s = span_s(asked.get("s", ""), now_s)
    refusal = refusal_of(body, now_s=now_s)
    for name, reading in refusal.readings:
        readings.setdefault(name, reading)
    if status_code == 429 and refusal.limit is not None and refusal.exhausted in RATES:
        readings.setdefault(refusal.exhausted, Reading(limit=refusal.limit))
    return RateReport(
        readings=tuple(readings.items()),
        retry_after_s=refusal.best_wait_s(wait_s),
        exhausted=refusal.exhausted if status_code == 429 else None,
        requested=refusal.requested if status_code == 429 else None,
    )


# ---- headers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a header is about: the limit as this family spells it, and which of its numbers."""

    group: str
    field: Literal["limit", "remaining", "reset", "window", "ms", "s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    limit: LimitName
    rounded_to: int = 1


_WAIT = "wait"
_GROUPS: dict[str, _Group] = {
    "requests": _Group(limit="requests"),
    "tokens": _Group(limit="tokens"),
    "project-tokens": _Group(limit="tokens"),  # OpenAI: the project's own, beside the organisation's
    "requests-minute": _Group(limit="requests"),  # Cerebras
    "tokens-minute": _Group(limit="tokens"),  # Cerebras, Mistral
    "req-minute": _Group(limit="requests"),  # Mistral
    "requests-day": _Group(limit="requests_per_day"),  # Cerebras, SambaNova
    "tokens-day": _Group(limit="tokens_per_day"),
    "anthropic requests": _Group(limit="requests"),
    "anthropic tokens": _Group(limit="tokens", rounded_to=1000),
    "anthropic input-tokens": _Group(limit="input_tokens", rounded_to=1000),
    "anthropic output-tokens": _Group(limit="output_tokens", rounded_to=1000),
}


def _spellings() -> Iterator[tuple[str, _Meaning]]:
    numbers: tuple[Literal["limit", "remaining", "reset"], ...] = ("limit", "remaining", "reset")
    for group in _GROUPS:
        family, space, kind = group.partition(" ")
        for number in numbers:
            name = f"{family}-ratelimit-{kind}-{number}" if space else f"x-ratelimit-{number}-{group}"
            yield name, _Meaning(group=group, field=number)
    for kind in ("requests", "tokens"):
        yield f"x-ratelimit-renewalperiod-{kind}", _Meaning(group=kind, field="window")  # Azure
        yield f"x-rate-limit-reset-{kind}", _Meaning(group=kind, field="reset")  # Azure, on some 429s
    yield "retry-after", _Meaning(group=_WAIT, field="s")
    yield "retry-after-ms", _Meaning(group=_WAIT, field="ms")


_BY_NAME: dict[str, _Meaning] = dict(_spellings())
_BY_BYTES: dict[bytes, _Meaning] = {name.encode(): meaning for name, meaning in _BY_NAME.items()}


def _recognised(headers: Headers) -> list[tuple[_Meaning, str]]:
    """The headers that speak of limits: one look into a table for each header, since this runs for every call."""
    found: list[tuple[_Meaning, str]] = []
    if isinstance(headers, Mapping):
        for name, text in headers.items():
            if (meaning := _BY_NAME.get(name.lower())) is not None:
                found.append((meaning, text))
    else:
        for raw, value in headers:
            if (meaning := _BY_BYTES.get(raw.lower())) is not None:
                found.append((meaning, value.decode("utf-8", "replace")))
    return found


def _readings(
    texts: Mapping[str, Mapping[str, str]], *, provider: str, failed: bool, now_s: float
) -> dict[LimitName, Reading]:
    found: dict[LimitName, Reading] = {}
    for spelled, numbers in texts.items():
        group = _GROUPS[spelled]
        reading = _reading(numbers, rounded_to=group.rounded_to, failed=failed, now_s=now_s)
        if reading is None:
            continue
        name = group.limit
        if spelled == "requests" and (provider == "groq" or _counts_a_day(reading)):
            name = "requests_per_day"
        known = found.get(name)
        found[name] = reading if known is None else _tighter(known, reading)
    return found


def _reading(numbers: Mapping[str, str], *, rounded_to: int, failed: bool, now_s: float) -> Reading | None:
    """None where nothing sensible was said of the limit."""
    limit = count(numbers.get("limit", ""))
    if not limit and numbers.get("limit", "").strip():
        return None  # -1, 0, the largest integer there is: then its other numbers are as good (seen at Azure)
    remaining = count(numbers.get("remaining", ""))
    reset_s = span_s(numbers.get("reset", ""), now_s)
    if limit is None and remaining == 0 and not reset_s and not failed:
        remaining = None  # nothing of nothing left, on an answer: the same fault without its limit
    if limit is None and remaining is None and not reset_s:
        return None
    window_s = span_s(numbers.get("window", ""), now_s)
    return Reading(
        limit=limit,
        remaining=remaining,
        reset_s=reset_s,
        rounded_to=rounded_to,
        window_s=window_s if window_s and window_s < 60 else None,
    )


def _counts_a_day(reading: Reading) -> bool:
    """Whether a limit that names no window is a day's: OpenAI's lower tiers have such, `10000` with a reset of `8.64s`.

    The reset is the time until all is back, window * used / limit, so it gives the window away. A short one counts
    only where it has a fraction: whole seconds are rounded, and a rounded second of a large limit looks like a day.
    """
    limit, remaining, reset_s = reading.limit, reading.remaining, reading.reset_s
    if limit is None or remaining is None or reset_s is None or remaining >= limit:
        return False
    return reset_s * limit / (limit - remaining) >= 43_200 and (reset_s > 60 or reset_s % 1 > 0)


def _tighter(one: Reading, other: Reading) -> Reading:
    """Two limits of one kind at once: number by number, the one that binds."""
    return replace(
        one,
        limit=_least(one.limit, other.limit),
        remaining=_least(one.remaining, other.remaining),
        reset_s=max((s for s in (one.reset_s, other.reset_s) if s is not None), default=None),
        window_s=one.window_s or other.window_s,
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
