"""Completions over real HTTP: stamps, settings, connections, cancelling, many threads, and the blocking function."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.calls import Reply, Sending
from fanout.calls.completion import Completion, _OnTheLoop, completion
from fanout.clock import MonotonicClock
from fanout.errors import BadInput, Broken, ConnectionFailed, FanoutError, RateLimited
from fanout.events import Usage
from fanout.providers.loop import close_shared_loop, shared_loop
from fanout.sandbox.process import shared_sandbox
from fanout.sandbox.profile import SandboxProfile
from tests.hostile import (
    Close,
    Gate,
    Hang,
    Hostile,
    Script,
    chat,
    closed_port,
    completion_body,
    echo,
    http,
    status,
    stream,
)

MODEL = "openai-chat:tiny"
Serve = Callable[..., Hostile]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hostile server that OPENAI_BASE_URL points at, until the test ends."""
    servers: list[Hostile] = []

    def serving(script: Script | None = None) -> Hostile:
        server = Hostile(script).__enter__()
        servers.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests-0001")
        return server

    yield serving
    for server in servers:
        server.__exit__()


class Stamps:
    """What an attempt was stamped with, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.first_token_came = threading.Event()

    def sent(self, at_ns: int) -> None:
        self.seen.append(("sent", at_ns))

    def first_token(self, at_ns: int) -> None:
        self.seen.append(("first_token", at_ns))
        self.first_token_came.set()


def caller(**settings: Any) -> Completion:
    return Completion(Batch(**{"prompts": ["hello"], "model": MODEL, "stream": False, **settings}))


def send(to: Completion, prompt: str = "hello", stamps: Stamps | None = None) -> Sending:
    stamps = stamps or Stamps()
    return to.send(prompt, on_sent=stamps.sent, on_first_token=stamps.first_token)


def answered(reply: Reply) -> str:
    assert reply.error is None, reply.error
    assert reply.output is not None
    return reply.output


def test_a_prompt_comes_back_answered_with_its_tokens_and_stamps(serve: Serve) -> None:
    serve([chat("alpha")])
    clock, stamps = MonotonicClock(), Stamps()
    before = clock.now_ns()
    reply = send(caller(), stamps=stamps).reply()
    assert answered(reply) == "alpha"
    assert reply.usage == Usage(input_tokens=7, output_tokens=3)
    assert reply.cost_usd is None, "nobody knows the price of a model named tiny"
    ((kind, sent_ns),) = stamps.seen
    assert kind == "sent"
    assert before < sent_ns < reply.received_ns < clock.now_ns()


def test_a_streamed_prompt_is_stamped_at_its_first_text_before_the_rest_has_come(serve: Serve) -> None:
    gate = Gate()
    serve([stream("al", "pha", between=gate)])
    stamps = Stamps()
    sending = send(caller(stream=True), stamps=stamps)
    assert stamps.first_token_came.wait(20)
    gate.open()
    reply = sending.reply()
    assert answered(reply) == "alpha"
    assert [kind for kind, _ in stamps.seen] == ["sent", "first_token"]
    assert stamps.seen[0][1] < stamps.seen[1][1] < reply.received_ns
    assert reply.usage == Usage(input_tokens=7, output_tokens=3)


def test_an_unstreamed_prompt_has_no_first_token(serve: Serve) -> None:
    serve([chat("alpha")])
    stamps = Stamps()
    send(caller(), stamps=stamps).reply()
    assert [kind for kind, _ in stamps.seen] == ["sent"]


def test_tokens_that_the_provider_does_not_count_are_unknown_not_zero(serve: Serve) -> None:
    serve([chat("alpha", usage=False)])
    assert send(caller()).reply().usage == Usage(input_tokens=None, output_tokens=None)


def test_a_known_model_has_its_price(serve: Serve) -> None:
    serve([[http(200, completion_body("yes").replace(b'"tiny"', b'"gpt-4o-mini"'))]])
    reply = send(caller(model="openai-chat:gpt-4o-mini")).reply()
    assert answered(reply) == "yes"
    assert reply.cost_usd == pytest.approx((7 * 0.15 + 3 * 0.60) / 1e6)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_settings_and_the_instructions_are_sent_once(serve: Serve, streamed: bool) -> None:
    server = serve()
    asked = caller(instructions="Be brief.", temperature=0.5, max_output_tokens=9, stream=streamed)
    assert answered(send(asked, "hello").reply()) == "hello"
    (request,) = server.received
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-of-the-tests-0001"
    assert request.json["model"] == "tiny"
    assert request.json["temperature"] == 0.5
    assert request.json["max_completion_tokens"] == 9
    assert request.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]


def test_what_is_not_set_is_not_sent(serve: Serve) -> None:
    server = serve()
    send(caller()).reply()
    (request,) = server.received
    assert set(request.json) <= {"model", "messages", "stream"}


@pytest.mark.parametrize("prompt", ["naïve 中文 🙂", 'a "quoted"\nline\t\\', "\x00 \u2028 \ud7ff", "x" * 150_000, "{}"])
@pytest.mark.parametrize("streamed", [False, True])
def test_any_prompt_arrives_as_it_is(serve: Serve, prompt: str, streamed: bool) -> None:
    server = serve()
    assert answered(send(caller(stream=streamed), prompt).reply()) == prompt
    assert server.received[0].prompt == prompt


def test_sixteen_lanes_take_sixteen_connections_and_the_next_run_opens_none(serve: Serve) -> None:
    server = serve()
    for run in range(3):
        asked = caller()
        with ThreadPoolExecutor(16) as pool:
            prompts = [f"{run}-{number}" for number in range(64)]
            assert list(pool.map(lambda prompt, to=asked: answered(send(to, prompt).reply()), prompts)) == prompts
        assert server.connections <= 16, "a connection a lane, not a call"
    assert server.requests == 3 * 64


def test_forty_in_flight_take_forty_connections(serve: Serve) -> None:
    gate = Gate()
    server = serve(lambda request: [gate, *chat(request.prompt)])
    asked = caller()
    sendings = [send(asked, f"{number}") for number in range(40)]
    server.wait_for(lambda it: it.in_flight == 40)
    gate.open()
    assert [answered(sending.reply()) for sending in sendings] == [f"{number}" for number in range(40)]
    assert (server.connections, server.peak) == (40, 40)


@pytest.mark.parametrize("streamed", [False, True])
def test_cancel_hangs_up_on_the_wire_and_the_model_works_afterwards(serve: Serve, streamed: bool) -> None:
    started = stream("a", between=Hang())
    server = serve(lambda request: (started if streamed else [Hang()]) if request.prompt == "hang" else echo(request))
    asked = caller(stream=streamed)
    sendings = [send(asked, "hang") for _ in range(16)]
    server.wait_for(lambda it: it.in_flight == 16)
    for sending in sendings:
        sending.cancel()
        sending.cancel()
    for sending in sendings:
        with pytest.raises(CancelledError):
            sending.reply()
    server.wait_for(lambda it: it.hang_ups == 16)
    assert answered(send(asked, "again").reply()) == "again"
    assert server.requests == 17


def test_one_cancelled_call_leaves_the_others(serve: Serve) -> None:
    gate = Gate()
    server = serve(lambda request: [gate, *chat(request.prompt)])
    asked = caller()
    sendings = [send(asked, f"{number}") for number in range(4)]
    server.wait_for(lambda it: it.in_flight == 4)
    sendings[1].cancel()
    server.wait_for(lambda it: it.hang_ups == 1)
    gate.open()
    assert [answered(sendings[number].reply()) for number in (0, 2, 3)] == ["0", "2", "3"]


def test_calls_from_many_threads_at_once_each_get_their_own_answer(serve: Serve) -> None:
    serve()
    asked, together = caller(), threading.Barrier(24)

    def ask(number: int) -> list[str]:
        together.wait(20)
        return [answered(send(asked, f"{number}.{turn}").reply()) for turn in range(4)]

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert answers == [[f"{number}.{turn}" for turn in range(4)] for number in range(24)]


def test_concurrent_attempts_are_stamped_each_on_its_own(serve: Serve) -> None:
    serve()
    asked = caller(stream=True)
    stamps = [Stamps() for _ in range(32)]
    sendings = [send(asked, f"{number}", stamp) for number, stamp in enumerate(stamps)]
    for sending in sendings:
        answered(sending.reply())
    assert all([kind for kind, _ in stamp.seen] == ["sent", "first_token"] for stamp in stamps)


def test_a_server_that_closes_every_connection_costs_no_call(serve: Serve) -> None:
    server = serve(lambda request: [*chat(request.prompt), Close()])
    asked = caller()
    for number in range(5):
        assert answered(send(asked, f"{number}").reply()) == f"{number}"
        server.wait_for(lambda it: it.in_flight == 0)
    assert server.requests == 5


def test_a_failed_call_keeps_no_connection_busy(serve: Serve) -> None:
    server = serve(lambda request: status(500) if request.prompt == "bad" else chat("fine"))
    asked = caller()
    for _ in range(5):
        assert send(asked, "bad").reply().error is not None
        answered(send(asked, "good").reply())
    assert server.connections == 1


def test_the_model_is_made_anew_after_its_loop_was_closed(serve: Serve) -> None:
    serve()
    asked = caller()
    assert answered(send(asked, "before").reply()) == "before"
    first = shared_loop()
    close_shared_loop()
    assert answered(send(asked, "after").reply()) == "after"
    assert shared_loop() is not first


def test_closing_the_loop_cancels_what_is_in_flight(serve: Serve) -> None:
    server = serve([[Hang()]])
    sending = send(caller())
    server.wait_for(lambda it: it.in_flight == 1)
    close_shared_loop()
    with pytest.raises(CancelledError):
        sending.reply()
    server.wait_for(lambda it: it.hang_ups == 1)


def test_warming_up_opens_no_connection(serve: Serve) -> None:
    server = serve()
    caller().warm_up()
    assert server.connections == 0


def test_a_bad_model_is_refused_when_the_caller_is_made() -> None:
    with pytest.raises(BadInput, match="names no provider"):
        caller(model="gpt-5")


def test_a_model_that_cannot_be_made_ready_ends_its_calls_as_data(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    asked = caller()

    def no_room(self: Completion) -> Any:
        raise FanoutError("the sandbox did not start")

    monkeypatch.setattr(Completion, "_made", no_room)
    reply = send(asked).reply()
    assert isinstance(reply.error, Broken)
    assert not reply.error.was_sent
    assert "the sandbox did not start" in reply.error.sentence
    with pytest.raises(Broken, match="the sandbox did not start"):
        asked.warm_up()


def test_the_blocking_function_answers_from_any_thread(serve: Serve) -> None:
    serve()
    call = completion(MODEL, instructions="Be brief.", temperature=0.0, max_output_tokens=5)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, "abcdefgh")) == list("abcdefgh")


def test_the_blocking_function_raises_what_failed_after_one_attempt(serve: Serve) -> None:
    server = serve([status(429, "slow", retry_after="12")])
    with pytest.raises(RateLimited, match="It asks to wait 12 s") as raised:
        completion(MODEL)("hello")
    assert raised.value.retry_after_s == 12.0
    assert server.requests == 1
    assert "sk-of-the-tests" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("prompt", ["", "  \n", None, 7])
def test_the_blocking_function_refuses_a_blank_prompt(serve: Serve, prompt: Any) -> None:
    server = serve()
    with pytest.raises(BadInput, match="a prompt must be text that is not blank"):
        completion(MODEL)(prompt)
    assert server.requests == 0


@pytest.mark.parametrize(("setting", "value"), [("timeout_s", 0), ("temperature", 9.0), ("max_output_tokens", 0)])
def test_the_blocking_function_refuses_a_wrong_setting_at_once(setting: str, value: float) -> None:
    with pytest.raises(BadInput, match=setting):
        completion("sandbox", **{setting: value})  # type: ignore[arg-type]


def test_the_blocking_function_says_that_nobody_is_there(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(ConnectionFailed, match="could not be reached"):
        completion(MODEL)("hello")


def test_a_blocked_caller_that_is_interrupted_hangs_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve([[Hang()]])
    call = completion(MODEL)

    def interrupted(self: Any) -> Reply:
        server.wait_for(lambda it: it.in_flight == 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(_OnTheLoop, "reply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call("hello")
    server.wait_for(lambda it: it.hang_ups == 1)


def test_a_proxy_of_the_environment_is_used_and_costs_no_second_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Hostile([chat("through"), status(500)]) as proxy:
        serve()
        monkeypatch.setenv("OPENAI_BASE_URL", "http://api.invalid/v1")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        asked = caller()
        assert answered(send(asked).reply()) == "through"
        assert proxy.received[0].path == "http://api.invalid/v1/chat/completions"
        assert send(asked).reply().error is not None
        assert proxy.requests == 2


def test_the_sandbox_answers_on_the_same_path() -> None:
    quick = SandboxProfile(first_token_ms=1, token_ms=0)
    try:
        call = completion("sandbox", sandbox=quick)
        assert call("Reply: alpha") == "alpha"
        streamed = Completion(Batch(prompts=["x"], sandbox=quick, stream=True))
        stamps = Stamps()
        reply = send(streamed, "Reply: beta", stamps).reply()
        assert answered(reply) == "beta"
        assert [kind for kind, _ in stamps.seen] == ["sent", "first_token"]
        assert reply.cost_usd is None
        assert reply.usage.output_tokens
    finally:
        shared_sandbox().close()
