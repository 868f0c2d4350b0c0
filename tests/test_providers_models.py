"""Model strings are checked before anything is sent; what is wrong is one sentence with its remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fanout.errors import BadInput
from fanout.providers import models
from fanout.providers.models import check_model, known_models
from fanout.providers.ready import ready_model
from tests.hostile import Hostile

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_CREDENTIALS")) or name.startswith("GOOGLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("gpt-5-mini", "the model 'gpt-5-mini' names no provider: write openai-chat:gpt-5-mini, or take 'sandbox'"),
        ("claude-haiku", "write anthropic:claude-haiku"),
        ("gemini-flash", "write google:gemini-flash"),
        ("test", "names no provider"),
        ("openai-chat:", "must be 'provider:name'"),
        (":gpt", "must be 'provider:name'"),
        ("opnai-chat:gpt", "there is no provider 'opnai-chat' (model 'opnai-chat:gpt'): did you mean openai-chat?"),
        ("qqq:gpt", "there is no provider 'qqq' (model 'qqq:gpt'): use openai-chat, openai,"),
        ("openai-chat:gpt", "openai-chat needs a key: set OPENAI_API_KEY in the environment"),
        ("openai:gpt", "openai needs a key: set OPENAI_API_KEY in the environment"),
        ("anthropic:claude", "anthropic needs a key: set ANTHROPIC_API_KEY in the environment"),
        ("google:gemini", "google needs a key: set GOOGLE_API_KEY or GEMINI_API_KEY in the environment"),
        ("google-cloud:gemini", "google-cloud needs credentials: set GOOGLE_APPLICATION_CREDENTIALS"),
        ("deepseek:chat", "deepseek needs a key: set DEEPSEEK_API_KEY in the environment"),
        ("groq:llama", "groq needs a package that is not installed: run pip install 'pydantic-ai-slim[groq]'"),
        ("openai-decisions:gpt", "answers with decisions, not with text"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused_with_its_remedy(model: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_model(model)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_sdk_is_refused_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_installed", lambda module: module != "anthropic")
    with pytest.raises(BadInput, match=r"anthropic needs a package .* pip install 'pydantic-ai-slim\[anthropic\]'"):
        check_model("anthropic:claude")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai-chat:any-name", "OPENAI_API_KEY"),
        ("openai:any-name", "OPENAI_API_KEY"),
        ("anthropic:any-name", "ANTHROPIC_API_KEY"),
        ("google:any-name", "GEMINI_API_KEY"),
        ("google-cloud:any-name", "GOOGLE_API_KEY"),
        ("deepseek:any-name", "DEEPSEEK_API_KEY"),
    ],
)
def test_a_model_with_its_key_passes(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "a-key-of-some-length")
    check_model(model)


def test_the_sandbox_needs_nothing() -> None:
    check_model("sandbox")


@pytest.mark.parametrize("key", ["sk-abc\ndef-secret", "sk-abc def-secret", "“sk-secret”"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(BadInput, match="OPENAI_API_KEY holds a character that no key has") as refused:
        check_model("openai-chat:gpt")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:80", "127.1.2.3"])
def test_a_server_on_this_machine_needs_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{host}/v1")
    check_model("openai-chat:anything")


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "example.com", "localhost.example.com"])
def test_a_server_elsewhere_does(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{host}/v1")
    with pytest.raises(BadInput, match="set OPENAI_API_KEY"):
        check_model("openai-chat:anything")


@pytest.mark.parametrize("url", ["127.0.0.1:8080/v1", "ftp://example.com", "http://", "nonsense"])
def test_a_base_url_that_is_no_web_address_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-some-length")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(BadInput, match="OPENAI_BASE_URL must be an http or https address"):
        check_model("openai-chat:gpt")


def test_checking_and_making_a_model_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for model in ("openai-chat:gpt", "openai:gpt"):
            check_model(model)
            ready_model(model)
        assert server.connections == 0


def test_a_model_is_made_once_for_a_name_an_address_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-key-0001")
    first = ready_model("openai-chat:gpt")
    assert ready_model("openai-chat:gpt") is first
    assert ready_model("openai-chat:other") is not first
    monkeypatch.setenv("OPENAI_API_KEY", "sk-second-key-0002")
    second = ready_model("openai-chat:gpt")
    assert second is not first
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert ready_model("openai-chat:gpt") is not second


def test_no_repr_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from fanout.providers import ready

    monkeypatch.setenv("OPENAI_API_KEY", "sk-must-not-be-shown-1")
    shown = repr(ready_model("openai-chat:gpt")) + repr(ready._models) + repr(ready._clients)
    assert "must-not-be-shown" not in shown


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai-chat:m", "OPENAI_API_KEY"),
        ("openai:m", "OPENAI_API_KEY"),
        ("anthropic:m", "ANTHROPIC_API_KEY"),
        ("google:m", "GOOGLE_API_KEY"),
        ("google-cloud:m", "GOOGLE_API_KEY"),
        ("deepseek:m", "DEEPSEEK_API_KEY"),
    ],
)
def test_every_provider_here_can_be_made_ready(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "a-key-of-some-length")
    ready = ready_model(model)
    assert ready.model.model_name == "m"
    assert ready.address


def test_known_models_begin_with_the_sandbox_and_name_installed_providers_only() -> None:
    names = known_models()
    assert names[0] == "sandbox"
    assert len(names) > 20
    assert {name.partition(":")[0] for name in names[1:]} <= set(models.KNOWN_PROVIDERS)


def test_checking_a_known_provider_imports_no_provider_library() -> None:
    code = (
        "import sys; from fanout.errors import BadInput; from fanout.providers.models import check_model\n"
        "import fanout.calls.completion\n"
        "check_model('sandbox'); check_model('openai-chat:gpt'); check_model('anthropic:x')\n"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'httpx2', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    keys = {"OPENAI_API_KEY": "a-key-of-some-length", "ANTHROPIC_API_KEY": "a-key-of-some-length"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **keys}, check=True, timeout=60)
