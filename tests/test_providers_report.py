"""What responses say of limits reaches the reply over real HTTP, by every way; a 429 ends in the class it deserves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.errors import FAILURES, BadAnswer, CallFailed, Overloaded, QuotaExhausted, RateLimited, Rejected
from fanout.events import LimitName
from fanout.providers import lean
from fanout.quota.report import RateReport, Reading
from fanout.sandbox.profile import SandboxProfile
from tests.hostile import END, EVENTS_HEAD, Answer, Close, Hostile, chat, closed_port, http, stream
from tests.test_providers_headers import ANTHROPIC, INPUT, OPENAI, PER_DAY, PER_MINUTE, gemini
from tests.test_providers_others import BEGUN, FINISHED, MESSAGE, VARIABLES

MODEL = "openai-chat:tiny"
SAID: tuple[tuple[LimitName, Reading], ...] = (
    ("requests", Reading(limit=60, remaining=59, reset_s=1.0)),
    ("tokens", Reading(limit=150_000, remaining=149_984, reset_s=360.0)),
)


def with_headers(answer: Answer, headers: dict[str, str]) -> Answer:
    """The same answer with more headers."""
    first, *rest = answer
    assert isinstance(first, bytes)
    status_line, _, others = first.partition(b"\r\n")
    more = "".join(f"{name}: {text}\r\n" for name, text in headers.items()).encode()
    return [status_line + b"\r\n" + more + others, *rest]


def refusal(body: Any, code: int = 429, headers: dict[str, str] | None = None) -> Answer:
    return with_headers([http(code, json.dumps(body).encode())], headers or {})


@pytest.fixture(params=["lean", "by the SDK"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to a chat completion."""
    if request.param == "by the SDK":
        monkeypatch.setattr(lean, "_plain_body", lambda asked: None)
    return str(request.param)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reply]:
    def asking(answer: Answer, *, model: str = MODEL, streamed: bool = False) -> Reply:
        provider = model.partition(":")[0]
        key, url = VARIABLES.get(provider, VARIABLES["openai"])
        with Hostile([answer]) as server:
            monkeypatch.setenv(key, "a-key-of-the-tests-0001")
            monkeypatch.setenv(
                url, server.base_url if provider.startswith("openai") else server.base_url.removesuffix("/v1")
            )
            caller = Completion(Batch(prompts=["hello"], model=model, stream=streamed, timeout_s=10.0))
            return caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()

    return asking


Ask = Callable[..., Reply]


@pytest.mark.parametrize("streamed", [False, True])
def test_what_an_answer_says_reaches_its_reply(way: str, streamed: bool, ask: Ask) -> None:
    reply = ask(with_headers(stream("yes") if streamed else chat("yes"), OPENAI), streamed=streamed)
    assert reply.output == "yes"
    assert reply.report == RateReport(readings=SAID)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_429_says_reaches_its_reply(way: str, streamed: bool, ask: Ask) -> None:
    words = "Rate limit reached for tiny on requests per min (RPM): Limit 3, Used 3. Please try again in 20s."
    answer = refusal({"error": {"message": words}}, headers={**OPENAI, "retry-after": "1", "retry-after-ms": "250"})
    reply = ask(answer, streamed=streamed)
    assert type(reply.error) is RateLimited
    assert reply.error.retry_after_s == 0.25
    assert reply.error.sentence == (
        "The provider answered 429: its limit of requests per minute is used up for now. It asks to wait 0.25 s."
    )
    assert reply.report == RateReport(readings=SAID, retry_after_s=0.25, exhausted="requests")


def test_a_stream_that_breaks_off_has_said_what_its_headers_said(way: str, ask: Ask) -> None:
    first, *_ = stream("yes")
    reply = ask(with_headers([first, *stream("yes")[1:2], Close()], OPENAI), streamed=True)
    assert reply.error is not None
    assert reply.report.readings == SAID


def test_where_nothing_answered_nothing_was_said(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ask([Close()]).report
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed_port()}/v1")
    caller = Completion(Batch(prompts=["hello"], model=MODEL, stream=False))
    assert not caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply().report


def test_an_answer_without_such_headers_says_nothing(way: str, ask: Ask) -> None:
    reply = ask(chat("yes"))
    assert reply.output == "yes"
    assert not reply.report


def test_two_calls_side_by_side_each_hear_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(request: Any) -> Answer:
        return with_headers(chat(request.prompt), {"x-ratelimit-remaining-tokens": request.prompt})

    with Hostile(script) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-tests-0001")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        caller = Completion(Batch(prompts=["hello"], model=MODEL, stream=False))
        prompts = [str(number) for number in range(1, 33)]
        sendings = [caller.send(p, on_sent=lambda _: None, on_first_token=lambda _: None) for p in prompts]
        readings = [sending.reply().report.of("tokens") for sending in sendings]
    assert [reading and str(reading.remaining) for reading in readings] == prompts


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_is_heard(streamed: bool, ask: Ask) -> None:
    whole: Answer = [http(200, json.dumps(MESSAGE).encode())]
    answer = [EVENTS_HEAD, *BEGUN["anthropic"], *FINISHED["anthropic"], END] if streamed else whole
    reply = ask(with_headers(answer, ANTHROPIC), model="anthropic:m", streamed=streamed)
    assert reply.output == "yes"
    assert [name for name, _ in reply.report.readings] == ["requests", "tokens", "input_tokens", "output_tokens"]
    said = reply.report.of("input_tokens")
    assert said is not None
    assert (said.limit, said.remaining, said.rounded_to) == (400_000, 399_000, 1000)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("quota_ids", "kind", "wait_s", "exhausted"),
    [
        ((PER_MINUTE,), RateLimited, 22.0, "requests"),
        ((INPUT,), RateLimited, 22.0, "input_tokens"),
        ((INPUT, PER_DAY), QuotaExhausted, None, "requests_per_day"),
    ],
)
def test_gemini_is_heard(
    quota_ids: tuple[str, ...],
    kind: type[CallFailed],
    wait_s: float | None,
    exhausted: LimitName,
    streamed: bool,
    ask: Ask,
) -> None:
    reply = ask(refusal(gemini(*quota_ids)), model="google:m", streamed=streamed)
    assert type(reply.error) is kind
    assert (reply.error.retry_after_s, reply.report.exhausted) == (wait_s, exhausted)
    if kind is QuotaExhausted:
        assert "the day's requests are used up. They come back at midnight" in reply.error.sentence


