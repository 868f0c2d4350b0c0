"""A run -> text that other programs read: CSV for sheets, JSON lines without loss, and a timeline.

Comes in: a `Run`, of whatever state. Goes out: strings, for the caller to encode and to save. Knows no file, no page
and no clock. What is unknown is left out or null, never 0; no key is in a `Batch`, so none can be in an export.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from fanout.clock import seconds
from fanout.letters import sendable
from fanout.run import ENDED, Attempt, Call, Phase, PhaseName, Result, Run, result_of

Order = Literal["input", "completion"]
_TraceEvent = dict[str, object]

COLUMNS = (
    "index",
    "prompt",
    "status",
    "output",
    "error_class",
    "error",
    "attempts",
    "latency_s",
    "experienced_s",
    "first_token_s",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "reused_from",
    "model",
)
"""Of `results_csv`, in this order: a later column comes behind them."""


def results_csv(run: Run, *, order: Order = "input") -> str:
    """The prompts that have ended, a row each under a header (RFC 4180: commas, doubled quotes, CRLF).

    Texts that a spreadsheet would run as a formula begin with an apostrophe here; `results_jsonl` has them unchanged.
    Encode it as `utf-8-sig` for Excel, which takes UTF-8 without a mark for Windows-1252.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for call in _ended(run, order):
        writer.writerow([_csv_cell(value) for value in _row(told_of(call))])
    return out.getvalue()


def results_jsonl(run: Run, *, order: Order = "input") -> str:
    """The prompts that have ended, one JSON object a line (see `result_json`), nothing lost."""
    return "".join(f"{json_line(result_json(told_of(call)))}\n" for call in _ended(run, order))


def told_of(call: Call) -> Result:
    """What a call came to, with its status as people are told it: `not_sent` where nothing of it was in flight."""
    return replace(result_of(call), status=call.fate)  # type: ignore[arg-type]  # it has ended


def result_json(result: Result) -> dict[str, object]:
    """A `Result` as a JSON object with its own fields; `error` is null, or `CallFailed.from_json` reads it back.

    `reused_from` is there only where the answer was not asked for again.
    """
    told: dict[str, object] = {
        "index": result.index,
        "prompt": result.prompt,
        "status": result.status,
        "output": result.output,
        "error": None if result.error is None else result.error.as_json(),
        "attempts": result.attempts,
        "latency_s": result.latency_s,
        "experienced_s": result.experienced_s,
        "first_token_s": result.first_token_s,
        "usage": {"input_tokens": result.usage.input_tokens, "output_tokens": result.usage.output_tokens},
        "cost_usd": result.cost_usd,
        "model": result.model,
    }
    return told if result.reused_from is None else {**told, "reused_from": result.reused_from}


def chrome_trace(run: Run, *, now_ns: int | None = None) -> str:
    """The run as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

    A thread a lane; on it a slice an attempt and in it a slice a phase; waits and back-offs as async slices beside
    them, since they hold no lane and may overlap; retries as instants; in flight and max_workers as counters. Times
    are whole microseconds from the start of the first stretch. What goes on is cut at `now_ns`, or left out.
    """
    events = [*_metadata(run), *sorted(_Timeline(run, now_ns).events(), key=_ts)]
    about = {"run_id": run.run_id, "model": _model(run), "prompts": len(run.calls), "opened_at_s": run.opened_at_s}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}, separators=(",", ":"))


# --- results ------------------------------------------------------------------------------------------------------

_HARMFUL = frozenset("=+-@＝＋－＠")
_HARMFUL_SPACE = frozenset("\t\r\n")
_AS_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Letters that JSON allows but that readers cut lines at (str.splitlines does), or that UTF-8 does not have."""


def _ended(run: Run, order: Order) -> list[Call]:
    ended = [call for call in run.calls if call.status in ENDED]
    if order == "completion":
        ended.sort(key=lambda call: call.index if call.completed is None else call.completed)
    return ended


def _row(result: Result) -> tuple[str | float | None, ...]:
    error = result.error
    return (
        result.index,
        result.prompt,
        result.status,
        result.output,
        None if error is None else type(error).__name__,
        None if error is None else error.sentence,
        result.attempts,
        result.latency_s,
        result.experienced_s,
        result.first_token_s,
        result.usage.input_tokens,
        result.usage.output_tokens,
        result.cost_usd,
        result.reused_from,
        result.model,
    )


def _csv_cell(value: str | float | None) -> str | float | None:
    """`value` such that no spreadsheet takes it for a formula: a text that begins like one, or does so after spaces
    and invisible letters, gets an apostrophe in front; a NUL is shown as a lost letter. Numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = sendable(value)
    # A tab, CR or LF in front may become a cell's end; printable is what is neither control, format nor odd space.
    first = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    shown = text.replace("\x00", "\ufffd")  # at a NUL many readers end the cell, or refuse the file
    return f"'{shown}" if first in _HARMFUL or text[:1] in _HARMFUL_SPACE else shown


