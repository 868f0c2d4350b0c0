"""The lean way to a chat completion against the SDK: the same request out, the same answer or failure in, sent once.

Each test asks twice and compares: once with the lean way closed (`by_the_sdk`), once with it open.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from openai.resources.chat.completions import AsyncCompletions
from pydantic_ai import direct
from pydantic_ai.messages import ModelRequest, ModelResponse

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.events import Usage
from fanout.providers import lean
from fanout.providers.ready import ReadyModel, ready_model
from tests.hostile import Answer, Gate, Hang, Hostile, chat, completion_body, echo, http, status
from tests.test_providers_failures import PLAIN, Fault

MODEL = "openai-chat:tiny"


@dataclass
class SdkCalls:
    count: int = 0


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> SdkCalls:
    """How often the SDK's own `create` ran."""
    calls, real = SdkCalls(), AsyncCompletions.create

    async def counting(self: AsyncCompletions, **asked: Any) -> Any:
        calls.count += 1
        return await real(self, **asked)

    monkeypatch.setattr(AsyncCompletions, "create", counting)
    return calls


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests-0001")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-tests")


@contextlib.contextmanager
def by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lean way closed."""
    with monkeypatch.context() as closed:
        closed.setattr(lean, "_plain_body", lambda asked: None)
        yield


def caller(server: Hostile, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Completion:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    return Completion(Batch(**{"prompts": ["hello"], "model": MODEL, "stream": False, "timeout_s": 10.0, **settings}))


def ask(to: Completion, prompt: str = "hello") -> Reply:
    return to.send(prompt, on_sent=lambda _: None, on_first_token=lambda _: None).reply()


@pytest.mark.parametrize("prompt", ["hello", "naïve 中文 🙂", 'a "quoted"\nline\t\\ \x00 \u2028 \ud7ff', "x" * 100_000])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"instructions": "Be brief. Sé breve."},
        {"temperature": 0.0, "max_output_tokens": 9},
        {"instructions": "Be brief.", "temperature": 1.25},
    ],
)
def test_the_request_is_the_sdks_field_for_field(
    prompt: str, settings: dict[str, Any], sdk: SdkCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile(echo) as server:
        asked = caller(server, monkeypatch, **settings)
        with by_the_sdk(monkeypatch):
            assert ask(asked, prompt).output == prompt
        asked.warm_up()
        sdk.count = 0
        assert (ask(asked, prompt).output, ask(asked, prompt).output) == (prompt, prompt)
        theirs, ours, again = server.received
    assert sdk.count == 1, "the SDK writes one request to learn from, and no more"
    assert again == ours
    assert (ours.method, ours.path, ours.json) == (theirs.method, theirs.path, theirs.json)
    assert dict(ours.headers) == dict(theirs.headers)
    assert ours.headers["authorization"] == "Bearer sk-of-the-tests-0001"


@pytest.mark.parametrize("fault", PLAIN, ids=lambda fault: fault.name)
def test_a_fault_comes_out_as_the_sdk_would_have_told_it(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([fault.answer]) as server:
        asked = caller(server, monkeypatch)
        with by_the_sdk(monkeypatch):
            theirs = ask(asked)
        ours = ask(asked)
        assert theirs.error is not None
        assert ours.error == theirs.error
        assert server.requests == 2, "what came is replayed, not asked for again"


def odd(**changes: Any) -> Answer:
    """A completion with fields changed; None removes one."""
    body = json.loads(completion_body("yes"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = body
        for parent in parents:
            place = place[int(parent[1:])] if parent.startswith("n") else place[parent]
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return [http(200, json.dumps(body).encode())]


TOOL = [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
ANSWERS: dict[str, Answer] = {
    "plain": chat("yes"),
    "cut off": chat("yes", finish="length"),
    "no usage": chat("yes", usage=False),
    "unknown finish": chat("yes", finish="tired"),
    "fields nobody knows": odd(novel={"a": [1]}, choices__n0__novel=1, choices__n0__message__novel="x"),
    "a service tier": odd(service_tier="default"),
    "an unknown service tier": odd(service_tier="luxury"),
    "created as text": odd(created="1700000000"),
    "another role": odd(choices__n0__message__role="system"),
    "another object": odd(object="text_completion"),
    "an empty finish": odd(choices__n0__finish_reason=""),
    "tokens as text": odd(usage__prompt_tokens="7"),
    "cached tokens": odd(usage__prompt_tokens_details={"cached_tokens": 4}),
    "unknown token details": odd(usage__completion_tokens_details={"dreaming_tokens": 4}),
    "reasoning": odd(choices__n0__message__reasoning_content="hm"),
    "think tags": chat("<think>hm</think>yes"),
    "a tool call": odd(choices__n0__message__tool_calls=TOOL),
    "text in parts": odd(choices__n0__message__content=[{"type": "text", "text": "yes"}]),
    "a number for text": odd(choices__n0__message__content=7),
    "two choices": odd(choices=json.loads(completion_body("yes"))["choices"] * 2),
    "charset": [http(200, completion_body("yes"), content_type="application/json; charset=utf-8")],
    "another JSON type": [http(200, completion_body("yes"), content_type="application/problem+json")],
    "no content type": [http(200, completion_body("yes"), content_type="")],
    "a byte order mark": [http(200, b"\xef\xbb\xbf" + completion_body("yes"))],
    "white space before": [http(200, b" \n" * 50 + completion_body("yes"))],
    "not a number": [http(200, completion_body("yes").replace(b'"index": 0', b'"index": NaN'))],
    "201": [http(201, completion_body("yes"))],
}


def outcome(ready: ReadyModel) -> ModelResponse | str:
    messages = [ModelRequest.user_text_prompt("hello")]
    try:
        response = ready.loop.run(direct.model_request(ready.model, messages))
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return replace(response, timestamp=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_reads_as_the_sdk_reads_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([ANSWERS[name]]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        ready = ready_model(MODEL)
        with by_the_sdk(monkeypatch):
            theirs = outcome(ready)
        assert outcome(ready) == theirs
        assert server.requests == 2


FORGIVEN: dict[str, Answer] = {
    "no id": odd(id=None),
    "no created": odd(created=None),
    "no role": odd(choices__n0__message__role=None),
    "no index": odd(choices__n0__index=None),
    "no finish": odd(choices__n0__finish_reason=None),
    "only the text": [http(200, b'{"choices": [{"message": {"content": "yes"}}]}')],
}


@pytest.mark.parametrize("name", FORGIVEN)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_not_lost_for_a_field_that_nobody_needs(
    name: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hostile([FORGIVEN[name]]) as server:
        reply = ask(caller(server, monkeypatch, stream=stream))
        assert (reply.output, reply.error) == ("yes", None)
        assert server.requests == 1


def spelled(number: str, *, field: str = "prompt_tokens") -> bytes:
    """A completion with a usage that no answer can have."""
    return completion_body("yes").replace(
        f'"{field}": {7 if field == "prompt_tokens" else 3}'.encode(), f'"{field}": {number}'.encode()
    )


USAGE: dict[str, bytes] = {
    **{each: spelled(each) for each in ("NaN", "-Infinity", "-7", "7.5", '"seven"', "null", "1e400", "[]", "9" * 30)},
    "5,000 digits": spelled("9" * 5_000),
    "of the answer": spelled("NaN", field="completion_tokens"),
    "none": completion_body("yes", usage=False),
    "a list": completion_body("yes", usage=False)[:-1] + b', "usage": []}',
    "a number": completion_body("yes", usage=False)[:-1] + b', "usage": NaN}',
}


@pytest.mark.parametrize("name", USAGE)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_not_lost_for_its_usage(name: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[http(200, USAGE[name])]]) as server:
        reply = ask(caller(server, monkeypatch, stream=stream))
        assert (reply.output, reply.error, reply.usage, reply.cost_usd) == ("yes", None, Usage(), None)
        assert server.requests == 1


def test_totals_that_make_sense_count_where_their_details_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([odd(usage__prompt_tokens_details={"cached_tokens": -1.5})]) as server:
        reply = ask(caller(server, monkeypatch))
        assert (reply.output, reply.usage) == ("yes", Usage(input_tokens=7, output_tokens=3))


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", "application/octet-stream", "text/html", ""])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_one_whatever_it_is_called(kind: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([[http(200, b" \n" + completion_body("yes"), content_type=kind)]]) as server:
        reply = ask(caller(server, monkeypatch, stream=stream))
        assert (reply.output, reply.error, reply.usage) == ("yes", None, Usage(input_tokens=7, output_tokens=3))
        assert server.requests == 1


def test_where_the_request_would_differ_the_sdk_asks(sdk: SdkCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "_plain_body", lambda asked: b"{}")
    with Hostile(echo) as server:
        asked = caller(server, monkeypatch)
        assert [ask(asked, word).output for word in "abc"] == ["a", "b", "c"]
        assert server.requests == 3
    assert sdk.count == 4, "one to learn from, and three that were sent"


def test_many_first_calls_at_once_are_each_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with Hostile(lambda request: [gate, *echo(request)]) as server:
        asked = caller(server, monkeypatch)
        sendings = [asked.send(f"{n}", on_sent=lambda _: None, on_first_token=lambda _: None) for n in range(16)]
        server.wait_for(lambda it: it.in_flight == 16)
        gate.open()
        assert [sending.reply().output for sending in sendings] == [f"{n}" for n in range(16)]
        assert server.requests == 16


def test_a_lean_call_hangs_up_when_it_is_cancelled_or_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile(lambda request: [Hang()] if request.prompt == "hang" else echo(request)) as server:
        asked = caller(server, monkeypatch, timeout_s=0.5)
        assert ask(asked, "first").output == "first"
        sending = asked.send("hang", on_sent=lambda _: None, on_first_token=lambda _: None)
        server.wait_for(lambda it: it.in_flight == 1)
        sending.cancel()
        server.wait_for(lambda it: it.hang_ups == 1)
        late = ask(asked, "hang").error
        assert late is not None
        assert late.sentence.startswith("No complete answer within 0.5 s.")
        server.wait_for(lambda it: it.hang_ups == 2)
        assert ask(asked, "again").output == "again"
        assert server.requests == 4


def test_a_new_key_is_sent_after_the_old_one_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([status(401, "who")]) as server:
        ask(caller(server, monkeypatch))
        ask(caller(server, monkeypatch))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests-0002")
        ask(caller(server, monkeypatch))
        ask(caller(server, monkeypatch))
        keys = [request.headers["authorization"][-4:] for request in server.received]
    assert keys == ["0001", "0001", "0002", "0002"]
