"""The sandbox over real HTTP: the time that it takes, its quota, its faults."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest

from fanout.sandbox.asked import read_chat
from fanout.sandbox.draws import latency
from fanout.sandbox.process import SandboxProcess
from fanout.sandbox.profile import SandboxProfile
from tests.sandboxes import EXPLAIN, FAST, get, sdk, stats, until, user


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(environ={}) as process:
        yield process


# Time


def test_no_answer_comes_before_its_drawn_time_and_a_list_asked_twice_waits_the_same(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=40, token_ms=2)
    for prompt in ("Reply: alpha", EXPLAIN):
        asked = read_chat(json.dumps({"model": "m", "messages": user(prompt)}).encode())
        drawn = latency(profile, asked.text)
        with sdk(sandbox, profile) as client:
            for _ in range(2):
                sent_ns = time.monotonic_ns()
                answer = client.chat.completions.create(model="m", messages=user(prompt))
                assert answer.usage is not None
                assert time.monotonic_ns() - sent_ns >= drawn.due_ns(answer.usage.completion_tokens - 1)


def test_streamed_tokens_come_one_by_one_at_their_times(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=20, first_token_sigma=0, token_ms=60, token_sigma=0)
    with sdk(sandbox, FAST) as first_use:  # which imports for longer than an answer takes
        list(first_use.chat.completions.create(model="m", messages=user("hello"), stream=True))
    with sdk(sandbox, profile) as client:
        sent_ns = time.monotonic_ns()
        stamps = [
            time.monotonic_ns() - sent_ns
            for chunk in client.chat.completions.create(model="m", messages=user("hello"), stream=True)
            if chunk.choices and chunk.choices[0].delta.content
        ]
    due_ns = [(20 + 60 * n) * 1_000_000 for n in range(len(stamps))]
    assert all(stamp >= due for stamp, due in zip(stamps, due_ns, strict=True))
    assert stamps[0] < due_ns[-1]  # the first was here before the last was even due


def test_above_capacity_everybody_waits_longer(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=100, first_token_sigma=0, capacity=1)

    async def ask(client: openai.AsyncOpenAI) -> int:
        sent_ns = time.monotonic_ns()
        await client.chat.completions.create(model="m", messages=user("Reply: alpha"))
        return time.monotonic_ns() - sent_ns

    async def run() -> list[int]:
        async with openai.AsyncOpenAI(base_url=sandbox.base_url(profile), api_key="k", max_retries=0) as client:
            return await asyncio.gather(*(ask(client) for _ in range(4)))

    waited = sorted(asyncio.run(run()))
    assert stats(sandbox, profile)["peak_in_flight"] > 1
    assert waited[-1] >= stats(sandbox, profile)["peak_in_flight"] * 100_000_000


# Quota


def test_an_exhausted_account_is_refused_with_honest_headers(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=2, tokens_per_minute=10_000)
    with sdk(sandbox, profile) as client:
        for left in ("1", "0"):
            answer = client.chat.completions.with_raw_response.create(model="m", messages=user("Reply: alpha"))
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert answer.headers["x-ratelimit-remaining-requests"] == left
            assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 10_000
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="m", messages=user("Reply: alpha"))
    told = refused.value.response.headers
    assert 0 < int(told["retry-after-ms"]) <= 30_000
    assert int(told["retry-after"]) * 1000 >= int(told["retry-after-ms"])
    assert told["x-ratelimit-reset-requests"].endswith("s")
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    assert "requests per min (RPM): Limit 2, Used 2, Requested 1" in str(refused.value)
    assert stats(sandbox, profile)["refused"] == 1


def test_tokens_are_limited_too_and_what_never_fits_says_so(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, tokens_per_minute=30)
    with sdk(sandbox, profile) as client, pytest.raises(openai.RateLimitError) as refused:
        client.responses.create(model="m", input=EXPLAIN, stream=True)
    assert refused.value.type == "tokens"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "Request too large" in str(refused.value)


def test_keys_and_profiles_have_accounts_of_their_own_and_equal_profiles_share_one(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=1, seed=21)
    other = SandboxProfile(first_token_ms=0, token_ms=0, requests_per_minute=1, seed=22)
    asked = {"model": "m", "messages": user("Reply: alpha")}
    with sdk(sandbox, profile) as one, sdk(sandbox, profile) as same:
        one.chat.completions.create(**asked)  # type: ignore[call-overload]
        with pytest.raises(openai.RateLimitError):
            same.chat.completions.create(**asked)  # type: ignore[call-overload]
    with sdk(sandbox, profile, key="another") as another, sdk(sandbox, other) as elsewhere:
        another.chat.completions.create(**asked)  # type: ignore[call-overload]
        elsewhere.chat.completions.create(**asked)  # type: ignore[call-overload]


# Faults


def test_errors_come_as_openai_writes_them(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, error_rate=1)
    with sdk(sandbox, profile) as client, pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="m", messages=user("Reply: alpha"))
    assert (failed.value.status_code, failed.value.type) == (500, "server_error")
    assert stats(sandbox, profile)["failed"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_lasts_until_the_client_hangs_up(sandbox: SandboxProcess, stream: bool) -> None:
    profile = SandboxProfile(first_token_ms=0, hang_rate=1, seed=30 + stream)

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=sandbox.base_url(profile), api_key="k", max_retries=0) as client:
            call = asyncio.ensure_future(
                client.chat.completions.create(model="m", messages=user("Reply: alpha"), stream=stream)
            )
            await asyncio.to_thread(until, sandbox, profile, "in_flight", 1)
            assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.to_thread(until, sandbox, profile, "hung_up", 1)

    asyncio.run(run())
    assert stats(sandbox, profile)["in_flight"] == 0


def test_hanging_up_between_two_tokens_ends_the_call_at_once(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=600_000, token_sigma=0)
    with sdk(sandbox, profile) as client:
        stream = client.chat.completions.create(model="m", messages=user(EXPLAIN), stream=True)
        next(iter(stream))
        stream.close()
    until(sandbox, profile, "hung_up", 1)
    assert stats(sandbox, profile)["in_flight"] == 0


def test_a_truncated_answer_breaks_the_socket_before_its_announced_length(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, truncation_rate=1)
    parts = urlsplit(sandbox.base_url(profile))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("POST", f"{parts.path}/chat/completions", json.dumps({"model": "m", "messages": user(EXPLAIN)}))
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as broken:
        response.read()
    connection.close()
    assert 0 < len(broken.value.partial) < int(response.headers["content-length"])
    assert stats(sandbox, profile)["truncated"] == 1


def test_a_truncated_stream_ends_without_its_last_chunk(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(first_token_ms=0, token_ms=0, truncation_rate=1, seed=40)
    whole_profile = SandboxProfile(first_token_ms=0, token_ms=0, seed=40)
    with sdk(sandbox, profile) as client, sdk(sandbox, whole_profile) as whole_client:
        chunks = list(client.chat.completions.create(model="m", messages=user(EXPLAIN), stream=True))
        events = list(client.responses.create(model="m", input=EXPLAIN, stream=True))
        whole = whole_client.chat.completions.create(model="m", messages=user(EXPLAIN)).choices[0].message.content
    got = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole is not None
    assert 0 < len(got) < len(whole)
    assert whole.startswith(got)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)
    assert events[-1].type == "response.output_text.delta"


def test_one_profiles_faults_and_load_leave_another_alone(sandbox: SandboxProcess) -> None:
    broken = SandboxProfile(first_token_ms=0, error_rate=1, seed=51)
    sound = SandboxProfile(first_token_ms=0, token_ms=0, seed=51)
    with sdk(sandbox, broken) as failing, sdk(sandbox, sound) as answering:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                failing.chat.completions.create(model="m", messages=user("Reply: alpha"))
            answering.chat.completions.create(model="m", messages=user("Reply: alpha"))
    assert (stats(sandbox, broken)["failed"], stats(sandbox, broken)["answered"]) == (3, 0)
    assert (stats(sandbox, sound)["failed"], stats(sandbox, sound)["answered"]) == (0, 3)


def test_one_connection_carries_many_calls(sandbox: SandboxProcess) -> None:
    with sdk(sandbox, FAST) as client:
        client.chat.completions.create(model="m", messages=user("Reply: alpha"))
        before = get(sandbox, "/stats")["connections"]
        for _ in range(5):
            client.chat.completions.create(model="m", messages=user("Reply: alpha"))
        after = get(sandbox, "/stats")["connections"]
    assert after - before == 1  # the one that asked for these figures
