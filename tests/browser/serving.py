"""The dashboard as its users start it: `streamlit run dashboard/app.py`, in a process of its own.

Comes in: variables of the environment. Goes out: an address that answers, and what the terminal said. The environment
is a fresh one: no key, no setting and no Streamlit configuration of whoever runs the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.keys import JOURNEYS

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_S = 60.0
ENDED_WITHIN_S = 20.0
"""Both only ever mean failure."""
KEY = JOURNEYS
"""What stands for a secret in every server that is started here: it must turn up nowhere."""


_BEFORE_END: dict[str, list[Callable[[], object]]] = {}


_NOT_OURS = re.compile(
    r".* Error during authentication: access_denied\..*"  # Streamlit's word for a login that was denied
)


@contextmanager
def before_end(url: str, do: Callable[[], object]) -> Iterator[None]:
    """Have this done before the server of this address is ended in order: an open tab would miss it, and say so."""
    asked = _BEFORE_END.setdefault(url, [])
    asked.append(do)
    try:
        yield
    finally:
        asked.remove(do)


@dataclass(slots=True, kw_only=True)
class Served:
    """A dashboard that answers."""

    url: str
    port: int
    pid: int
    log: Path
    began_s: float
    """When the command was given (monotonic)."""
    was_killed: bool = False

    def kill(self) -> None:
        """End it as a power cut would: nothing in it runs any more."""
        os.kill(self.pid, signal.SIGKILL)
        self.was_killed = True

    def said(self) -> str:
        """What the terminal shows so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def runs_going(self) -> int:
        """How many runs go on."""
        return int(_json(f"{self.url}/health")["runs_going"])


def environment_of(folder: Path, **more: str) -> dict[str, str]:
    """What a process that lives in this folder finds around it."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **more}


@contextmanager
def served(folder: Path, port: int = 0, /, **environment: str) -> Iterator[Served]:
    """Start the command; at the end stop it by its own process id, and hold it to a clean log. Port 0: any free one."""
    port = port or _free_port()
    log = folder / "terminal.log"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    with log.open("w") as out:
        began_s = time.monotonic()
        child = subprocess.Popen(
            [*command, "--server.headless", "true"],
            cwd=ROOT,
            env=environment_of(folder, **environment),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        found = Served(url=f"http://127.0.0.1:{port}", port=port, pid=child.pid, log=log, began_s=began_s)
        try:
            _await_up(found, child)
            yield found
            assert found.was_killed or child.poll() is None, f"the server ended by itself: {found.said()}"
        finally:
            if not found.was_killed:
                for do in tuple(_BEFORE_END.get(found.url, ())):
                    do()
            _end(child)
    said = found.said()
    ours = _NOT_OURS.sub("", said)
    assert not re.search(r"Traceback|Exception|Error", ours), said
    assert KEY not in said


def _await_up(found: Served, child: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            assert _json(f"{found.url}/health")["status"] == "ok"
        except OSError:
            assert child.poll() is None, f"the server did not start: {found.said()}"
            assert time.monotonic() < found.began_s + UP_WITHIN_S, found.said()
            time.sleep(0.05)  # nothing tells when another process begins to listen
        else:
            return


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise


def _json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=UP_WITHIN_S) as answer:
        return dict(json.load(answer))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
