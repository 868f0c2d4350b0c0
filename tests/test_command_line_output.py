"""Output that cannot be written, as a user meets it: letters it does not have, a full disk, a reader who leaves."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from fanout.run import Run
from fanout.store.database import url_of
from fanout.streams import OutputLost, printing, put
from tests.killing import KEY, Counted
from tests.stores import eventually, refusing
from tests.test_store_kill import only_run, stored

ROOT = Path(__file__).parent.parent
FULL = Path("/dev/full")
"""Every write fails as on a full disk."""
OF_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("fanout", run_name="__main__")
"""
"""The command with standard input as its terminal, which tells it when it is closed."""
SNOW = "snow ☃, é, 😀"


@pytest.fixture
def provider() -> Iterator[Counted]:
    server = Counted()
    try:
        yield server
    finally:
        server.close()


class Started:
    """A command that goes on; its words on standard error are in a file."""

    def __init__(
        self, folder: Path, provider: Counted, *arguments: str, stdout: int | IO[Any], grace_s: float = 10.0
    ) -> None:
        self._heard = folder / "heard"
        self.url = url_of(folder / "store")
        environment = {
            "FANOUT_DATA_DIR": str(folder / "store"),
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": KEY,
            "FANOUT_GRACE_S": str(grace_s),
        }
        prompts = folder / "prompts.txt"
        prompts.write_text("".join(f"prompt {number}\n" for number in range(40)))
        command = [sys.executable, "-m", "fanout", "run", str(prompts), "--model", "openai-chat:counted", *arguments]
        with self._heard.open("wb") as heard:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **environment}, stdout=stdout, stderr=heard
            )

    def said(self) -> str:
        return self._heard.read_text()

    def ended(self) -> int:
        code = self.process.wait(60)
        assert "Traceback" not in self.said(), self.said()
        assert "Exception ignored" not in self.said(), self.said()
        return code

    def run(self) -> Run:
        return stored(self.url, only_run(self.url))


def answered(run: Run) -> int:
    return sum(call.status == "answered" for call in run.calls)


def test_a_reader_that_leaves_lets_what_is_in_flight_end_and_be_stored(tmp_path: Path, provider: Counted) -> None:
    provider.latency_s = 0.4  # type: ignore[misc]  # of this server alone
    command = Started(tmp_path, provider, "--max-workers", "4", stdout=subprocess.PIPE)
    assert command.process.stdout is not None
    assert b"answered" in command.process.stdout.readline()
    command.process.stdout.close()
    assert command.ended() == 1
    run = command.run()
    assert run.stop_reason == "interrupted"
    assert answered(run) == sum(provider.taken().values()) >= 5  # all that was sent was waited for
    assert {call.fate for call in run.calls} == {"answered", "not_sent"}
    lost, stopping, _summary, shown, rest = command.said().splitlines()[1:]
    assert lost == "Standard output takes nothing more: its reader has gone."
    assert "in flight, 10 s to end. Ctrl+C hangs up." in stopping
    assert shown == f"What is stored is shown by: python -m fanout show {run.run_id}"
    assert rest == f"What is missing is sent by: python -m fanout resume {run.run_id}"


