"""Which models can be asked: a model string checked before anything is sent, each fault one sentence with its remedy.

Comes in: a model string and the environment. Goes out: nothing, or a `BadInput`. It sends nothing and, for the
providers it knows by name, imports no provider library; `ready` makes the models.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fanout.errors import BadInput
from fanout.providers.building import building

SANDBOX = "sandbox"
PLACEHOLDER_KEY = "no-key-needed"
"""Sent to a server on this machine where OPENAI_API_KEY is not set: the SDK insists on a key, such servers do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProvider:
    """A provider that we build ourselves, so that its SDK's client is as we want it."""

    module: str
    """The SDK that must be installed."""
    extra: str
    """The extra of pydantic-ai-slim that installs it."""
    key_names: tuple[str, ...]
    """Variables of which one must hold the key."""
    base_url_name: str | None = None
    """The variable that sends requests elsewhere."""
    standard_url: str


_OPENAI = KnownProvider(
    module="openai",
    extra="openai",
    key_names=("OPENAI_API_KEY",),
    base_url_name="OPENAI_BASE_URL",
    standard_url="https://api.openai.com/v1",
)
KNOWN_PROVIDERS: Mapping[str, KnownProvider] = {
    "openai-chat": _OPENAI,
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "anthropic": KnownProvider(
        module="anthropic",
        extra="anthropic",
        key_names=("ANTHROPIC_API_KEY",),
        base_url_name="ANTHROPIC_BASE_URL",
        standard_url="https://api.anthropic.com",
    ),
    "google": KnownProvider(
        module="google.genai",
        extra="google",
        key_names=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        base_url_name="GOOGLE_GEMINI_BASE_URL",
        standard_url="https://generativelanguage.googleapis.com",
    ),
    "google-cloud": KnownProvider(
        module="google.genai",
        extra="google",
        key_names=("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_API_KEY", "GEMINI_API_KEY"),
        standard_url="https://aiplatform.googleapis.com",
    ),
}
"""By the prefix of the model string. Any other provider of pydantic-ai works too, built as `inferred` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A model string in its two parts."""

    provider: str
    name: str


def check_model(model: str) -> None:
    """Pass if `model` can be asked from here: `sandbox`, or `provider:name` with its SDK and key at hand.

    Raises BadInput otherwise. Sends nothing; whether the provider knows the name, only the provider can tell.
    """
    if model == SANDBOX:
        return
    parts = model_name(model)
    provider = KNOWN_PROVIDERS.get(parts.provider)
    if provider is None:
        _check_with_pydantic_ai(model, parts)
        return
    if not _installed(provider.module):
        raise BadInput(_missing_extra(parts.provider, provider.extra))
    base_url(provider)
    api_key(parts.provider)


def model_name(model: str) -> ModelName:
    """The parts of `provider:name`; raises BadInput where there are not two."""
    provider, colon, name = model.partition(":")
    if not colon:
        raise BadInput(
            f"the model {model!r} names no provider: write {_guessed_provider(model)}:{model}, or take 'sandbox'"
        )
    if not provider.strip() or not name.strip():
        raise BadInput(f"the model {model!r} must be 'provider:name', for example openai-chat:gpt-5-mini, or 'sandbox'")
    return ModelName(provider=provider.strip(), name=name.strip())


def api_key(provider_name: str) -> str | None:
    """The key of a known provider as the environment holds it; None where Google's own sign-in is used.

    Raises BadInput where there is none, or one that cannot be sent.
    """
    provider = KNOWN_PROVIDERS[provider_name]
    if provider_name == "google-cloud":
        return _google_cloud_key(provider)
    for name in provider.key_names:
        if value := os.environ.get(name, "").strip():
            return _sendable_key(name, value)
    if provider is _OPENAI and _on_this_machine(base_url(provider)):
        return PLACEHOLDER_KEY
    names = " or ".join(provider.key_names)
    raise BadInput(f"{provider_name} needs a key: set {names} in the environment, or take the model 'sandbox'")


def key_name(provider_name: str) -> str | None:
    """The variable that a known provider's key comes from."""
    provider = KNOWN_PROVIDERS.get(provider_name)
    if provider is None:
        return None
    return next((name for name in provider.key_names if os.environ.get(name, "").strip()), provider.key_names[0])


