"""The sandbox over real HTTP, asked by the real OpenAI SDK and by pydantic-ai."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai import direct
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from fanout.sandbox.asked import read_chat
from fanout.sandbox.draws import latency
from fanout.sandbox.process import SandboxProcess
from fanout.sandbox.profile import SandboxProfile

FAST = SandboxProfile(first_token_ms=1, token_ms=0, token_sigma=0)
EXPLAIN = "Explain how a lighthouse works"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(environ={}) as process:
        yield process


def _client(sandbox: SandboxProcess, profile: SandboxProfile, key: str = "a key") -> openai.OpenAI:
    return openai.OpenAI(base_url=sandbox.base_url(profile), api_key=key, max_retries=0, timeout=30)


def _user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def _get(sandbox: SandboxProcess, path: str) -> Any:
    return _send(sandbox, "GET", path)[1]


def _send(sandbox: SandboxProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    parts = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _stats(sandbox: SandboxProcess, profile: SandboxProfile) -> dict[str, int]:
    counts: dict[str, int] = _get(sandbox, f"/{profile.encoded()}/stats")
    return counts


def _until(sandbox: SandboxProcess, profile: SandboxProfile, name: str, count: int) -> None:
    """Wait until the server has counted this; pytest's own timeout ends a wait that never will."""
    while _stats(sandbox, profile)[name] != count:
        threading.Event().wait(0.01)


# Shapes