def test_a_terminal_that_is_closed_lets_what_is_in_flight_end_and_be_stored(tmp_path: Path, provider: Counted) -> None:
    """SIGHUP comes, and what is printed from then on, the bar too, has nowhere to go."""
    provider.latency_s = 0.4  # type: ignore[misc]  # of this server alone
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"prompt {number}\n" for number in range(40)))
    given = {"FANOUT_DATA_DIR": str(tmp_path / "store"), "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    ours, theirs = pty.openpty()
    command = ["run", str(prompts), "--model", "openai-chat:counted", "--max-workers", "4"]
    process = subprocess.Popen(
        [sys.executable, "-c", OF_TERMINAL, *command],
        cwd=ROOT,
        env={**os.environ, **given, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"answered" not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    assert process.wait(60) == 1
    run = stored(url_of(tmp_path / "store"), only_run(url_of(tmp_path / "store")))
    assert run.stop_reason == "interrupted"
    assert answered(run) == sum(provider.taken().values()) >= 4
    assert {call.fate for call in run.calls} == {"answered", "not_sent"}


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_full_disk_under_the_output_ends_the_run_in_order(
    tmp_path: Path, provider: Counted, as_json: tuple[str, ...]
) -> None:
    provider.latency_s = 0.4  # type: ignore[misc]  # of this server alone
    with FULL.open("wb") as full:
        command = Started(tmp_path, provider, "--max-workers", "4", *as_json, stdout=full)
        assert command.ended() == 1
    run = command.run()
    assert answered(run) == sum(provider.taken().values()) >= 4
    assert "Standard output takes nothing more: No space left on device." in command.said()
    assert command.said().splitlines()[-2:] == [
        f"What is stored is shown by: python -m fanout show {run.run_id}",
        f"What is missing is sent by: python -m fanout resume {run.run_id}",
    ]


def test_only_the_summary_that_cannot_be_printed_asks_for_no_second_run(tmp_path: Path) -> None:
    """The results went through; the summary did not."""
    from fanout import terminal
    from tests.stores import Kept

    class FullAtTheEnd(io.StringIO):
        def write(self, text: str) -> int:
            if "summary" in text:
                raise OSError(28, "No space left on device")
            return super().write(text)

    with Kept(url_of(tmp_path)) as kept:
        live = kept.answered(2)
        out = FullAtTheEnd()
        assert terminal.follow(live, order="input", as_json=True, out=out) == terminal.NOT_PRINTED
    assert len(out.getvalue().splitlines()) == 2


def test_what_neither_the_store_nor_the_output_takes_is_told_on_standard_error(
    tmp_path: Path, provider: Counted
) -> None:
    """One full disk under both; then the process is told to end."""
    provider.latency_s = 0.2  # type: ignore[misc]  # of this server alone
    command = Started(tmp_path, provider, "--max-workers", "4", "--json", stdout=subprocess.PIPE)
    assert command.process.stdout is not None
    command.process.stdout.readline()
    eventually(lambda: provider.prompts.total() > provider.answers)
    with refusing(command.url):
        known = answered(command.run())
        eventually(lambda: provider.prompts.total() == provider.answers > known)
        command.process.stdout.close()
        command.process.send_signal(signal.SIGTERM)
        eventually(lambda: "that is tried a while longer" in command.said())
        command.process.send_signal(signal.SIGTERM)
        assert command.ended() == 1
    run = command.run()
    told = [json.loads(line) for line in command.said().splitlines() if line.startswith("{")]
    stored_too = {call.index for call in run.calls if call.status == "answered"}
    assert told
    assert not stored_too & {line["index"] for line in told}
    assert answered(run) + len(told) == sum(provider.taken().values())
    keep = [line for line in command.said().splitlines() if "keep these lines" in line]
    assert len(keep) == 1
    assert keep[0].startswith(f"{len(told)} of the answers above ")


def test_without_a_store_a_full_disk_throws_no_answer_away(tmp_path: Path, provider: Counted) -> None:
    with FULL.open("wb") as full:
        command = Started(tmp_path, provider, "--max-workers", "4", "--json", "--no-store", stdout=full)
        assert command.ended() == 1
    told = [json.loads(line) for line in command.said().splitlines() if line.startswith("{")]
    assert len(told) == sum(provider.taken().values()) >= 1
    assert "python -m fanout" not in command.said()


def test_both_streams_in_one_pipe_that_nobody_reads_end_the_run_in_order(tmp_path: Path, provider: Counted) -> None:
    read, write = os.pipe()
    environment = {"FANOUT_DATA_DIR": str(tmp_path), "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    process = subprocess.Popen(
        [sys.executable, "-m", "fanout", "run", "-", "--model", "openai-chat:counted", "--max-workers", "2"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=write,
    )
    os.close(write)
    os.close(read)
    assert process.stdin is not None
    process.stdin.write(b"one\ntwo\nthree\nfour\nfive\nsix\n")
    process.stdin.close()
    assert process.wait(60) == 1
    run = stored(url_of(tmp_path), only_run(url_of(tmp_path)))
    assert answered(run) == sum(provider.taken().values()) >= 1


def fanout(*arguments: str, folder: Path, provider: Counted, **environment: str) -> subprocess.CompletedProcess[bytes]:
    given = {"FANOUT_DATA_DIR": str(folder), "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
    return subprocess.run(
        [sys.executable, "-m", "fanout", *arguments],
        cwd=ROOT,
        env={**os.environ, **given, **environment},
        input=f"{SNOW}\n".encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_letters_that_the_output_does_not_have_are_spelled_out(
    tmp_path: Path, provider: Counted, encoding: str
) -> None:
    def say(*arguments: str) -> bytes:
        done = fanout(*arguments, folder=tmp_path, provider=provider, PYTHONIOENCODING=encoding)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        return done.stdout

    output = f"answer to {SNOW}"
    spelled = {"ascii": "snow \\u2603, \\u00e9, \\ud83d\\ude00", "cp1252": "snow \\u2603, é, \\ud83d\\ude00"}
    assert spelled.get(encoding, SNOW).encode(encoding) in say("run", "-", "--model", "openai-chat:counted")
    line, _summary = say("run", "-", "--model", "openai-chat:counted", "--json", "--name", SNOW).splitlines()
    assert json.loads(line.decode(encoding))["output"] == output
    row, *_ = say("runs", "--json").splitlines()
    read = json.loads(row.decode(encoding))
    assert read["name"] == SNOW
    assert spelled.get(encoding, SNOW).encode(encoding) in say("runs")
    assert spelled.get(encoding, SNOW).encode(encoding) in say("show", read["run_id"])
    assert json.loads(say("export", read["run_id"], "-"))["output"] == output  # a file's bytes: UTF-8
    assert output.encode() in say("export", read["run_id"], "-", "--format", "csv").replace(b'"', b"")


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "says"),
    [
        (">&-", "run -", 2, "fanout: standard output is closed, so nothing can be printed: send it to a file, or"),
        (">&-", "runs", 2, "fanout: standard output is closed"),
        (">&- 2>&-", "runs", 2, ""),
        ("2>&-", "run -", 0, ""),
        ("<&-", "run -", 2, "fanout: standard input is closed: there are no prompts on it"),
        ("> /dev/full", "runs", 1, "fanout: standard output takes nothing more: No space left on device"),
    ],
)
def test_a_closed_stream_is_a_sentence_and_nothing_is_sent(
    tmp_path: Path, closed: str, arguments: str, code: int, says: str
) -> None:
    if arguments == "runs":
        stored_run = "python -m fanout run - > /dev/null"
        subprocess.run(["bash", "-c", f"echo hello | {_with_data(tmp_path, stored_run)}"], cwd=ROOT, check=True)
    command = _with_data(tmp_path, f"python -m fanout {arguments}")
    line = command if "<&-" in closed else f"echo hello | {command}"
    done = subprocess.run(["bash", "-c", f"{line} {closed}"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert ("answered" in done.stdout) == (code == 0)


def _with_data(folder: Path, command: str) -> str:
    return f"FANOUT_DATA_DIR={folder} {command.replace('python', sys.executable, 1)}"


def test_a_stream_that_was_lost_fails_once_and_then_goes_nowhere() -> None:
    with FULL.open("w") as full:
        with pytest.raises(OutputLost, match=r"^standard output takes nothing more: No space left on device$"):
            put("a line", full)
        with printing(full):
            full.write("another")
