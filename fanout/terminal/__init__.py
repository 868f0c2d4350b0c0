"""A run on a terminal: results as they arrive, a progress bar, a summary.

Comes in: a LiveRun. Goes out: lines on a stream, and the exit code. Decides nothing about calls, but for one thing: a
run that pauses at its cap is stopped, because nobody is here to ask. What the lines say is `words`'.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.run import ENDED, Call, CallStatus, Run
from fanout.streams import OutputLost, printing, put
from fanout.terminal.words import (
    at_cap,
    held_words,
    long_wait,
    not_stored,
    printable,
    sends_the_rest,
    stopped_at_its_cap,
    summary,
    summary_json,
    told,
)

__all__ = [
    "INTERRUPTED",
    "NOT_PRINTED",
    "answers_not_stored",
    "asked_to_end",
    "follow",
    "held_words",
    "not_stored",
    "print_run",
    "printable",
    "sends_the_rest",
    "user_asks_to_end",
]

Order = Literal["input", "completion"]

ALL_ANSWERED, SOME_FAILED, NOT_PRINTED, INTERRUPTED = 0, 1, 3, 130
"""Exit codes; that of what could not be printed is 1 too, once more was said of it."""

LOOK_EVERY_S = 0.05
"""How often the run is looked at: a pause at a cap wakes nobody who waits for results."""

LONG_WAIT_S = 30.0
"""A wait for a limit that takes longer is worth a line, where there is no bar."""

KEPT_WITHIN_S = 10.0
"""How long a process that is to end waits for the store to take what it holds."""
_CAME_BACK: frozenset[CallStatus] = frozenset({"answered", "failed"})


class Flag:
    """What the handler of a signal may set: at the lock of an Event it might wait for the very code it interrupted."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Put it up."""
        self._is_set = True

    def clear(self) -> None:
        """Take it down."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is up."""
        return self._is_set


asked_to_end = Flag()
"""Set with every Ctrl+C. An exception would come up within a line, or be lost where it comes up in a finaliser."""
is_looked_at = Flag()
"""Set while `asked_to_end` is looked at between two lines."""


def follow(
    live: LiveRun, *, order: Order, as_json: bool, out: TextIO, grace_s: float = 0.0, is_stored: bool = True
) -> int:
    """Print each result as it arrives, then the summary; gives the exit code.

    Ctrl+C starts nothing further and gives what is in flight `grace_s` seconds to end; a second one hangs up. What ends
    until then is printed as ever, and then all the rest with its last word. A stream that takes nothing more ends the
    run in the same way; answers that are in no store (`is_stored`: whether there is one) go to standard error then.
    """
    interrupted = False
    with _progress() as progress, _looking():
        lines = _Lines(live, progress, order=order, as_json=as_json, out=out)
        try:
            lines.print_until_ended()
        except KeyboardInterrupt:
            interrupted = True
        except OutputLost:
            pass  # the lines know
        if interrupted or lines.lost is not None:
            _end_in_order(live, lines, grace_s)
    run = live.snapshot() if live.ended else live.record.now()
    lines.print_summary(run)
    if lines.lost is not None:
        lines.rescue(is_stored=is_stored)
    if interrupted or lines.lost is not None:
        _say_what_waits_for_the_store(live)
        return INTERRUPTED if lines.lost is None else NOT_PRINTED
    if (cap := stopped_at_its_cap(run)) is not None:
        print(at_cap(run, cap), file=sys.stderr, flush=True)
    answered = all(result.status == "answered" for result in run.results())
    return ALL_ANSWERED if answered else SOME_FAILED


def print_run(run: Run, *, as_json: bool, out: TextIO) -> None:
    """Print every result there is, in input order, then the summary. Raises OutputLost."""
    with printing(out):
        for call in run.calls:
            if call.status in ENDED:
                print(told(call, as_json=as_json, run_id=run.run_id), file=out)
    _print_summary(run, as_json=as_json, out=out)


