"""Whose quota a model string uses: the provider, its address and a fingerprint of the key, never the key.

Comes in: a model string and the environment. Goes out: an `Account`, equal in every process for which it is the same.
It raises nothing (what is wrong with a model string, `models` says), sends nothing and imports no provider library.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fanout.providers import models
from fanout.quota.account import Account
from fanout.sandbox.profile import SandboxProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Elsewhere:
    """A provider that pydantic-ai builds by itself."""

    host: str
    key_name: str
    url_name: str = ""


_ELSEWHERE: Mapping[str, _Elsewhere] = {
    "groq": _Elsewhere(host="api.groq.com", key_name="GROQ_API_KEY", url_name="GROQ_BASE_URL"),
    "cerebras": _Elsewhere(host="api.cerebras.ai", key_name="CEREBRAS_API_KEY"),
    "mistral": _Elsewhere(host="api.mistral.ai", key_name="MISTRAL_API_KEY"),
    "azure": _Elsewhere(host="azure", key_name="AZURE_OPENAI_API_KEY", url_name="AZURE_OPENAI_ENDPOINT"),
    "deepseek": _Elsewhere(host="api.deepseek.com", key_name="DEEPSEEK_API_KEY"),
    "openrouter": _Elsewhere(host="openrouter.ai", key_name="OPENROUTER_API_KEY"),
}
_SPEAKERS: Mapping[str, str] = {
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "groq.com": "groq",
    "cerebras.ai": "cerebras",
    "mistral.ai": "mistral",
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
}
"""By the end of the host's name."""
_OPENAI_PREFIXES = frozenset({"openai", "openai-chat", "openai-responses"})
_UNKNOWN = "unknown"


def account_of(model: str, *, sandbox: SandboxProfile | None = None) -> Account:
    """The account that `model` uses, as the environment stands now."""
    if model == models.SANDBOX:
        return _of_the_sandbox(sandbox)
    prefix, colon, name = model.partition(":")
    prefix, name = prefix.strip(), name.strip()
    if not colon or not prefix:
        return Account(account=_UNKNOWN, model=name or model, provider=_UNKNOWN)
    host = _host(prefix)
    return Account(account=f"{host}{_whose(prefix)}", model=name, provider=speaker(prefix, host))


def server_of(model: str) -> str | None:
    """Digits that tell apart the hosts to which calls of `model` go, as the environment stands now.

    None of the sandbox, and of a model of which nobody knows: two servers may give one name to different models.
    """
    prefix, colon, _ = model.partition(":")
    return fingerprint(_host(prefix.strip())) if colon and prefix.strip() else None


def speaker(prefix: str, host: str) -> str:
    """Who answers at `host` (with or without a port) to models of this prefix, as presets know it.

    `compatible` for a server that speaks OpenAI's API and is nobody known: OpenAI's limits are not its own.
    """
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    for end, provider in _SPEAKERS.items():
        if bare == end or bare.endswith(f".{end}"):
            return provider
    return "compatible" if prefix in _OPENAI_PREFIXES else prefix


def fingerprint(key: str) -> str:
    """Eight hex digits that tell keys apart, and from which none can be had back."""
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=4).hexdigest()


def _of_the_sandbox(profile: SandboxProfile | None) -> Account:
    name, title = models.SANDBOX, None
    if profile is not None and profile != SandboxProfile():
        name, title = f"{name} {fingerprint(profile.encoded())}", _titled(profile)
    return Account(account=models.SANDBOX, model=name, provider=models.SANDBOX, title=title)


def _titled(profile: SandboxProfile) -> str:
    """A simulated account by its limits: sandbox, 120 RPM, no headers."""
    limits = (
        (profile.requests_per_minute, "RPM"),
        (profile.tokens_per_minute, "TPM"),
        (profile.requests_per_day, "requests a day"),
        (profile.max_in_flight, "in flight"),
    )
    said = [f"{number:,} {unit}" for number, unit in limits if number is not None] or ["no limits"]
    return ", ".join([models.SANDBOX, *said, *([] if profile.headers else ["no headers"])])


def _host(prefix: str) -> str:
    """Host and port that requests go to; the prefix where nobody knows."""
    known, elsewhere = models.KNOWN_PROVIDERS.get(prefix), _ELSEWHERE.get(prefix)
    standard = prefix if elsewhere is None else elsewhere.host
    try:
        if known is not None:
            url = models.base_url(known)
        else:
            url = "" if elsewhere is None else os.environ.get(elsewhere.url_name, "").strip()
        return urlsplit(url).netloc.rpartition("@")[2].lower() or standard
    except ValueError:  # the variable holds no address: BadInput is one too
        return standard


def _whose(prefix: str) -> str:
    """What tells accounts at one host apart."""
    try:
        key = _key(prefix)
    except ValueError:  # none, one that cannot be sent, or a prefix that names no variable
        return ""
    if key is not None and key != models.PLACEHOLDER_KEY:
        return f" key {fingerprint(key)}"
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "").strip() if prefix == "google-cloud" else ""
    return f" project {project}" if project else ""


def _key(prefix: str) -> str | None:
    if prefix in models.KNOWN_PROVIDERS:
        return models.api_key(prefix)
    elsewhere = _ELSEWHERE.get(prefix)
    name = elsewhere.key_name if elsewhere is not None else f"{prefix.upper().replace('-', '_')}_API_KEY"
    return os.environ.get(name, "").strip() or None
