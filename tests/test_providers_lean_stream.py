"""A stream read the lean way: what the SDK would have read, and two kinds of server that it would have given up."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.events import Usage
from fanout.providers import bounded
from fanout.providers.loop import shared_loop
from tests.hostile import (
    END,
    EVENTS_HEAD,
    Answer,
    Close,
    Gate,
    Hang,
    Hostile,
    chat,
    chunk,
    completion_body,
    event,
    stream,
)
from tests.test_providers_lean_calls import by_the_sdk, key  # noqa: F401  # the key is a fixture

OPEN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def caller(server: Hostile, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Completion:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    return Completion(Batch(prompts=["hello"], model="openai-chat:tiny", stream=True, **settings))


def ask(to: Completion) -> tuple[Reply, list[int]]:
    """The reply, and the stamps of its first token."""
    stamps: list[int] = []
    return to.send("hello", on_sent=lambda _: None, on_first_token=stamps.append).reply(), stamps


def plain(*words: str, finish: str | None = "stop") -> bytes:
    """The body of a streamed answer, without the chunks of HTTP."""
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": word}, None) for word in words
    ] + [({}, finish)]
    events = [
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "tiny",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


STREAMS: dict[str, Answer] = {
    "words": stream("one ", "two ", "three"),
    "usage last": [EVENTS_HEAD, event({"content": "yes"}), event({}, finish="stop"), event(None, usage=True), END],
    "no DONE": [OPEN_HEAD + plain("yes"), Close()],
    "carriage returns": [OPEN_HEAD + plain("a", "b").replace(b"\n\n", b"\r\n\r\n") + b"data: [DONE]\r\n\r\n", Close()],
    "comments and names": [OPEN_HEAD + b": ping\n\nevent: x\nid: 1\nretry: 5\n" + plain("yes"), Close()],
    "data in two lines": [OPEN_HEAD + plain("yes").replace(b'"created"', b'\ndata: "created"'), Close()],
    "no space after data": [OPEN_HEAD + plain("yes").replace(b"data: ", b"data:"), Close()],
    "no last blank line": [OPEN_HEAD + plain("yes")[:-2], Close()],
    "letters of four bytes": [OPEN_HEAD + plain("🙂日本\u2028", "עברית"), Close()],
    "length": [EVENTS_HEAD, event({"content": "cut"}, finish="length"), chunk(b"data: [DONE]\n\n"), END],
    "half a chunk": [OPEN_HEAD + plain("one", "two")[:-60], Close()],
    "no fields but choices": [
        OPEN_HEAD + b'data: {"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}]}\n\n',
        Close(),
    ],
    "an error after a word": [
        OPEN_HEAD + plain("one", finish=None) + b'data: {"error": {"message": "no"}}\n\n',
        Close(),
    ],
    "an error as text": [OPEN_HEAD + b'data: {"error": "no"}\n\n', Close()],
    "empty": [OPEN_HEAD, Close()],
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_reads_as_the_sdk_reads_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([STREAMS[name]]) as server:
        asked = caller(server, monkeypatch)
        with by_the_sdk(monkeypatch):
            theirs, their_stamps = ask(asked)
        ours, our_stamps = ask(asked)
        assert (ours.output, ours.error, ours.usage) == (theirs.output, theirs.error, theirs.usage)
        assert len(our_stamps) == len(their_stamps)
        assert server.requests == 2


def test_a_stream_that_comes_byte_by_byte_reads_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    body = plain("one ", "🙂") + b"data: [DONE]\n\n"
    with Hostile([[OPEN_HEAD, *(body[place : place + 1] for place in range(len(body))), Close()]]) as server:
        assert ask(caller(server, monkeypatch))[0].output == "one 🙂"


def test_done_is_an_end_where_no_finish_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[EVENTS_HEAD, event({"content": "yes"}), chunk(b"data: [DONE]\n\n"), END]]) as server:
        reply, _ = ask(caller(server, monkeypatch))
        assert (reply.output, reply.error) == ("yes", None)


def test_a_server_that_cannot_stream_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([chat("yes")]) as server:
        reply, _ = ask(caller(server, monkeypatch))
        assert (reply.output, reply.usage) == ("yes", Usage(input_tokens=7, output_tokens=3))
        assert server.requests == 1


@pytest.mark.parametrize("number", ["NaN", "-7", "7.5", "9" * 30])
def test_a_streamed_answer_is_not_lost_for_its_usage(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = json.dumps({"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": []})[:-1]
    last = f'data: {usage}, "usage": {{"prompt_tokens": {number}, "completion_tokens": 3, "total_tokens": 10}}}}\n\n'
    with Hostile([[OPEN_HEAD + plain("yes") + last.encode() + b"data: [DONE]\n\n", Close()]]) as server:
        reply, _ = ask(caller(server, monkeypatch))
        assert (reply.output, reply.error, reply.usage) == ("yes", None, Usage())


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_stream_is_one_whatever_it_is_called(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = OPEN_HEAD.replace(b"text/event-stream", kind.encode())
    with Hostile([[head + b"\n\n" + plain("yes"), Close()]]) as server:
        assert ask(caller(server, monkeypatch))[0].output == "yes"


def test_a_whole_answer_in_many_pieces_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [chunk(each) for each in (b" ", b"\n", b"{", completion_body("yes")[1:40], completion_body("yes")[40:])]
    with Hostile([[EVENTS_HEAD, *pieces, END]]) as server:
        assert ask(caller(server, monkeypatch))[0].output == "yes"


def test_an_answer_is_not_lost_when_the_server_goes_on_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_STREAMED", 4_000_000)
    rest = [chunk(b": more\n" * 100_000)] * 50
    with Hostile([[EVENTS_HEAD, chunk(plain("yes") + b"data: [DONE]\n\n"), *rest]]) as server:
        assert ask(caller(server, monkeypatch))[0].output == "yes"
        server.wait_for(lambda it: it.hang_ups == 1)


def test_an_answer_is_not_lost_when_the_server_forgets_to_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[OPEN_HEAD + plain("yes") + b"data: [DONE]\n\n", Hang()]]) as server:
        reply, _ = ask(caller(server, monkeypatch, timeout_s=15.0))
        assert (reply.output, reply.error) == ("yes", None)
        server.wait_for(lambda it: it.hang_ups == 1)


def test_a_cancelled_stream_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with Hostile([stream("one", "two", between=gate)]) as server:
        asked = caller(server, monkeypatch)
        sending = asked.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None)
        server.wait_for(lambda it: it.in_flight == 1)
        sending.cancel()
        server.wait_for(lambda it: it.hang_ups == 1)


def test_connections_are_used_again_after_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([stream("yes")]) as server:
        asked = caller(server, monkeypatch)
        assert [ask(asked)[0].output for _ in range(5)] == ["yes"] * 5
        assert server.connections == 1


@pytest.mark.parametrize("fault", [b'data: {"error": {"message": "no"}}\n\n', b"data: nonsense\n\n"])
def test_a_stream_that_is_given_up_half_way_leaves_nothing_open_for_the_loops_end(
    monkeypatch: pytest.MonkeyPatch, fault: bytes
) -> None:
    async def suspended() -> list[str]:
        generators = asyncio.get_running_loop()._asyncgens  # type: ignore[attr-defined]  # nothing else tells
        return [each.__qualname__ for each in generators if each.ag_frame is not None and not each.ag_running]

    answer = [EVENTS_HEAD, event({"role": "assistant", "content": "half"}), chunk(fault), event({"content": "more"})]
    gc.collect()
    gc.disable()  # it would close them, all at once
    try:
        with Hostile([answer]) as server:
            reply, _ = ask(caller(server, monkeypatch))
            assert reply.error is not None
            assert shared_loop().run(suspended()) == []
    finally:
        gc.enable()


UNASKED = [EVENTS_HEAD, event({"role": "assistant", "content": "a"}), event({"content": "b\u00e9"})]


@pytest.mark.parametrize(
    "ends", [[event({}, finish="stop"), event(None, usage=True), chunk(b"data: [DONE]\n\n")],
             [chunk(b"data: [DONE]\n\n")], [event({}, finish="stop")]],
)  # fmt: skip
def test_an_answer_that_is_streamed_unasked_is_read(monkeypatch: pytest.MonkeyPatch, ends: list[bytes]) -> None:
    with Hostile([[*UNASKED, *ends, END]]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        to = Completion(Batch(prompts=["hello"], model="openai-chat:tiny", stream=False))
        reply, _ = ask(to)
        assert (reply.output, reply.error, server.requests) == ("ab\u00e9", None, 1)
        assert reply.usage.output_tokens == (3 if len(ends) == 3 else None)


@pytest.mark.parametrize("ends", [[], [chunk(b"data: nonsense\n\n"), chunk(b"data: [DONE]\n\n")]])
def test_half_an_answer_that_is_streamed_unasked_is_none(monkeypatch: pytest.MonkeyPatch, ends: list[bytes]) -> None:
    with Hostile([[*UNASKED, *ends, END]]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        reply, _ = ask(Completion(Batch(prompts=["hello"], model="openai-chat:tiny", stream=False)))
        assert (reply.output, type(reply.error).__name__) == (None, "BadAnswer")
