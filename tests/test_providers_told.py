"""What a provider told in an odd way is heard: a refusal without its body, an error sent as a success, a whole answer
whose connection was lost, a redirect."""

from __future__ import annotations

import json

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.engine import Engine
from fanout.errors import (
    BadAnswer,
    CallFailed,
    EmptyAnswer,
    KeyRefused,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerFailed,
    Truncated,
)
from tests.hostile import (
    END,
    EVENTS_HEAD,
    Answer,
    Close,
    Hang,
    Hostile,
    Received,
    Reset,
    chat,
    chunk,
    completion_body,
    event,
    http,
)
from tests.test_providers_others import BEGUN, FINISHED, KEY, VARIABLES

MODELS = ("openai-chat", "openai", "anthropic", "google")


def ask(
    monkeypatch: pytest.MonkeyPatch, server: Hostile, *, of: str, stream: bool = False, timeout_s: float = 20.0
) -> Reply:
    key_name, url_name = VARIABLES[of.removesuffix("-chat")]
    monkeypatch.setenv(key_name, KEY)
    monkeypatch.setenv(url_name, server.base_url if of.startswith("openai") else server.base_url.removesuffix("/v1"))
    caller = Completion(Batch(prompts=["hello"], model=f"{of}:m", stream=stream, timeout_s=timeout_s))
    return caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()


def failure(reply: Reply) -> CallFailed:
    assert reply.error is not None, reply
    assert KEY not in f"{reply.error.sentence}{reply.error.provider_words}{reply.error.__cause__!r}"
    return reply.error


# --- a status without its body ------------------------------------------------------------------------------------


def half(status: int) -> bytes:
    return f'HTTP/1.1 {status} Hm\r\nretry-after: 7\r\ncontent-length: 500\r\n\r\n{{"err'.encode()


BODIES: dict[str, Answer] = {
    "broken off": [half(429), Close()],
    "torn": [half(429), Reset()],
    "never whole": [half(429), Hang()],
    "wrongly packed": [http(429, b"not gzip", content_encoding="gzip", retry_after="7")],
    "wrongly cut": [b"HTTP/1.1 429 Hm\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nno\r\n", Close()],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", BODIES)
def test_a_429_is_one_whatever_becomes_of_its_body(
    name: str, model: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([BODIES[name]]) as server:
        error = failure(ask(monkeypatch, server, of=model, stream=stream, timeout_s=1.0 if "never" in name else 20.0))
        assert (type(error), error.status_code, error.retry_after_s) == (RateLimited, 429, 7.0)
        assert server.requests == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, KeyRefused), (402, QuotaExhausted), (400, Rejected), (500, ServerFailed), (503, Overloaded)],
)
def test_another_status_is_kept_too(status: int, kind: type[CallFailed], monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[half(status), Close()]]) as server:
        error = failure(ask(monkeypatch, server, of="openai-chat"))
        assert (type(error), error.status_code) == (kind, status)


def test_a_run_loses_no_prompt_to_429s_that_break_off() -> None:
    counts: dict[str, int] = {}

    def script(request: Received) -> Answer:
        counts[request.prompt] = counts.get(request.prompt, 0) + 1
        odd: Answer = [half(429).replace(b"after: 7", b"after: 0"), Reset()]
        return odd if counts[request.prompt] <= 4 and request.prompt != "p0" else chat(request.prompt)

    with Hostile(script) as server, pytest.MonkeyPatch.context() as patch, Engine() as engine:
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        prompts = [f"p{number}" for number in range(3)]
        batch = Batch(prompts=prompts, model="openai-chat:m", stream=False, max_workers=1, retries=1)
        assert [result.output for result in engine.start(batch).results()] == prompts


# --- an error sent as a success -----------------------------------------------------------------------------------

