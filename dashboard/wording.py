"""What the page says: the sentence of a run in every state, the counts, the plan of a batch, names of things.

Comes in: a `Run` and its `Metrics`, or a batch and what is expected of it. Goes out: plain text (escape it where it is
shown: it may hold words of a provider, cut short). Knows no page. A sentence says only what is true of every run it is
said of; what nobody can tell is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from dashboard.cap_words import caps_words, held_by_cap, paused_words
from dashboard.figures import call_figures, figures, ms, phase, phase_rows
from dashboard.prospect_words import least_words
from dashboard.quota_words import bound_sentences, held_words
from dashboard.reasons import CLOSE, failures, full_stop, happened, limited_by, told
from dashboard.rows import ENDED_WORDS
from dashboard.units import counted, duration, money, number
from fanout.batch import Batch
from fanout.clock import nanoseconds, seconds
from fanout.metrics import Metrics, backs_off, speed_up
from fanout.run import CallStatus, Run
from fanout.tuning.bounds import remaining_s
from fanout.tuning.prospect import Prospect
from fanout.tuning.quota_bound import quota_bound

__all__ = [
    "Expectation",
    "call_figures",
    "cost_question",
    "counts_sentence",
    "figures",
    "list_sentence",
    "ms",
    "phase",
    "phase_rows",
    "plan_sentence",
    "run_sentence",
    "run_state",
    "speed_up_question",
    "speed_up_sentence",
]

LAG_S = 0.02
"""Up to it our own event loop's lag is not worth a word."""
LAG_SHARE = 0.25
"""Of the median latency: a smaller lag is marked on the chart, but changes no figure that one would act on."""


class Expectation(Protocol):
    """What a batch will come to; time and cost are None where no run tells."""

    @property
    def calls(self) -> int:
        """That are sent."""

    @property
    def reused(self) -> int:
        """Prompts that take an answer that is there already."""

    @property
    def shared(self) -> int:
        """Prompts that share the call of an identical one."""

    @property
    def wall_s(self) -> float | None:
        """Seconds from the first send to the last answer."""

    @property
    def cost_usd(self) -> float | None:
        """Of all its calls."""

    @property
    def quota(self) -> Prospect:
        """What the limits that are known mean for it."""


# Before it is sent


def list_sentence(prompts: Sequence[str]) -> str:
    """How many prompts there are, and how many of them are double."""
    if not prompts:
        return "No prompts yet."
    doubles = len(prompts) - len(set(prompts))
    if not doubles:
        return f"{counted(len(prompts), 'prompt')}."
    return f"{counted(len(prompts), 'prompt')}, {doubles:,} of them {'a duplicate' if doubles == 1 else 'duplicates'}."


def plan_sentence(batch: Batch, expected: Expectation) -> str:
    """What pressing Run will come to: calls, quota slots, how many at a time, and what is known of time and cost."""
    calls = expected.calls
    if not calls:
        return f"No call: {_have_answers(expected.reused)}."
    said = [counted(calls, "call"), counted(calls, "quota slot")]
    if calls > 1:
        said.append(_at_a_time(calls, batch.max_workers, auto=batch.auto_workers))
    if expected.wall_s is not None:
        said.append(f"about {duration(expected.wall_s, digits=2)}")
    elif (least := least_words(expected.quota)) is not None:
        said.append(least)
    if expected.cost_usd is not None:
        said.append(f"about {money(expected.cost_usd)}")
    cap_usd = batch.cap_usd if expected.quota.is_priced else None  # nobody could count it
    caps = " or ".join(caps_words(batch.cap_tokens, cap_usd))
    more = [f" {_have_answers(expected.reused)}, taken without a call."] if expected.reused else []
    if expected.shared:
        more.append(f" {counted(expected.shared, 'prompt')} {_share(expected.shared)} the call of an identical one.")
    if caps:
        more.append(f" Pauses and asks at {caps}.")
    return f"{', '.join(said)}.{''.join(more)}"


def _have_answers(prompts: int) -> str:
    return f"{counted(prompts, 'prompt')} {'has an answer' if prompts == 1 else 'have answers'} already"


