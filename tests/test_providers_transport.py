"""Connections as many as the calls in flight; proxies as the environment names them."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from fanout.providers.transport import ShardedTransport, behind_proxy, shared_tls
from tests.hostile import Hostile, chat, closed_port

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


def test_a_request_that_fails_gives_its_place_back() -> None:
    async def five_times() -> str:
        transport = ShardedTransport(tls=shared_tls())
        async with httpx2.AsyncClient(transport=transport) as client:
            for _ in range(5):
                with pytest.raises(httpx2.ConnectError):
                    await client.get(f"http://127.0.0.1:{closed_port()}/")
            return repr(transport)

    assert asyncio.run(five_times()) == "<ShardedTransport 1 connections, 0 in flight>"


def test_an_answer_keeps_its_connection_until_it_is_closed() -> None:
    async def states(base_url: str) -> list[str]:
        transport = ShardedTransport(tls=shared_tls())
        async with httpx2.AsyncClient(transport=transport) as client:
            async with client.stream("GET", base_url) as first:
                during = repr(transport)
                await (await client.get(base_url)).aread()
                await first.aread()
            return [during, repr(transport)]

    with Hostile([chat("yes")]) as server:
        assert asyncio.run(states(server.base_url)) == [
            "<ShardedTransport 1 connections, 1 in flight>",
            "<ShardedTransport 2 connections, 0 in flight>",
        ]
        assert server.connections == 2
