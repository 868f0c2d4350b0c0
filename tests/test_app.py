"""The real command: `streamlit run dashboard/app.py`, from the root and from elsewhere."""

import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from dashboard import announce
from dashboard.guard import inline_script_hashes

ROOT = Path(__file__).resolve().parent.parent
UP_WITHIN_S = 60.0
"""Only ever means failure."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(port: int, *flags: str) -> list[str]:
    app = str(ROOT / "dashboard" / "app.py")
    return [sys.executable, "-m", "streamlit", "run", app, "--server.port", str(port), *flags]


@contextmanager
def _started(folder: Path, port: int, *flags: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        _command(port, *flags),
        cwd=folder,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("FANOUT_")}, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _until_said(child: subprocess.Popen[str], words: str) -> str:
    """Read what the command says until it says `words`."""
    assert child.stdout is not None
    said = ""
    while words not in said:
        line = child.stdout.readline()
        assert line, f"it never said {words!r}, but: {said}"
        said += line
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    status: int
    headers: Message
    body: bytes


def _get(port: int, path: str, host: str = "127.0.0.1") -> _Page:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=UP_WITHIN_S)) as connection:
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        response = connection.getresponse()
        return _Page(status=response.status, headers=response.headers, body=response.read())


def _await_up(port: int) -> None:
    """The terminal names the address before the server listens: knock until it opens."""
    while True:
        try:
            _get(port, "/health")
        except ConnectionRefusedError:
            continue
        return


@pytest.mark.parametrize("elsewhere", [False, True], ids=["from the root", "from elsewhere"])
def test_the_command_serves_the_page_on_this_machine_and_ends_when_told(elsewhere: bool, tmp_path: Path) -> None:
    port = _free_port()
    with _started(tmp_path if elsewhere else ROOT, port) as child:
        assert _until_said(child, str(port)) == f"Fanout answers at http://127.0.0.1:{port}\n"
        _await_up(port)
        health = _get(port, "/health")
        assert (health.status, json.loads(health.body)) == (200, {"status": "ok", "runs_going": 0})
        page = _get(port, "/")
        policy = page.headers["Content-Security-Policy"]
        assert set(inline_script_hashes(page.body.decode())) <= set(re.findall(r"'sha256-([^']+)'", policy))
        assert b"<script>" in page.body
        assert _get(port, "/", host="evil.example").status == 403
        child.send_signal(signal.SIGTERM)
        assert "Traceback" not in child.communicate(timeout=UP_WITHIN_S)[0]


def test_an_address_that_other_machines_reach_is_refused_at_the_start(tmp_path: Path) -> None:
    with _started(tmp_path, _free_port(), "--server.address", "0.0.0.0") as child:
        said = child.communicate(timeout=UP_WITHIN_S)[0]
    assert said.startswith("Fanout did not start: server.address is 0.0.0.0")
    assert "FANOUT_INSECURE=1" in said
    assert said.count("\n") == 1, "the sentence is all there is"
    assert child.returncode != 0


def test_a_store_that_cannot_be_opened_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "fanout.db").write_text("no database")
    with _started(tmp_path, _free_port(), FANOUT_DATA_DIR=str(tmp_path)) as child:
        said = child.communicate(timeout=UP_WITHIN_S)[0]
    assert re.fullmatch(r"Fanout did not start: the store .*fanout\.db cannot be opened: .*\n", said)
    assert child.returncode != 0


@pytest.mark.parametrize(
    ("address", "more", "says"),
    [
        ("127.0.0.1", {}, "http://127.0.0.1:8501"),
        ("::1", {"base": "/fan"}, "http://[::1]:8501/fan"),
        (None, {}, "http://localhost:8501, and at every address of this machine"),
        ("0.0.0.0", {"https": True}, "https://localhost:8501, and at every address of this machine"),
        ("127.0.0.1", {"origin": "https://fanout.example", "base": "/fan"}, "https://fanout.example/fan"),
    ],
)
def test_the_terminal_says_where_to_open_it(address: str | None, more: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"base": "", "https": False, **more}
    assert announce.answers_at(address, 8501, **given) == f"Fanout answers at {says}"


def test_what_else_the_server_has_to_say_is_said() -> None:
    quiet = announce.RefusalsAreSentences()
    other = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Traceback ...\nZeroDivisionError", (), None)
    assert quiet.filter(other)
    assert other.getMessage() == "Traceback ...\nZeroDivisionError"
    last = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Application startup failed. Exiting.", (), None)
    assert quiet.filter(last)


def test_secrets_that_cannot_be_read_do_not_open_the_door(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[auth\n")
    with _started(tmp_path, _free_port(), "--secrets.files", str(secrets)) as child:
        said = child.communicate(timeout=UP_WITHIN_S)[0]
    assert "Fanout did not start: Streamlit's secrets cannot be read" in said
    assert child.returncode != 0


def test_whoever_says_that_it_is_insecure_may_listen_for_other_machines(tmp_path: Path) -> None:
    port = _free_port()
    with _started(tmp_path, port, "--server.address", "0.0.0.0", FANOUT_INSECURE="1") as child:
        _until_said(child, str(port))
        _await_up(port)
        assert _get(port, "/health", host="fanout.example").status == 200


def test_a_request_that_a_proxy_hands_on_is_refused_where_nobody_logs_in(tmp_path: Path) -> None:
    port = _free_port()
    with _started(tmp_path, port) as child:
        _until_said(child, str(port))
        _await_up(port)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=UP_WITHIN_S)) as connection:
            connection.request("GET", "/", headers={"Host": "127.0.0.1", "X-Forwarded-For": "203.0.113.9"})
            answer = connection.getresponse()
            assert answer.status == 403
            assert b"no login is set up" in answer.read()


def test_a_wrong_setting_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    with _started(tmp_path, _free_port(), FANOUT_KEEP_RUNS="none") as child:
        said = child.communicate(timeout=UP_WITHIN_S)[0]
    assert "Fanout did not start: setting keep_runs" in said
    assert "Traceback" not in said
    assert child.returncode != 0
