"""Why: what the failed calls failed of, and what limited a run that has ended. Parts of the sentence.

Comes in: a `Run`. Goes out: sentences, none where there is nothing that is certainly true. Knows no page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dashboard.figures import phase
from dashboard.quota_words import limit_words
from dashboard.units import counted, duration
from fanout.batch import MOST_WORKERS
from fanout.clock import seconds
from fanout.errors import (
    BadAnswer,
    Broken,
    CallFailed,
    ConnectionFailed,
    EmptyAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFailed,
    TimedOut,
    Truncated,
)
from fanout.events import StopReason
from fanout.run import Call, Run
from fanout.tuning.bounds import Bounds, bounds, makespan_s

MOST_CAUSES = 3
MOST_CHARACTERS = 240
"""Of an error's sentence inside ours."""
CLOSE = 1.1
"""Wall over lower bound up to which a bound is said to be what limited the run."""
WORTH_SAYING = 0.9
"""More workers are spoken of where they would take at most this share of the time."""

_OF_CLASS: dict[type[CallFailed], str] = {
    RateLimited: "the provider answered 429",
    TimedOut: "no complete answer in time",
    ConnectionFailed: "the connection to the provider failed",
    Overloaded: "the provider has too much to do",
    ServerFailed: "the provider failed inside",
    Truncated: "the answer broke off",
    BadAnswer: "the provider sent something that is not an answer",
    EmptyAnswer: "the provider sent an empty answer",
    Rejected: "the provider refuses the prompt or the settings",
    Broken: "the call broke on our side or in your function",
}
"""What failures of one class have in common, where their own sentences differ."""
_ADVICE = ". Send it again"
"""For one call; of a run's, the page has a button beside its sentence."""
_ENDS = (".", "?", "!")
_OPENERS = frozenset({"The", "No", "Nothing", "This", "A", "An", "It"})


def failures(run: Run) -> list[str]:
    """What the failed calls failed of, the most frequent causes first; nothing where none has failed."""
    causes: dict[tuple[type[CallFailed], int | None], list[CallFailed]] = {}
    for call in run.calls:
        if call.status == "failed" and call.error is not None:
            causes.setdefault((type(call.error), call.error.status_code), []).append(call.error)
    ordered = sorted(causes.values(), key=len, reverse=True)
    said = [f"{_how_many(errors, run)} failed: {full_stop(_cause(errors))}" for errors in ordered[:MOST_CAUSES]]
    others = sum(len(errors) for errors in ordered[MOST_CAUSES:])
    return [*said, f"{others:,} failed for other reasons."] if others else said


def why_not_answered(run: Run, call: Call) -> str | None:
    """Why a call was cancelled, not sent, or not sent again: what ended the run, and what the call was at; or None."""
    if not run.ended:
        return None
    if call.is_not_sent_again:
        return f"It was not sent again. {_why_not(run, call)}"
    return _why_not(run, call) if call.fate in ("cancelled", "not_sent") else None


def _why_not(run: Run, call: Call) -> str:
    twin = _sent_for(run, call)
    if twin is not None:
        return f"It shares the call of prompt {twin.index + 1:,}, which has no answer."
    if (ended := _ENDED.get(run.stop_reason or "")) is not None:
        return f"{ended} while {_at(run, call)}."
    said = _WHY_NOT.get(run.stop_reason or "finished", "The run ended before its turn came")
    if run.stop_error is None:
        return f"{said}."
    is_advice_for_one = run.stop_reason == "provider_down"
    return full_stop(f"{said}: {(happened if is_advice_for_one else told)(run.stop_error.sentence)}")


_ENDED = {"stopped": "The run was stopped", "interrupted": "The process ended", "saved": "The file was saved"}
_REFUSED = "The run stopped before its turn came, because it would have been refused too"
_WHY_NOT: Mapping[StopReason, str] = {
    "key_refused": _REFUSED,
    "model_unknown": _REFUSED,
    "quota_exhausted": _REFUSED,
    "same_failure": "The run stopped before its turn came, because the prompts before it were refused",
    "provider_down": "The run stopped before its turn came, because the provider answered with nothing but faults",
    "not_ready": "The model could not be made ready",
}


def _sent_for(run: Run, call: Call) -> Call | None:
    """The identical prompt that was sent for both."""
    if not run.batch.identical_once or call.fate != "not_sent":
        return None
    alike = (other for other in run.calls if other.prompt == call.prompt and other.index != call.index)
    return next((other for other in alike if other.attempts), None)