def _end_in_order(live: LiveRun, lines: _Lines, grace_s: float) -> None:
    """Nothing further starts; what is in flight has a bounded time; what is left then is hung up."""
    with suppress(KeyboardInterrupt):
        asked_to_end.clear()
        lines.go_on_to_the_end()
        live.interrupt()
        in_flight = sum(call.status == "running" for call in live.record.now().calls)
        if in_flight and grace_s > 0:
            calls = "1 call" if in_flight == 1 else f"{in_flight:,} calls"
            print(f"Stopping: {calls} in flight, {grace_s:g} s to end. Ctrl+C hangs up.", file=sys.stderr, flush=True)
            lines.print_until_ended(within_s=grace_s, waits_for_store=False)
    live.cancel()
    with suppress(KeyboardInterrupt):
        asked_to_end.clear()
        if lines.print_until_ended(within_s=KEPT_WITHIN_S):
            return
    asked_to_end.clear()
    lines.print_from_memory()


def answers_not_stored(live: LiveRun) -> int:
    """How many answers memory alone holds."""
    there, kept = (sum(call.status == "answered" for call in run.calls) for run in (live.record.now(), live.snapshot()))
    return there - kept


def _say_what_waits_for_the_store(live: LiveRun) -> None:
    """The store cannot be written, and the process is to end all the same."""
    if live.ended:
        return
    if live.trouble is not None:
        print(live.trouble, file=sys.stderr, flush=True)
    if count := answers_not_stored(live):
        print(f"{not_stored(count)} yet: that is tried a while longer. Ctrl+C ends it.", file=sys.stderr, flush=True)


def user_asks_to_end() -> None:
    """Ctrl+C: noted where it is looked at, an exception otherwise. In a signal's handler."""
    is_noted = is_looked_at.is_set() and not asked_to_end.is_set()  # one that waits to be seen: something is stuck
    asked_to_end.set()
    if not is_noted:
        raise KeyboardInterrupt


def _raise_if_asked_to_end() -> None:
    if asked_to_end.is_set():
        raise KeyboardInterrupt


@contextmanager
def _looking() -> Iterator[None]:
    """Within it, a Ctrl+C is no exception, unless the one before it was not noticed yet."""
    is_looked_at.set()
    try:
        yield
    finally:
        is_looked_at.clear()


