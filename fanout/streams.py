"""The command line's three streams, made safe to print on: what cannot be encoded is spelled out, what is lost is told.

Comes in: the streams that the process was started with. Goes out: text on them, or `OutputLost` where standard output
takes nothing more; words on standard error never fail. Knows nothing of runs.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from fanout.errors import BadInput, FanoutError

_AS_JSON = "fanout.as_json"


class OutputLost(FanoutError):
    """Standard output takes nothing more: its disk is full, say, or whoever read it has gone."""

    def __init__(self, error: OSError) -> None:
        self.reader_has_gone = isinstance(error, BrokenPipeError)
        why = "its reader has gone" if self.reader_has_gone else (error.strerror or str(error))
        super().__init__(f"standard output takes nothing more: {why}")


def make_safe() -> None:
    """Once, at the start of a command: nothing that is printed from now on fails for what it says or where it goes."""
    for descriptor in range(3):
        _occupy(descriptor)
    codecs.register_error(_AS_JSON, _spelled_out)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_AS_JSON)
    heard = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    sys.stderr = cast(TextIO, _Unfailing(heard))


def results_out() -> TextIO:
    """Standard output, for a command whose purpose is to print. Raises BadInput where it was closed at the start."""
    if sys.stdout is None:
        raise BadInput("standard output is closed, so nothing can be printed: send it to a file, or to /dev/null")
    return sys.stdout


@contextmanager
def printing(out: TextIO) -> Iterator[TextIO]:
    """What is written on `out` within it has left this process at its end, or OutputLost is raised, once.

    From then on what is written on it goes nowhere, and fails no more: at the exit, say, which writes what is left.
    """
    try:
        yield out
        out.flush()
    except OSError as exc:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, out.fileno())
            os.close(nowhere)
        raise OutputLost(exc) from exc


def put(line: str, out: TextIO) -> None:
    """One line, at once. Raises OutputLost."""
    with printing(out):
        out.write(f"{line}\n")


def _occupy(descriptor: int) -> None:
    """A descriptor that was closed is taken: or the next file, the store's, gets it, and what is printed on it."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


def _spelled_out(error: UnicodeError) -> tuple[str, int]:
    """As JSON escapes it, which is right within a JSON line and can be read elsewhere.

    >>> _spelled_out(UnicodeEncodeError("ascii", "é☃😀", 0, 3, ""))
    ('\\\\u00e9\\\\u2603\\\\ud83d\\\\ude00', 3)
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


class _Unfailing:
    """Standard error, on which words are lost where nobody can read them: they never end what they are about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
