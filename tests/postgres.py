"""A PostgreSQL server that a test run starts for itself: on loopback, as an unprivileged user, in a folder that goes.

Comes in: nothing; Debian's packages bring the binaries. Goes out: URLs of databases with nothing in them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

UP_WITHIN_S = 60
"""Only ever means failure."""
USER = "fanout"


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).parent


class Postgres:
    """One server. It can be stopped and started again in a test that needs it gone."""

    def __init__(self) -> None:
        # Not pytest's folder: its parents are closed to the user that the server runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="fanout-postgres-"))
        self._as_user: list[str] = []
        if os.getuid() == 0:  # the server refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as_user = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._made = 0
        self._run("initdb", "-A", "trust", "-U", USER, "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} "
            "-c fsync=off -c max_connections=200"
        )
        self._run("pg_ctl", "-w", "-t", str(UP_WITHIN_S), "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once: every connection is lost, as when its machine dies."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Meanwhile none of its processes does anything: connections stay open, also new ones, and say nothing."""
        server = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        stopped = [server]
        try:
            os.kill(server, signal.SIGSTOP)  # first: it makes no further process
            for child in map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGSTOP)
                    stopped.append(child)
            yield
        finally:
            for process in stopped:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def fresh(self) -> str:
        """The URL of a new database."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def made(self) -> list[str]:
        """The URLs of all databases that were made."""
        return [self._url(f"test{number + 1}") for number in range(self._made)]

    def remove(self) -> None:
        """Stop it and leave nothing behind."""
        try:
            self._run("pg_ctl", "-w", "-m", "immediate", "stop", check=False)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def _run(self, name: str, *arguments: str, check: bool = True) -> None:
        folder = binaries()
        assert folder is not None
        command = [*self._as_user, str(folder / name), "-D", str(self._folder / "data"), *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe: the server would keep it open
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=UP_WITHIN_S,
        )
        assert done.returncode == 0 or not check, f"{name} failed: see {self._folder}"
