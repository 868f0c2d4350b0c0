"""Models that pydantic-ai builds, of every provider that we do not build ourselves, on an HTTP client with our hooks.

Comes in: a model string that was checked, and the loop its requests run on. Goes out: the model, the settings that keep
its SDK from retrying, and whether our hooks see its requests. Keys, addresses and the rest of the environment are
pydantic-ai's to read.

An SDK on httpx2 (OpenAI's, with Azure, OpenRouter, DeepSeek, Cerebras and every other that speaks its API; Mistral's)
gets `transport.http_client`, one on httpx (Groq's, Cohere's) the legacy client that pydantic-ai makes, with the same
hooks. What takes no HTTP client (Bedrock on botocore, xAI on gRPC, Hugging Face) runs on its own: what its successes
say of limits stays unread, and `sent` is the instant before the request.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class
from pydantic_ai.providers.gateway import gateway_provider
from pydantic_ai.settings import ModelSettings

from fanout.errors import BadInput
from fanout.providers.loop import LoopThread
from fanout.providers.transport import http_client, legacy_http_client, names_a_proxy

if TYPE_CHECKING:
    import httpx

GATEWAY = "gateway/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """A model as pydantic-ai makes it, entered on its loop."""

    model: Model
    settings: ModelSettings
    """What every request of it needs."""
    hooked: bool
    """Whether our hooks see its requests leave and its responses come."""


def inferred(model: str, loop: LoopThread) -> Inferred:
    """The model of this string; its client is its own, and closed with the loop.

    Never from the loop's own thread. Raises BadInput where the environment changed since the string was checked.
    """
    client: httpx2.AsyncClient | httpx.AsyncClient | None = None

    def provider(name: str) -> Provider[Any]:
        nonlocal client
        make_client = _client_of(name)
        if make_client is None:
            return infer_provider(name)
        client = make_client()
        return _maker(name)(http_client=client)

    try:
        made = infer_model(model, provider_factory=provider)
    except (UserError, ImportError) as exc:
        raise BadInput(f"the model {model!r} cannot be used: {exc}") from exc
    if client is not None:
        loop.at_close(client.aclose)
    _enter(made, loop)
    return Inferred(model=made, settings=_without_retries(made), hooked=client is not None)


def _maker(name: str) -> Callable[..., Provider[Any]]:
    """What `infer_provider` would call, for arguments of ours."""
    if name.startswith(GATEWAY):
        through: Callable[..., Provider[Any]] = gateway_provider
        return partial(through, name.removeprefix(GATEWAY))
    return infer_provider_class(name)


def _enter(model: Model, loop: LoopThread) -> None:
    async def leave() -> None:
        await model.__aexit__(None, None, None)

    async def enter() -> None:
        await model.__aenter__()
        loop.at_close(leave)

    loop.run(enter())


def _without_retries(model: Model) -> ModelSettings:
    """Turn the SDK's retries off: on its client, where that has them, and else by the settings that this gives.

    As a setting it makes the models of Stainless's SDKs (OpenAI's, Groq's) copy their client for every call.
    """
    client = getattr(model, "client", None)
    if isinstance(getattr(client, "max_retries", None), int):
        client.max_retries = 0  # type: ignore[union-attr]  # it has been looked at
        return ModelSettings()
    if "max_retries" in model.unsupported_settings:
        return ModelSettings()
    return ModelSettings(max_retries=0)


# ---- which HTTP client


def _ours() -> httpx2.AsyncClient:
    # Where the environment names a proxy, httpx2's own transport decides by each request's address whether it goes
    # there: many of these providers know their address only once they have a client.
    return http_client(proxied=names_a_proxy())


_BY_ANNOTATION: dict[str, Callable[[], httpx2.AsyncClient | httpx.AsyncClient]] = {
    "httpx2.AsyncClient | None": _ours,
    "AsyncHTTPClient | None": _ours,
    "_OpenAIHTTPClient | None": _ours,
    "httpx.AsyncClient | None": legacy_http_client,
}
"""By what the parameter `http_client` of pydantic-ai's provider says that it takes. (Hugging Face's takes none: it
raises.) Not by evaluating it: `httpx` may be a name for type checkers only."""


def _client_of(name: str) -> Callable[[], httpx2.AsyncClient | httpx.AsyncClient] | None:
    """What makes the HTTP client that this provider runs on; None where it takes none."""
    parameters = inspect.signature(infer_provider_class(name).__init__).parameters
    return _BY_ANNOTATION.get(str(parameters["http_client"].annotation)) if "http_client" in parameters else None
