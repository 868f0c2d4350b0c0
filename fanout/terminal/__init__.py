"""A run on a terminal: results as they arrive, a progress bar, a summary.

Comes in: a LiveRun. Goes out: lines on a stream, and the exit code. Decides nothing about calls, but for one thing: a
run that pauses at its cap is stopped, because nobody is here to ask. What the lines say is `words`'.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fanout.live import LiveRun
from fanout.run import ENDED, Call, Run
from fanout.terminal.words import at_cap, held_words, printable, summary, summary_json, told

__all__ = ["INTERRUPTED", "asked_to_end", "follow", "held_words", "print_run", "printable"]

Order = Literal["input", "completion"]

ALL_ANSWERED, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

LOOK_EVERY_S = 0.05
"""How often the run is looked at: a pause at a cap wakes nobody who waits for results."""

asked_to_end = threading.Event()
"""Set with every Ctrl+C: the exception alone is lost where it comes up in a finaliser, and the run would go on."""
KEPT_WITHIN_S = 10.0
"""How long a process that is to end waits for the store to take what it holds."""


def follow(live: LiveRun, *, order: Order, as_json: bool, out: TextIO, grace_s: float = 0.0) -> int:
    """Print each result as it arrives, then the summary; gives the exit code.

    Ctrl+C starts nothing further and gives what is in flight `grace_s` seconds to end; a second one hangs up.
    """
    interrupted = False
    try:
        with _progress() as progress:
            _print_results(live, progress, order=order, as_json=as_json, out=out)
    except KeyboardInterrupt:
        interrupted = True
        asked_to_end.clear()
        _end_in_order(live, grace_s)
    except BrokenPipeError:  # the reader has gone: nobody wants the rest
        live.cancel()
        live.wait(KEPT_WITHIN_S)
        raise
    run = live.snapshot()
    _print_summary(run, as_json=as_json, out=out)
    if interrupted:
        return INTERRUPTED
    if run.cap is not None and run.stop_reason == "stopped":
        print(at_cap(run, run.cap), file=sys.stderr, flush=True)
    answered = all(result.status == "answered" for result in run.results())
    return ALL_ANSWERED if answered else SOME_FAILED


def print_run(run: Run, *, as_json: bool, out: TextIO) -> None:
    """Print every result there is, in input order, then the summary."""
    for call in run.calls:
        if call.status in ENDED:
            print(told(call, as_json=as_json), file=out)
    _print_summary(run, as_json=as_json, out=out)


def _end_in_order(live: LiveRun, grace_s: float) -> None:
    """Nothing further starts; what is in flight has a bounded time; what is left then is hung up."""
    try:
        live.interrupt()
        in_flight = sum(call.status == "running" for call in live.record.now().calls)
        if in_flight and grace_s > 0:
            calls = "1 call" if in_flight == 1 else f"{in_flight:,} calls"
            print(f"Stopping: {calls} in flight, {grace_s:g} s to end. Ctrl+C hangs up.", file=sys.stderr, flush=True)
            live.wait(grace_s)
    except KeyboardInterrupt:
        pass
    live.cancel()
    if not live.wait(KEPT_WITHIN_S):
        _say_what_is_not_kept(live)


def _say_what_is_not_kept(live: LiveRun) -> None:
    """The store cannot be written, and the process is to end all the same."""
    there, kept = (sum(call.status == "answered" for call in run.calls) for run in (live.record.now(), live.snapshot()))
    if there > kept:
        answers = "1 answer is" if there - kept == 1 else f"{there - kept:,} answers are"
        print(f"{answers} not stored, and lost unless the store comes back now.", file=sys.stderr, flush=True)
    if live.trouble is not None:
        print(live.trouble, file=sys.stderr, flush=True)


def _print_results(live: LiveRun, progress: Progress, *, order: Order, as_json: bool, out: TextIO) -> None:
    bar = progress.add_task("", total=len(live.batch.prompts), failed="", held="")
    failed = 0
    for call in _ordered(live, progress, bar, order):
        failed += call.status != "answered"
        progress.update(bar, failed=f"{failed} not answered" if failed else "")
        print(told(call, as_json=as_json), file=out, flush=True)


def _ordered(live: LiveRun, progress: Progress, bar: Any, order: Order) -> Iterator[Call]:
    """Calls that have ended in the order asked for, each as early as that order allows."""
    early: dict[int, Call] = {}
    place = 0
    for call in _completed(live, progress, bar):
        progress.advance(bar)
        if order == "completion":
            yield call
            continue
        early[call.index] = call
        while place in early:
            yield early.pop(place)
            place += 1


def _completed(live: LiveRun, progress: Progress, bar: Any) -> Iterator[Call]:
    """Calls as they end, until the run has ended; it is stopped where it pauses at its cap.

    Of a run that goes on, what failed before and is sent again has not ended: nothing is told before the store knows
    of the stretch that sends it.
    """
    now = live.record.now()
    stretches = len(now.stretches) + (now.state == "opening")
    seen, version = 0, -1
    while True:
        ended = live.wait(LOOK_EVERY_S)
        run = live.snapshot()
        if asked_to_end.is_set():
            raise KeyboardInterrupt
        if len(run.stretches) < stretches and not ended:
            continue
        if run.version == version:
            if ended:
                return
            if _is_at_cap(run):
                live.cancel()
            continue
        version = run.version
        progress.update(bar, held=held_words(run))
        fresh = [call for call in run.calls if call.status in ENDED and (call.completed or 0) >= seen]
        fresh.sort(key=lambda call: call.completed or 0)
        seen = max(seen, *(1 + (call.completed or 0) for call in fresh[-1:]), 0)
        yield from fresh
        if ended:
            return


def _is_at_cap(run: Run) -> bool:
    """Whether the cap pauses the run and nothing is in flight whose end might show that it used less."""
    paused = run.cap is not None and run.state == "paused"
    return paused and not any(call.status == "running" for call in run.calls)


def _print_summary(run: Run, *, as_json: bool, out: TextIO) -> None:
    if as_json:
        print(summary_json(run), file=out, flush=True)
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