def json_line(value: Mapping[str, object]) -> str:
    """A JSON object as one line that every reader takes for one line, and that UTF-8 can hold."""
    line = json.dumps(value, ensure_ascii=False)
    return _AS_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


# --- the timeline -------------------------------------------------------------------------------------------------

_PID = 1
_RUN_TID = 0  # lane n is thread n + 1
_TITLE_LETTERS = 80
_PROMPT_LETTERS = 500
_PHASE_WORDS: dict[PhaseName, str] = {
    "workers": "waiting for a worker",
    "requests": "waiting for quota: requests",
    "tokens": "waiting for quota: tokens",
    "input_tokens": "waiting for quota: input tokens",
    "output_tokens": "waiting for quota: output tokens",
    "requests_per_day": "waiting for quota: the day's requests",
    "tokens_per_day": "waiting for quota: the day's tokens",
    "concurrency": "waiting for calls in flight to end",
    "turn": "waiting for its turn",
    "penalty": "waiting after a 429",
    "cap": "waiting at a cap",
    "paused": "paused",
    "store": "waiting for the store",
    "client": "client",
    "first_token": "waiting for the first token",
    "generating": "generating",
    "in_flight": "in flight",
    "backoff": "backing off",
}
_ON_LANE: frozenset[PhaseName] = frozenset({"client", "first_token", "generating", "in_flight"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """An attempt on its lane; `end_ns` is None where it goes on and nothing says until when to draw it."""

    call: Call
    attempt: Attempt
    end_ns: int | None
    goes_on: bool


class _Timeline:
    """A run's trace events, each kind in the order in which a viewer must meet those of one microsecond."""

    def __init__(self, run: Run, now_ns: int | None) -> None:
        self._run = run
        self._now_ns = now_ns
        self._origin_ns = run.stretches[0].began_ns if run.stretches else run.opened_ns

    def events(self) -> Iterator[_TraceEvent]:
        """All but the metadata, unsorted."""
        phases = {call.index: self._run.phases(call, now_ns=self._now_ns) for call in self._run.calls}
        bars = list(_bars(self._run, self._now_ns))
        for bar in bars:
            yield from self._slices(bar, phases[bar.call.index])
        for index, parts in phases.items():
            yield from self._waits(index, parts)
        yield from self._counters(bars)

    def _us(self, at_ns: int) -> int:
        """Rounded down, starts and ends alike: what lay inside another stays inside it."""
        return max(0, at_ns - self._origin_ns) // 1000

    def _slices(self, bar: _Bar, phases: Sequence[Phase]) -> Iterator[_TraceEvent]:
        if bar.end_ns is None:
            return
        lane, number = _lane(bar.attempt), bar.attempt.number
        yield self._slice(_title(bar.call), "attempt", lane, bar.attempt.started_ns, bar.end_ns) | {"args": _args(bar)}
        for phase in phases:
            end_ns = min(phase.end_ns, bar.end_ns)
            if phase.attempt == number and phase.name in _ON_LANE and self._us(end_ns) > self._us(phase.start_ns):
                yield self._slice(_PHASE_WORDS[phase.name], "phase", lane, phase.start_ns, end_ns)
        if bar.attempt.status == "retried":
            name = f"retried after {type(bar.attempt.error).__name__}"
            yield _event("i", name, "retry", lane) | {"ts": self._us(bar.end_ns), "s": "t"}

    def _slice(self, name: str, category: str, tid: int, start_ns: int, end_ns: int) -> _TraceEvent:
        start_us = self._us(start_ns)
        return _event("X", name, category, tid) | {"ts": start_us, "dur": self._us(end_ns) - start_us}

    def _waits(self, index: int, phases: Sequence[Phase]) -> Iterator[_TraceEvent]:
        for phase in phases:
            start_us, end_us = self._us(phase.start_ns), self._us(phase.end_ns)
            if phase.name in _ON_LANE or end_us == start_us:
                continue
            for kind, ts in (("b", start_us), ("e", end_us)):
                yield _event(kind, _PHASE_WORDS[phase.name], "wait", _RUN_TID) | {"ts": ts, "id": hex(index)}

    def _counters(self, bars: Sequence[_Bar]) -> Iterator[_TraceEvent]:
        changes: Counter[int] = Counter()
        for bar in bars:
            changes[self._us(bar.attempt.started_ns)] += 1
            if bar.end_ns is not None and not bar.goes_on:
                changes[self._us(bar.end_ns)] -= 1
        in_flight = 0
        for ts in sorted(changes):
            in_flight += changes[ts]
            yield _event("C", "in flight", "run", _RUN_TID) | {"ts": ts, "args": {"calls": in_flight}}
        limits = {self._us(step.at_ns): step.value for step in self._run.limits}
        for ts, limit in limits.items():
            yield _event("C", "max_workers", "run", _RUN_TID) | {"ts": ts, "args": {"calls": limit}}


def _bars(run: Run, now_ns: int | None) -> Iterator[_Bar]:
    """Lane by lane, each in the order of time: an attempt ends at the latest where its lane's next one starts."""
    lanes: dict[int, list[tuple[Call, Attempt]]] = {}
    for call in run.calls:
        for attempt in call.attempts:
            lanes.setdefault(attempt.lane, []).append((call, attempt))
    for _, taken in sorted(lanes.items()):
        taken.sort(key=lambda pair: pair[1].started_ns)
        for (call, attempt), following in zip_longest(taken, taken[1:]):
            known = (attempt.ended_ns, following and following[1].started_ns, _stretch_end_ns(run, attempt))
            ends = [end for end in known if end is not None]
            end_ns = min(ends, default=now_ns)
            if end_ns is not None:
                end_ns = max(end_ns, attempt.started_ns)
            yield _Bar(call=call, attempt=attempt, end_ns=end_ns, goes_on=not ends)


def _stretch_end_ns(run: Run, attempt: Attempt) -> int | None:
    """Where nothing of the attempt's stretch went on: its end, or, where the process died, the next one's beginning."""
    ended_ns = run.stretches[attempt.stretch].ended_ns
    if ended_ns is None and attempt.stretch + 1 < len(run.stretches):
        return run.stretches[attempt.stretch + 1].began_ns
    return ended_ns


def _metadata(run: Run) -> Iterator[_TraceEvent]:
    lanes = sorted({_lane(attempt) for call in run.calls for attempt in call.attempts})
    yield _event("M", "process_name", "__metadata", _RUN_TID) | {"args": {"name": f"run {run.run_id}, {_model(run)}"}}
    for tid in (_RUN_TID, *lanes):
        name = "run" if tid == _RUN_TID else f"lane {tid}"
        yield _event("M", "thread_name", "__metadata", tid) | {"args": {"name": name}}
        yield _event("M", "thread_sort_index", "__metadata", tid) | {"args": {"sort_index": tid}}


def _event(kind: str, name: str, category: str, tid: int) -> _TraceEvent:
    return {"ph": kind, "name": name, "cat": category, "pid": _PID, "tid": tid}


def _args(bar: _Bar) -> _TraceEvent:
    call, attempt = bar.call, bar.attempt
    answered = attempt.status == "answered"
    known: _TraceEvent = {
        "call": call.index,
        "attempt": attempt.number,
        "stretch": attempt.stretch,
        "model": attempt.model,
        "status": attempt.status,
        "prompt": call.prompt[:_PROMPT_LETTERS],
        "latency_s": None if attempt.latency_ns is None else seconds(attempt.latency_ns),
        "error": None if attempt.error is None else f"{type(attempt.error).__name__}: {attempt.error.sentence}",
        "input_tokens": call.usage.input_tokens if answered else None,
        "output_tokens": call.usage.output_tokens if answered else None,
        "cost_usd": call.cost_usd if answered else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _title(call: Call) -> str:
    words = " ".join(call.prompt[: _TITLE_LETTERS + 1].split())
    return f"#{call.index} {words[:_TITLE_LETTERS]}{'…' if len(call.prompt) > _TITLE_LETTERS else ''}"


def _lane(attempt: Attempt) -> int:
    return attempt.lane + 1


def _model(run: Run) -> str:
    """`sandbox (simulated)`, or, where the run went on under others, each of its models in order."""
    return ", then ".join(f"{model} (simulated)" if model == "sandbox" else str(model) for model in run.had("model"))


def _ts(event: _TraceEvent) -> int:
    ts = event["ts"]
    assert isinstance(ts, int)
    return ts
