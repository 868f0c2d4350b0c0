"""What a kill test stands on: a provider that counts what it was asked, and a command line that can be killed.

The command runs in a child of a warm process (`fork`), so that a kill costs no second start of the interpreter: the
child is a process like any other, with a number of its own, and is killed like any other.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parent.parent
KEY = "sk-kill-0123456789abcdefghijklmnop"


class Counted(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An OpenAI-compatible server: it counts every prompt as soon as it was read, and answers `latency_s` later."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256
    latency_s: ClassVar[float] = 0.01

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prompts: Counter[str] = Counter()
        self.answers = 0
        self.lock = threading.Lock()
        self._connections = 0
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is to be."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def taken(self) -> Counter[str]:
        """The prompts that were asked since the last time."""
        with self.lock:
            found, self.prompts = self.prompts, Counter()
        return found

    @property
    def is_quiet(self) -> bool:
        """Whether nobody is connected: all that a client sent has been counted."""
        with self.lock:
            return self._connections == 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """One more is connected."""
        with self.lock:
            self._connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """One has gone."""
        super().shutdown_request(request)
        with self.lock:
            self._connections -= 1

    def close(self) -> None:
        """Answer nobody any more."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed hangs up: nothing to say."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.prompts[prompt] += 1
        time.sleep(self.server.latency_s)  # the provider's own latency
        message = {"role": "assistant", "content": f"answer to {prompt}"}
        answer = json.dumps(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 1,
                "model": "counted",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        with self.server.lock:
            self.server.answers += 1

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Command:
    """`python -m fanout ARGUMENTS`, forked off a warm process; its output goes to files."""

    def __init__(self, pid: int, out: Path) -> None:
        self.pid = pid
        self.out = out

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines that it has printed."""
        whole = self.out.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self) -> str:
        """What it has printed on standard error."""
        return self.out.with_suffix(".err").read_text()


class Forge:
    """A warm process that forks commands and tells how they ended."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self._made = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: str) -> Command:
        """Start the command."""
        self._made += 1
        out = self._folder / f"command{self._made}.out"
        out.touch()
        out.with_suffix(".err").touch()
        return Command(int(self._ask({"start": list(arguments), "out": str(out)})), out)

    def wait(self, command: Command) -> int:
        """Its exit code once it has ended; a negative one is a signal."""
        return int(self._ask({"wait": command.pid}))

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the warm process has ended"
        return answer


@contextmanager
def forge(folder: Path, **environment: str) -> Iterator[Forge]:
    """A warm process, ended at the end."""
    made = Forge(folder, **environment)
    try:
        yield made
    finally:
        made.close()


def _main() -> None:
    """The warm process: no thread is started before a fork."""
    import openai.resources.chat.completions  # noqa: F401
    import pydantic_ai.direct
    import pydantic_ai.models.openai  # noqa: F401
    import rich.progress  # noqa: F401

    import fanout.__main__
    import fanout.providers.asking
    import fanout.providers.ready  # noqa: F401

    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _become(question["start"], question["out"])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(arguments: list[str], out: str) -> None:
    import fanout.__main__

    os.dup2(os.open(out, os.O_CREAT | os.O_WRONLY), 1)
    os.dup2(os.open(out.removesuffix(".out") + ".err", os.O_CREAT | os.O_WRONLY), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["fanout", *arguments]
    code: object = 1
    try:
        code = fanout.__main__.main()
    except SystemExit as exc:
        code = exc.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _main()
