"""The sandbox over real HTTP, asked by the real OpenAI SDK and by pydantic-ai: shapes, and bad input."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic_ai import direct
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from fanout.sandbox.process import SandboxProcess
from tests.sandboxes import EXPLAIN, FAST, get, sdk, send, user


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(environ={}) as process:
        yield process


# Shapes


def test_a_chat_completion_is_one(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
        answer = client.chat.completions.create(model="some-model", messages=user("Reply: alpha"))
    assert answer.choices[0].message.content == "alpha"
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "some-model", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 1


def test_a_streamed_chat_completion_is_the_same_text_in_tokens(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
        whole = client.chat.completions.create(model="m", messages=user(EXPLAIN))
        chunks = list(
            client.chat.completions.create(
                model="m", messages=user(EXPLAIN), stream=True, stream_options={"include_usage": True}
            )
        )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert sum(bool(text) for text in texts) >= 60
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_response_is_one(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
        answer = client.responses.create(model="m", input="What is 17 * 23?", instructions="Be brief")
    assert (answer.output_text, answer.status) == ("391", "completed")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 1


def test_a_streamed_response_has_every_event_in_order(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
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
    with sdk(sandbox, FAST) as client:
        chat = client.chat.completions.create(model="m", messages=user(EXPLAIN), max_completion_tokens=5)
        older = client.chat.completions.create(model="m", messages=user(EXPLAIN), max_tokens=6)
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
    with sdk(sandbox, FAST) as client:
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
    with sdk(sandbox, FAST) as client:
        assert [model.id for model in client.models.list()] == ["sandbox"]
    health = get(sandbox, "/health")
    assert (health["name"], health["simulated"]) == ("fanout-sandbox", True)
    assert health["version"]


def test_the_plain_address_answers_by_the_servers_own_profile(sandbox: SandboxProcess) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Reply: alpha"}]}).encode()
    status, said = send(sandbox, "POST", "/v1/chat/completions", body)
    assert (status, said["choices"][0]["message"]["content"]) == (200, "alpha")


def test_instructions_may_hold_the_labels(sandbox: SandboxProcess) -> None:
    instructions = "Answer with one of: positive, negative, neutral."
    with sdk(sandbox, FAST) as client:
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
    status, said = send(sandbox, "POST", f"/{FAST.encoded()}/v1/chat/completions", json.dumps(body).encode())
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")
    assert said["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"model":"m","messages":' + b"[" * 100_000])
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
def test_what_is_no_json_is_a_400(sandbox: SandboxProcess, path: str, body: bytes) -> None:
    status, said = send(sandbox, "POST", f"/{FAST.encoded()}/v1/{path}", body)
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
    status, said = send(sandbox, "POST", f"/{FAST.encoded()}/v1/{path}", json.dumps(body).encode())
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("segment", ["nonsense", "eyJ4IjoxfQ", "eyJlcnJvcl9yYXRlIjoyfQ", "%00", "W1tb" * 10_000])
def test_an_address_with_no_profile_in_it_is_a_404_in_openais_shape(sandbox: SandboxProcess, segment: str) -> None:
    for method, path in (("POST", "chat/completions"), ("GET", "models")):
        status, said = send(sandbox, method, f"/{segment}/v1/{path}", b"{}" if method == "POST" else None)
        assert (status, said["error"]["code"]) == (404, "unknown_profile")


def test_unknown_paths_and_methods_are_errors_in_openais_shape(sandbox: SandboxProcess) -> None:
    assert send(sandbox, "GET", "/v1/nothing")[0] == 404
    status, said = send(sandbox, "GET", "/v1/chat/completions")
    assert (status, said["error"]["type"]) == (405, "invalid_request_error")


def test_a_very_long_prompt_within_the_window_is_answered(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
        answer = client.chat.completions.create(model="m", messages=user("漢" * 150_000))
    assert "simulated answer" in (answer.choices[0].message.content or "")


def test_text_of_any_kind_survives_the_echo(sandbox: SandboxProcess) -> None:
    hostile = '<script>alert(1)</script> \u202eمرحبا 漢字 \x00 "quoted" data: [DONE]'
    with sdk(sandbox, FAST) as client:
        whole = client.chat.completions.create(model="\x00text\x00", messages=user("Reply: " + hostile))
        stream = client.chat.completions.create(model="\x00text\x00", messages=user("Reply: " + hostile), stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert whole.choices[0].message.content == streamed == hostile
