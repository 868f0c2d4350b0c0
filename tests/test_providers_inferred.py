"""Providers that pydantic-ai builds, over real HTTP: successes teach limits, one request an attempt, `sent` is true."""

from __future__ import annotations

import ast
import json
import threading
import time
from pathlib import Path

import pydantic_ai.providers
import pytest
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers import infer_provider_class

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.engine import Engine
from fanout.errors import BadInput, CallFailed, KeyRefused, Overloaded, RateLimited, ServerFailed
from fanout.providers import inferred
from fanout.providers.loop import LoopThread
from fanout.providers.models import check_model
from fanout.providers.ready import ready_model
from fanout.quota.report import Reading
from tests.hands import WAIT_S, WatchedStore
from tests.hostile import Answer, Close, Hostile, Received, chat, completion_body, http, status, stream
from tests.test_providers_headers import AZURE, CEREBRAS, OPENAI, SPELLED
from tests.test_providers_others import RESPONSE
from tests.test_providers_report import with_headers

KEY = "a-key-of-the-tests-0001"
MODEL = "openai/m"
"""A name as OpenRouter wants it; the others take any."""
BY_VARIABLE = {
    "azure": "AZURE_OPENAI_ENDPOINT",
    "azure-responses": "AZURE_OPENAI_ENDPOINT",
    "vllm": "VLLM_BASE_URL",
    "sambanova": "SAMBANOVA_BASE_URL",
    "gateway/openai-chat": "PYDANTIC_AI_GATEWAY_BASE_URL",
}
"""Where requests go, for providers that a variable sends elsewhere."""
BY_ADDRESS = ("cerebras", "deepseek", "openrouter", "together", "fireworks", "github")
"""Providers whose address is written into pydantic-ai. GitHub's is on httpx, as Groq's; the others are on httpx2."""
PROVIDERS = (*BY_VARIABLE, *BY_ADDRESS)

pytestmark = pytest.mark.filterwarnings("ignore:`GitHubProvider` is deprecated")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for every provider, and no proxy of the machine's."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for provider in PROVIDERS:
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("PYDANTIC_AI_GATEWAY_API_KEY", KEY)