INSIDE: dict[str, tuple[object, type[CallFailed], str]] = {
    "a code": ({"message": "slow", "code": 429}, RateLimited, "slow"),
    "a code in letters": ({"message": "slow", "code": "429"}, RateLimited, "slow"),
    "a type": ({"message": "full", "type": "overloaded_error"}, Overloaded, "full"),
    "a status": ({"message": "slow", "status": "RESOURCE_EXHAUSTED"}, RateLimited, "slow"),
    "a key": ({"message": f"Incorrect key {KEY}", "code": "invalid_api_key"}, KeyRefused, "Incorrect key [key]"),
    "a text": ("the model is loading", ServerFailed, "the model is loading"),
    "no code": ({"message": "boom"}, ServerFailed, "boom"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", INSIDE)
def test_an_error_in_a_200_is_that_error(name: str, model: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, kind, words = INSIDE[name]
    with Hostile([[http(200, json.dumps({"error": inner}).encode())]]) as server:
        error = failure(ask(monkeypatch, server, of=model, stream=stream))
        assert (type(error), error.provider_words) == (kind, words)
        assert server.requests == 1


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"id":"x","choices":[],"output":null,"content":null}', b"[]", b"7"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_an_sdk_stumbles_over_is_the_providers_fault(
    body: bytes, stream: bool, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([[http(200, body)]]) as server:
        error = failure(ask(monkeypatch, server, of=model, stream=stream))
        assert isinstance(error, BadAnswer | EmptyAnswer | Truncated), error


def test_a_completion_without_choices_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({**json.loads(completion_body("x")), "choices": []}).encode()
    with Hostile([[http(200, body)]]) as server:
        error = failure(ask(monkeypatch, server, of="openai-chat"))
        assert type(error) is BadAnswer
        assert error.sentence.startswith("The provider answered 200 with application/json that is not an answer")


# --- a whole answer, and then nothing -----------------------------------------------------------------------------

WORDS: Answer = [EVENTS_HEAD, event({"content": "y"}), event({"content": "es"}), event({}, finish="stop")]
COMPLETE: dict[str, Answer] = {
    "openai-chat": WORDS,
    **{provider: [EVENTS_HEAD, *BEGUN[provider], *FINISHED[provider]] for provider in VARIABLES},
}


@pytest.mark.parametrize("end", [Close(), Reset(), Hang()], ids=lambda end: type(end).__name__)
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_was_complete_is_not_lost_with_its_connection(
    model: str, end: Close | Reset | Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([[*COMPLETE[model], end]]) as server:
        reply = ask(monkeypatch, server, of=model, stream=True, timeout_s=1.5 if isinstance(end, Hang) else 20.0)
        assert (reply.error, reply.output) == (None, "yes")
        assert server.requests == 1


def test_an_answer_that_was_not_complete_is_lost_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[*WORDS[:-1], Reset()]]) as server:
        assert type(failure(ask(monkeypatch, server, of="openai-chat", stream=True))) is Truncated


@pytest.mark.parametrize("cut", [1, 3, 500])
def test_a_byte_order_mark_takes_no_words_from_a_stream(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"\xef\xbb\xbf" + b"".join(
        b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
            {"index": 0, "delta": {"content": word}, "finish_reason": finish}]}).encode() + b"\n\n"
        for word, finish in (("one ", None), ("two", "stop"))
    )  # fmt: skip
    pieces = [chunk(body[at : at + cut]) for at in range(0, len(body), cut)]
    with Hostile([[EVENTS_HEAD, *pieces, chunk(b"data: [DONE]\n\n"), END]]) as server:
        assert ask(monkeypatch, server, of="openai-chat", stream=True).output == "one two"


# --- elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("model", MODELS)
def test_a_redirect_is_told_and_neither_key_nor_prompt_follows_it(
    model: str, status: int, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile() as elsewhere:
        there = elsewhere.base_url.replace("127.0.0.1", "localhost")
        with Hostile([[http(status, b"", location=f"{there}/chat/completions")]]) as server:
            error = failure(ask(monkeypatch, server, of=model, stream=stream))
        assert error.sentence == f"The provider answered {status}: it has moved. Check the base URL."
        assert elsewhere.connections == 0
