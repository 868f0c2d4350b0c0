"""Connections as many as the calls in flight; proxies as the environment names them."""

from __future__ import annotations

import pytest

from fanout.providers.transport import behind_proxy, shared_tls

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "stands"),
    [
        ({}, "https://api.openai.com/v1", False),
        ({"https_proxy": PROXY}, "https://api.openai.com/v1", True),
        ({"https_proxy": PROXY}, "http://api.openai.com/v1", False),
        ({"http_proxy": PROXY}, "http://127.0.0.1:8000/v1", True),
        ({"all_proxy": PROXY}, "https://api.openai.com/v1", True),
        ({"all_proxy": PROXY, "no_proxy": "openai.com"}, "https://api.openai.com/v1", False),
        ({"all_proxy": PROXY, "no_proxy": "127.0.0.1,localhost"}, "http://127.0.0.1:8000/v1", False),
        ({"all_proxy": PROXY, "no_proxy": "*"}, "https://api.openai.com/v1", False),
        ({"all_proxy": PROXY, "no_proxy": "example.org"}, "https://api.openai.com/v1", True),
    ],
)
def test_a_proxy_stands_in_the_way_where_the_environment_says_so(
    variables: dict[str, str], url: str, stands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert behind_proxy(url) is stands


def test_the_tls_context_is_built_once() -> None:
    assert shared_tls() is shared_tls()
