"""kill -9 at random instants under load: what was printed is stored, what is stored is not sent again."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.fold import fold
from fanout.run import Run
from fanout.store.database import open_database, url_of
from fanout.store.sql import SqlStore
from tests.killing import KEY, Command, Counted, Forge, forge
from tests.postgres import Postgres
from tests.stores import eventually, file_of, folder_of, refusing

KILLS = 200 if os.environ.get("FANOUT_SOAK") else 20
PROMPTS = 400
WORKERS = 16


@pytest.fixture
def provider() -> Iterator[Counted]:
    server = Counted()
    try:
        yield server
    finally:
        server.close()


def environment(url: str, provider: Counted) -> dict[str, str]:
    return {"FANOUT_DATABASE_URL": url, "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}


def killed(warm: Forge, command: Command, provider: Counted, chance: random.Random) -> None:
    """Kill it at an instant that nobody chose, once it has asked something; it may have ended by then."""
    eventually(lambda: provider.prompts or _has_ended(command))
    threading.Event().wait(chance.expovariate(1 / 0.05))  # the random instant itself
    if not _has_ended(command):
        os.kill(command.pid, signal.SIGKILL)
    assert warm.wait(command) in (0, -signal.SIGKILL), command.said()
    eventually(lambda: provider.is_quiet)


def _has_ended(command: Command) -> bool:
    """Whether the child has become a zombie: its parent, the warm process, is asked later."""
    try:
        stat = Path(f"/proc/{command.pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def stored(url: str, run_id: str) -> Run:
    """The run as whoever finds it sees it."""
    database = open_database(url)
    store = SqlStore(database, folder=folder_of(database))
    try:
        store.settle(run_id)
        return fold(store.events(run_id))
    finally:
        store.close()


def only_run(url: str) -> str:
    from fanout.people import LOCAL
    from fanout.store.shelf import Shelf

    database = open_database(url)
    try:
        rows = Shelf(database).list(LOCAL).rows
        assert len(rows) == 1
        return rows[0].run_id
    finally:
        database.close()


def check(url: str, command: Command, before: Run | None, asked: Counter[str]) -> Run:
    """All that is promised, after one kill."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(file_of(url))
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        connection.close()
    run = stored(url, only_run(url))
    answers = {call.index: call.output for call in run.calls if call.status == "answered"}
    printed = {line["index"]: line["output"] for line in command.lines() if line.get("status") == "answered"}
    assert printed.items() <= answers.items(), "an answer that was printed is not stored"
    for index, output in answers.items():
        assert output == f"answer to {run.calls[index].prompt}"
    known: Counter[str] = Counter()
    if before is not None:
        for old, new in zip(before.calls, run.calls, strict=True):
            if old.status == "answered":
                assert new == old, "an answer that was stored has changed"
                known[old.prompt] += 1
    wanted = Counter(call.prompt for call in run.calls)
    for prompt, times in asked.items():
        assert times <= wanted[prompt] - known[prompt], "something was sent that had an answer"
    # Whatever was sent is answered or listed as possibly billed twice.
    last = run.stretches[-1].number
    accounted = Counter(call.prompt for call in run.calls for attempt in call.attempts if attempt.stretch == last)
    assert asked - accounted == Counter(), "the provider was asked what the store knows nothing of"
    lost = [call for call in run.calls if call.attempts and call.attempts[-1].lost]
    assert all(call.status != "answered" for call in lost)
    return run


