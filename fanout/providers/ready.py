"""The models of the process, made once each: one per model string, base URL and key, on shared HTTP clients.

Comes in: a checked model string, and a sandbox profile for the sandbox. Goes out: a `ReadyModel`, whose requests run on
the loop thread only. It asks nothing of anybody; importing it imports pydantic-ai.

The SDKs' own retries are off (`max_retries=0` on the client: as a setting it copies the client for every call): a
retry is the engine's, a span and a quota slot of its own.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.exceptions import UsageExtractionFailedWarning
from pydantic_ai.models import Model
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.settings import ModelSettings

from fanout.providers import models
from fanout.providers.account import speaker
from fanout.providers.building import building
from fanout.providers.inferred import Inferred, inferred
from fanout.providers.loop import LoopThread, shared_loop
from fanout.providers.transport import behind_proxy, http_client, shared_tls
from fanout.sandbox.profile import SandboxProfile

if TYPE_CHECKING:
    from openai import AsyncOpenAI

warnings.filterwarnings("ignore", category=UsageExtractionFailedWarning)
# Usage that nobody can read is usage that is unknown, and shown so; the warning names a file of a library's.

MOST_MODELS = 64
"""Models kept; the one unused for longest goes. A changed sandbox profile is another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyModel:
    """A model that can be asked, on the loop it belongs to."""

    model: Model
    loop: LoopThread
    address: str
    """Host and port of its provider."""
    provider: str
    """Who speaks there, as `account.speaker` names it."""
    settings: ModelSettings
    """What every request of it needs."""
    hooked: bool
    """Whether our hooks on its HTTP client see a request leave and the headers of its response."""
    says_when_complete: bool
    """Whether a stream without a finish reason is a truncated one."""
    priced: bool
    """Whether asking it costs money that may be known."""
    key_name: str | None = None
    secret: str | None = field(default=None, repr=False)


def ready_model(model: str, *, sandbox: SandboxProfile | None = None) -> ReadyModel:
    """The model, made at the first call and shared after it; from any thread but the loop's.

    Raises BadInput as `models.check_model`, and whatever starting the sandbox raises. Sends nothing to a provider.
    """
    if model == models.SANDBOX:
        return _kept(_sandbox_spec(sandbox or SandboxProfile()))
    models.check_model(model)
    return _kept(_spec(model))


def import_everything() -> None:
    """Import the SDK of OpenAI's API and read the CA bundle: what makes a first model slow."""
    import openai.resources.chat

    assert openai.resources.chat  # the SDK loads its resources at first use; this one is used by the sandbox too
    shared_tls()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """Everything a model is made of: equal specs share a model."""

    model: str
    provider: str
    name: str
    base_url: str
    environment: str
    """Fingerprint of the variables that the provider's SDK reads, its key among them."""
    key_name: str | None = None
    secret: str | None = field(default=None, repr=False, compare=False)


# `building` protects the two tables, and keeps two first callers from building one model twice.
_models: OrderedDict[_Spec, ReadyModel] = OrderedDict()
_clients: dict[tuple[str, str, LoopThread], httpx2.AsyncClient] = {}
_SALT = secrets.token_bytes(16)


def _kept(spec: _Spec) -> ReadyModel:
    with building:
        kept = _models.get(spec)
        if kept is None or kept.loop.closed:
            kept = _models[spec] = _built(spec, shared_loop())
        _models.move_to_end(spec)
        while len(_models) > MOST_MODELS:
            _models.popitem(last=False)
        return kept


def _sandbox_spec(profile: SandboxProfile) -> _Spec:
    with building:
        from fanout.sandbox.process import shared_sandbox

    return _Spec(
        model=models.SANDBOX,
        provider=models.SANDBOX,
        name=models.SANDBOX,
        base_url=shared_sandbox().base_url(profile),
        environment="",
        secret=None,
    )


def _spec(model: str) -> _Spec:
    parts = models.model_name(model)
    provider = models.KNOWN_PROVIDERS.get(parts.provider)
    return _Spec(
        model=model,
        provider=parts.provider,
        name=parts.name,
        base_url="" if provider is None else models.base_url(provider),
        environment=_fingerprint(known=provider is not None),
        key_name=models.key_name(parts.provider),
        secret=None if provider is None else models.api_key(parts.provider),
    )


def _fingerprint(*, known: bool) -> str:
    """A hash of the variables that providers read: the key itself is kept nowhere but in the SDK's client."""
    prefixes = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_") if known else ("",)
    chosen = sorted(item for item in os.environ.items() if item[0].startswith(prefixes))
    return hashlib.blake2b(repr(chosen).encode("utf-8", "replace"), digest_size=16, key=_SALT).hexdigest()