def _share(prompts: int) -> str:
    return "shares" if prompts == 1 else "share"


def cost_question(batch: Batch, expected: Expectation) -> str:
    """What is asked before many calls that cost money are sent."""
    cost = "an unknown amount" if expected.cost_usd is None else f"about {money(expected.cost_usd)}"
    return f"This sends {counted(expected.calls, 'call')} to {batch.model} and costs {cost}. Send them?"


def speed_up_question(run: Run) -> str:
    """What measuring the speed-up costs."""
    calls = len(run.calls)
    added_up_s = _added_up_s(run)
    about = "" if added_up_s is None else f", about {duration(added_up_s, digits=2)}"
    return (
        f"This sends the same {counted(calls, 'prompt')} once more, one after another: "
        f"{counted(calls, 'more quota slot')}{about}."
    )


def _at_a_time(calls: int, max_workers: int, *, auto: bool) -> str:
    if max_workers == 1:
        return "one after another"
    if auto:
        return f"up to {min(max_workers, calls)} at a time, sized as it goes"
    return "all at once" if max_workers >= calls else f"{max_workers} at a time"


# While it goes on, and afterwards


def run_state(run: Run) -> str:
    """The run's state in a word or two."""
    if not run.ended:
        return {"opening": "Getting ready", "running": "Running", "paused": "Paused"}.get(run.state, "Stopping")
    if run.stop_reason == "finished":
        return "Done" if all(call.status == "answered" for call in run.calls) else "Ended"
    return ENDED_WORDS.get(run.stop_reason or "", "Stopped")


def counts_sentence(run: Run, *, now_ns: int | None = None) -> str:
    """How many prompts stand where: 5 failed, 23 of 40 answered, 8 in flight, 4 queued, or what they wait for."""
    status = Counter([call.fate for call in run.calls])
    said = [f"{status['failed']:,} failed"] if status["failed"] else []
    said.append(f"{status['answered']:,} of {len(run.calls):,} answered")
    backing_off = sum(backs_off(call, now_ns=now_ns) for call in run.calls) if status["backing_off"] else 0
    waiting_for = (held_words(run) or "queued").partition(":")[0]
    rest = (
        (status["running"], "in flight"),
        (backing_off, "backing off"),
        (status["queued"] + status["backing_off"] - backing_off, waiting_for),
        (status["cancelled"], "cancelled"),
        (status["not_sent"], "not sent"),
    )
    return ", ".join([*said, *(f"{number_of:,} {word}" for number_of, word in rest if number_of)])


def run_sentence(run: Run, metrics: Metrics) -> str:
    """What is read first: what is wrong, then how far the run is or what it took and what limited it."""
    say = _BY_STATE[run.state] if not run.ended else _BY_REASON.get(run.stop_reason or "finished", _refused)
    return " ".join([*say(run, metrics), *paused_words(run), *_lag(metrics)])


def speed_up_sentence(run: Run, measured: Run) -> str:
    """What the same prompts took with one worker, and how many times faster this run was."""
    gained = speed_up(run, measured)
    if gained is None:
        return "The run with one worker does not compare: it must answer the same prompts as this one."
    took = f"One after another they took {duration(gained.one_after_another_s, digits=2)}"
    if gained.factor < 1:
        return f"{took}: side by side was {number(1 / gained.factor, digits=2)} times slower."
    return f"{took}: {number(gained.factor, digits=2)} times faster."


def _opening(run: Run, metrics: Metrics) -> list[str]:
    if run.stretches:
        return ["Getting the model ready to send again; the clock stands."]
    return [f"Getting the model ready: {_wait(metrics.calls)}, the clock has not started."]


