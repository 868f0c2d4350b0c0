"""A streamed chat completion, read with little: server-sent events in, the SDK's own chunk objects out.

Comes in: a response whose headers have come. Goes out: chunks, as `openai.AsyncStream` gives them to pydantic-ai, each
parsed strictly (7 us) where the SDK constructs it loosely (115 us). Two kinds of server are met half-way, which the SDK
leaves without an answer that was paid for: one that cannot stream and answers whole, whatever it calls that, and one
that ends with `[DONE]` but names no finish reason. One that streams unasked is met too: `gathered`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import AsyncGeneratorType, TracebackType
from typing import Any, Self

import httpx2
from openai import APIConnectionError, APIError, APITimeoutError
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from fanout.errors import BadAnswer
from fanout.providers.lean_whole import completed, loosely, makes_sense, usage_of

DRAIN_S = 1.0
"""How long the end of the body is waited for after `[DONE]`, so that the connection can be used again."""

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DONE = b"[DONE]"
_BLANK = b" \t\r\n\xef\xbb\xbf"
"""White space, and a byte order mark."""


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
        """Let go of the connection, and of what reads it: a generator that is given up half-way would wait for the
        garbage collector, or for the loop's end, which both close it together with those it reads from and say so."""
        try:
            if isinstance(self._iterator, AsyncGeneratorType) and not self._iterator.ag_running:
                await self._iterator.aclose()
        finally:
            await self.response.aclose()

    aclose = close

    async def _chunks(self) -> AsyncGenerator[ChatCompletionChunk]:
        try:
            async with contextlib.AsyncExitStack() as opened:
                pieces = self.response.aiter_bytes()
                if isinstance(pieces, AsyncGenerator):
                    await opened.enter_async_context(aclosing(pieces))
                first = await _first(pieces)
                # By what it is and not by what it is called: no line of a stream of events begins so.
                if first.lstrip(_BLANK).startswith(b"{"):
                    chunks = self._whole(first, pieces)
                else:
                    events = await opened.enter_async_context(aclosing(_events(first, pieces)))
                    chunks = self._streamed(events)
                await opened.enter_async_context(aclosing(chunks))
                async for chunk in chunks:
                    yield chunk
        except httpx2.TimeoutException as exc:
            raise APITimeoutError(request=self.response.request) from exc
        except httpx2.RequestError as exc:
            raise APIConnectionError(request=self.response.request) from exc
        finally:
            await self.response.aclose()

    async def _whole(self, first: bytes, pieces: AsyncIterator[bytes]) -> AsyncGenerator[ChatCompletionChunk]:
        """The server answered without streaming: its completion as one chunk; nothing where it is none."""
        content = b"".join([first, *[piece async for piece in pieces]])
        completion = completed(content, model=self._model)
        if completion is None:
            with contextlib.suppress(ValueError, RecursionError):
                self._refuse(loosely(content))
            return
        for choice in completion.choices[:1]:
            delta = choice.message.model_dump(include={"role", "content", "refusal"}, exclude_none=True)
            yield _chunk(completion, delta, finish=choice.finish_reason)

    async def _streamed(self, events: AsyncIterator[bytes]) -> AsyncGenerator[ChatCompletionChunk]:
        last: ChatCompletionChunk | None = None
        finished = False
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
            loose = loosely(data)
            self._refuse(loose)
            if not isinstance(loose, dict):
                raise json.JSONDecodeError("an event that is no object", "", 0) from None
            loose["usage"] = usage_of(loose.get("usage"))
            return ChatCompletionChunk.construct(**loose)  # as the SDK does it: pydantic-ai decides what it is worth
        if chunk.usage is not None and not makes_sense(chunk.usage):
            chunk.usage = None
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

    async def _drain(self, events: AsyncIterator[bytes]) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in events:
                    pass
        except (TimeoutError, httpx2.HTTPError, BadAnswer):
            return  # the answer is complete; only the connection is lost


def gathered(content: bytes) -> ChatCompletion | None:
    """The completion in a body of events, for a server that streams though it was not asked to; None where they are
    not all there, or are none of a completion."""
    chunks: list[ChatCompletionChunk] = []
    done = False
    for event in _EVENT_END.split(content.lstrip(_BLANK)):
        data = _data(event)
        if done := done or data.startswith(_DONE):
            break
        if data:
            try:
                chunks.append(ChatCompletionChunk.model_validate_json(data))
            except ValidationError:
                return None
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == 0]
    finish = next((choice.finish_reason for choice in reversed(choices) if choice.finish_reason), None)
    if not choices or (finish is None and not done):
        return None
    last = chunks[-1]
    texts = {name: [getattr(choice.delta, name) or "" for choice in choices] for name in ("content", "refusal")}
    message = {"role": "assistant", **{name: "".join(pieces) or None for name, pieces in texts.items()}}
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)
    whole = {
        "id": last.id,
        "created": last.created,
        "model": last.model,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish or "stop"}],
        "usage": usage.model_dump() if usage is not None and makes_sense(usage) else None,
    }
    return completed(json.dumps(whole).encode(), model=last.model)


async def _first(pieces: AsyncIterator[bytes]) -> bytes:
    """The first piece with anything in it: white space before it is of no meaning, in a stream and in JSON."""
    async for piece in pieces:
        if piece.lstrip(_BLANK):
            return piece
    return b""


async def _events(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event. One that is cut off by the end is dropped, as the standard has it, save `[DONE]`."""
    cut = _Cut()
    for event in cut(first.lstrip(_BLANK)):
        if data := _data(event):
            yield data
    async for piece in pieces:
        for event in cut(piece):
            if data := _data(event):
                yield data
    if (data := _data(cut.rest)).startswith(_DONE):
        yield data


class _Cut:
    """Pieces in, the events that end in them out."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def __call__(self, piece: bytes) -> list[bytes]:
        whole: bytes | bytearray = piece
        if self.rest:
            seam = max(0, len(self.rest) - 3)  # an end has four bytes at most
            self.rest += piece
            if _EVENT_END.search(self.rest, seam) is None:
                return []  # what came before is not looked through again: an endless event would block the loop
            whole = self.rest
        *events, rest = _EVENT_END.split(whole)
        self.rest = bytearray(rest)
        return events


def _data(event: bytes | bytearray) -> bytes:
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
