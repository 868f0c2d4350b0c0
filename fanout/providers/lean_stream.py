"""A streamed chat completion, read with little: server-sent events in, the SDK's own chunk objects out.

Comes in: a response whose headers have come. Goes out: chunks, as `openai.AsyncStream` gives them to pydantic-ai, each
parsed strictly (7 us) where the SDK constructs it loosely (115 us). Two kinds of server are met half-way, which the SDK
leaves without an answer that was paid for: one that cannot stream and answers whole, and one that ends with `[DONE]`
but names no finish reason.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import httpx2
from openai import APIConnectionError, APIError, APITimeoutError
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

DRAIN_S = 1.0
"""How long the end of the body is waited for after `[DONE]`, so that the connection can be used again."""

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DONE = b"[DONE]"


class LeanStream:
    """What `create(stream=True)` gives: an async context manager and an async iterator of chunks."""

    def __init__(self, response: httpx2.Response, *, model: str) -> None:
        self.response = response
        self._model = model
        self._iterator = self._chunks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._iterator

    async def __anext__(self) -> ChatCompletionChunk:
        return await anext(self._iterator)

    async def close(self) -> None:
        """Let go of the connection."""
        await self.response.aclose()

    aclose = close

    async def _chunks(self) -> AsyncIterator[ChatCompletionChunk]:
        try:
            if self.response.headers.get("content-type", "").startswith("application/json"):
                async for chunk in self._whole():
                    yield chunk
            else:
                async for chunk in self._streamed():
                    yield chunk
        except httpx2.TimeoutException as exc:
            raise APITimeoutError(request=self.response.request) from exc
        except httpx2.RequestError as exc:
            raise APIConnectionError(request=self.response.request) from exc
        finally:
            await self.response.aclose()

    async def _whole(self) -> AsyncIterator[ChatCompletionChunk]:
        """The server answered without streaming: its completion as one chunk."""
        content = await self.response.aread()
        completion = completed(content, model=self._model)
        if completion is None:
            self._refuse(json.loads(content))
            return
        for choice in completion.choices[:1]:
            delta = choice.message.model_dump(include={"role", "content", "refusal"}, exclude_none=True)
            yield _chunk(completion, delta, finish=choice.finish_reason)

    async def _streamed(self) -> AsyncIterator[ChatCompletionChunk]:
        last: ChatCompletionChunk | None = None
        finished = False
        events = self._events()
        async for data in events:
            if data.startswith(_DONE):
                if last is not None and not finished:
                    yield _chunk(last, {}, finish="stop")  # [DONE] says that it is complete, as a finish reason would
                await self._drain(events)
                return
            chunk = self._parsed(data)
            finished = finished or any(choice.finish_reason for choice in chunk.choices or ())
            last = chunk if last is None and chunk.choices else last
            yield chunk

    def _parsed(self, data: bytes) -> ChatCompletionChunk:
        try:
            chunk = ChatCompletionChunk.model_validate_json(data)
        except ValidationError:
            loose = json.loads(data)
            self._refuse(loose)
            return ChatCompletionChunk.construct(**loose)  # as the SDK does it: pydantic-ai decides what it is worth
        if chunk.model_extra and chunk.model_extra.get("error"):
            self._refuse(chunk.model_extra)
        return chunk

    def _refuse(self, body: Any) -> None:
        """Raise what the SDK raises where the provider reports an error in a body that began well."""
        error = body.get("error") if isinstance(body, dict) else None
        if error:
            words = error.get("message") if isinstance(error, dict) else None
            message = words if isinstance(words, str) and words else "An error occurred during streaming"
            raise APIError(message=message, request=self.response.request, body=error)

    async def _events(self) -> AsyncIterator[bytes]:
        """The data of each event. One that is cut off by the end is dropped, as the standard has it, save `[DONE]`."""
        rest = b""
        async for received in self.response.aiter_bytes():
            rest += received
            *events, rest = _EVENT_END.split(rest)
            for event in events:
                if data := _data(event):
                    yield data
        if (data := _data(rest)).startswith(_DONE):
            yield data

    async def _drain(self, events: AsyncIterator[bytes]) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in events:
                    pass
        except (TimeoutError, httpx2.HTTPError):
            return  # the answer is complete; only the connection is lost


def completed(content: bytes, *, model: str) -> ChatCompletion | None:
    """A chat completion of a whole body; None where it is none.

    Servers that imitate OpenAI leave out what nobody needs of an answer (its id, its date): that is filled in, so that
    an answer is not lost for it. What is there is never changed.
    """
    try:
        return ChatCompletion.model_validate_json(content)
    except ValidationError:
        try:
            filled = _filled(json.loads(content), model)
            return None if filled is None else ChatCompletion.model_validate(filled, strict=True)
        except ValueError:
            return None


def _filled(body: Any, model: str) -> dict[str, Any] | None:
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or not body["choices"]:
        return None
    choices = []
    for place, choice in enumerate(body["choices"]):
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            return None
        message = {"role": "assistant", **choice["message"]}
        choices.append({"index": place, "finish_reason": "stop", **choice, "message": message})
    return {"id": "", "created": 0, "object": "chat.completion", "model": model, **body, "choices": choices}


def _data(event: bytes) -> bytes:
    """The data lines of one event, joined."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _chunk(like: ChatCompletion | ChatCompletionChunk, delta: dict[str, Any], *, finish: str) -> ChatCompletionChunk:
    return ChatCompletionChunk.model_validate(
        {
            "id": like.id,
            "created": like.created,
            "model": like.model,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            "usage": like.usage.model_dump() if like.usage is not None else None,
        }
    )