def base_url(provider: KnownProvider) -> str:
    """Where requests of `provider` go; raises BadInput where its variable holds no web address."""
    given = os.environ.get(provider.base_url_name or "", "").strip()
    if not given:
        return provider.standard_url
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{provider.base_url_name} must be an http or https address, got {given!r}")
    return given


def known_models() -> tuple[str, ...]:
    """`sandbox` and the model strings that pydantic-ai knows for the providers installed here, for suggestions.

    Imports pydantic-ai (seconds, the first time). Other names work too.
    """
    from pydantic_ai.models import KnownModelName

    usable = {name for name, provider in KNOWN_PROVIDERS.items() if _installed(provider.module)}
    names: tuple[str, ...] = KnownModelName.__value__.__args__
    return (SANDBOX, *(name for name in names if name.partition(":")[0] in usable))


def warm_up() -> None:
    """Import what the first call of any model needs, and read the CA bundle; seconds, the first time. Opens nothing."""
    with building:
        from fanout.providers.ready import import_everything

        import_everything()


def _guessed_provider(name: str) -> str:
    family = name.strip().lower()
    if family.startswith("claude"):
        return "anthropic"
    return "google" if family.startswith("gemini") else "openai-chat"


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _missing_extra(provider: str, extra: str) -> str:
    return f"{provider} needs a package that is not installed: run pip install 'pydantic-ai-slim[{extra}]'"


def _sendable_key(name: str, value: str) -> str:
    # A line break or a curly quote pasted along would come back as an error that quotes the header, key and all.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise BadInput(f"{name} holds a character that no key has (a space, a line break or a quote): copy it again")
    return value


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _google_cloud_key(provider: KnownProvider) -> str | None:
    # Not google.auth.default(): it asks a metadata server over the network, and checking sends nothing.
    signed_in = Path(os.environ.get("CLOUDSDK_CONFIG", Path.home() / ".config/gcloud"))
    if (signed_in / "application_default_credentials.json").exists():
        return None
    if not any(os.environ.get(name) for name in provider.key_names):
        raise BadInput(
            "google-cloud needs credentials: set GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_CLOUD_PROJECT or "
            "GOOGLE_API_KEY in the environment, or run gcloud auth application-default login"
        )
    if any(os.environ.get(name) for name in provider.key_names[:2]):
        return None
    return _sendable_key("GOOGLE_API_KEY", os.environ.get("GOOGLE_API_KEY") or os.environ["GEMINI_API_KEY"])


def _check_with_pydantic_ai(model: str, parts: ModelName) -> None:
    """Build the model and throw it away: pydantic-ai itself says what is missing. Building sends nothing."""
    with building:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model
        from pydantic_ai.providers import infer_provider_class

    if parts.provider.endswith("-decisions"):
        raise BadInput(f"{parts.provider} answers with decisions, not with text: take openai-chat or google")
    try:
        with building:
            infer_provider_class(parts.provider)
            infer_model(model)
    except ImportError as exc:
        extra = re.search(r"pydantic-ai-slim\[(\w[\w-]*)\]", str(exc))
        raise BadInput(_missing_extra(parts.provider, extra.group(1) if extra else parts.provider)) from exc
    except UserError as exc:
        raise BadInput(_wanting(parts.provider, str(exc))) from exc
    except ValueError as exc:
        raise BadInput(_unknown_provider(model, parts.provider)) from exc


def _wanting(provider: str, complaint: str) -> str:
    if complaint.startswith("Unknown model"):
        return f"{provider} has no model that answers with text: take openai-chat, anthropic or google"
    variables = re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", complaint)
    if variables:
        return f"{provider} needs a key: set {variables[0]} in the environment, or take the model 'sandbox'"
    return f"{provider} cannot be used: {complaint.partition(' To try Pydantic AI')[0]}"


def _unknown_provider(model: str, provider: str) -> str:
    near = difflib.get_close_matches(provider, KNOWN_PROVIDERS, n=1)
    meant = f"did you mean {near[0]}? Otherwise" if near else "use"
    return f"there is no provider {provider!r} (model {model!r}): {meant} {', '.join(KNOWN_PROVIDERS)} or 'sandbox'"