def _running(run: Run, metrics: Metrics) -> list[str]:
    going = [f"{metrics.answered:,} of {metrics.calls:,} answered", f"{metrics.running:,} in flight"]
    if metrics.backing_off:
        going.append(f"{metrics.backing_off:,} backing off")
    bound = quota_bound(run, _now_ns(run, metrics))
    left_s = remaining_s(run, _now_ns(run, metrics))
    held = held_words(run)
    if left_s is not None:
        if held is not None and bound.pace_s is not None:
            left_s = max(left_s, bound.pace_s)  # what the quota let through lately tells more than what calls take
        going.append(f"about {duration(left_s, digits=2)} to go")
    if held is not None:
        going.append(held)
    return [*failures(run), f"{', '.join(going)}.", *bound_sentences(run, bound)]


def _paused(run: Run, metrics: Metrics) -> list[str]:
    if run.cap is not None:
        return [held_by_cap(run, run.cap), *failures(run), f"{_counts(metrics)}."]
    return [*failures(run), f"Paused: {_counts(metrics)}."]


def _stopping(run: Run, metrics: Metrics) -> list[str]:
    return [*failures(run), f"Stopping: {_counts(metrics)}."]


def _finished(run: Run, metrics: Metrics) -> list[str]:
    took = f"in {duration(metrics.wall_s, digits=2)}{_over_stretches(run)}."
    if not metrics.answered:
        return [
            *failures(run),
            *([f"None of {metrics.calls:,} prompts was answered {took}"] if metrics.calls > 1 else []),
        ]
    if metrics.answered < metrics.calls:
        head = f"{metrics.answered:,} of {metrics.calls:,} prompts answered {took}"
    else:
        head = f"{counted(metrics.calls, 'prompt')} {took}"
    bound = bound_sentences(run, quota_bound(run, _now_ns(run, metrics)))
    said = [*failures(run), head, *_taken(run), *_retried(metrics)]
    return [*said, *limited_by(run), *bound, *_added_up(run, metrics)]


def _taken(run: Run) -> list[str]:
    """Answers that were not sent for."""
    origins = [call.origin.run_id for call in run.calls if call.origin is not None]
    shared = origins.count(run.run_id)
    said = []
    if taken := len(origins) - shared:
        said.append(f"{counted(taken, 'answer')} {_was(taken)} there already and {_was(taken)} taken without a call.")
    if shared:
        said.append(f"{counted(shared, 'prompt')} {_share(shared)} the call of an identical one.")
    return said


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _stopped(run: Run, metrics: Metrics) -> list[str]:
    after, words = "Stopped after {}", ("cancelled", "not sent", "not sent again")
    if run.stop_reason == "interrupted":
        after = "Interrupted after {}"
    elif run.stop_reason == "saved":
        after, words = "The file was saved after {}, while the run went on", ("in flight then", *words[1:])
    after = f"{after.format(duration(metrics.wall_s, digits=2))}: {metrics.answered:,} of {metrics.calls:,} answered"
    counts = (_of_fate(run, "cancelled"), _of_fate(run, "not_sent"), _not_sent_again(run))
    given_up = ", ".join(f"{count:,} {word}" for count, word in zip(counts, words, strict=True) if count)
    return [*failures(run), f"{after}; {given_up}." if given_up else f"{after}."]


def _refused(run: Run, metrics: Metrics) -> list[str]:
    """Stopped by a failure that every further call would share."""
    why = "" if run.stop_error is None else f": {told(run.stop_error.sentence)}"
    if run.stop_reason == "not_ready":
        return [
            full_stop(f"The model could not be made ready{why}"),
            *(_left_unsent(run) or [_not_sent(metrics.calls)]),
        ]
    if run.stop_reason == "provider_down" and run.stop_error is not None:
        why = f": {happened(run.stop_error.sentence)}"
    said = [full_stop(f"{_refused_at(run, metrics)}{why}")]
    if metrics.answered:
        said.append(f"{metrics.answered:,} of {metrics.calls:,} prompts answered.")
    if cut := _of_fate(run, "cancelled"):
        said.append(f"{counted(cut, 'prompt')} {_was(cut)} cancelled.")
    said += _left_unsent(run)
    if run.stop_reason == "provider_down":
        said.append("Retry what is unanswered once the provider is well again.")
    return said


