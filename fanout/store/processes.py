"""Who drives a run: processes by their row, and whether one still lives.

A process of this machine lives while its number belongs to the same process; of another machine, while its heartbeat is
fresh. A suspended process lives: nobody takes its runs over.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

BEAT_S = 1.0
"""How often a process that drives runs says that it lives."""
STALE_S = 15.0
"""A process of another machine that has been silent for so long is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, as the store knows it."""

    process_id: str
    host: str
    pid: int
    born: str
    beat_at: float = 0.0
    """When it last said that it lives, by the database's clock."""

    def lives(self, *, now_s: float) -> bool:
        """Whether it can still be driving a run. `now_s`: wall time of the clock that `beat_at` is of."""
        if self.host == _host():
            born = _born(self.pid)
            return born is not None and (born == self.born or "" in (born, self.born))
        return now_s - self.beat_at < STALE_S


def this_process() -> Process:
    """This process, under a new id."""
    pid = os.getpid()
    return Process(process_id=secrets.token_hex(8), host=_host(), pid=pid, born=_born(pid) or "")


def _host() -> str:
    """This boot of this machine, and its space of process numbers: two containers have two."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} without /proc"


def _born(pid: int) -> str | None:
    """When the process of this number started, in ticks since the boot; "" where that is hidden, None of no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if _exists(pid) else None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
