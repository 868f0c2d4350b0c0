"""A run on a terminal: results as they arrive, a progress bar, a summary.

Comes in: a LiveRun. Goes out: lines on a stream, and the exit code. Decides nothing about calls, but for one thing: a
run that pauses at its cap is stopped, because nobody is here to ask. Prompts, answers and errors are hostile text:
control characters, which a terminal would obey, are shown as what they are.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fanout.events import Held, StopReason
from fanout.export import json_line, result_json, told_of
from fanout.live import LiveRun
from fanout.metrics import Metrics, measure
from fanout.quota.caps import WHAT_TO_DO, words
from fanout.run import ENDED, Call, CallStatus, CapState, Result, Run
from fanout.tuning.bounds import bounds

Order = Literal["input", "completion"]
_FATES: tuple[CallStatus, ...] = ("answered", "failed", "cancelled", "not_sent")

ALL_ANSWERED, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

LOOK_EVERY_S = 0.05
"""How often the run is looked at: a pause at a cap wakes nobody who waits for results."""

_HELD: Mapping[Held, str] = {
    "requests": "waiting for the request limit",
    "tokens": "waiting for the token limit",
    "input_tokens": "waiting for the input token limit",
    "output_tokens": "waiting for the output token limit",
    "requests_per_day": "waiting for the next day's requests",
    "tokens_per_day": "waiting for the next day's tokens",
    "concurrency": "waiting for calls in flight to end",
    "turn": "waiting for its turn beside other runs",
    "penalty": "waiting after a 429",
    "store": "waiting for the store, which cannot be written",
}
"""What the bar says of a hold; of no free worker it says nothing, that is how it should be."""

asked_to_end = threading.Event()
"""Set with every Ctrl+C: the exception alone is lost where it comes up in a finaliser, and the run would go on."""
KEPT_WITHIN_S = 10.0
"""How long a process that is to end waits for the store to take what it holds."""
_STOPPED: dict[StopReason, str] = {
    "same_failure": "Stopped, because every prompt so far was refused for the same reason: ",
    "provider_down": "Stopped, because the provider answers with nothing but faults: ",
    "quota_exhausted": "Stopped, because every further prompt would be refused too: ",
    "key_refused": "Stopped, because every further prompt would be refused too: ",
    "model_unknown": "Stopped, because every further prompt would be refused too: ",
}
"""Why the failure that stands behind it ended the whole run."""


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
        print(_at_cap(run, run.cap), file=sys.stderr, flush=True)
    answered = all(result.status == "answered" for result in run.results())
    return ALL_ANSWERED if answered else SOME_FAILED


def print_run(run: Run, *, as_json: bool, out: TextIO) -> None:
    """Print every result there is, in input order, then the summary."""
    for call in run.calls:
        if call.status in ENDED:
            print(_told(call, as_json=as_json), file=out)
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


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or cannot be sent, spelled out; line breaks and tabs stay.

    >>> printable("red \\x1b[31malert\\x07")
    'red \\\\x1b[31malert\\\\x07'
    """
    return "".join(_spelled(char) for char in text)


def _spelled(char: str) -> str:
    code = ord(char)
    control = code < 32 or 127 <= code < 160 or code in _DIRECTIONS or 0xD800 <= code < 0xE000
    return ascii(char)[1:-1] if control and char not in "\n\t" else char


_DIRECTIONS = frozenset({0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)})
"""Marks that turn the reading direction, and so make one text look like another."""


def _print_results(live: LiveRun, progress: Progress, *, order: Order, as_json: bool, out: TextIO) -> None:
    bar = progress.add_task("", total=len(live.batch.prompts), failed="", held="")
    failed = 0
    for call in _ordered(live, progress, bar, order):
        failed += call.status != "answered"
        progress.update(bar, failed=f"{failed} not answered" if failed else "")
        print(_told(call, as_json=as_json), file=out, flush=True)


def _told(call: Call, *, as_json: bool) -> str:
    """A call that has ended, on a line."""
    result = told_of(call)
    return json_line(result_json(result)) if as_json else _line(result, call.fate)


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


def held_words(run: Run) -> str:
    """What holds the next call back, where that is a limit; empty otherwise."""
    held_by = run.holds[-1].held_by if run.holds and not run.ended else None
    return "" if held_by is None else _HELD.get(held_by, "")


