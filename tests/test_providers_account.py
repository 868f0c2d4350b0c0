"""Which quota a model string uses: one account for one key at one host, the same in every process, and no key in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.providers.account import account_of, speaker
from fanout.quota.account import Account
from fanout.sandbox.profile import SandboxProfile

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-of-the-account-tests-0001"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_ENDPOINT", "_CREDENTIALS")) or name.startswith("GOOGLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.mark.parametrize(
    ("model", "variables", "host", "provider"),
    [
        ("openai-chat:m", {"OPENAI_API_KEY": KEY}, "api.openai.com", "openai"),
        ("openai:m", {"OPENAI_API_KEY": KEY}, "api.openai.com", "openai"),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://eu.api.openai.com/v1"},
            "eu.api.openai.com",
            "openai",
        ),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://api.groq.com/openai/v1"},
            "api.groq.com",
            "groq",
        ),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://API.Cerebras.ai/v1"},
            "api.cerebras.ai",
            "cerebras",
        ),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://api.mistral.ai/v1"},
            "api.mistral.ai",
            "mistral",
        ),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://mine.openai.azure.com:443/openai/v1"},
            "mine.openai.azure.com:443",
            "azure",
        ),
        (
            "openai-chat:m",
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://me:secret@127.0.0.1:8000/v1"},
            "127.0.0.1:8000",
            "compatible",
        ),
        ("anthropic:m", {"ANTHROPIC_API_KEY": KEY}, "api.anthropic.com", "anthropic"),
        ("google:m", {"GEMINI_API_KEY": KEY}, "generativelanguage.googleapis.com", "google"),
        ("groq:m", {"GROQ_API_KEY": KEY}, "api.groq.com", "groq"),
        (
            "azure:m",
            {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"},
            "mine.openai.azure.com",
            "azure",
        ),
        ("some-provider:m", {"SOME_PROVIDER_API_KEY": KEY}, "some-provider", "some-provider"),
    ],
)
def test_an_account_is_a_host_and_a_fingerprint_of_the_key(
    model: str, variables: dict[str, str], host: str, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert account_of(model, sandbox=None) == Account(account=f"{host} key c48cc403", model="m", provider=provider)


def test_one_key_at_one_host_is_one_account_however_it_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.groq.com/openai/v1")
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    assert account_of("openai-chat:llama") == account_of("groq:llama")


def test_another_key_is_another_account_and_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    first = account_of("openai-chat:m")
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}2")
    assert account_of("openai-chat:m") != first
    assert "account-tests" not in repr(first)


def test_without_a_key_an_account_is_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert account_of("anthropic:m").account == "api.anthropic.com"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert account_of("openai-chat:m").account == "127.0.0.1:8000", "the placeholder is no key"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    assert account_of("google-cloud:m").account == "aiplatform.googleapis.com project mine"


def test_profiles_of_the_sandbox_are_accounts_of_their_own() -> None:
    standard = account_of("sandbox", sandbox=None)
    assert standard == Account(account="sandbox", model="sandbox", provider="sandbox")
    assert account_of("sandbox", sandbox=SandboxProfile()) == standard
    slow = account_of("sandbox", sandbox=SandboxProfile(requests_per_minute=30))
    assert slow.model.startswith("sandbox ")
    assert (standard.title, slow.title) == (None, "sandbox, 30 RPM")
    many = SandboxProfile(requests_per_minute=120, tokens_per_minute=60_000, max_in_flight=8, headers=False)
    assert account_of("sandbox", sandbox=many).title == "sandbox, 120 RPM, 60,000 TPM, 8 in flight, no headers"
    assert account_of("sandbox", sandbox=SandboxProfile(token_ms=1)).title == "sandbox, no limits"
    assert slow == account_of("sandbox", sandbox=SandboxProfile(requests_per_minute=30))
    assert slow != account_of("sandbox", sandbox=SandboxProfile(requests_per_minute=31))


@pytest.mark.parametrize("host", ["notgroq.com", "groq.com.example.org", "openai.com.evil.example", "localhost:80"])
def test_a_host_that_only_looks_like_a_provider_is_none(host: str) -> None:
    assert speaker("openai-chat", host) == "compatible"


@given(
    st.one_of(
        st.text(max_size=40),
        st.tuples(st.sampled_from(["openai-chat", "google-cloud", "groq", ""]), st.text(max_size=9)).map(":".join),
    )
)
def test_whatever_the_model_string_nothing_raises(model: str) -> None:
    assert account_of(model) == account_of(model)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://x", "http://", "http://h:port/v1"])
def test_whatever_the_base_url_nothing_raises(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", url)
    assert account_of("openai-chat:m").model == account_of("azure:m").model == "m"


def test_naming_an_account_imports_no_provider_library_and_is_the_same_in_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    code = (
        "import sys; from fanout.providers.account import account_of\n"
        "print(account_of('openai-chat:m', sandbox=None))\n"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'httpx2', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.strip() == repr(account_of("openai-chat:m"))
