"""What has just started, kept where a killed process leaves it: a file of each process, ahead of its next commit.

Comes in: `Started` events, as they happen. Goes out: those of a process that has died. A call may have been sent, and
billed, before the store knew of it: commits are made for many events at once, and no call waits for one. The lines are
handed to the system and not forced to the disk, so a process that is killed loses none of them; a power cut may.

No trouble with the file is ever trouble for a call: then only the store's own word is left.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from fanout.events import Event, Started

Write = Callable[[int, bytes], int]


def _c_write() -> Write:
    """`os.write`, but for one thing: it keeps the interpreter for the microsecond that the system takes.

    `os.write` lets go of it. To win it back from a thread that computes takes up to milliseconds, and all that time the
    writer's lock is held: of a streamed call it was 2 to 4 % of the CPU.
    """
    write = ctypes.PyDLL(None, use_errno=True).write
    write.argtypes, write.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_ssize_t

    def put(file: int, data: bytes) -> int:
        done = int(write(file, data, len(data)))
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return done

    return put


_write: Write = _c_write() if os.name == "posix" else os.write

MOST_BYTES = 64 * 1024
"""Above it the file is emptied, once all that it names is committed."""


class Starts:
    """The file of this process. Not thread-safe: the writer's lock stands over it."""

    def __init__(self, folder: Path, process_id: str) -> None:
        self._path = file_of(folder, process_id)
        self._file: int | None = None
        self._size = 0

    def __repr__(self) -> str:
        return f"<Starts {self._path}>"

    def note(self, run_id: str, events: Iterable[Event], *, shift_ns: int) -> None:
        """Before anything is sent: these have started. `shift_ns`: this process's instants minus the run's own."""
        lines = ""
        for event in events:
            if type(event) is Started:
                lines += f"{run_id} {event.at_ns - shift_ns} {event.call} {event.attempt} {event.lane}\n"
        if not lines:
            return
        with suppress(OSError):
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
            self._size += _write(self._file, lines.encode())

    def all_committed(self) -> None:
        """The store has all of them."""
        if self._file is not None and self._size > MOST_BYTES:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
                self._size = 0

    def close(self) -> None:
        """The process ends in order."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None
            self._path.unlink(missing_ok=True)


def file_of(folder: Path, process_id: str) -> Path:
    """Where a process keeps them."""
    return folder / f"starts-{process_id}"


def left_by(folder: Path, process_id: str, run_id: str) -> Sequence[Started]:
    """What a process that has died had started of a run, in order, on the run's own clock."""
    found = []
    with suppress(OSError):
        for line in file_of(folder, process_id).read_text(encoding="ascii", errors="replace").splitlines():
            name, *numbers = line.split(" ")
            with suppress(ValueError):  # its last line may be cut off
                at_ns, call, attempt, lane = map(int, numbers)
                if name == run_id:
                    found.append(Started(at_ns=at_ns, call=call, attempt=attempt, lane=lane))
    return found


def forget(folder: Path, process_ids: Iterable[str]) -> None:
    """Processes that have died, and whose runs are all closed."""
    for process_id in process_ids:
        with suppress(OSError):
            file_of(folder, process_id).unlink(missing_ok=True)