def _at_cap(run: Run, cap: CapState) -> str:
    """What was used, the cap, what is left and what to do."""
    left = sum(call.status != "answered" for call in run.calls)
    if cap.of != "run":
        reached = words(of=cap.of, cap=cap.cap, used=cap.used, allowed=cap.allowed)
        return f"Stopped. {reached} {left:,} of {len(run.calls):,} prompts left. {WHAT_TO_DO}"
    if cap.cap == "usd":
        used = f"${cap.used:.4g} of ${cap.allowed:.4g}"
    else:
        used = f"{cap.used:,.0f} of {cap.allowed:,.0f} tokens"
    too_large = "" if cap.used >= cap.allowed else f", and the next call {_needs(cap)}"
    return (
        f"Stopped at its cap: {used} used{too_large}; {left:,} of {len(run.calls):,} prompts left. "
        f"Run again with a higher --cap-{cap.cap}."
    )


def _needs(cap: CapState) -> str:
    if cap.expected is None:
        return "may need more than the rest"
    return f"is expected to use {f'${cap.expected:.4g}' if cap.cap == 'usd' else f'{cap.expected:,.0f}'}"


def _line(result: Result, fate: CallStatus) -> str:
    """`3  answered  420 ms  alpha`, `4  not sent  -`; an answer of several lines is indented below."""
    took = "-" if result.latency_s is None else _duration(result.latency_s)
    said = result.output if result.error is None else str(result.error)
    shown = printable(said or "").rstrip().replace("\n", "\n    ")
    return f"{result.index + 1}  {fate.replace('_', ' ')}  {took}  {shown}".rstrip()


def _print_summary(run: Run, *, as_json: bool, out: TextIO) -> None:
    if as_json:
        found = bounds(run)
        summary = {
            "run_id": run.run_id,
            "model": run.batch.model,
            "max_workers": run.max_workers,
            "name": run.batch.name,
            "weight": run.weight,
            "stop_reason": run.stop_reason,
            "stop_error": None if run.stop_error is None else str(run.stop_error),
            "cap": None if run.cap is None else asdict(run.cap),
            **asdict(measure(run)),
            "lower_bound_s": found.lower_s,
        }
        print(json_line({"summary": summary}), file=out, flush=True)
    else:
        print(printable(_summary(run, measure(run))), file=sys.stderr, flush=True)


def _summary(run: Run, metrics: Metrics) -> str:
    """`40 prompts in 6.1 s: 38 answered, 2 failed. Latencies add up to 41 s (overlap 6.7).`"""
    counts = Counter([call.fate for call in run.calls])
    ended = [f"{counts[fate]:,} {fate.replace('_', ' ')}" for fate in _FATES if counts[fate]]
    if left := len(run.calls) - sum(counts[fate] for fate in _FATES):
        ended.append(f"of {left:,} no end is stored")
    told = ", ".join(ended)
    if taken := sum(call.origin is not None for call in run.calls):
        told += f" ({taken:,} of them not sent: the answer was there)"
    prompts = f"{metrics.calls:,} prompt{'' if metrics.calls == 1 else 's'}"
    said = [f"{prompts} in {_duration(metrics.wall_s)}: {told}."]
    if metrics.overlap is not None:
        said.append(f"Latencies add up to {_duration(metrics.service_s)} (overlap {metrics.overlap:.2g}).")
    if run.stop_error is not None:
        said.append(_stopped(run.stop_error.sentence, run.stop_reason))
    return " ".join(said)


def _stopped(sentence: str, reason: StopReason | None) -> str:
    """The failure that ended the run, and that it did."""
    if reason == "provider_down":  # "send it again" is advice for one call
        sentence = f"{sentence.partition('. ')[0].rstrip('.')}. Resume once the provider is well again."
    return f"{_STOPPED.get(reason or 'stopped', '')}{sentence}"


def _duration(duration_s: float) -> str:
    """At most three significant digits: `420 ms`, `6.12 s`, `125 s`."""
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.3g} ms"
    return f"{duration_s:.3g} s" if duration_s < 999.5 else f"{duration_s:.0f} s"


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
