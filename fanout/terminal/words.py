"""What a terminal is told of a run: a line a result, what holds the next call, why a run stopped, its summary.

Comes in: a `Run`, its calls and results. Goes out: text. Prompts, answers and errors are hostile text: control
characters, which a terminal would obey, are shown as what they are.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from fanout.errors import RateLimited
from fanout.events import Held, StopReason
from fanout.export import json_line, result_json, told_of
from fanout.metrics import measure
from fanout.people import LOCAL
from fanout.quota.caps import what_to_do, words
from fanout.run import Call, CallStatus, CapState, Result, Run
from fanout.tuning.bounds import bounds
from fanout.tuning.priced import is_unpriced

_FATES: tuple[CallStatus, ...] = ("answered", "failed", "cancelled", "not_sent")
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

_STOPPED: dict[StopReason, str] = {
    "same_failure": "Stopped, because every prompt so far was refused for the same reason: ",
    "provider_down": "Stopped, because the provider answers with nothing but faults: ",
    "quota_exhausted": "Stopped, because every further prompt would be refused too: ",
    "key_refused": "Stopped, because every further prompt would be refused too: ",
    "model_unknown": "Stopped, because every further prompt would be refused too: ",
}
"""Why the failure that stands behind it ended the whole run."""


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


def told(call: Call, *, as_json: bool, run_id: str) -> str:
    """A call of this run that has ended, on a line."""
    result = told_of(call)
    return json_line(result_json(result)) if as_json else _line(result, call.fate, taken=_origin(call, run_id))


def held_words(run: Run) -> str:
    """What holds the next call back, where that is a limit or a wait before another attempt; empty otherwise."""
    held_by = run.holds[-1].held_by if run.holds and not run.ended else None
    if held_by is not None:
        return _HELD.get(held_by, "")
    if run.ended or any(call.status == "running" for call in run.calls):
        return ""
    errors = [call.attempts[-1].error for call in run.calls if call.status == "backing_off"]
    if any(isinstance(error, RateLimited) for error in errors):
        return _HELD["penalty"]
    return "waiting to send again" if errors else ""


def at_cap(run: Run, cap: CapState) -> str:
    """What was used, the cap and what is left; what to do where the cap is not the run's own."""
    left = f"{sum(call.status != 'answered' for call in run.calls):,} of {len(run.calls):,} prompts left."
    if cap.of != "run":
        whose = "your" if run.user_id == LOCAL.user_id else "the owner's"
        reached = words(of=cap.of, cap=cap.cap, used=cap.used, allowed=cap.allowed, expected=cap.expected, whose=whose)
        return f"Stopped. {reached} {left} {what_to_do(allowed=cap.allowed, expected=cap.expected)}"
    if is_unpriced(run, cap):
        return printable(
            f"Stopped: it may use ${cap.allowed:.4g}, and the price of {run.batch.model} is not known, so nobody can "
            f"count what it uses; {left}"
        )
    if cap.cap == "usd":
        used = f"${cap.used:.4g} of ${cap.allowed:.4g}"
    else:
        used = f"{cap.used:,.0f} of {cap.allowed:,.0f} tokens"
    too_large = "" if cap.used >= cap.allowed else f", and the next call {_needs(cap)}"
    return f"Stopped at its cap: {used} used{too_large}; {left}"


def _needs(cap: CapState) -> str:
    if cap.expected is None:
        return "may need more than the rest"
    return f"is expected to use {f'${cap.expected:.4g}' if cap.cap == 'usd' else f'{cap.expected:,.0f}'}"


def stopped_at_its_cap(run: Run) -> CapState | None:
    """The cap that ended it, of its own or of a day; None where it ended otherwise."""
    return run.cap if run.stop_reason == "stopped" else None


def sends_the_rest(run: Run, *, is_stored: bool) -> str | None:
    """What to do for the prompts that have no answer, in one line that does not stop again where this run did."""
    cap = stopped_at_its_cap(run)
    own = cap if cap is not None and cap.of == "run" else None
    if not is_stored:
        return None if own is None else f"Run again {_other_cap(run, own)}."
    how, options = "", ""
    if own is not None:
        how = f", {_other_cap(run, own)},"
        options = " --no-cap-usd" if is_unpriced(run, own) else f" --cap-{own.cap} {_raised(run, own)}"
    return f"What is missing is sent{how} by: python -m fanout resume {run.run_id}{options}"


def _other_cap(run: Run, cap: CapState) -> str:
    if is_unpriced(run, cap):
        return "without a cap in dollars (--cap-tokens caps it in tokens)"
    return f"with a higher --cap-{cap.cap}"