def kill_again_and_again(url: str, provider: Counted, tmp_path: Path, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    prompts = tmp_path / "prompts.txt"
    # Every fourth prompt is there twice: duplicates stay apart.
    prompts.write_text("".join(f"prompt {number - number % 4 // 3}\n" for number in range(PROMPTS)))
    with forge(tmp_path, **environment(url, provider)) as warm:
        run: Run | None = None
        for _ in range(kills):
            if run is None or all(call.status == "answered" for call in run.calls):
                if run is not None:  # all of it is answered: another one
                    done = warm.start("delete", run.run_id, "--yes")
                    assert warm.wait(done) == 0, done.said()
                    run = None
                options = ("--model", "openai-chat:counted", "--max-workers", str(WORKERS), "--json")
                command = warm.start("run", str(prompts), *options)
            else:
                lost = [call.index + 1 for call in run.calls if call.status != "answered" and _was_lost(call)]
                command = warm.start("resume", run.run_id, "--json")
                killed(warm, command, provider, chance)
                listed = re.search(r"possibly billed twice: prompts? ([\d, ]+)", command.said())
                if listed is None:  # there was nothing to list, or it was killed before it came to that
                    assert not lost or not provider.prompts
                else:
                    assert [int(number) for number in listed[1].split(",")] == lost[:20]
                run = check(url, command, run, provider.taken())
                continue
            killed(warm, command, provider, chance)
            run = check(url, command, None, provider.taken())
        assert run is not None
        left = Counter(call.prompt for call in run.calls if call.status != "answered")
        last = warm.start("resume", run.run_id, "--json")
        assert warm.wait(last) == 0, last.said()
        assert provider.taken() == left
        end = check(url, last, run, Counter())
        assert all(call.status == "answered" for call in end.calls)


def _was_lost(call: object) -> bool:
    from fanout.run import Call

    assert isinstance(call, Call)
    return any(attempt.lost for attempt in call.attempts)


@pytest.mark.timeout(1500)
def test_a_killed_process_loses_no_answer_and_its_run_goes_on(tmp_path: Path, provider: Counted) -> None:
    kill_again_and_again(url_of(tmp_path / "store"), provider, tmp_path, kills=KILLS, seed=1)


@pytest.mark.timeout(600)
def test_a_killed_process_loses_no_answer_in_postgresql(tmp_path: Path, provider: Counted, postgres: Postgres) -> None:
    kill_again_and_again(postgres.fresh(), provider, tmp_path, kills=max(5, KILLS // 4), seed=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl+C"])
def test_a_process_that_is_told_to_end_lets_what_is_in_flight_end(
    tmp_path: Path, provider: Counted, number: signal.Signals
) -> None:
    url = url_of(tmp_path / "store")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"prompt {number}\n" for number in range(200)))
    provider.latency_s = 0.3  # type: ignore[misc]  # of this server alone
    with forge(tmp_path, **environment(url, provider)) as warm:
        command = warm.start("run", str(prompts), "--model", "openai-chat:counted", "--max-workers", "8", "--json")
        eventually(lambda: len(provider.prompts) >= 8)
        os.kill(command.pid, number)
        assert warm.wait(command) == 130, command.said()
        run = stored(url, only_run(url))
    asked = provider.taken()
    answered = [call for call in run.calls if call.status == "answered"]
    assert len(answered) == sum(asked.values()) >= 8  # whatever was sent was waited for
    assert {call.status for call in run.calls} == {"answered", "cancelled"}
    assert run.stop_reason == "interrupted"
    assert not any(attempt.lost for call in run.calls for attempt in call.attempts)
    assert f"python -m fanout resume {run.run_id}" in command.said() or "in flight" in command.said()
    assert command.lines()[-1]["summary"]["answered"] == len(answered)


def test_a_second_signal_hangs_up(tmp_path: Path, provider: Counted) -> None:
    url = url_of(tmp_path / "store")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"prompt {number}\n" for number in range(20)))
    provider.latency_s = 30.0  # type: ignore[misc]  # of this server alone
    with forge(tmp_path, **environment(url, provider), FANOUT_GRACE_S="600") as warm:
        command = warm.start("run", str(prompts), "--model", "openai-chat:counted", "--max-workers", "4", "--json")
        eventually(lambda: len(provider.prompts) >= 4)
        os.kill(command.pid, signal.SIGTERM)
        eventually(lambda: "in flight, 600 s to end" in command.said())
        os.kill(command.pid, signal.SIGTERM)
        assert warm.wait(command) == 130, command.said()
        run = stored(url, only_run(url))
        sent = sorted(int(prompt.split()[1]) + 1 for prompt in provider.taken())
        provider.latency_s = 0.01  # type: ignore[misc]
        again = warm.start("resume", run.run_id)
        assert warm.wait(again) == 0, again.said()
    assert {call.status for call in run.calls} == {"cancelled"}
    named = ", ".join(map(str, sent))
    assert again.said().splitlines()[0] == f"Hung up after being sent, so possibly billed twice: prompts {named}."