def test_a_chat_completion_is_one(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        answer = client.chat.completions.create(model="some-model", messages=_user("Reply: alpha"))
    assert answer.choices[0].message.content == "alpha"
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "some-model", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 1


def test_a_streamed_chat_completion_is_the_same_text_in_tokens(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        whole = client.chat.completions.create(model="m", messages=_user(EXPLAIN))
        chunks = list(
            client.chat.completions.create(
                model="m", messages=_user(EXPLAIN), stream=True, stream_options={"include_usage": True}
            )
        )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert sum(bool(text) for text in texts) >= 60
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_response_is_one(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        answer = client.responses.create(model="m", input="What is 17 * 23?", instructions="Be brief")
    assert (answer.output_text, answer.status) == ("391", "completed")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 1


def test_a_streamed_response_has_every_event_in_order(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        events = list(client.responses.create(model="m", input=[{"role": "user", "content": "hello"}], stream=True))
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "".join(e.delta for e in events if e.type == "response.output_text.delta")


def test_the_limit_on_tokens_is_honoured(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        chat = client.chat.completions.create(model="m", messages=_user(EXPLAIN), max_completion_tokens=5)
        older = client.chat.completions.create(model="m", messages=_user(EXPLAIN), max_tokens=6)
        response = client.responses.create(model="m", input=EXPLAIN, max_output_tokens=16)
        events = list(client.responses.create(model="m", input=EXPLAIN, max_output_tokens=16, stream=True))
    assert chat.choices[0].finish_reason == "length"
    assert chat.usage is not None and older.usage is not None and response.usage is not None  # noqa: PT018
    assert (chat.usage.completion_tokens, older.usage.completion_tokens, response.usage.output_tokens) == (5, 6, 16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert events[-1].type == "response.incomplete"


def test_embeddings_are_unit_vectors_equal_for_equal_texts(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        first = client.embeddings.create(model="m", input=["one", "two", "one"])
        plain = client.embeddings.create(model="m", input="one", encoding_format="float")
        short = client.embeddings.create(model="m", input="one", dimensions=8)
    vectors = [one.embedding for one in first.data]
    assert vectors[0] == vectors[2] == plain.data[0].embedding
    assert vectors[0] != vectors[1]
    assert [len(vector) for vector in vectors] == [256, 256, 256]
    assert len(short.data[0].embedding) == 8
    assert math.hypot(*vectors[0]) == pytest.approx(1.0, abs=1e-5)


def test_models_and_health_say_who_this_is(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        assert [model.id for model in client.models.list()] == ["sandbox"]
    health = _get(sandbox, "/health")
    assert (health["name"], health["simulated"]) == ("fanout-sandbox", True)
    assert health["version"]


def test_the_plain_address_answers_by_the_servers_own_profile(sandbox: SandboxProcess) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Reply: alpha"}]}).encode()
    status, said = _send(sandbox, "POST", "/v1/chat/completions", body)
    assert (status, said["choices"][0]["message"]["content"]) == (200, "alpha")


def test_instructions_may_hold_the_labels(sandbox: SandboxProcess) -> None:
    instructions = "Answer with one of: positive, negative, neutral."
    with _client(sandbox, FAST) as client:
        chat = client.chat.completions.create(
            model="m",
            messages=[{"role": "system", "content": instructions}, {"role": "user", "content": "I love it"}],
        )
        response = client.responses.create(model="m", instructions=instructions, input="It broke at once")
    assert (chat.choices[0].message.content, response.output_text) == ("positive", "negative")


@pytest.mark.parametrize("api", [OpenAIChatModel, OpenAIResponsesModel])
def test_pydantic_ai_reads_it_whole_and_streamed(
    sandbox: SandboxProcess, api: type[OpenAIChatModel] | type[OpenAIResponsesModel]
) -> None:
    async def ask(model: Model) -> None:
        request = [ModelRequest.user_text_prompt(EXPLAIN)]
        whole = await direct.model_request(model, request)
        async with direct.model_request_stream(model, request) as stream:
            events = [event async for event in stream]
        streamed = stream.get()
        assert whole.text == streamed.text
        assert whole.text is not None
        assert "simulated answer" in whole.text
        assert whole.finish_reason == streamed.finish_reason == "stop"
        assert whole.usage.output_tokens == streamed.usage.output_tokens >= 60
        assert len(events) >= 60

    async def run() -> None:
        async with httpx2.AsyncClient() as client:
            provider = OpenAIProvider(base_url=sandbox.base_url(FAST), api_key="k", http_client=client)
            await ask(api("sandbox", provider=provider))

    asyncio.run(run())


# Time


def test_no_answer_comes_before_its_drawn_time_and_a_list_asked_twice_waits_the_same(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=40, token_ms=2)
    for prompt in ("Reply: alpha", EXPLAIN):
        asked = read_chat(json.dumps({"model": "m", "messages": _user(prompt)}).encode())
        drawn = latency(profile, asked.text)
        with _client(sandbox, profile) as client:
            for _ in range(2):
                sent_ns = time.monotonic_ns()
                answer = client.chat.completions.create(model="m", messages=_user(prompt))
                assert answer.usage is not None
                assert time.monotonic_ns() - sent_ns >= drawn.due_ns(answer.usage.completion_tokens - 1)


def test_streamed_tokens_come_one_by_one_at_their_times(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=20, first_token_sigma=0, token_ms=60, token_sigma=0)
    with _client(sandbox, FAST) as first_use:  # which imports for longer than an answer takes
        list(first_use.chat.completions.create(model="m", messages=_user("hello"), stream=True))
    with _client(sandbox, profile) as client:
        sent_ns = time.monotonic_ns()
        stamps = [
            time.monotonic_ns() - sent_ns
            for chunk in client.chat.completions.create(model="m", messages=_user("hello"), stream=True)
            if chunk.choices and chunk.choices[0].delta.content
        ]
    due_ns = [(20 + 60 * n) * 1_000_000 for n in range(len(stamps))]
    assert all(stamp >= due for stamp, due in zip(stamps, due_ns, strict=True))
    assert stamps[0] < due_ns[-1]  # the first was here before the last was even due


def test_above_capacity_everybody_waits_longer(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=100, first_token_sigma=0, capacity=1)

    async def ask(client: openai.AsyncOpenAI) -> int:
        sent_ns = time.monotonic_ns()
        await client.chat.completions.create(model="m", messages=_user("Reply: alpha"))
        return time.monotonic_ns() - sent_ns

    async def run() -> list[int]:
        async with openai.AsyncOpenAI(base_url=sandbox.base_url(profile), api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(ask(client) for _ in range(4)))

    waited = sorted(asyncio.run(run()))
    assert _stats(sandbox, profile)["peak_in_flight"] > 1
    assert waited[-1] >= _stats(sandbox, profile)["peak_in_flight"] * 100_000_000


# Quota


def test_an_exhausted_account_is_refused_with_honest_headers(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=2, tokens_per_minute=10_000)
    with _client(sandbox, profile) as client:
        for left in ("1", "0"):
            answer = client.chat.completions.with_raw_response.create(model="m", messages=_user("Reply: alpha"))
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert answer.headers["x-ratelimit-remaining-requests"] == left
            assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 10_000
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="m", messages=_user("Reply: alpha"))
    told = refused.value.response.headers
    assert 0 < int(told["retry-after-ms"]) <= 30_000
    assert int(told["retry-after"]) * 1000 >= int(told["retry-after-ms"])
    assert told["x-ratelimit-reset-requests"].endswith("s")
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    assert "requests per min (RPM): Limit 2, Used 2, Requested 1" in str(refused.value)
    assert _stats(sandbox, profile)["refused"] == 1


def test_tokens_are_limited_too_and_what_never_fits_says_so(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, tokens_per_minute=30)
    with _client(sandbox, profile) as client, pytest.raises(openai.RateLimitError) as refused:
        client.responses.create(model="m", input=EXPLAIN, stream=True)
    assert refused.value.type == "tokens"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "Request too large" in str(refused.value)


def test_keys_and_profiles_have_accounts_of_their_own_and_equal_profiles_share_one(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=1, seed=21)
    other = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=1, seed=22)
    asked = {"model": "m", "messages": _user("Reply: alpha")}
    with _client(sandbox, profile) as one, _client(sandbox, profile) as same:
        one.chat.completions.create(**asked)  # type: ignore[call-overload]
        with pytest.raises(openai.RateLimitError):
            same.chat.completions.create(**asked)  # type: ignore[call-overload]
    with _client(sandbox, profile, key="another") as another, _client(sandbox, other) as elsewhere:
        another.chat.completions.create(**asked)  # type: ignore[call-overload]
        elsewhere.chat.completions.create(**asked)  # type: ignore[call-overload]


# Faults


def test_errors_come_as_openai_writes_them(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, error_rate=1)
    with _client(sandbox, profile) as client, pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="m", messages=_user("Reply: alpha"))
    assert (failed.value.status_code, failed.value.type) == (500, "server_error")
    assert _stats(sandbox, profile)["failed"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_lasts_until_the_client_hangs_up(sandbox: SandboxProcess, stream: bool) -> None:
    profile = SandboxProfile(first_token_ms=0, hang_rate=1, seed=30 + stream)

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=sandbox.base_url(profile), api_key="k", max_retries=0) as client:
            call = asyncio.ensure_future(
                client.chat.completions.create(model="m", messages=_user("Reply: alpha"), stream=stream)
            )
            await asyncio.to_thread(_until, sandbox, profile, "in_flight", 1)
            assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.to_thread(_until, sandbox, profile, "hung_up", 1)

    asyncio.run(run())
    assert _stats(sandbox, profile)["in_flight"] == 0


def test_hanging_up_between_two_tokens_ends_the_call_at_once(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=600_000, token_sigma=0)
    with _client(sandbox, profile) as client:
        stream = client.chat.completions.create(model="m", messages=_user(EXPLAIN), stream=True)
        next(iter(stream))
        stream.close()
    _until(sandbox, profile, "hung_up", 1)
    assert _stats(sandbox, profile)["in_flight"] == 0


def test_a_truncated_answer_breaks_the_socket_before_its_announced_length(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, truncation_rate=1)
    parts = urlsplit(sandbox.base_url(profile))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("POST", f"{parts.path}/chat/completions", json.dumps({"model": "m", "messages": _user(EXPLAIN)}))
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as broken:
        response.read()
    connection.close()
    assert 0 < len(broken.value.partial) < int(response.headers["content-length"])
    assert _stats(sandbox, profile)["truncated"] == 1


def test_a_truncated_stream_ends_without_its_last_chunk(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, truncation_rate=1, seed=40)
    whole_profile = SandboxProfile(first_token_ms=0, token_ms=0, seed=40)
    with _client(sandbox, profile) as client, _client(sandbox, whole_profile) as whole_client:
        chunks = list(client.chat.completions.create(model="m", messages=_user(EXPLAIN), stream=True))
        events = list(client.responses.create(model="m", input=EXPLAIN, stream=True))
        whole = whole_client.chat.completions.create(model="m", messages=_user(EXPLAIN)).choices[0].message.content
    got = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole is not None
    assert 0 < len(got) < len(whole)
    assert whole.startswith(got)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)
    assert events[-1].type == "response.output_text.delta"


def test_one_profiles_faults_and_load_leave_another_alone(sandbox: SandboxProcess) -> None:
    broken = SandboxProfile(first_token_ms=0, error_rate=1, seed=51)
    sound = SandboxProfile(first_token_ms=0, token_ms=0, seed=51)
    with _client(sandbox, broken) as failing, _client(sandbox, sound) as answering:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                failing.chat.completions.create(model="m", messages=_user("Reply: alpha"))
            answering.chat.completions.create(model="m", messages=_user("Reply: alpha"))
    assert (_stats(sandbox, broken)["failed"], _stats(sandbox, broken)["answered"]) == (3, 0)
    assert (_stats(sandbox, sound)["failed"], _stats(sandbox, sound)["answered"]) == (0, 3)


def test_one_connection_carries_many_calls(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        client.chat.completions.create(model="m", messages=_user("Reply: alpha"))
        before = _get(sandbox, "/stats")["connections"]
        for _ in range(5):
            client.chat.completions.create(model="m", messages=_user("Reply: alpha"))
        after = _get(sandbox, "/stats")["connections"]
    assert after - before == 1  # the one that asked for these figures


# Bad input

_MESSAGE = {"role": "user", "content": "hi"}
_BAD_CHATS: list[Any] = [
    [],
    "text",
    None,
    {"model": "m"},
    {"messages": [_MESSAGE]},
    {"model": 3, "messages": [_MESSAGE]},
    {"model": "m", "messages": []},
    {"model": "m", "messages": "hi"},
    {"model": "m", "messages": ["hi"]},
    {"model": "m", "messages": [{"content": "hi"}]},
    {"model": "m", "messages": [{"role": "user", "content": 7}]},
    {"model": "m", "messages": [_MESSAGE], "max_tokens": 0},
    {"model": "m", "messages": [_MESSAGE], "max_tokens": "ten"},
    {"model": "m", "messages": [_MESSAGE], "max_tokens": True},
    {"model": "m", "messages": [_MESSAGE], "stream": "yes"},
    {"model": "m", "messages": [_MESSAGE], "n": 2},
    {"model": "m", "messages": [_MESSAGE], "tools": [{}]},
    {"model": "m", "messages": [_MESSAGE], "response_format": {"type": "json_object"}},
    {"model": "m", "messages": [{"role": "user", "content": "x" * 3_900_000}]},
    {"model": "m", "messages": [{"role": "user", "content": "x" * 5_000_000}]},
]


@pytest.mark.parametrize("body", _BAD_CHATS, ids=lambda body: json.dumps(body)[:60])
def test_a_bad_chat_is_a_400_in_openais_shape(sandbox: SandboxProcess, body: object) -> None:
    status, said = _send(sandbox, "POST", f"/{FAST.encoded()}/v1/chat/completions", json.dumps(body).encode())
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")
    assert said["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"model":"m","messages":' + b"[" * 100_000])
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
def test_what_is_no_json_is_a_400(sandbox: SandboxProcess, path: str, body: bytes) -> None:
    status, said = _send(sandbox, "POST", f"/{FAST.encoded()}/v1/{path}", body)
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"model": "m"}),
        ("responses", {"model": "m", "input": []}),
        ("responses", {"model": "m", "input": "hi", "instructions": 4}),
        ("responses", {"model": "m", "input": "hi", "previous_response_id": "resp_1"}),
        ("responses", {"model": "m", "input": "hi", "text": {"format": {"type": "json_schema"}}}),
        ("embeddings", {"model": "m"}),
        ("embeddings", {"model": "m", "input": []}),
        ("embeddings", {"model": "m", "input": [""]}),
        ("embeddings", {"model": "m", "input": [{}]}),
        ("embeddings", {"model": "m", "input": ["x"] * 2049}),
        ("embeddings", {"model": "m", "input": "x", "dimensions": 0}),
        ("embeddings", {"model": "m", "input": "x", "encoding_format": "hex"}),
    ],
)
def test_other_bad_bodies_are_a_400_too(sandbox: SandboxProcess, path: str, body: dict[str, object]) -> None:
    status, said = _send(sandbox, "POST", f"/{FAST.encoded()}/v1/{path}", json.dumps(body).encode())
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("segment", ["nonsense", "eyJ4IjoxfQ", "eyJlcnJvcl9yYXRlIjoyfQ", "%00", "W1tb" * 10_000])
def test_an_address_with_no_profile_in_it_is_a_404_in_openais_shape(sandbox: SandboxProcess, segment: str) -> None:
    for method, path in (("POST", "chat/completions"), ("GET", "models")):
        status, said = _send(sandbox, method, f"/{segment}/v1/{path}", b"{}" if method == "POST" else None)
        assert (status, said["error"]["code"]) == (404, "unknown_profile")


def test_unknown_paths_and_methods_are_errors_in_openais_shape(sandbox: SandboxProcess) -> None:
    assert _send(sandbox, "GET", "/v1/nothing")[0] == 404
    status, said = _send(sandbox, "GET", "/v1/chat/completions")
    assert (status, said["error"]["type"]) == (405, "invalid_request_error")


def test_a_very_long_prompt_within_the_window_is_answered(sandbox: SandboxProcess) -> None:
    with _client(sandbox, FAST) as client:
        answer = client.chat.completions.create(model="m", messages=_user("漢" * 150_000))
    assert "simulated answer" in (answer.choices[0].message.content or "")


def test_text_of_any_kind_survives_the_echo(sandbox: SandboxProcess) -> None:
    hostile = '<script>alert(1)</script> \u202eمرحبا 漢字 \x00 "quoted" data: [DONE]'
    with _client(sandbox, FAST) as client:
        whole = client.chat.completions.create(model="\x00text\x00", messages=_user("Reply: " + hostile))
        stream = client.chat.completions.create(model="\x00text\x00", messages=_user("Reply: " + hostile), stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert whole.choices[0].message.content == streamed == hostile
