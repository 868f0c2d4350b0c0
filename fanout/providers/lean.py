"""A chat completion without the OpenAI SDK's own work: one POST of bytes, one strict parse, the rest as it was.

Comes in: what pydantic-ai asks `client.chat.completions.create`. Goes out: the same `ChatCompletion`. The first request
of a client is the SDK's own, and teaches where to and with which headers (the key is among them). Of the CPU of a
call the SDK takes 43 % (building options, walking the parameters, constructing the answer loosely); for the plain case,
not streamed, none of that changes a field of the request or of the answer (tests/test_providers_lean.py compares
them). Whatever is not plain, asked or answered, is the SDK's: an odd answer or a broken connection is *replayed* to it
through the transport, without a second request, so errors are its own.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import httpx2
from openai import AsyncOpenAI, omit
from openai.resources.chat.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletion
from pydantic import ValidationError

from fanout.providers.transport import Replay, learning, replay

_ABOUT_THE_REQUEST = frozenset({"extra_headers", "extra_body", "extra_query", "timeout"})
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
        if body is None:
            return await super().create(**asked)
        headers = tuple((asked.get("extra_headers") or {}).items())
        if headers not in self._learned:
            return await self._learn(headers, body, asked)
        pattern = self._learned[headers]
        if pattern is None:
            return await super().create(**asked)
        found = await self._exchange(body, pattern)
        if isinstance(found, ChatCompletion):
            return found
        token = replay.set(found)
        try:
            return await super().create(**asked)
        finally:
            replay.reset(token)

    async def _learn(self, headers: _ExtraHeaders, body: bytes, asked: dict[str, Any]) -> Any:
        """Ask as the SDK does, and keep the address and headers (the key among them) it sent to.

        If it sent anything else than we would have, these requests stay the SDK's.
        """
        notebook: list[httpx2.Request] = []
        token = learning.set(notebook)
        try:
            return await super().create(**asked)
        finally:
            learning.reset(token)
            if notebook:
                self._learned[headers] = _Pattern(notebook[0]) if _same(notebook[0].content, body) else None

    async def _exchange(self, body: bytes, pattern: _Pattern) -> ChatCompletion | Replay:
        request = httpx2.Request(
            "POST", pattern.url, headers=pattern.headers, content=body, extensions={"timeout": pattern.timeout}
        )
        try:
            response = await self._client.http.send(request)
        except httpx2.TransportError as exc:
            return Replay(error=exc)
        if response.status_code == 200 and response.headers.get("content-type", "").startswith("application/json"):
            try:
                return ChatCompletion.model_validate_json(response.content)
            except ValidationError:
                pass  # the SDK says what is wrong with it
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _HOP]
        return Replay(status_code=response.status_code, headers=headers, content=response.content)

    @cached_property
    def _learned(self) -> dict[_ExtraHeaders, _Pattern | None]:
        return {}


_ExtraHeaders = tuple[tuple[str, str], ...]


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
    if asked.get("stream") or asked.get("extra_body") or asked.get("extra_query"):
        return None
    if isinstance(asked.get("timeout"), float | int | httpx2.Timeout):
        return None
    values = {name: value for name, value in asked.items() if value is not omit and name not in _ABOUT_THE_REQUEST}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