class _Lines:
    """The results of one run, each printed once and as early as the order allows."""

    def __init__(self, live: LiveRun, progress: Progress, *, order: Order, as_json: bool, out: TextIO) -> None:
        self._live = live
        self._progress = progress
        self._bar = progress.add_task("", total=len(live.batch.prompts), failed="", held="")
        self._order = order
        self._as_json = as_json
        self._out = out
        self._printed: set[int] = set()
        self._written: set[int] = set()
        self._held_back = False
        self.lost: OutputLost | None = None
        """Why nothing more can be printed; None where it can."""
        now = live.record.now()
        # Of a run that goes on, what failed before and is sent again has not ended: nothing is printed before the
        # store knows of the stretch that sends it.
        self._stretches = len(now.stretches) + (now.state == "opening")

    def go_on_to_the_end(self) -> None:
        """From now on, what was not sent or was hung up comes last: answers that are still to come go before it.

        And a line that cannot be printed is an exception no more: the run ends already.
        """
        self._held_back = True

    def print_until_ended(self, *, within_s: float | None = None, waits_for_store: bool = True) -> bool:
        """Print calls as they end, until the run has ended; False where the time runs out first.

        `waits_for_store`: whether a run has ended no sooner than its end is kept. It is stopped where it pauses at its
        cap. Raises KeyboardInterrupt, between two lines, once that is asked for; OutputLost where a line cannot be.
        """
        until_s = None if within_s is None else time.monotonic() + within_s
        version = -1
        quiet_s = time.monotonic()
        while True:
            ended = self._live.wait(LOOK_EVERY_S)
            _raise_if_asked_to_end()
            run = self._live.snapshot()
            if run.version != version:
                version, quiet_s = run.version, time.monotonic()
                self._show(run)
                self._print(self._due(run, ended=ended))
            elif _is_at_cap(run):
                self._live.cancel()
            elif time.monotonic() - quiet_s >= LONG_WAIT_S and self._say_that_it_waits(run):
                quiet_s = math.inf  # once
            if ended:
                return True
            if until_s is not None and time.monotonic() >= until_s:
                return False
            if not waits_for_store and self._live.record.now().ended:
                return False

    def _say_that_it_waits(self, run: Run) -> bool:
        """Where no bar says so: that a limit holds the run, and nothing is in flight; whether there was such a wait."""
        if not self._progress.disable or not held_words(run) or any(call.status == "running" for call in run.calls):
            return False
        account = self._live.quota()
        until_ns = None if account is None else account.blocked_until_ns
        again_ns = [call.attempts[-1].ready_ns for call in run.calls if call.status == "backing_off"]
        until_ns = min((each for each in again_ns if each is not None), default=None) if until_ns is None else until_ns
        left_s = None if until_ns is None else seconds(max(0, until_ns - self._live.now_ns()))
        print(long_wait(run, left_s=left_s), file=sys.stderr, flush=True)
        return True

    def print_from_memory(self) -> None:
        """Print also what the store did not take: nobody but this process has it."""
        run = self._live.record.now()
        left = [call for call in run.calls if call.status in ENDED and call.index not in self._printed]
        self._print(left if self._order == "input" else sorted(left, key=self._turn))

    def _show(self, run: Run) -> None:
        """Move the bar."""
        if self._progress.disable:
            return
        ended = [call.status for call in run.calls if call.status in ENDED]
        failed = len(ended) - ended.count("answered")
        self._progress.update(
            self._bar, completed=len(ended), failed=f"{failed} not answered" if failed else "", held=held_words(run)
        )

    def _due(self, run: Run, *, ended: bool) -> list[Call]:
        """The calls that have ended and whose turn it is, in order."""
        if len(run.stretches) < self._stretches and not ended:
            return []
        if self._order == "input":
            return list(takewhile(lambda call: call.status in ENDED, run.calls[len(self._printed) :]))
        waits = self._held_back and not ended
        due = [
            call
            for call in run.calls
            if call.status in (_CAME_BACK if waits else ENDED) and call.index not in self._printed
        ]
        return sorted(due, key=self._turn)

    def _turn(self, call: Call) -> tuple[bool, int]:
        """Where it comes in completion order."""
        return self._held_back and call.status not in _CAME_BACK, call.completed or 0

    def print_summary(self, run: Run) -> None:
        """The last line."""
        if self._as_json and self.lost is not None:
            return
        try:
            _print_summary(run, as_json=self._as_json, out=self._out)
        except OutputLost as lost:
            self._lose(lost)

    def rescue(self, *, is_stored: bool) -> None:
        """After a loss, print on standard error the answers that neither the store has nor anybody was told."""
        if self.lost is None or (self.lost.reader_has_gone and not is_stored):
            return  # who reads no further wants no more, and nothing was to be kept
        kept = self._live.snapshot().calls
        for call in self._live.record.now().calls:
            is_kept = is_stored and kept[call.index].status == "answered"
            if call.status == "answered" and call.index not in self._written and not is_kept:
                print(self._line(call), file=sys.stderr)

    def _line(self, call: Call) -> str:
        return told(call, as_json=self._as_json, run_id=self._live.run_id)

    def _lose(self, lost: OutputLost) -> None:
        self.lost = lost
        sentence = str(lost)
        print(f"{sentence[0].upper()}{sentence[1:]}.", file=sys.stderr, flush=True)

    def _print(self, calls: list[Call]) -> None:
        for call in calls:
            _raise_if_asked_to_end()
            self._printed.add(call.index)  # first: where a second Ctrl+C comes up, the line is in the stream's buffer
            if self.lost is not None:
                continue
            try:
                put(self._line(call), self._out)
            except OutputLost as lost:
                self._lose(lost)
                if not self._held_back:
                    raise
            else:
                self._written.add(call.index)


def _is_at_cap(run: Run) -> bool:
    """Whether the cap pauses the run and nothing is in flight whose end might show that it used less."""
    paused = run.cap is not None and run.state == "paused"
    return paused and not any(call.status == "running" for call in run.calls)


def _print_summary(run: Run, *, as_json: bool, out: TextIO) -> None:
    if as_json:
        put(summary_json(run), out)
    else:
        print(summary(run), file=sys.stderr, flush=True)


def _progress() -> Progress:
    """On standard error, and only where that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[failed]}"),
        TextColumn("{task.fields[held]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