def words(text: str, **error: Any) -> dict[str, Any]:
    return {"error": {"message": text, **error}}


RPD = "Rate limit reached for tiny on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in {}."
TPD = "Rate limit reached for tiny on tokens per day (TPD): Limit 100000, Used 99880, Requested 502."
SPENT = {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}
CLASSES: dict[str, tuple[Answer, type[CallFailed], str]] = {
    "plain": (refusal(words("slow")), RateLimited, "its limit is used up for now. It did not say how long"),
    "a minute's": (
        refusal(words("on tokens per min (TPM)")),
        RateLimited,
        "its limit of tokens per minute is used up for now",
    ),
    "a day's": (
        refusal(words(RPD.format("7m12s"))),
        QuotaExhausted,
        "the day's requests are used up. It asks to wait 8 min: go on then, or use another key or model.",
    ),
    "a day's, hours": (refusal(words(RPD.format("6h12m"))), QuotaExhausted, "It asks to wait 6 h 12 min"),
    "a day's, soon": (
        refusal(words(RPD.format("59s"))),
        RateLimited,
        "its limit of requests per day is used up for now. It asks to wait 59 s.",
    ),
    "a day's, silent": (
        refusal(words(TPD)),
        QuotaExhausted,
        "the day's tokens are used up. They come back within a day: go on then",
    ),
    "a day's, by its header": (refusal(words(TPD), headers={"retry-after": "30"}), RateLimited, "wait 30 s"),
    "no credit": (refusal(words("pay", code="insufficient_quota")), QuotaExhausted, "no credit left"),
    "spent": (refusal(words("limits", **SPENT)), QuotaExhausted, "has reached its spending limit"),
    "spent, OpenAI": (
        refusal(words("limits", code="project_spend_limit_exceeded")),
        QuotaExhausted,
        "has reached its spending limit",
    ),
    "503": (refusal(words("on tokens per day (TPD)"), 503), Overloaded, "too much to do"),
    "529": (refusal(words("busy"), 529), Overloaded, "too much to do"),
    "400": (refusal(words("on tokens per day (TPD)"), 400), Rejected, "refuses"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_refusal_ends_in_the_class_that_says_what_to_do(name: str, way: str, ask: Ask) -> None:
    answer, kind, says = CLASSES[name]
    reply = ask(answer)
    assert type(reply.error) is kind
    assert says in reply.error.sentence


def test_a_spent_month_at_anthropic_stops_the_run(ask: Ask) -> None:
    body = {"type": "error", "error": {"message": "You have reached your API usage limits", **SPENT}}
    reply = ask(refusal(body), model="anthropic:m")
    assert type(reply.error) is QuotaExhausted
    assert "spending limit" in reply.error.sentence


def test_a_limit_inside_a_stream_is_named(way: str, ask: Ask) -> None:
    event = json.dumps(words("on tokens per min (TPM)", code="rate_limit_exceeded")).encode()
    said = b"data: " + event + b"\n\n"
    reply = ask([EVENTS_HEAD, f"{len(said):x}\r\n".encode() + said + b"\r\n", END], streamed=True)
    assert type(reply.error) is RateLimited
    assert reply.report.exhausted == "tokens"


def test_the_sandbox_is_heard() -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=600)
    caller = Completion(Batch(prompts=["hello"], model="sandbox", sandbox=profile, stream=False))
    reply = caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()
    said = reply.report.of("requests")
    assert said is not None
    assert said.limit == 600


def test_a_report_is_no_part_of_a_failures_json(ask: Ask) -> None:
    error = ask(refusal(words("slow"), headers=OPENAI)).error
    assert error is not None
    assert CallFailed.from_json(error.as_json()) == error == error.bare()


def test_every_failure_says_what_it_asks_for() -> None:
    assert {name: cls.kind for name, cls in FAILURES.items()} == {
        "CallFailed": "fatal",
        "RateLimited": "rate",
        "TimedOut": "transient",
        "ConnectionFailed": "transient",
        "ServerFailed": "transient",
        "Overloaded": "overload",
        "Truncated": "transient",
        "BadAnswer": "transient",
        "EmptyAnswer": "transient",
        "Rejected": "fatal",
        "QuotaExhausted": "quota_exhausted",
        "KeyRefused": "fatal",
        "ModelUnknown": "fatal",
        "Broken": "ours",
    }
    assert {cls for cls in FAILURES.values() if cls.retryable} == {
        cls for cls in FAILURES.values() if cls.kind in ("rate", "overload", "transient") and cls is not BadAnswer
    }, "what was answered and cannot be read may have been billed"
