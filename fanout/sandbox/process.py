"""The sandbox as a child process: started when it is first needed, ended with the process that needed it.

Comes in: nothing, or FANOUT_SANDBOX_URL for one that runs elsewhere. Goes out: addresses to send to. The child ends by
itself when the pipe to its parent closes, so that even `kill -9` of the parent leaves no orphan.
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import select
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from fanout.errors import BadInput, FanoutError
from fanout.sandbox import NAME
from fanout.sandbox.profile import SandboxProfile

URL_VARIABLE = "FANOUT_SANDBOX_URL"
START_TIMEOUT_S = 30.0  # a child is up in half a second; only a machine in trouble needs more
END_TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 5.0
ROOT = Path(__file__).resolve().parents[2]


class SandboxProcess:
    """One sandbox server; any thread may use it. `close` it, or use it as a context manager.

    With FANOUT_SANDBOX_URL set in the environment nothing is started: that sandbox is asked once whether it is one.
    """

    def __init__(self, *, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        # Protects the three below: whoever comes first starts the child, and the others wait until it is up.
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._url: str | None = None
        self._elsewhere = False
        self._parents_child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SandboxProcess:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        child = self._child
        state = "elsewhere" if self._elsewhere else "closed" if child is None else f"process {child.pid}"
        return f"<SandboxProcess {self._url or 'not started'} {state}>"

    @property
    def url(self) -> str:
        """Its address, as in "http://127.0.0.1:40123"; started where it does not run."""
        return self.ensure()

    @property
    def pid(self) -> int | None:
        """The child's process id; None where there is none."""
        child = self._child
        return None if child is None else child.pid

    def base_url(self, profile: SandboxProfile | None = None) -> str:
        """This profile's OpenAI-compatible API (None: of the default one); started where it does not run."""
        return f"{self.ensure()}/{(profile or SandboxProfile()).encoded()}/v1"

    def start(self) -> None:
        """Start it, unless it runs; returns when it answers. Blocks for half a second: not for an event loop.

        Raises BadInput where FANOUT_SANDBOX_URL names no sandbox, and FanoutError where no child can be started.
        """
        self.ensure()

    def ensure(self) -> str:
        """Start it, or start it again where the child has died (at the same port, if it is free); gives its address."""
        with self._lock:
            if self._url is not None and (self._elsewhere or self._is_alive()):
                return self._url
            named = self._environ.get(URL_VARIABLE, "").strip().rstrip("/")
            if named:
                check_health(named)
                self._url, self._elsewhere = named, True
            else:
                self._start_child()
            assert self._url is not None
            return self._url

    def close(self) -> None:
        """End the child and wait for its end; any number of times."""
        with self._lock:
            child, self._child = self._child, None
            self._url, self._elsewhere = None, False
            parents, self._parents_child = self._parents_child, None
        if child is not None:
            _end(child)
        if parents is not None and parents.stdin is not None:
            parents.stdin.close()

    def _forked(self) -> None:
        """In a forked child: it runs elsewhere now, for the parent and us; it ends when both have closed the pipe."""
        self._lock = threading.Lock()
        if self._child is not None:
            self._child.returncode = 0  # whose end the parent waits for
            self._parents_child, self._child, self._elsewhere = self._child, None, True

    def _is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _start_child(self) -> None:
        last_port = urllib.parse.urlsplit(self._url or "").port or 0
        if self._child is not None:
            _end(self._child)
            self._child = None
        child = _spawn(last_port)
        url = _first_line(child)
        if url is None and last_port:
            _end(child)
            child = _spawn(0)
            url = _first_line(child)
        if url is None:
            _end(child)
            raise FanoutError(f"the sandbox did not start (exit code {child.returncode}): see the messages above")
        self._child, self._url = child, url


def check_health(url: str) -> None:
    """Raises BadInput unless a Fanout sandbox answers at this address."""
    remedy = f"start one with `python -m fanout sandbox`, or unset {URL_VARIABLE}"
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host = None
    if host is None or parts.scheme != "http" or parts.path:
        raise BadInput(f"{URL_VARIABLE} must be like http://127.0.0.1:8600, got {url!r}: {remedy}")
    try:
        connection = http.client.HTTPConnection(host, port, timeout=HEALTH_TIMEOUT_S)
        try:
            connection.request("GET", "/health")
            said = json.loads(connection.getresponse().read(65_536))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as exc:
        raise BadInput(f"no sandbox answers at {url} ({exc}): {remedy}") from exc
    except ValueError as exc:
        raise BadInput(f"what answers at {url} is not a Fanout sandbox: {remedy}") from exc
    if not isinstance(said, dict) or said.get("name") != NAME:
        raise BadInput(f"what answers at {url} is not a Fanout sandbox: {remedy}")


def _spawn(port: int) -> subprocess.Popen[bytes]:
    """The child, with a pipe each way. In a session of its own: Ctrl+C is for the parent, which then ends it in order.

    -P and PYTHONPATH find this very package, whatever the directory we were started in holds.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "fanout.sandbox", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        bufsize=0,
    )


def _first_line(child: subprocess.Popen[bytes]) -> str | None:
    """What the child says first, its URL; None where it ends or says nothing in time."""
    assert child.stdout is not None
    with child.stdout as said:
        ready, _, _ = select.select([said], [], [], START_TIMEOUT_S)
        line = said.readline().decode().strip() if ready else ""
    return line if line.startswith("http://") else None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the pipe, at which the child ends by itself, and reap it; kill it where it does not."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


_shared: SandboxProcess | None = None
_shared_lock = threading.Lock()  # protects _shared: two threads must not make two


def _after_fork() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    if _shared is not None:
        _shared._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def shared_sandbox() -> SandboxProcess:
    """The one sandbox of this process, not started yet where nobody has used it; closed when Python ends."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = SandboxProcess()
            atexit.register(_shared.close)
        return _shared
