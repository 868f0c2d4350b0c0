"""What a response says of limits is read as each provider spells it; nonsense is not read, and nothing raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from fanout.events import LimitName
from fanout.providers.headers import NOTHING, report
from fanout.quota.report import RateReport, Reading

NOW_S = datetime(2026, 10, 1, 12, 0, 0, tzinfo=UTC).timestamp()


def read(
    headers: Mapping[str, str] | None = None, *, provider: str = "openai", status_code: int = 200, body: object = None
) -> RateReport:
    return report(headers or {}, provider=provider, status_code=status_code, body=body, now_s=NOW_S)


OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-10-01T12:00:01Z",
    "anthropic-ratelimit-tokens-limit": "480000",
    "anthropic-ratelimit-tokens-remaining": "479000",
    "anthropic-ratelimit-tokens-reset": "2026-10-01T12:00:02Z",
    "anthropic-ratelimit-input-tokens-limit": "400000",
    "anthropic-ratelimit-input-tokens-remaining": "399000",
    "anthropic-ratelimit-input-tokens-reset": "2026-10-01T12:00:00.500Z",
    "anthropic-ratelimit-output-tokens-limit": "80000",
    "anthropic-ratelimit-output-tokens-remaining": "80000",
    "anthropic-ratelimit-output-tokens-reset": "2026-10-01T12:00:00Z",
}
GROQ = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
CEREBRAS = {
    "x-ratelimit-limit-requests-day": "14400",
    "x-ratelimit-limit-tokens-minute": "60000",
    "x-ratelimit-remaining-requests-day": "14399",
    "x-ratelimit-remaining-tokens-minute": "59880",
    "x-ratelimit-reset-requests-day": "33011.382867",
    "x-ratelimit-reset-tokens-minute": "11.382867",
}
MISTRAL = {
    "x-ratelimit-limit-tokens-minute": "5000000",
    "x-ratelimit-remaining-tokens-minute": "4999911",
    "x-ratelimit-tokens-query-cost": "52",
    "x-ratelimit-limit-req-minute": "720",
    "x-ratelimit-remaining-req-minute": "717",
}
AZURE = {
    "x-ratelimit-limit-requests": "9000",
    "x-ratelimit-remaining-requests": "8999",
    "x-ratelimit-renewalperiod-requests": "10",
    "x-ratelimit-reset-requests": "0",
    "x-ratelimit-limit-tokens": "1500000",
    "x-ratelimit-remaining-tokens": "745399",
    "x-ratelimit-renewalperiod-tokens": "60",
    "x-ratelimit-reset-tokens": "30",
}
SPELLED: dict[str, tuple[Mapping[str, str], dict[LimitName, Reading]]] = {
    "openai": (
        OPENAI,
        {
            "requests": Reading(limit=60, remaining=59, reset_s=1.0),
            "tokens": Reading(limit=150_000, remaining=149_984, reset_s=360.0),
        },
    ),
    "anthropic": (
        ANTHROPIC,
        {
            "requests": Reading(limit=4000, remaining=3999, reset_s=1.0),
            "tokens": Reading(limit=480_000, remaining=479_000, reset_s=2.0, rounded_to=1000),
            "input_tokens": Reading(limit=400_000, remaining=399_000, reset_s=0.5, rounded_to=1000),
            "output_tokens": Reading(limit=80_000, remaining=80_000, reset_s=0.0, rounded_to=1000),
        },
    ),
    "groq": (
        GROQ,
        {
            "requests_per_day": Reading(limit=14_400, remaining=14_370, reset_s=179.56),
            "tokens": Reading(limit=18_000, remaining=17_997, reset_s=7.66),
        },
    ),
    "cerebras": (
        CEREBRAS,
        {
            "requests_per_day": Reading(limit=14_400, remaining=14_399, reset_s=33_011.382867),
            "tokens": Reading(limit=60_000, remaining=59_880, reset_s=11.382867),
        },
    ),
    "mistral": (
        MISTRAL,
        {
            "tokens": Reading(limit=5_000_000, remaining=4_999_911),
            "requests": Reading(limit=720, remaining=717),
        },
    ),
    "azure": (
        AZURE,
        {
            "requests": Reading(limit=9000, remaining=8999, reset_s=0.0, window_s=10.0),
            "tokens": Reading(limit=1_500_000, remaining=745_399, reset_s=30.0),
        },
    ),
}


@pytest.mark.parametrize("provider", SPELLED)
def test_each_provider_is_read_as_its_documents_spell_it(provider: str) -> None:
    headers, expected = SPELLED[provider]
    assert dict(read(headers, provider=provider).readings) == expected


@pytest.mark.parametrize("provider", SPELLED)
def test_a_name_in_any_case_and_the_pairs_of_the_wire_say_the_same(provider: str) -> None:
    headers, _ = SPELLED[provider]
    plain = read(headers, provider=provider)
    assert read({name.title(): text for name, text in headers.items()}, provider=provider) == plain
    wire = httpx2.Headers({name.upper(): text for name, text in headers.items()})
    assert report(wire.raw, provider=provider, status_code=200, now_s=NOW_S) == plain
    assert report(wire, provider=provider, status_code=200, now_s=NOW_S) == plain


def test_a_project_and_its_organisation_bind_together() -> None:
    project = {
        "x-ratelimit-limit-project-tokens": "60000",
        "x-ratelimit-remaining-project-tokens": "57000",
        "x-ratelimit-reset-project-tokens": "3s",
    }
    assert read(project).of("tokens") == Reading(limit=60_000, remaining=57_000, reset_s=3.0)
    both = {**project, "x-ratelimit-limit-tokens": "150,000", "x-ratelimit-remaining-tokens": "1000"}
    assert read(both).of("tokens") == Reading(limit=60_000, remaining=1000, reset_s=3.0)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "name"),
    [
        ("10000", "9999", "8.64s", "requests_per_day"),
        ("200", "199", "7m12s", "requests_per_day"),
        ("500", "499", "120ms", "requests"),
        ("3", "0", "1m0s", "requests"),
        ("100000", "99999", "1s", "requests"),
        ("100000", "99999", "1", "requests"),
        ("10000", "10000", "0s", "requests"),
    ],
)
def test_a_reset_that_only_a_day_explains_makes_the_limit_a_days(
    limit: str, remaining: str, reset: str, name: LimitName
) -> None:
    said = read(
        {
            "x-ratelimit-limit-requests": limit,
            "x-ratelimit-remaining-requests": remaining,
            "x-ratelimit-reset-requests": reset,
        }
    )
    assert [found for found, _ in said.readings] == [name]


@pytest.mark.parametrize("limit", ["-1", "0", "9223372036854775807", "nan", "unlimited", "1e400"])
def test_a_limit_that_is_none_takes_its_other_numbers_along(limit: str) -> None:
    headers = {
        "x-ratelimit-limit-tokens": limit,
        "x-ratelimit-remaining-tokens": "5",
        "x-ratelimit-reset-tokens": "0",
    }
    assert read(headers, provider="azure") == NOTHING


@pytest.mark.parametrize("text", ["", " ", "-1", "-5s", "nan", "inf", "1e999", "٣", "5x", "s", "9" * 5000, "1_0s", "ü"])
def test_a_number_that_makes_no_sense_is_not_read(text: str) -> None:
    assert not read({"x-ratelimit-remaining-requests": text, "x-ratelimit-reset-requests": text})
    assert not read({"retry-after": text, "retry-after-ms": text}, status_code=429)


def test_nothing_left_of_nothing_is_not_read_from_an_answer() -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0"}
    assert read(headers, provider="azure") == NOTHING
    assert read(headers, provider="azure", status_code=429).of("tokens") == Reading(remaining=0, reset_s=0.0)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Thu, 01 Oct 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Oct 2026 11:59:30 GMT"}, 0.0),
        ({"retry-after": "1", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "soon"}, 1.0),
        ({"retry-after": "1790000000"}, None),
        ({}, None),
    ],
)
def test_the_finest_wait_that_was_asked_for_is_kept(headers: dict[str, str], wait_s: float | None) -> None:
    assert read(headers, status_code=429).retry_after_s == wait_s
    assert read(headers, status_code=503).retry_after_s == wait_s
    assert read(headers, status_code=200) == NOTHING, "an answer asks for no wait"


def gemini(*quota_ids: str, delay: str | None = "22s", value: str | None = None) -> dict[str, Any]:
    """A 429 of the Gemini API."""
    violations = [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota_id,
            "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
            **({} if value is None else {"quotaValue": value}),
        }
        for quota_id in quota_ids
    ]
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more", "url": "https://x"}]},
    ]
    if delay is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    message = "You exceeded your current quota, please check your plan and billing details."
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
INPUT = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
INPUT_DAY = "GenerateContentInputTokensPerModelPerDay-FreeTier"


@pytest.mark.parametrize(
    ("quota_ids", "exhausted", "wait_s"),
    [
        ((PER_MINUTE,), "requests", 22.0),
        ((INPUT,), "input_tokens", 22.0),
        ((PER_DAY,), "requests_per_day", None),
        ((INPUT_DAY,), "tokens_per_day", None),
        ((INPUT, PER_MINUTE, PER_DAY), "requests_per_day", None),
        (("SomethingPerFortnight",), None, 22.0),
        ((), None, 22.0),
    ],
)
def test_gemini_names_the_limit_and_the_wait_in_its_body(
    quota_ids: tuple[str, ...], exhausted: LimitName | None, wait_s: float | None
) -> None:
    body = gemini(*quota_ids)
    for spelled in (body, [body]):  # the second by its OpenAI-compatible API
        said = read(provider="google", status_code=429, body=spelled)
        assert (said.exhausted, said.retry_after_s) == (exhausted, wait_s)


def test_gemini_tells_a_limits_number_when_it_is_reached() -> None:
    said = read(provider="google", status_code=429, body=gemini(PER_MINUTE, value="10"))
    assert said.readings == (("requests", Reading(limit=10)),)
    assert read(provider="google", status_code=429, body=gemini(PER_MINUTE, value="0")).readings == ()


@pytest.mark.parametrize(
    ("words", "exhausted", "wait_s"),
    [
        (
            "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, "
            "Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits.",
            "requests",
            20.0,
        ),
        (
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29500, "
            "Requested 1200. Please try again in 1.4s.",
            "tokens",
            1.4,
        ),
        (
            "Rate limit reached for gpt-4o in organization org-x on requests per day (RPD): Limit 200, Used 200, "
            "Requested 1. Please try again in 7m12s.",
            "requests_per_day",
            432.0,
        ),
        (
            "Rate limit reached for model `llama` on tokens per day (TPD): Limit 100000, Used 99880, Requested 502. "
            "Please try again in 5m30.048s.",
            "tokens_per_day",
            330.048,
        ),
        ("Request too large for gpt-4o on tokens per min (TPM)", "tokens", None),
        ("This would exceed your rate limit of 50,000 input tokens per minute.", "input_tokens", None),
        ("This would exceed your rate limit of 8,000 output tokens per minute.", "output_tokens", None),
        ("Number of concurrent connections has exceeded your rate limit.", "concurrency", None),
        ("Requests per minute limit exceeded - too many requests sent.", "requests", None),
        ("Tokens per day limit exceeded - too many tokens processed.", "tokens_per_day", None),
        (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-05-01-preview have "
            "exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 14 seconds.",
            "tokens",
            14.0,
        ),
        ("have exceeded call rate limit of your current tier. Please retry after 1 second.", "requests", 1.0),
        ("Please retry in 20.04466179s.", None, 20.04466179),
        ("Rate limit exceeded", None, None),
        ("", None, None),
    ],
)
def test_the_limit_that_is_used_up_is_known_by_the_providers_words(
    words: str, exhausted: LimitName | None, wait_s: float | None
) -> None:
    for body in ({"error": {"message": words}}, {"message": words}, words):
        said = read(status_code=429, body=body)
        assert (said.exhausted, said.retry_after_s) == (exhausted, wait_s)
        told = re.search(r"Requested (\d+)", words)
        assert said.requested == (None if told is None else int(told[1]))
    refused = read(status_code=503, body=words)
    assert (refused.exhausted, refused.readings) == (None, ())


@pytest.mark.parametrize(
    ("words", "name", "limit"),
    [
        ("on requests per day (RPD): Limit 200, Used 200, Requested 1.", "requests_per_day", 200),
        ("on tokens per day (TPD): Limit 100000, Used 99880, Requested 502.", "tokens_per_day", 100_000),
        ("on requests per min (RPM): Limit: 3 / min. Please try again in 20s.", "requests", 3),
        ("This would exceed your rate limit of 50,000 input tokens per minute.", "input_tokens", 50_000),
        ("This would exceed your limit of 8,000 output tokens per minute.", "output_tokens", 8_000),
    ],
)
def test_a_limits_number_is_read_from_the_providers_words(words: str, name: LimitName, limit: int) -> None:
    assert read(status_code=429, body={"error": {"message": words}}).readings == ((name, Reading(limit=limit)),)


@pytest.mark.parametrize(
    "words", ["on requests per min (RPM): Limit 0", "Limit 20 of them", "on concurrent requests: Limit 2, Used 2", ""]
)
def test_where_words_name_no_limit_or_no_number_none_is_learnt(words: str) -> None:
    assert read(status_code=429, body={"error": {"message": words}}).readings == ()


def test_a_limits_header_is_believed_before_its_words() -> None:
    body = {"error": {"message": "on requests per min (RPM): Limit 3, Used 3."}}
    said = read({"x-ratelimit-limit-requests": "500"}, status_code=429, body=body)
    assert said.of("requests") == Reading(limit=500)


def test_of_a_days_limit_the_words_are_believed_before_the_headers_and_else_the_headers() -> None:
    day = {"message": "on requests per day (RPD): Limit 200, Used 200. Please try again in 6h12m."}
    minute = {"message": "on requests per min (RPM): Limit 3, Used 3. Please try again in 20s."}
    headers = {"retry-after": "58"}
    assert read(headers, status_code=429, body=day).retry_after_s == 22_320.0
    assert read(headers, status_code=429, body=minute).retry_after_s == 58.0