def send_to(server: Hostile, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of this provider go to `server` from now on."""
    if provider in BY_ADDRESS:
        monkeypatch.setattr(infer_provider_class(provider), "base_url", server.base_url)
    else:
        monkeypatch.setenv(BY_VARIABLE[provider], server.base_url.removesuffix("/v1"))


def ask(model: str, *, streams: bool = False, sent: list[int] | None = None) -> Reply:
    caller = Completion(Batch(prompts=["hello"], model=model, stream=streams, timeout_s=10.0))
    stamps = [] if sent is None else sent
    return caller.send("hello", on_sent=stamps.append, on_first_token=lambda _: None).reply()


def right(provider: str) -> Answer:
    if provider == "azure-responses":
        return [http(200, json.dumps(RESPONSE).encode())]
    if provider == "openrouter":
        body = json.loads(completion_body("yes")) | {"provider": "OpenAI"}
        body["choices"][0]["native_finish_reason"] = "stop"
        return [http(200, json.dumps(body).encode())]
    return chat("yes")


# ---- what a success says


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_success_says_what_is_left(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([with_headers(right(provider), OPENAI)]) as server:
        send_to(server, provider, monkeypatch)
        sent: list[int] = []
        reply = ask(f"{provider}:{MODEL}", sent=sent)
        assert (reply.output, reply.error) == ("yes", None)
        assert dict(reply.report.readings) == SPELLED["openai"][1]
        assert (len(sent), server.requests) == (1, 1)


@pytest.mark.parametrize(("provider", "headers"), [("azure", AZURE), ("cerebras", CEREBRAS)])
def test_a_streamed_success_says_it_as_its_provider_spells_it(
    provider: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([with_headers(stream("yes"), headers)]) as server:
        send_to(server, provider, monkeypatch)
        reply = ask(f"{provider}:{MODEL}", streams=True)
        assert (reply.output, reply.error) == ("yes", None)
        assert dict(reply.report.readings) == SPELLED[provider][1]


class Deployment:
    """A deployment of Azure's: 60 requests a minute, judged by windows of 10 s that move. It tells of the minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the two below: one server, many connections
        self._let_s: list[float] = []
        self.refused = 0

    def __call__(self, request: Received) -> Answer:
        now_s = time.monotonic()
        with self._lock:
            if sum(now_s - let_s < 10 for let_s in self._let_s) >= 10:
                self.refused += 1
                return status(429)
            self._let_s.append(now_s)
            left = 60 - len(self._let_s)
        headers = {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-renewalperiod-requests": "10",
        }
        return with_headers(chat("yes"), headers)


def test_the_first_successes_of_a_deployment_teach_its_short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    store, deployment = WatchedStore(), Deployment()
    with Hostile(deployment) as server, Engine(store=store) as engine:
        send_to(server, "azure", monkeypatch)
        live = engine.start(Batch(prompts=["hello"] * 30, model="azure:m", stream=False, max_workers=16))
        run = store.await_run(
            live,
            lambda run: (
                sum(call.status == "answered" for call in run.calls) >= 8
                and bool(run.holds)
                and run.holds[-1].held_by == "requests"
            ),
        )
        assert sum(bool(call.attempts) for call in run.calls) == 8, "the window of 10 s holds eight of ten"
        view = live.quota()
        assert view is not None
        (limit,) = view.limits
        assert (limit.name, limit.number, limit.source, limit.capacity) == ("requests", 60, "header", 1)
        live.cancel()
        assert live.wait(WAIT_S)
        assert (server.requests, deployment.refused) == (8, 0)


# ---- one request an attempt, and when it leaves


@pytest.mark.parametrize(
    ("code", "kind"), [(429, RateLimited), (500, ServerFailed), (503, Overloaded), (401, KeyRefused)]
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_attempt_is_one_request(
    provider: str, code: int, kind: type[CallFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([status(code, f"the key was {KEY}", retry_after="1")]) as server:
        send_to(server, provider, monkeypatch)
        error = ask(f"{provider}:{MODEL}").error
        assert type(error) is kind
        assert error.provider_words == "the key was [key]"
        assert server.requests == 1


@pytest.mark.parametrize("provider", ["azure", "deepseek"])
def test_an_answer_that_breaks_off_is_not_asked_for_again(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[Close()]]) as server:
        send_to(server, provider, monkeypatch)
        error = ask(f"{provider}:{MODEL}").error
        assert error is not None
        assert error.was_sent
        assert server.requests == 1


@pytest.mark.parametrize("provider", ["azure", "deepseek", "github"])
def test_what_never_left_is_not_stamped_as_sent(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile() as server:
        send_to(server, provider, monkeypatch)
        ready = ready_model(f"{provider}:{MODEL}")
        assert isinstance(ready.model, OpenAIChatModel)
        monkeypatch.setattr(ready.model.client, "_custom_headers", {"x-odd": "ü"})  # no header holds it
        sent: list[int] = []
        assert ask(f"{provider}:{MODEL}", sent=sent).error is not None
        assert (sent, server.connections) == ([], 0)


# ---- clients


def test_accounts_share_no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([with_headers(chat("yes"), {"set-cookie": "who=first; path=/"})]) as server:
        send_to(server, "azure", monkeypatch)
        for key in (KEY, "a-key-of-the-tests-0002"):
            monkeypatch.setenv("AZURE_OPENAI_API_KEY", key)
            assert ask("azure:m").output == "yes"
        assert [each.headers["api-key"] for each in server.received] == [KEY, "a-key-of-the-tests-0002"]
        assert [each.headers.get("cookie") for each in server.received] == [None, None]


@pytest.mark.parametrize("provider", ["azure", "github"])
def test_a_proxy_of_the_environment_is_gone_through_and_the_headers_are_read(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([with_headers(chat("yes"), OPENAI)]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://mine.openai.azure.com")
        monkeypatch.setattr(infer_provider_class("github"), "base_url", "http://mine.example/v1")
        reply = ask(f"{provider}:{MODEL}")
        assert reply.output == "yes"
        assert reply.report.of("requests") == Reading(limit=60, remaining=59, reset_s=1.0)
        assert proxy.received[0].path.startswith("http://mine.")


def test_a_proxy_that_is_not_for_this_address_is_not_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile() as server, Hostile() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        send_to(server, "azure", monkeypatch)
        assert ask("azure:m").output == "hello"
        assert (server.requests, proxy.requests) == (1, 0)


@pytest.mark.parametrize("provider", ["azure", "github"])
def test_a_client_is_closed_with_the_loop(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:9")
    loop = LoopThread()
    made = inferred.inferred(f"{provider}:{MODEL}", loop).model
    assert isinstance(made, OpenAIChatModel)
    assert not made.client.is_closed()
    loop.close()
    assert made.client.is_closed()


def test_every_http_client_that_pydantic_ai_takes_is_known_here() -> None:
    """Read from its source, since most SDKs are not installed."""
    found: dict[str, str] = {}
    for path in sorted(Path(pydantic_ai.providers.__file__).parent.glob("*.py")):
        for each in ast.walk(ast.parse(path.read_text())):
            if isinstance(each, ast.FunctionDef) and each.name == "__init__" and not each.decorator_list:
                for parameter in each.args.args + each.args.kwonlyargs:
                    if parameter.arg == "http_client" and parameter.annotation is not None:
                        found[path.stem] = ast.unparse(parameter.annotation)
    unknown = {name for name, annotation in found.items() if annotation not in inferred._BY_ANNOTATION}
    assert unknown == {"huggingface"}, "it takes none: it raises"
    assert {name for name in found if inferred._BY_ANNOTATION.get(found[name]) is not inferred._ours} == {
        "cohere",
        "github",
        "groq",
        "huggingface",
    }


# ---- what is missing


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("azure:m", "AZURE_OPENAI_API_KEY"),
        ("sambanova:m", "SAMBANOVA_API_KEY"),
        ("cerebras:m", "CEREBRAS_API_KEY"),
        ("gateway/openai-chat:m", "PYDANTIC_AI_GATEWAY_API_KEY"),
    ],
)
def test_a_missing_key_is_named(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv(variable)
    provider = model.partition(":")[0]
    sentence = f"{provider} needs a key: set {variable} in the environment, or take the model 'sandbox'"
    with pytest.raises(BadInput) as refused:
        check_model(model)
    assert str(refused.value) == sentence


def test_a_key_that_went_missing_since_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    loop = LoopThread()
    try:
        with pytest.raises(BadInput, match=r"the model 'deepseek:m' cannot be used: .*DEEPSEEK_API_KEY"):
            inferred.inferred("deepseek:m", loop)
    finally:
        loop.close()