def test_a_wait_for_a_lost_store_ends_with_the_next_signal(tmp_path: Path, provider: Counted) -> None:
    url = url_of(tmp_path / "store")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"prompt {number}\n" for number in range(400)))
    provider.latency_s = 0.1  # type: ignore[misc]  # of this server alone
    with forge(tmp_path, **environment(url, provider)) as warm:
        command = warm.start("run", str(prompts), "--model", "openai-chat:counted", "--max-workers", "4", "--json")
        eventually(lambda: len(command.lines()) >= 4)
        with refusing(url):
            eventually(lambda: len(command.lines()) < provider.prompts.total() == provider.answers)
            os.kill(command.pid, signal.SIGINT)
            eventually(lambda: "that is tried a while longer. Ctrl+C ends it." in command.said())
            os.kill(command.pid, signal.SIGINT)
            assert warm.wait(command) == 130, command.said()
    *_, no_longer, not_stored, rest = command.said().splitlines()
    assert no_longer == "The store is waited for no longer."
    assert "not stored, and nowhere else: keep these lines." in not_stored
    assert rest.startswith("What is missing is sent by: python -m fanout resume ")
    told = command.lines()
    assert len([line for line in told if "index" in line]) == 400
    assert told[-1]["summary"]["answered"] == sum(line.get("status") == "answered" for line in told)


def test_another_list_is_sent_by_one_process_at_a_time(database_url: str, tmp_path: Path, provider: Counted) -> None:
    before, after = tmp_path / "before.txt", tmp_path / "after.txt"
    before.write_text("one\ntwo\n")
    after.write_text("one\ntwo\nthree\nfour\nfive\n")
    with forge(tmp_path, **environment(database_url, provider)) as warm:
        first = warm.start("run", str(before), "--model", "openai-chat:counted")
        assert warm.wait(first) == 0, first.said()
        run_id = only_run(database_url)
        provider.taken()
        provider.latency_s = 1.0  # type: ignore[misc]  # of this server alone
        both = [warm.start("resume", run_id, str(after)) for _ in range(2)]
        codes = {warm.wait(each): each for each in both}
        assert set(codes) == {0, 2}, [each.said() for each in both]
        assert provider.taken() == Counter(["three", "four", "five"])
        assert "another process is sending this list with the answers of run " + run_id in codes[2].said()
        assert "Traceback" not in codes[2].said()
        other = [warm.start("resume", run_id, str(after), "--model", f"openai-chat:{name}") for name in "ab"]
        assert [warm.wait(each) for each in other] == [0, 0]  # another question each
    assert provider.taken() == Counter(["three", "four", "five"] * 2)


def test_who_is_refused_is_told_nothing_of_bills(tmp_path: Path, provider: Counted) -> None:
    url = url_of(tmp_path / "store")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\nthree\n")
    provider.latency_s = 30.0  # type: ignore[misc]  # of this server alone
    with forge(tmp_path, **environment(url, provider)) as warm:
        command = warm.start("run", str(prompts), "--model", "openai-chat:counted")
        eventually(lambda: len(provider.prompts) == 3)
        os.kill(command.pid, signal.SIGKILL)
        warm.wait(command)
        provider.latency_s = 1.0  # type: ignore[misc]
        run_id = only_run(url)
        both = [warm.start("resume", run_id) for _ in range(2)]
        codes = {warm.wait(each): each for each in both}
    assert set(codes) == {0, 2}, [each.said() for each in both]
    assert "so possibly billed twice: prompts 1, 2, 3." in codes[0].said()
    assert "billed" not in codes[2].said()
    assert codes[2].said().startswith("fanout: this run still goes on in another process")


def test_nothing_is_left_to_send_of_a_run_that_is_answered(tmp_path: Path, provider: Counted) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\n")
    with forge(tmp_path, **environment(url_of(tmp_path / "store"), provider)) as warm:
        command = warm.start("run", str(prompts), "--model", "openai-chat:counted")
        assert warm.wait(command) == 0, command.said()
        run_id = only_run(url_of(tmp_path / "store"))
        again = warm.start("resume", run_id, "--model", "openai-chat:other", "--rpm", "5")
        plain = warm.start("resume", run_id)
        assert [warm.wait(each) for each in (again, plain)] == [0, 0]
    assert again.said().splitlines()[0] == (
        "Every prompt of this run is answered: nothing is left to send, and --model and --rpm change nothing. "
        "The list is sent again by: python -m fanout run FILE --model openai-chat:other"
    )
    assert plain.said().splitlines()[0] == (
        "Every prompt of this run is answered: nothing is left to send. "
        "The list is sent again by: python -m fanout run FILE --model openai-chat:counted"
    )
    assert again.out.read_text().count("answer to") == 2
