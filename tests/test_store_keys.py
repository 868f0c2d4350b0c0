"""No key is in the database, on the terminal or in an export, whatever a provider says back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.hostile import Answer, Hostile, Received, chat, status, stream
from tests.keys import BYSTANDER, SHAPES, in_folder, in_postgres
from tests.killing import forge
from tests.postgres import Postgres
from tests.stores import asked, eventually


def echoing(code: int) -> object:
    """Says the key that came with a request back in every way that a provider has."""

    def answer(request: Received) -> Answer:
        sent = request.headers.get("authorization", "")
        key = sent.removeprefix("Bearer ")
        words = f"Incorrect API key provided: {key}. You sent {sent!r} to https://user:{key}@host/."
        return status(code, words, error={"param": key, "code": "bad", "request": {"headers": {"auth": sent}}})

    return answer


def answering(request: Received) -> Answer:
    """Says it back in an answer, as a gateway that shows what it was asked does."""
    sent = request.headers.get("authorization", "")
    words = f"You sent {sent!r}, that is: {sent.removeprefix('Bearer ')}."
    return stream(*(words[at : at + 7] for at in range(0, len(words), 7))) if request.streams else chat(words)


@pytest.mark.parametrize("workers", ["2", "17"], ids=["streamed", "whole"])
@pytest.mark.parametrize("key", SHAPES.values(), ids=SHAPES.keys())
def test_a_key_that_an_answer_says_back_is_kept_nowhere(tmp_path: Path, key: str, workers: str) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Reply: alpha\nReply: beta\n")
    with Hostile(answering) as server:
        environment = {
            "FANOUT_DATA_DIR": str(tmp_path / "data"),
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": server.base_url,
        }
        with forge(tmp_path, **environment) as warm:
            ran = warm.start("run", str(prompts), "--model", "openai-chat:m", "--json", "--max-workers", workers)
            assert warm.wait(ran) == 0, ran.said()
            (run_id,) = [line["summary"]["run_id"] for line in ran.lines() if "summary" in line]
            for format in ("csv", "jsonl", "trace", "html", "run"):
                done = warm.start("export", run_id, str(tmp_path / f"export.{format}"), "--format", format)
                assert warm.wait(done) == 0, done.said()
    assert "You sent 'Bearer [key]', that is: [key]." in (tmp_path / "export.csv").read_text()
    assert in_folder(tmp_path, (key,)) == []


@pytest.mark.parametrize(
    ("key", "code"), tuple(zip(SHAPES.values(), (400, 401, 429, 500), strict=True)), ids=SHAPES.keys()
)
def test_a_key_that_a_provider_says_back_is_kept_nowhere(tmp_path: Path, key: str, code: int) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Reply: alpha\nReply: beta\n")
    with Hostile(echoing(code)) as server:  # type: ignore[arg-type]
        environment = {
            "FANOUT_DATA_DIR": str(tmp_path / "data"),
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": server.base_url,
            "ANTHROPIC_API_KEY": BYSTANDER,
        }
        with forge(tmp_path, **environment) as warm:
            options = ("--model", "openai-chat:m", "--json", "--retries", "0", "--timeout", "5")
            ran = warm.start("run", str(prompts), *options, "--cap-tokens", "100000")
            if code == 429:  # the run waits for as long as it must: it is stopped once it was refused
                eventually(lambda: server.requests >= 1)
                os.kill(ran.pid, signal.SIGTERM)
                assert warm.wait(ran) == 130, ran.said()
            else:
                assert warm.wait(ran) == 1, ran.said()
            assert server.requests >= 1
            (run_id,) = [line["summary"]["run_id"] for line in ran.lines() if "summary" in line]
            for format in ("csv", "jsonl", "trace", "html", "run"):
                done = warm.start("export", run_id, str(tmp_path / f"export.{format}"), "--format", format)
                assert warm.wait(done) == 0, done.said()
            for words in (("show", run_id), ("show", run_id, "--json"), ("runs", "--json")):
                done = warm.start(*words)
                assert warm.wait(done) == 0, done.said()
    assert "Incorrect API key provided: [key]" in (tmp_path / "export.run").read_text() or code == 429
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert in_folder(tmp_path, (key, BYSTANDER)) == []
    url = f"sqlite:///{tmp_path}/data/fanout.db"
    assert asked(url, "SELECT count(*) FROM run") == [(1,)]


def test_the_search_finds_a_key_wherever_it_is_kept(tmp_path: Path) -> None:
    """The search is held to account too: at the end of all tests it goes over everything that they left behind."""
    key = SHAPES["of no known shape"]
    (tmp_path / "clean.log").write_text("nothing")
    (tmp_path / "app.log").write_text(f"Bearer {key}")
    (tmp_path / "export.json").write_text(json.dumps({"said": key}).replace("/", "\\/"))
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE chunk (data TEXT)")
        connection.execute("INSERT INTO chunk VALUES (?)", ("x" * 4_050 + key + "x" * 4_050,))
        connection.commit()
    found = [each.split(",")[0] for each in in_folder(tmp_path)]
    assert found == ["a.db", "app.log", "export.json"]
    for path in tmp_path.iterdir():
        path.unlink()


def test_the_search_finds_a_key_in_postgresql(postgres: Postgres) -> None:
    url = postgres.fresh()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE chunk (data TEXT)")
        assert in_postgres(url) == []
        connection.execute("INSERT INTO chunk VALUES (%s)", ("x" * 9_000 + SHAPES["Google"],))
        connection.commit()
        assert in_postgres(url) == [f"{url.rsplit('/', 1)[-1]}.chunk"]
        connection.execute("DROP TABLE chunk")
