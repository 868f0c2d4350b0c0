"""A body that never ends is given up, once, with a sentence; what it held is free, and small answers come beside it."""

from __future__ import annotations

import gzip
import resource

import pytest
from pydantic_ai.providers import infer_provider_class

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.engine import Engine
from fanout.errors import BadAnswer, RateLimited
from fanout.providers import bounded
from tests.hostile import (
    END,
    EVENTS_HEAD,
    Answer,
    Gate,
    Hang,
    Hostile,
    Received,
    chat,
    chunk,
    completion_body,
    event,
    http,
    stream,
)

MB = 1_000_000
PIECE = chunk(b" " * MB)
LETTERS = chunk(b"x" * MB)


def head(status: int = 200, content_type: str = "application/json", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Hm", "transfer-encoding: chunked", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


BOMB = gzip.compress(b" " * (10 * MB))
ENDLESS: dict[str, Answer] = {
    "a body": [head(), *[PIECE] * 200],
    "a body in order": [head(), chunk(b'{"choices": [{"message": {"content": "'), *[LETTERS] * 200],
    "a page": [head(content_type="text/html"), *[LETTERS] * 200],
    "no type": [head(content_type=""), *[LETTERS] * 200],
    "an error": [head(500), *[LETTERS] * 200],
    "told before": [b"HTTP/1.1 200 OK\r\ncontent-length: 200000000\r\n\r\n", *[b" " * MB] * 200],
    "packed": [http(200, BOMB, content_encoding="gzip"), Hang()],
}
STREAMS: dict[str, Answer] = {
    "a line": [EVENTS_HEAD, chunk(b"data: "), *[LETTERS] * 200],
    "an event of many lines": [EVENTS_HEAD, *[chunk(b"data: x\n" * 100_000)] * 200],
    "events": [EVENTS_HEAD, *[event({"content": "x" * MB})] * 200],
    "comments": [EVENTS_HEAD, *[chunk(b": wait\n\n" * 100_000)] * 200],
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests-0001")


def caller(
    server: Hostile, monkeypatch: pytest.MonkeyPatch, *, streams: bool, model: str = "openai-chat:m"
) -> Completion:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    return Completion(Batch(prompts=["hello"], model=model, stream=streams, timeout_s=30.0))


def ask(to: Completion) -> Reply:
    return to.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()


def given_up(reply: Reply, megabytes: int) -> None:
    assert type(reply.error) is BadAnswer, reply.error
    assert reply.error.sentence == (
        f"The answer is larger than {megabytes} MB and was given up. It is not sent again by itself, because that "
        "costs again. Check the base URL, or lower max_workers."
    )
    assert reply.error.was_sent
    assert bounded.together.held == 0


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", ["openai-chat:m", "openai-responses:m"])
@pytest.mark.parametrize("name", ENDLESS)
def test_a_body_without_end_is_given_up_and_hung_up_on(
    name: str, model: str, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_WHOLE", 4 * MB)
    with Hostile([ENDLESS[name]]) as server:
        given_up(ask(caller(server, monkeypatch, streams=streams, model=model)), 4)
        server.wait_for(lambda it: it.hang_ups == 1)
        assert server.requests == 1


@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_whose_body_never_ends_is_one_all_the_same(streams: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_WHOLE", 4 * MB)
    with Hostile([[head(429, retry_after="7"), *[LETTERS] * 200]]) as server:
        reply = ask(caller(server, monkeypatch, streams=streams))
        assert type(reply.error) is RateLimited, reply.error
        assert reply.error.retry_after_s == 7.0
        server.wait_for(lambda it: it.hang_ups == 1)
        assert server.requests == 1
        assert bounded.together.held == 0


@pytest.mark.parametrize("model", ["openai-chat:m", "openai-responses:m"])
@pytest.mark.parametrize("name", ["a line", "an event of many lines", "comments"])
def test_a_stream_without_end_is_given_up_and_hung_up_on(
    name: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_STREAMED", 4 * MB)
    with Hostile([STREAMS[name]]) as server:
        given_up(ask(caller(server, monkeypatch, streams=True, model=model)), 4)
        server.wait_for(lambda it: it.hang_ups == 1)
        assert server.requests == 1


def test_a_stream_of_events_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_STREAMED", 4 * MB)
    with Hostile([STREAMS["events"]]) as server:
        given_up(ask(caller(server, monkeypatch, streams=True)), 4)
        server.wait_for(lambda it: it.hang_ups == 1)


def test_memory_stays_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real bound: 32 MB may be held twice, in pieces and joined."""
    with Hostile([[head(), *[PIECE] * 1_000]]) as server:
        to = caller(server, monkeypatch, streams=False)
        to.warm_up()
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        given_up(ask(to), 32)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 150_000


def test_it_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_WHOLE", 4 * MB)
    with Hostile([ENDLESS["a body"]]) as server, Engine() as engine:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        live = engine.start(Batch(prompts=["hello"], model="openai-chat:m", stream=False, retries=2))
        (result,) = live.results()
        assert (result.status, result.attempts, server.requests) == ("failed", 1, 1)


@pytest.mark.filterwarnings("ignore:`GitHubProvider` is deprecated")
def test_a_client_on_httpx_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_WHOLE", 4 * MB)
    for answer in (ENDLESS["a body"], ENDLESS["packed"]):
        with Hostile([answer]) as server:
            monkeypatch.setattr(infer_provider_class("github"), "base_url", server.base_url)
            monkeypatch.setenv("GITHUB_API_KEY", f"a-key-of-the-tests-{server.port}")
            given_up(ask(caller(server, monkeypatch, streams=False, model="github:openai/m")), 4)
            server.wait_for(lambda it: it.hang_ups == 1)


def test_many_large_bodies_hold_no_more_than_their_share_and_small_ones_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_TOGETHER", 8 * MB)
    gate = Gate()

    def script(request: Received) -> Answer:
        return chat("small") if request.prompt == "small" else [head(), *[PIECE] * 3, gate, *[PIECE] * 5, gate, END]

    with Hostile(script) as server:
        to = caller(server, monkeypatch, streams=False)
        large = [to.send("large", on_sent=lambda _: None, on_first_token=lambda _: None) for _ in range(6)]
        server.wait_for(lambda it: it.hang_ups >= 3)
        assert to.send("small", on_sent=lambda _: None, on_first_token=lambda _: None).reply().output == "small"
        gate.open()
        errors = [sending.reply().error for sending in large]
        words = [error.sentence for error in errors if error is not None]
        assert sum("held more than" in each for each in words) >= 3
        assert bounded.together.held == 0


@pytest.mark.parametrize("streams", [False, True])
def test_a_long_answer_comes_whole(streams: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "long " * 400_000
    answer = stream(text) if streams else chat(text)
    with Hostile([answer]) as server:
        reply = ask(caller(server, monkeypatch, streams=streams))
        assert (reply.error, reply.output) == (None, text)


@pytest.mark.parametrize("packing", ["gzip", "identity", "GZIP"])
def test_a_packed_answer_is_unpacked(packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = completion_body("yes")
    packed = body if packing == "identity" else gzip.compress(body)
    with Hostile([[http(200, packed, content_encoding=packing)]]) as server:
        assert ask(caller(server, monkeypatch, streams=False)).output == "yes"
