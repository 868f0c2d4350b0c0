"""A chat completion without the OpenAI SDK's own work: one POST of bytes, one strict parse, the rest as it was.

Comes in: what pydantic-ai asks `client.chat.completions.create`. Goes out: the same `ChatCompletion`. Of the CPU of a
call the SDK takes 43 % (building options, walking the parameters, constructing the answer loosely); for the plain case,
not streamed, none of that changes a byte of the request or a field of the answer (tests/test_providers_lean.py compares
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

from fanout.providers.transport import Replay, replay

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
        found = await self._exchange(body, asked.get("extra_headers") or {})
        if isinstance(found, ChatCompletion):
            return found
        token = replay.set(found)
        try:
            return await super().create(**asked)
        finally:
            replay.reset(token)

    async def _exchange(self, body: bytes, extra_headers: dict[str, str]) -> ChatCompletion | Replay:
        http = self._client.http
        request = httpx2.Request(
            "POST",
            self._url,
            headers={**self._headers, **extra_headers},
            content=body,
            extensions={"timeout": http.timeout.as_dict()},
        )
        try:
            response = await http.send(request)
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
    def _url(self) -> httpx2.URL:
        return httpx2.URL(f"{str(self._client.base_url).rstrip('/')}/chat/completions")

    @cached_property
    def _headers(self) -> dict[str, str]:
        """What the SDK sends with every request, the key among them; they stay as long as the client."""
        given = self._client.default_headers
        return {name: value for name, value in given.items() if isinstance(value, str)}


def _plain_body(asked: dict[str, Any]) -> bytes | None:
    """The request's body as the SDK would write it; None where the request is not plain."""
    if asked.get("stream") or asked.get("extra_body") or asked.get("extra_query"):
        return None
    if isinstance(asked.get("timeout"), float | int | httpx2.Timeout):
        return None
    values = {name: value for name, value in asked.items() if value is not omit and name not in _ABOUT_THE_REQUEST}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
