"""Every fault of a provider, over real HTTP: the right class, its sentence, its words; one request; no key anywhere."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.errors import (
    BadAnswer,
    CallFailed,
    ConnectionFailed,
    EmptyAnswer,
    KeyRefused,
    ModelUnknown,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerFailed,
    TimedOut,
    Truncated,
)
from fanout.providers.failures import Circumstances, failure_of, words_of
from fanout.providers.keys import redacted
from tests.hostile import (
    END,
    EVENTS_HEAD,
    Answer,
    Close,
    Hang,
    Hostile,
    Pause,
    Reset,
    Step,
    chat,
    chunk,
    closed_port,
    event,
    http,
    status,
    stream,
)

KEY = "sk-secret-of-the-tests-0001"
HALF = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id'
HTML = b"<!doctype html><title>Log in</title>"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(base_url: str, *, stream: bool = False, timeout_s: float = 10.0, model: str = "openai-chat:tiny") -> Reply:
    os.environ["OPENAI_BASE_URL"] = base_url
    try:
        caller = Completion(Batch(prompts=["hello"], model=model, stream=stream, timeout_s=timeout_s))
        return caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()
    finally:
        del os.environ["OPENAI_BASE_URL"]


def failure(reply: Reply) -> CallFailed:
    assert reply.error is not None, reply
    assert reply.output is None
    return reply.error


@dataclass(frozen=True)
class Fault:
    """What a provider does, and what we make of it."""

    name: str
    answer: Answer
    kind: type[CallFailed]
    says: str
    status_code: int | None = None
    words: str | None = None
    retry_after_s: float | None = None


def trickle(piece: bytes) -> Sequence[Step]:
    return [step for _ in range(200) for step in (piece, Pause(0.02))]


ANSWERED = [
    Fault("429", status(429, "slow", retry_after="12"), RateLimited, "It asks to wait 12 s.", 429, "slow", 12.0),
    Fault("429 in ms", status(429, "slow", retry_after_ms="250"), RateLimited, "wait 0.25 s.", 429, "slow", 0.25),
    *(
        Fault(f"429 {asked}", status(429, "slow", retry_after=asked), RateLimited, "did not say how long", 429, "slow")
        for asked in ("99999999999999999999", "Fri, 01 Jan 2100 00:00:00 GMT", "-5", "1e400", "nan")
    ),
    Fault("429 silent", status(429, "slow"), RateLimited, "did not say how long to wait", 429, "slow"),
    Fault(
        "no quota",
        status(429, "pay", error={"code": "insufficient_quota"}),
        QuotaExhausted,
        "no credit left",
        429,
        "pay",
    ),
    Fault("402", status(402, "pay"), QuotaExhausted, "no credit left", 402, "pay"),
    Fault("401", status(401, "who"), KeyRefused, "does not accept the key. Check OPENAI_API_KEY", 401, "who"),
    Fault("403", status(403, "you"), KeyRefused, "does not accept the key", 403, "you"),
    Fault("404", status(404, "what"), ModelUnknown, "it knows no model 'tiny' at 127.0.0.1:", 404, "what"),
    Fault("400", status(400, "bad"), Rejected, "refuses this prompt or these settings", 400, "bad"),
    Fault(
        "too long",
        status(400, "long", error={"code": "context_length_exceeded"}),
        Rejected,
        "longer than the model can read",
        400,
        "long",
    ),
    Fault("422", status(422, "bad"), Rejected, "refuses", 422, "bad"),
    Fault("307", [http(307, b"", location="/v2")], Rejected, "it has moved. Check the base URL.", 307),
    Fault("408", status(408, "slow"), TimedOut, "it gave up waiting", 408, "slow"),
    Fault("409", status(409, "lock"), ServerFailed, "in its way. Send it again.", 409, "lock"),
    Fault("425", status(425, "early"), ServerFailed, "too early for it. Send it again.", 425, "early"),
    Fault("304", [http(304, b"")], Rejected, "answered 304, which is no answer.", 304),
    Fault("500", status(500, "oops"), ServerFailed, "it failed inside", 500, "oops"),
    Fault("502 page", [http(502, HTML, content_type="text/html")], ServerFailed, "502", 502, HTML.decode()),
    Fault("503", status(503, "busy", retry_after="3"), Overloaded, "too much to do", 503, "busy", 3.0),
    Fault("529", status(529, "busy"), Overloaded, "too much to do", 529, "busy"),
]
PLAIN = [
    *ANSWERED,
    Fault(
        "a web page",
        [http(200, HTML, content_type="text/html")],
        BadAnswer,
        "200 with a web page that is not an answer",
    ),
    Fault("bad JSON", [http(200, b'{"id": ')], BadAnswer, "200 with application/json that is not an answer"),
    Fault("no body", [http(200, b"")], BadAnswer, "200 with an empty body, which is not an answer"),
    Fault("204", [http(204, b"")], BadAnswer, "answered 204 with an empty body"),
    Fault("a list", [http(200, b"[]")], BadAnswer, "not an answer"),
    Fault("an object", [http(200, b"{}")], BadAnswer, "not an answer"),
    Fault("no choice", [http(200, b'{"id":"x","choices":[]}')], BadAnswer, "not an answer"),
    Fault(
        "text",
        [http(200, b"yes", content_type="text/plain")],
        BadAnswer,
        "text/plain that is not an answer, beginning: 'yes'",
    ),
    Fault("nested", [http(200, b"[" * 100_000)], BadAnswer, "beginning: '[[["),
    Fault("no type", [http(200, b"yes", content_type="")], BadAnswer, "a body of no named type that is not an answer"),
    Fault(
        "corrupt gzip",
        [http(200, b"nonsense", content_encoding="gzip")],
        BadAnswer,
        "200 with a body that cannot be unpacked",
    ),
    Fault("garbage", [b"\x00\x01 nonsense\r\n\r\n", Close()], BadAnswer, "not an answer"),
    Fault("empty text", chat(""), EmptyAnswer, "an empty answer"),
    Fault("no text", chat(None), EmptyAnswer, "an empty answer"),  # type: ignore[arg-type]
    Fault("cut off", chat("", finish="length"), BadAnswer, "Raise max output tokens"),
    Fault("refusal", chat("", refusal="I won't"), Rejected, "withheld the answer", words="I won't"),
    Fault("filtered", chat("", finish="content_filter"), Rejected, "withheld the answer"),
    Fault("closed", [Close()], ConnectionFailed, "closed the connection before it answered"),
    Fault("reset", [Reset()], ConnectionFailed, "closed the connection before it answered"),
    Fault("half the headers", [b"HTTP/1.1 200 OK\r\ncontent-ty", Close()], ConnectionFailed, "closed the connection"),
    Fault("half the body", [HALF, Close()], Truncated, "broke off"),
    Fault("half, then reset", [HALF, Reset()], Truncated, "broke off"),
]
FIRST = event({"role": "assistant", "content": "a"})
STREAMED = [
    *ANSWERED,
    Fault("half", [EVENTS_HEAD, FIRST, Close()], Truncated, "broke off"),
    Fault("reset", [EVENTS_HEAD, FIRST, Reset()], Truncated, "broke off"),
    Fault("no end said", [EVENTS_HEAD, FIRST, END], Truncated, "turn streaming off"),
    Fault("no event", [EVENTS_HEAD, END], Truncated, "before the provider said that it was complete"),
    Fault("garbage", [EVENTS_HEAD, FIRST, chunk(b"data: {nonsense\n\n"), END], BadAnswer, "not an answer"),
    Fault(
        "an error inside",
        [EVENTS_HEAD, FIRST, chunk(b'data: {"error": {"message": "oops"}}\n\n'), END],
        ServerFailed,
        "inside its answer",
        words="oops",
    ),
    Fault(
        "a limit inside",
        [EVENTS_HEAD, chunk(b'data: {"error": {"message": "slow", "code": "rate_limit_exceeded"}}\n\n'), END],
        RateLimited,
        "429",
        429,
        "slow",
    ),
    Fault("not streamed, not an answer", [http(200, b'{"choices": []}')], BadAnswer, "beginning: '{\"choices\": []}'."),
    Fault("not streamed, not JSON", [http(200, b'{"choices": ')], BadAnswer, "200 with application/json that is not"),
    Fault("not streamed, nested", [http(200, b'{"a":' * 100_000)], BadAnswer, "200 with application/json that is not"),
    Fault("text", [http(200, b"yes", content_type="text/plain")], BadAnswer, "text/plain that is not an answer"),
    Fault(
        "not what it says",
        [http(200, b'{"answer": "yes"}', content_type="text/event-stream")],
        BadAnswer,
        'text/event-stream that is not an answer, beginning: \'{"answer": "yes"}\'',
    ),
    Fault("nothing", [http(200, b"", content_type="text/plain")], BadAnswer, "200 with an empty body"),
    Fault("a list for an event", [EVENTS_HEAD, FIRST, chunk(b"data: []\n\n"), END], BadAnswer, "not an answer"),
    Fault("a web page", [http(200, HTML, content_type="text/html")], BadAnswer, "a web page"),
    Fault("no text", stream(), EmptyAnswer, "an empty answer"),
    Fault("closed", [Close()], ConnectionFailed, "closed the connection before it answered"),
]


def check(fault: Fault, *, streamed: bool) -> None:
    with Hostile([fault.answer]) as server:
        error = failure(ask(server.base_url, stream=streamed))
        assert type(error) is fault.kind
        assert fault.says in error.sentence
        assert error.status_code == fault.status_code
        assert error.provider_words == fault.words
        assert error.retry_after_s == fault.retry_after_s
        assert error.was_sent
        assert server.requests == 1, "one attempt is one request"


@pytest.mark.parametrize("fault", PLAIN, ids=lambda fault: fault.name)
def test_a_fault_ends_in_its_class_after_one_request(fault: Fault) -> None:
    check(fault, streamed=False)


@pytest.mark.parametrize("fault", STREAMED, ids=lambda fault: fault.name)
def test_a_fault_of_a_stream_ends_in_its_class_after_one_request(fault: Fault) -> None:
    check(fault, streamed=True)


@pytest.mark.parametrize("streamed", [False, True])
def test_nobody_there_was_not_sent(streamed: bool) -> None:
    port = closed_port()
    error = failure(ask(f"http://127.0.0.1:{port}/v1", stream=streamed))
    assert type(error) is ConnectionFailed
    assert not error.was_sent
    assert error.sentence.startswith(f"The provider could not be reached at 127.0.0.1:{port}: Connection refused.")


def test_an_unknown_host_was_not_sent() -> None:
    error = failure(ask("http://nowhere.invalid/v1"))
    assert type(error) is ConnectionFailed
    assert not error.was_sent
    assert "could not be reached at nowhere.invalid" in error.sentence


SLOW: dict[str, tuple[bool, Answer]] = {
    "hangs": (False, [Hang()]),
    "trickles a body": (False, [HALF, *trickle(b" ")]),
    "hangs in a stream": (True, [EVENTS_HEAD, FIRST, Hang()]),
    "trickles tokens": (True, [EVENTS_HEAD, *trickle(FIRST)]),
}


@pytest.mark.parametrize("slow", SLOW)
def test_timeout_s_covers_an_attempt_to_its_last_byte_and_hangs_up(slow: str) -> None:
    streamed, answer = SLOW[slow]
    with Hostile([answer]) as server:
        error = failure(ask(server.base_url, stream=streamed, timeout_s=0.3))
        assert type(error) is TimedOut
        assert error.sentence == "No complete answer within 0.3 s. Send it again, or raise the timeout."
        assert error.was_sent
        server.wait_for(lambda it: it.hang_ups == 1)
        assert server.requests == 1


def test_an_answer_that_is_none_is_shown_in_a_line_and_asked_for_once() -> None:
    page = b"<!doctype html>\n<title>\x07Log in</title>" + b" and so on" * 100
    with Hostile([[http(200, page, content_type="text/html")]]) as server:
        error = failure(ask(server.base_url))
        assert error.sentence == (
            "The provider answered 200 with a web page that is not an answer, beginning: '<!doctype html> <title> Log "
            f"in</title> and so on and so on a…'. Check that 127.0.0.1:{server.port} is the right base URL. It is not "
            "sent again by itself: it may have been billed."
        )
        assert not error.retryable


ECHOING: dict[str, Answer] = {
    "its message": status(401, f"Incorrect API key provided: {KEY}."),
    "a bare body": [http(500, f"you sent Bearer {KEY}".encode(), content_type="text/plain")],
    "a header it breaks": [f"HTTP/1.1 nonsense {KEY}\r\n\r\n".encode(), Close()],
    "an answer that is none": [http(200, f'"{KEY}"'.encode())],
    "an answer's field": [http(200, f'{{"id": ["{KEY}"], "choices": [{{"index": "{KEY}"}}]}}'.encode())],
    "a body in pieces": [
        EVENTS_HEAD.replace(b"event-stream", b"plain"),
        chunk(KEY[:15].encode()),
        chunk(KEY[15:].encode()),
        END,
    ],
    "a body with a key at its cut": [http(200, b"w" * 40 + KEY.encode(), content_type="text/plain")],
    "half a key at the cut": status(400, "x" * 1_990 + KEY),
}


@pytest.mark.parametrize("place", ECHOING)
def test_a_key_that_the_provider_echoes_is_struck_out_everywhere(place: str) -> None:
    with Hostile([ECHOING[place]]) as server:
        error = failure(ask(server.base_url))
    everything = "".join(traceback.format_exception(error)) + repr(error) + str(error.as_json())
    assert "secret-of-the-tests" not in everything
    assert "sk-secret" not in everything


def test_the_key_of_the_call_is_struck_out_after_the_environment_has_changed() -> None:
    at = Circumstances(timeout_s=1, model="m", address="a", secrets=("plainword-key",))
    error = failure_of(RuntimeError("refused plainword-key here"), at)
    assert "plainword" not in error.sentence
    assert error.__cause__ is None


def test_a_bug_of_ours_is_kept_with_its_class_and_its_cause() -> None:
    bug = ZeroDivisionError("division by zero")
    error = failure_of(bug, Circumstances(timeout_s=1, model="m", address="a", was_sent=False))
    assert error.as_json()["class"] == "Broken"
    assert "ZeroDivisionError: division by zero" in error.sentence
    assert error.__cause__ is bug
    assert not error.was_sent


@pytest.mark.parametrize(
    "text",
    [
        "key sk-proj-abcdefgh12345678 refused",
        "key sk-ant-api03-abcdefgh",
        "sk-abcd****************wxyz",
        "AIzaSyA1234567890abcdefghij",
        "gsk_abcdefgh12345678",
        "https://user:hunter2hunter2@host/v1",
        "Authorization: Bearer abcdefgh12345678",
    ],
)
def test_what_looks_like_a_key_is_struck_out(text: str) -> None:
    assert "[key]" in redacted(text)
    for secret in ("abcdefgh", "hunter2", "SyA123", "wxyz"):
        assert secret not in redacted(text)


def test_a_stand_in_for_a_key_is_struck_out_where_it_stands_alone_and_in_no_word() -> None:
    assert redacted("The sandbox says: key x, 'x'.", "x") == "The sandbox says: key [key], '[key]'."
    assert redacted("no key for EMPTY in an EMPTYish place", "EMPTY") == "no key for [key] in an EMPTYish place"


@pytest.mark.parametrize("text", ["a risk-averse task-oriented answer", "the keyboard", "ask-me-anything", "http://h/"])
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "m"}}, "m"),
        ({"message": "m"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["x"]}]}, '[{"loc": ["x"]}]'),
        ({"error": "m"}, "m"),
        ([{"error": {"message": "m"}}], "m"),
        ("  m  ", "m"),
        ({"error": {}}, '{"error": {}}'),
        (None, None),
        ("", None),
        ("   ", None),
        ([], "[]"),
        (7, "7"),
    ],
)
def test_a_providers_words_are_found_in_whatever_body_it_sends(body: Any, words: str | None) -> None:
    assert words_of(body) == words


def test_a_providers_words_are_kept_to_two_thousand_characters() -> None:
    with Hostile([status(400, "w" * 50_000)]) as server:
        error = failure(ask(server.base_url))
    assert error.provider_words == "w" * 2_000
