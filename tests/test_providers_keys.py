"""A key that a provider says back in an answer is struck out, by its very value; words that look like keys stay."""

from __future__ import annotations

import json

import pytest

from fanout.batch import Batch
from fanout.calls import Reply
from fanout.calls.completion import Completion
from fanout.providers.keys import masked, sent_with
from tests.hostile import END, EVENTS_HEAD, Answer, Hostile, Received, chat, chunk, http, stream
from tests.test_providers_others import BEGUN, FINISHED, VARIABLES, WHOLE

KEY = "zq81/5ry7w=lk2mvt0ub9xc4nd6pe3fg"


def ask(model: str, *, streams: bool) -> Reply:
    caller = Completion(Batch(prompts=["hello"], model=model, stream=streams, timeout_s=10.0))
    return caller.send("hello", on_sent=lambda _: None, on_first_token=lambda _: None).reply()


def retold(body: bytes, words: str) -> bytes:
    """A body that says yes, made to say `words`."""
    return body.replace(b'"yes"', json.dumps(words).encode())


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", VARIABLES)
def test_what_a_request_was_let_in_by_is_struck_out_of_its_answer(
    provider: str, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"You sent {KEY}, or Bearer {KEY}."

    def script(request: Received) -> Answer:
        if not streams:
            return [http(200, retold(json.dumps(WHOLE[provider]).encode(), words))]
        events = [*BEGUN[provider], *FINISHED[provider]]
        lines = [each.partition(b"\r\n")[2].removesuffix(b"\r\n") for each in events]
        return [EVENTS_HEAD, *(chunk(retold(each, words)) for each in lines), END]

    with Hostile(script) as server:
        key, url = VARIABLES[provider]
        monkeypatch.setenv(key, KEY)
        monkeypatch.setenv(url, server.base_url if provider == "openai" else server.base_url.removesuffix("/v1"))
        reply = ask(f"{provider}:m", streams=streams)
        assert (reply.error, reply.output) == (None, "You sent [key], or Bearer [key].")


@pytest.mark.parametrize("streams", [False, True])
def test_a_key_in_pieces_of_a_stream_and_of_a_provider_built_elsewhere_is_struck_out(
    streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stream("You sent ", KEY[:9], KEY[9:20], KEY[20:], ".") if streams else chat(f"You sent {KEY}.")
    with Hostile([answer]) as server:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.base_url.removesuffix("/v1"))
        assert ask("azure:m", streams=streams).output == "You sent [key]."
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert ask("openai-chat:m", streams=streams).output == "You sent [key]."


def test_an_answer_may_speak_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Set sk-proj-your-key-goes-here-0001, then send Authorization: Bearer abcdefgh12345678."
    with Hostile([chat(words)]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert ask("openai-chat:m", streams=False).output == words


@pytest.mark.parametrize("key", ["EMPTY", "lm-studio", "no-key-needed", "x"])
def test_a_stand_in_for_a_key_is_a_word(key: str) -> None:
    assert masked(f"The answer is {key}.", (key,)) == f"The answer is {key}."


def test_the_headers_that_let_a_request_in_are_known_in_any_case() -> None:
    names = (b"Authorization", b"api-key", b"X-API-Key", b"x-goog-api-key")
    headers = [(name, b"Bearer " * (name == b"Authorization") + name.lower() + b"-0001") for name in names]
    assert sent_with([*headers, (b"accept", b"*/*"), (b"openai-organization", b"org-of-the-tests")]) == (
        "authorization-0001",
        "api-key-0001",
        "x-api-key-0001",
        "x-goog-api-key-0001",
    )
