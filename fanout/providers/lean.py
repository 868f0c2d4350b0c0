"""A chat completion without the OpenAI SDK's own work: one POST of bytes, one strict parse, the rest as it was.

Comes in: what pydantic-ai asks `client.chat.completions.create`. Goes out: the same `ChatCompletion`, or the stream of
its chunks (`lean_stream`). Of the CPU of a call the SDK takes 43 % (building options, walking the parameters,
constructing the answer loosely), of a streamed one 70 %; none of that changes a field of the request or of the answer
(tests/test_providers_lean*.py compare them). Where to and with which headers (the key is among them) is learnt from a
request that the SDK writes and the transport does not send. Whatever is not plain, asked or answered, is the SDK's: an
odd answer or a broken connection is *replayed* to it through the transport, without a second request, so errors are its
own.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import httpx2
from openai import APIStatusError, AsyncOpenAI, omit
from openai.resources.chat.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletion

from fanout.providers.lean_stream import LeanStream, gathered
from fanout.providers.lean_whole import completed
from fanout.providers.transport import Replay, learning, replay, wire

_ABOUT_THE_REQUEST = frozenset({"extra_headers", "extra_body", "extra_query", "timeout"})
_NOTHING = Replay(status_code=418)
"""What the transport answers while a request is learnt: an error, so that nobody takes it for an answer."""
_HOP = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class LeanOpenAI(AsyncOpenAI):
    """AsyncOpenAI whose plain chat completions go the short way, through the same HTTP client."""

    def __init__(self, *, http_client: httpx2.AsyncClient, **options: Any) -> None:
        super().__init__(http_client=http_client, **options)
        self.http = http_client

    @cached_property
    def chat(self) -> AsyncChat:
        """Chat resources, the completions among them lean."""
        return _Chat(self)


class _Chat(AsyncChat):
    @cached_property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    _client: LeanOpenAI

    async def create(self, **asked: Any) -> Any:  # the SDK spells out some forty parameters
        body = _plain_body(asked)
        pattern = None if body is None else await self._pattern(body, asked)
        if body is None or pattern is None:
            return await super().create(**asked)
        found = await self._exchange(body, pattern, streams=bool(asked.get("stream")), model=asked["model"])
        if not isinstance(found, Replay):
            return found
        token = replay.set(found)
        try:
            return await super().create(**asked)
        finally:
            replay.reset(token)

    async def _pattern(self, body: bytes, asked: dict[str, Any]) -> _Pattern | None:
        """Address and headers (the key among them) of such a request; None where it is to stay the SDK's.

        Learnt once, from what the SDK hands to the transport, which answers it by itself: nothing is sent. Where the
        SDK writes anything else than we would, these requests stay its own.
        """
        kind = (bool(asked.get("stream")), tuple((asked.get("extra_headers") or {}).items()))
        if kind not in self._learned:
            notebook = await self._written(asked)
            alike = bool(notebook) and _same(notebook[0].content, body)
            self._learned[kind] = _Pattern(notebook[0]) if alike else None
        return self._learned[kind]

    async def _written(self, asked: dict[str, Any]) -> list[httpx2.Request]:
        """The requests that the SDK writes for this; none leaves."""
        notebook: list[httpx2.Request] = []
        to_notebook, to_nobody, unseen = learning.set(notebook), replay.set(_NOTHING), wire.set(None)
        try:
            await super().create(**asked)
        except APIStatusError:
            pass  # what the transport answers is no answer: only the request was of interest
        finally:
            learning.reset(to_notebook)
            replay.reset(to_nobody)
            wire.reset(unseen)
        return notebook

    async def _exchange(
        self, body: bytes, pattern: _Pattern, *, streams: bool, model: str
    ) -> ChatCompletion | LeanStream | Replay:
        request = httpx2.Request(
            "POST", pattern.url, headers=pattern.headers, content=body, extensions={"timeout": pattern.timeout}
        )
        try:
            response = await self._client.http.send(request, stream=streams)
            if streams and response.status_code == 200:
                return LeanStream(response, model=model)
            content = await response.aread()
        except httpx2.TransportError as exc:
            return Replay(error=exc)
        if response.status_code == 200:
            completion = completed(content, model=model) or gathered(content)
            if completion is not None:
                return completion  # otherwise the SDK says what is wrong with it
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _HOP]
        return Replay(status_code=response.status_code, headers=headers, content=content)

    @cached_property
    def _learned(self) -> dict[_Kind, _Pattern | None]:
        return {}


_Kind = tuple[bool, tuple[tuple[str, str], ...]]
"""Whether it streams, and its extra headers."""


class _Pattern:
    """Everything of a request but its body, as the SDK sent it."""

    __slots__ = ("headers", "timeout", "url")

    def __init__(self, request: httpx2.Request) -> None:
        self.url = request.url
        self.headers = [(name, value) for name, value in request.headers.multi_items() if name != "content-length"]
        self.timeout = request.extensions["timeout"]


def _same(theirs: bytes, ours: bytes) -> bool:
    """Whether two bodies say the same; only the order of their fields may differ."""
    try:
        return bool(json.loads(theirs) == json.loads(ours))
    except ValueError:
        return False


def _plain_body(asked: dict[str, Any]) -> bytes | None:
    """The request's body, field for field as the SDK would write it; None where the request is not plain."""
    if asked.get("extra_body") or asked.get("extra_query"):
        return None
    if isinstance(asked.get("timeout"), float | int | httpx2.Timeout):
        return None
    values = {name: value for name, value in asked.items() if value is not omit and name not in _ABOUT_THE_REQUEST}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
