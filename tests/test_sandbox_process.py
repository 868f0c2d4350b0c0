"""The child process: one is started however many ask, and none outlives who needed it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fanout.errors import BadInput
from fanout.sandbox.process import SandboxProcess, shared_sandbox
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.serve import _bound, serve

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    process = SandboxProcess(environ={})
    yield process
    process.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _wait_for_end(pid: int) -> None:
    while _is_running(pid):  # pytest's own timeout ends a wait that never will
        threading.Event().wait(0.01)


def test_it_starts_once_however_many_threads_ask(sandbox: SandboxProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda _: sandbox.url, range(32)))
    assert len(urls) == 1
    assert _answers(urls.pop())


def test_its_addresses_name_the_profile(sandbox: SandboxProcess) -> None:
    profile = SandboxProfile(seed=5)
    assert sandbox.base_url(profile) == f"{sandbox.url}/{profile.encoded()}/v1"
    assert sandbox.base_url() == f"{sandbox.url}/e30/v1"
    assert sandbox.url.startswith("http://127.0.0.1:")


def test_closing_ends_the_child_and_leaves_no_zombie(sandbox: SandboxProcess) -> None:
    url, pid = sandbox.url, sandbox.pid
    assert pid is not None
    sandbox.close()
    sandbox.close()
    assert not Path(f"/proc/{pid}").exists()
    assert not _answers(url)
    assert repr(sandbox) == "<SandboxProcess not started closed>"


def test_a_child_that_died_is_started_again_at_the_same_address(sandbox: SandboxProcess) -> None:
    url, pid = sandbox.url, sandbox.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(pid)
    assert sandbox.ensure() == url
    assert sandbox.pid != pid
    assert not Path(f"/proc/{pid}").exists()
    assert _answers(url)


def test_a_port_that_was_taken_meanwhile_is_given_up(sandbox: SandboxProcess) -> None:
    url, pid = sandbox.url, sandbox.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(pid)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        taken.listen()
        assert sandbox.ensure() != url
    assert _answers(sandbox.url)


def test_killing_the_parent_ends_the_child(tmp_path: Path) -> None:
    code = (
        "import time; from fanout.sandbox.process import SandboxProcess; p = SandboxProcess(environ={});"
        "print(p.url, p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=_found_from_anywhere()
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        url, pid = said.readline().split()
        assert _answers(url)
        parent.kill()
        parent.wait()
    _wait_for_end(int(pid))
    assert not _answers(url)


def test_the_child_imports_neither_pydantic_ai_nor_streamlit() -> None:
    code = (
        "import sys, fanout.sandbox.serve;"
        "print([name for name in ('pydantic_ai', 'openai', 'streamlit', 'plotly', 'httpx2') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.strip() == "[]"


def test_a_sandbox_elsewhere_is_used_and_none_is_started(sandbox: SandboxProcess) -> None:
    elsewhere = SandboxProcess(environ={"FANOUT_SANDBOX_URL": sandbox.url + "/"})
    assert elsewhere.url == sandbox.url
    assert elsewhere.pid is None
    elsewhere.close()
    assert _answers(sandbox.url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "no sandbox answers"),
        ("https://127.0.0.1:8600", "must be like"),
        ("http://127.0.0.1:port", "must be like"),
        ("http://127.0.0.1:8600/v1", "must be like"),
        ("nonsense", "must be like"),
        ("http://[", "must be like"),
    ],
)
def test_an_address_without_a_sandbox_is_bad_input(url: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        SandboxProcess(environ={"FANOUT_SANDBOX_URL": url}).start()


def test_another_server_is_not_taken_for_a_sandbox() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BadInput, match="is not a Fanout sandbox"):
            SandboxProcess(environ={"FANOUT_SANDBOX_URL": f"http://127.0.0.1:{listener.getsockname()[1]}"}).start()
        thread.join()


def test_the_shared_one_is_one() -> None:
    assert shared_sandbox() is shared_sandbox()


def test_a_port_in_use_is_bad_input() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match="in use"):
            serve(port=taken.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_others_are_not_served_unless_told(host: str) -> None:
    with pytest.raises(BadInput, match="this machine only"):
        serve(host=host, port=0)


def test_a_host_that_is_not_here_is_bad_input() -> None:
    with pytest.raises(BadInput, match="cannot listen"):
        serve(host="192.0.2.1", port=0, allow_remote=True)


_SERVING = """
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.serve import serve
try:
    serve(port=0, profile=SandboxProfile(hang_rate=1), on_ready=lambda url: print(url, flush=True))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_serve_quietly_even_while_a_request_hangs() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    host, port = url.removeprefix("http://").split(":")
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection((host, int(port))) as hanging:
        hanging.sendall(head + body)
        while b'"in_flight":1' not in urllib.request.urlopen(f"{url}/stats").read():
            threading.Event().wait(0.01)
        server.send_signal(signal.SIGINT)
        said, complaints = server.communicate(timeout=30)
    assert (server.returncode, said, complaints) == (0, "interrupted\n", "")


def test_small_packets_leave_at_once() -> None:
    with _bound("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP  # by this asyncio turns Nagle's algorithm off


def _found_from_anywhere() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