def _raised(run: Run, cap: CapState) -> str:
    """As much again as the cap allowed, beyond what is used, and at least the call that waits."""
    first = run.batch.cap_tokens if cap.cap == "tokens" else run.batch.cap_usd
    allowed = cap.used + max(first or 0, cap.expected or 0)
    return str(math.ceil(allowed)) if cap.cap == "tokens" else f"{math.ceil(allowed * 100) / 100:.2f}"


def _line(result: Result, fate: CallStatus, *, taken: str | None) -> str:
    """`3  answered  420 ms  alpha`, `4  not sent  -`; an answer of several lines is indented below.

    `taken`: where its answer comes from, which then took no time.
    """
    took = taken or ("-" if result.latency_s is None else _duration(result.latency_s))
    said = result.output if result.error is None else str(result.error)
    shown = printable(said or "").rstrip().replace("\n", "\n    ")
    return f"{result.index + 1}  {fate.replace('_', ' ')}  {took}  {shown}".rstrip()


def _origin(call: Call, run_id: str) -> str | None:
    """Whose answer it has, in the page's words; None where it was sent."""
    if call.origin is None:
        return None
    if call.origin.run_id == run_id:
        return f"shares the call of {call.origin.call + 1}"
    at = time.localtime(call.origin.answered_at_s)
    return printable(f"from run {call.origin.run_id}, {at.tm_mday} {time.strftime('%b', at)} {at.tm_year}")


def long_wait(run: Run, *, left_s: float | None) -> str:
    """That nothing is sent for long, why, and for how much longer, where that is known."""
    left = "" if left_s is None else _duration(left_s) if left_s < 120 else f"{left_s / 60:,.0f} min"
    more = f"; the next call may start in {left}" if left else ""
    return f"Nothing is in flight: {held_words(run)}{more}."


def not_stored(count: int) -> str:
    """`3 of the answers above are not stored`."""
    return f"{count:,} of the answers above {'is' if count == 1 else 'are'} not stored"


def summary_json(run: Run) -> str:
    """The run's settings, end and numbers as a JSON object on a line."""
    found = {
        "run_id": run.run_id,
        "model": run.batch.model,
        "max_workers": run.max_workers,
        "name": run.batch.name,
        "weight": run.weight,
        "stop_reason": run.stop_reason,
        "stop_error": None if run.stop_error is None else str(run.stop_error),
        "cap": None if run.cap is None else asdict(run.cap),
        **asdict(measure(run)),
        "lower_bound_s": bounds(run).lower_s,
    }
    return json_line({"summary": found})


def summary(run: Run) -> str:
    """`40 prompts in 6.1 s: 38 answered, 2 failed. Latencies add up to 41 s (overlap 6.7).`"""
    metrics = measure(run)
    counts = Counter([call.fate for call in run.calls])
    ended = [f"{counts[fate]:,} {fate.replace('_', ' ')}" for fate in _FATES if counts[fate]]
    if left := len(run.calls) - sum(counts[fate] for fate in _FATES):
        ended.append(f"of {left:,} no end is stored")
    ends = ", ".join(ended)
    if taken := sum(call.origin is not None for call in run.calls):
        ends += f" ({taken:,} of them not sent: the answer was there)"
    prompts = f"{metrics.calls:,} prompt{'' if metrics.calls == 1 else 's'}"
    said = [f"{prompts} in {_duration(metrics.wall_s)}: {ends}."]
    if metrics.overlap is not None:
        said.append(f"Latencies add up to {_duration(metrics.service_s)} (overlap {metrics.overlap:.2g}).")
    if run.stop_error is not None:
        said.append(_stopped(run.stop_error.sentence, run.stop_reason))
    return printable(" ".join(said))


def _stopped(sentence: str, reason: StopReason | None) -> str:
    """The failure that ended the run, and that it did."""
    if reason == "provider_down":  # "send it again" is advice for one call
        happened = sentence.partition(". ")[0]
        end = "" if happened.endswith((".", "?", "!")) else "."
        sentence = f"{happened}{end} Resume once the provider is well again."
    return f"{_STOPPED.get(reason or 'stopped', '')}{sentence}"


def _duration(duration_s: float) -> str:
    """At most three significant digits: `420 ms`, `6.12 s`, `125 s`."""
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.3g} ms"
    return f"{duration_s:.3g} s" if duration_s < 999.5 else f"{duration_s:.0f} s"
