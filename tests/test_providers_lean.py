"""The short way asks the same and gives the same answer or error as the OpenAI SDK, in one request each.

A client's first request is the SDK's own, and teaches: so each asks twice, and the second time is compared.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from fanout.providers.lean import LeanOpenAI
from fanout.providers.transport import http_client
from tests.hostile import Answer, Close, Hostile, Received, Reset, chat, completion_body, http, status, stream

MakeClient = Callable[..., AsyncOpenAI]

ANSWERS: dict[str, Answer] = {
    "plain": chat("yes"),
    "length": chat("cut", finish="length"),
    "no usage": chat("yes", usage=False),
    "refusal": [http(200, completion_body(None, refusal="I will not"))],
    "empty": chat(""),
    "null content": [http(200, completion_body(None))],
    "unknown finish": chat("yes", finish="because"),
    "content filter": [http(200, completion_body(None, finish="content_filter"))],
    "reasoning": chat("yes", reasoning_content="hm"),
    "think tags": chat("<think>hm</think>yes"),
    "wrong role": [http(200, completion_body("yes").replace(b"assistant", b"wizard"))],
    "no choices": [http(200, json.dumps({"id": "c", "object": "chat.completion", "choices": []}).encode())],
    "unknown fields": [http(200, completion_body("yes").replace(b'"created"', b'"extra": {"a": [1]}, "created"'))],
    "odd object": [http(200, completion_body("yes").replace(b"chat.completion", b"chat.surprise"))],
    "not JSON": [http(200, b"{nope")],
    "a list": [http(200, b"[1, 2]")],
    "HTML": [http(200, b"<h1>hello</h1>", content_type="text/html")],
    "nothing": [http(200, b"")],
    "no type": [http(200, completion_body("yes"), content_type="")],
    "204": [http(204, b"")],
    "307": status(307, location="/elsewhere"),
    **{str(code): status(code, "no") for code in (400, 401, 403, 404, 408, 409, 422, 500, 502, 503, 529)},
    "429": status(429, "later", retry_after="7", x_ratelimit_remaining_requests="0"),
    "429 ms": status(429, "later", retry_after_ms="250"),
    "no credit": status(429, error={"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}),
    "context overflow": status(400, error={"message": "too long", "code": "context_length_exceeded"}),
    "HTML 502": [http(502, b"<h1>bad gateway</h1>", content_type="text/html")],
    "closed": [Close()],
    "reset": [Reset()],
    "half a body": [completion_body("yes")[:0] + http(200, completion_body("yes"))[:-20], Close()],
    "half a head": [b"HTTP/1.1 200 OK\r\ncontent-", Close()],
    "garbage": [b"\x00\x01\x02garbage\r\n\r\n", Close()],
}

SETTINGS: dict[str, ModelSettings] = {
    "none": ModelSettings(),
    "all of ours": ModelSettings(temperature=0.5, max_tokens=10),
    "more": ModelSettings(seed=3, stop_sequences=["a"], top_p=0.5, extra_headers={"x-test": "1"}),
    "extra body": ModelSettings(extra_body={"top_k": 4}),
    "timeout": ModelSettings(timeout=5.0),
}


async def ask(make: MakeClient, base_url: str, prompt: str, settings: ModelSettings, instructions: str | None) -> Any:
    """What the model says through this client: a response's fields without its time, or an exception's content."""
    http = http_client(proxied=False)
    async with http:
        client = make(api_key="k", base_url=base_url, max_retries=0, timeout=http.timeout, http_client=http)
        model = OpenAIChatModel("tiny", provider=OpenAIProvider(openai_client=client))
        request = ModelRequest(parts=[UserPromptPart(prompt)], instructions=instructions)
        await outcome(model, request, settings)
        return await outcome(model, request, settings)


async def outcome(model: OpenAIChatModel, request: ModelRequest, settings: ModelSettings) -> Any:
    try:
        response = await model.request([request], settings, ModelRequestParameters())
    except Exception as exc:
        return type(exc), str(exc), {k: content(v) for k, v in vars(exc).items()}
    return {k: content(v) for k, v in vars(response).items() if k != "timestamp"}


def content(value: object) -> object:
    """Comparable by content, without instants."""
    if isinstance(value, dict):
        return {k: content(v) for k, v in sorted(value.items()) if k != "timestamp"}
    if dataclasses.is_dataclass(value) or isinstance(value, str | int | float | list | tuple | None):
        return value
    return repr(value)


def both(script: Answer, settings: ModelSettings, *, prompt: str = "hello", instructions: str | None = None) -> Any:
    """(outcome, requests as they came) of the SDK's way and of the short way."""
    found = []
    for make in (AsyncOpenAI, LeanOpenAI):
        with Hostile([script]) as server:
            came = asyncio.run(ask(make, server.base_url, prompt, settings, instructions))
            found.append((str(came).replace(str(server.port), "PORT"), server.received))
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_comes_out_alike_in_one_request(name: str) -> None:
    (stock, stock_received), (lean, lean_received) = both(ANSWERS[name], ModelSettings())
    assert lean == stock
    assert len(lean_received) == len(stock_received) == 2


@pytest.mark.parametrize("prompt", ["hello", "", "a\x00b", "日本\u2028\u202eعربي", "x" * 100_000, '"\\/\n'])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_request_leaves_alike(name: str, prompt: str) -> None:
    (_, (_, stock)), (_, (_, lean)) = both(chat("yes"), SETTINGS[name], prompt=prompt, instructions="be brief")
    assert lean.json == stock.json
    assert lean.path == stock.path
    assert kept(lean) == kept(stock)


def kept(request: Received) -> dict[str, str]:
    """Without what tells of the SDK's own retrying and timing, and of the two servers' ports."""
    return {k: v for k, v in request.headers.items() if not k.startswith("x-stainless-re") and k != "host"}


def test_a_stream_is_the_sdks_own() -> None:
    async def streamed(make: MakeClient, base_url: str) -> list[str]:
        http = http_client(proxied=False)
        async with http:
            client = make(api_key="k", base_url=base_url, max_retries=0, http_client=http)
            opened = await client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "x"}], stream=True
            )
            return [choice.delta.content or "" async for part in opened for choice in part.choices]

    with Hostile([stream("one ", "two")]) as server:
        assert asyncio.run(streamed(LeanOpenAI, server.base_url)) == asyncio.run(streamed(AsyncOpenAI, server.base_url))