def _left_unsent(run: Run) -> list[str]:
    said = []
    if unsent := _of_fate(run, "not_sent"):
        said.append(_not_sent(unsent))
    if before := _not_sent_again(run):
        said.append(f"{counted(before, 'prompt')} failed before and {_was(before)} not sent again.")
    return said


def _not_sent_again(run: Run) -> int:
    return sum(call.is_not_sent_again for call in run.calls)


def _of_fate(run: Run, fate: CallStatus) -> int:
    return sum(call.fate == fate for call in run.calls)


def _refused_at(run: Run, metrics: Metrics) -> str:
    if run.stop_reason == "provider_down":
        return "Stopped, because the provider answers with nothing but faults"
    if run.stop_reason == "same_failure":
        return f"Stopped, because {_first_refused(metrics.failed)} for the same reason"
    return "Stopped" if metrics.answered else "Stopped at the first answer"


def _first_refused(failed: int) -> str:
    return "the first prompt was refused" if failed == 1 else f"the first {failed:,} prompts were all refused"


Say = Callable[[Run, Metrics], list[str]]
_BY_STATE: dict[str, Say] = {"opening": _opening, "running": _running, "paused": _paused, "stopping": _stopping}
_BY_REASON: dict[str, Say] = {"finished": _finished, **dict.fromkeys(("stopped", "interrupted", "saved"), _stopped)}


# Its parts


def _counts(metrics: Metrics) -> str:
    """What is answered, in flight and queued."""
    said = [f"{metrics.answered:,} of {metrics.calls:,} answered", f"{metrics.running:,} in flight"]
    if metrics.queued:
        said.append(f"{metrics.queued:,} queued")
    return ", ".join(said)


def _wait(prompts: int) -> str:
    return f"{counted(prompts, 'prompt')} {'waits' if prompts == 1 else 'wait'}"


def _not_sent(prompts: int) -> str:
    return f"{counted(prompts, 'prompt')} {_was(prompts)} not sent."


def _over_stretches(run: Run) -> str:
    return f" over {len(run.stretches)} stretches" if len(run.stretches) > 1 else ""


def _retried(metrics: Metrics) -> list[str]:
    if not metrics.retries:
        return []
    calls, were = counted(metrics.retried_calls, "call"), "was" if metrics.retried_calls == 1 else "were"
    return [f"{calls} {were} retried: {counted(metrics.attempts, 'quota slot')} used."]


def _added_up(run: Run, metrics: Metrics) -> list[str]:
    """The sum of the latencies, and speed-up where calls in flight alone allow to speak of it."""
    if metrics.attempts < 2 or metrics.overlap is None:
        return []
    overlap = number(metrics.overlap, digits=2)
    said = [f"Latencies add up to {duration(metrics.service_s, digits=2)} (overlap {overlap})."]
    gained = speed_up(run)
    if gained is not None and gained.calls_alone is not None and gained.factor >= CLOSE:
        said.append(
            f"By the {gained.calls_alone:,} calls that were in flight alone, one after another would take about "
            f"{duration(gained.one_after_another_s, digits=2)}: {number(gained.factor, digits=2)} times as long."
        )
    return said


def _lag(metrics: Metrics) -> list[str]:
    lag_s, typical_s = metrics.worst_lag_s, metrics.latency.p50_s
    if lag_s is None or lag_s <= LAG_S or (typical_s is not None and lag_s < LAG_SHARE * typical_s):
        return []
    late = duration(lag_s, digits=2)
    return [f"This machine was the bottleneck at times: it looked up to {late} late, which the latencies include."]


def _now_ns(run: Run, metrics: Metrics) -> int:
    """The instant at which `metrics` cut what goes on."""
    before_ns = sum(stretch.ended_ns - stretch.began_ns for stretch in run.stretches if stretch.ended_ns is not None)
    return run.stretches[-1].began_ns + nanoseconds(metrics.wall_s) - before_ns


def _added_up_s(run: Run) -> float | None:
    """What the calls take one after another, if they take as long as they did; None where one has no latency."""
    latencies = [call.latency_ns for call in run.calls]
    return None if None in latencies else seconds(sum(latency or 0 for latency in latencies))
