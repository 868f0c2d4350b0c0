"""Anthropic, Google and OpenAI's Responses API, as far as loopback can show: one request, classes, streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.errors import CallFailed, KeyRefused, Overloaded, RateLimited, ServerFailed, Truncated
from fanout.events import Usage
from tests.hostile import END, EVENTS_HEAD, Answer, Close, Hang, Hostile, chunk, http, status

KEY = "a-key-of-the-tests-0001"
VARIABLES = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "google": ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
}
PROVIDERS = tuple(VARIABLES)


def said(*events: dict[str, Any], named: bool = False) -> list[bytes]:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(chunk(f"{name}data: {json.dumps(event)}\n\n".encode()))
    return lines


RESPONSE: dict[str, Any] = {
    "id": "r",
    "object": "response",
    "created_at": 1_700_000_000,
    "model": "m",
    "status": "completed",
    "output": [
        {
            "id": "o",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}
MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
CANDIDATE: dict[str, Any] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
    "modelVersion": "m",
}
WHOLE: dict[str, dict[str, Any]] = {"openai": RESPONSE, "anthropic": MESSAGE, "google": CANDIDATE}

DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "item_id": "o",
    "output_index": 0,
    "content_index": 0,
    "delta": "yes",
    "sequence_number": 2,
    "logprobs": [],
}
OPENED = {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "output": [], "usage": None}}
ITEM = {
    "type": "response.output_item.added",
    "output_index": 0,
    "sequence_number": 1,
    "item": {"id": "o", "type": "message", "role": "assistant", "status": "in_progress", "content": []},
}
BEGUN: dict[str, list[bytes]] = {
    "openai": said(OPENED, ITEM, DELTA, named=True),
    "anthropic": said(
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yes"}},
        named=True,
    ),
    "google": said({"candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "index": 0}]}),
}
FINISHED: dict[str, list[bytes]] = {
    "openai": said({"type": "response.completed", "sequence_number": 3, "response": RESPONSE}, named=True),
    "anthropic": said(
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
        named=True,
    ),
    "google": said(CANDIDATE | {"candidates": [{"finishReason": "STOP", "index": 0}]}),
}


def ask(
    provider: str, server: Hostile, monkeypatch: pytest.MonkeyPatch, *, stream: bool = False, timeout_s: float = 10.0
) -> Reply:
    key, url = VARIABLES[provider]
    monkeypatch.setenv(key, KEY)
    monkeypatch.setenv(url, server.base_url if provider == "openai" else server.base_url.removesuffix("/v1"))
    caller = Completion(Batch(prompts=["hello"], model=f"{provider}:m", stream=stream, timeout_s=timeout_s))
    return caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_comes_with_its_tokens(provider: str, streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Answer = [http(200, json.dumps(WHOLE[provider]).encode())]
    answer = [EVENTS_HEAD, *BEGUN[provider], *FINISHED[provider], END] if streamed else plain
    with Hostile([answer]) as server:
        reply = ask(provider, server, monkeypatch, stream=streamed)
        assert reply.error is None, reply.error
        assert (reply.output, reply.usage) == ("yes", Usage(input_tokens=7, output_tokens=3))
        assert server.requests == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"), [(429, RateLimited), (500, ServerFailed), (503, Overloaded), (401, KeyRefused)]
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_sdk_retries_on_its_own(
    provider: str, code: int, kind: type[CallFailed], streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([status(code, f"the key was {KEY}", retry_after="1")]) as server:
        error = ask(provider, server, monkeypatch, stream=streamed).error
        assert type(error) is kind
        assert error.status_code == code
        assert error.provider_words == "the key was [key]"
        assert server.requests == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("last", [Close(), END], ids=["torn", "ended in good order"])
def test_a_stream_without_its_end_is_truncated(
    provider: str, last: Close | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([[EVENTS_HEAD, *BEGUN[provider], last]]) as server:
        error = ask(provider, server, monkeypatch, stream=True).error
        assert type(error) is Truncated
        assert server.requests == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_that_hangs_is_hung_up_on(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[Hang()]]) as server:
        error = ask(provider, server, monkeypatch, timeout_s=0.3).error
        assert error is not None
        assert error.sentence.startswith("No complete answer within 0.3 s.")
        server.wait_for(lambda it: it.hang_ups == 1)
        assert server.requests == 1