def _at(run: Run, call: Call) -> str:
    """What the call was at when it ended."""
    phases = run.phases(call)
    if not phases:
        return "it had not begun"
    if phases[-1].name == "paused":
        return "it was paused"
    if phases[-1].name == "cap" and run.cap is not None and run.cap.of != "run":
        return "this call was waiting at the day's cap"
    return f"this call was {'about to be sent' if phases[-1].name == 'client' else phase(phases[-1].name)}"


def told(sentence: str) -> str:
    """A sentence of an error, fit for the middle of one of ours: one line, cut, no full stop at its end."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in sentence).split())
    line = line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1].rstrip()}…"
    if line.split(" ", 1)[0] in _OPENERS:
        line = line[0].lower() + line[1:]
    return line.rstrip(".") or "no reason given"


def full_stop(words: str) -> str:
    """A sentence of ours with its full stop; one that ends in somebody's question mark has its end."""
    return words if words.endswith(_ENDS) else f"{words}."


def happened(sentence: str) -> str:
    """What happened, without the advice that follows: that is for one call, not for the run."""
    return told(sentence.partition(". ")[0])


def limited_by(run: Run) -> list[str]:
    """What bound an ended run of one stretch: the slowest call, the workers, a quota; nothing where none came close."""
    found = bounds(run)
    if len(run.stretches) != 1 or len(run.calls) < 2 or found.closeness is None or found.closeness > CLOSE:
        return []
    if found.binds == "longest_call":
        return [_by_the_longest(run, found)]
    if found.binds == "workers":
        return _by_the_workers(run, found)
    return _by_the_quota(run, found)


def _by_the_quota(run: Run, found: Bounds) -> list[str]:
    """Said with the number that held at the end; a limit that was lost on the way is not spoken of."""
    latest = {step.limit: step for step in run.quota}
    if found.binds is None or found.binds == "longest_call" or found.binds == "workers":  # told apart for mypy
        return []
    step = latest.get(found.binds)
    number = None if step is None else step.value
    if step is None or number is None:
        return []
    if step.reason == "learnt":  # it swings around the real one, which nobody told
        about = limit_words(found.binds, number, learnt=True)
        return [f"The quota set the pace; its provider does not tell it, and the last guess by its 429s was {about}."]
    return [f"The quota of {limit_words(found.binds, number)} set the pace."]


def _by_the_longest(run: Run, found: Bounds) -> str:
    longest = run.calls[found.longest_call or 0]
    retried = ", its retries included" if len(longest.attempts) > 1 else ""
    took = duration(next(bound.seconds for bound in found.bounds if bound.name == "longest_call"), digits=2)
    return f"The slowest call took {took}{retried}: more workers would not help."


def _by_the_workers(run: Run, found: Bounds) -> list[str]:
    """Said where the workers had work from beginning to end, all calls are known, and no provider said: too fast."""
    workers = run.limits[0].value
    more = min(2 * workers, len(run.calls), MOST_WORKERS)
    if len(run.limits) > 1 or more <= workers or any(map(_unlike_the_others, run.calls)):
        return []
    ways_s = [seconds(sum(attempt.latency_ns or 0 for attempt in call.attempts)) for call in run.calls]
    expected_s = makespan_s(ways_s, more)
    if expected_s > WORTH_SAYING * found.wall_s:
        return []
    busy = f"{counted(workers, 'worker')} {'was' if workers == 1 else 'were'} busy nearly all the time"
    took = duration(expected_s, digits=2)
    return [f"{busy}: {more} would take about {took} if the provider keeps its pace."]


def _unlike_the_others(call: Call) -> bool:
    """Whether a call's latency does not tell what it would take beside more others."""
    return call.latency_ns is None or any(isinstance(attempt.error, RateLimited) for attempt in call.attempts)


def _how_many(errors: list[CallFailed], run: Run) -> str:
    return f"All {len(errors):,}" if 1 < len(errors) == len(run.calls) else f"{len(errors):,}"


def _cause(errors: list[CallFailed]) -> str:
    """The sentence that all of them share, else what their class has in common, else the most frequent one."""
    sentences = Counter(told(error.sentence) for error in errors)
    if len(sentences) == 1:
        return next(iter(sentences)).removesuffix(_ADVICE)
    status = errors[0].status_code
    common = _OF_CLASS.get(type(errors[0]))
    if common is None or "429" in common:
        return common or "for different reasons"
    return common if status is None else f"{common} ({status})"