def _built(spec: _Spec, loop: LoopThread) -> ReadyModel:
    # Built here and not on the loop: a first import of an SDK's parts takes a second, and would stall every call in
    # flight. Clients bind to a loop when they are first used, and that is on the loop.
    builders = {
        "sandbox": _sandbox,
        "openai-chat": _openai_chat,
        "openai": _openai_responses,
        "openai-responses": _openai_responses,
        "anthropic": _anthropic,
        "google": _google,
        "google-cloud": _google_cloud,
    }
    builder = builders.get(spec.provider)
    if builder is None:
        made = inferred(spec.model, loop)
    else:
        made = Inferred(model=builder(spec, _client(spec, loop)), settings=ModelSettings(), hooked=True)
    model = made.model
    address = _address(model, spec)
    return ReadyModel(
        model=model,
        loop=loop,
        address=address,
        provider=models.SANDBOX if spec.model == models.SANDBOX else speaker(spec.provider, address),
        settings=made.settings,
        hooked=made.hooked,
        says_when_complete=builder is not None,
        priced=spec.model != models.SANDBOX,
        key_name=spec.key_name,
        secret=spec.secret,
    )


def _address(model: Model, spec: _Spec) -> str:
    url = spec.base_url or model.base_url or ""
    return urlsplit(url).netloc.rpartition("@")[2] or spec.provider


def _client(spec: _Spec, loop: LoopThread) -> httpx2.AsyncClient:
    """One client per origin and key: profiles of the sandbox share connections, accounts share no cookies."""
    parts = urlsplit(spec.base_url)
    place = (f"{parts.scheme}://{parts.netloc}", spec.environment, loop)
    client = _clients.get(place)
    if client is None:
        client = _clients[place] = http_client(proxied=_through_a_proxy(spec))

        async def close() -> None:
            _clients.pop(place, None)
            await client.aclose()

        loop.at_close(close)
    return client


def _openai_client(spec: _Spec, client: httpx2.AsyncClient) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    from fanout.providers.lean import LeanOpenAI

    # The lean client replays odd answers through our transport; behind a proxy the transport is httpx2's own, which
    # would send them a second time.
    make = AsyncOpenAI if _through_a_proxy(spec) else LeanOpenAI
    return make(
        api_key=spec.secret or models.PLACEHOLDER_KEY,
        base_url=spec.base_url,
        max_retries=0,
        timeout=client.timeout,
        http_client=client,
    )


def _through_a_proxy(spec: _Spec) -> bool:
    return spec.model != models.SANDBOX and behind_proxy(spec.base_url)


def _sandbox(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    return _openai_chat(spec, client)


def _openai_chat(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    # Without this, a stream that broke off passes as complete: 'stop', and no error (tried, 2.68).
    profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
    provider = OpenAIProvider(openai_client=_openai_client(spec, client))
    return OpenAIChatModel(spec.name, provider=provider, profile=profile)


def _openai_responses(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    theirs = _openai_client(spec, client)
    assert theirs.responses  # imported when first looked at: now, and not in the time of the first call
    return OpenAIResponsesModel(spec.name, provider=OpenAIProvider(openai_client=theirs))


def _anthropic(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    theirs = AsyncAnthropic(
        api_key=spec.secret, base_url=spec.base_url, max_retries=0, timeout=client.timeout, http_client=client
    )
    assert theirs.beta.messages  # imported when first looked at, as above
    return AnthropicModel(spec.name, provider=AnthropicProvider(anthropic_client=theirs))


def _google(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    from google.genai.types import HttpRetryOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(
        api_key=spec.secret,
        http_client=client,
        base_url=None if spec.base_url == models.KNOWN_PROVIDERS["google"].standard_url else spec.base_url,
        retry_options=HttpRetryOptions(attempts=1),
    )
    return GoogleModel(spec.name, provider=provider)


def _google_cloud(spec: _Spec, client: httpx2.AsyncClient) -> Model:
    from google.genai.types import HttpRetryOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google_cloud import GoogleCloudProvider

    once = HttpRetryOptions(attempts=1)
    if spec.secret is None:
        provider = GoogleCloudProvider(http_client=client, retry_options=once)
    else:
        provider = GoogleCloudProvider(api_key=spec.secret, http_client=client, retry_options=once)
    return GoogleModel(spec.name, provider=provider)
