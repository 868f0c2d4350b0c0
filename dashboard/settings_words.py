"""A run's settings in words: their names as the form has them, their values as one would say them.

Comes in: a `Run`, the settings in which two differ, or those under which one goes on. Goes out: plain text (escape it
where it is shown: instructions and names were written by people). Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from os.path import commonprefix

from dashboard.units import duration, money, percent
from fanout.batch import Batch
from fanout.compare import Setting
from fanout.run import Run
from fanout.sandbox.profile import SandboxProfile

MOST_CHARACTERS = 300
"""Of a value that is shown."""
MOST_VALUES = 6
"""Values of max_workers that are named one by one."""

_NAMES: Mapping[str, str] = {
    "model": "Model",
    "max_workers": "max_workers",
    "instructions": "Instructions",
    "temperature": "Temperature",
    "max_output_tokens": "Max output tokens",
    "timeout_s": "Timeout",
    "retries": "Retries",
    "stream": "Stream the answers",
    "name": "Name",
    "auto_workers": "Auto max_workers",
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "burst": "Burst",
    "weight": "Weight",
    "reuse_answers": "Reuse answers",
    "identical_once": "Identical prompts once",
    "cap_tokens": "Cap in tokens",
    "cap_usd": "Cap in dollars",
    "sandbox.seed": "Sandbox: seed",
    "sandbox.first_token_ms": "Sandbox: median time to the first token",
    "sandbox.first_token_sigma": "Sandbox: its spread, sigma",
    "sandbox.token_ms": "Sandbox: median time of a further token",
    "sandbox.token_sigma": "Sandbox: its spread a request, sigma",
    "sandbox.requests_per_minute": "Sandbox: requests a minute",
    "sandbox.tokens_per_minute": "Sandbox: tokens a minute",
    "sandbox.requests_per_day": "Sandbox: requests a day",
    "sandbox.burst": "Sandbox: requests at once",
    "sandbox.token_burst": "Sandbox: tokens at once",
    "sandbox.max_in_flight": "Sandbox: refuses above, in flight",
    "sandbox.headers": "Sandbox: headers tell of limits",
    "sandbox.hard_window": "Sandbox: hard window",
    "sandbox.rejected_burn": "Sandbox: rejected calls burn quota",
    "sandbox.other_user_share": "Sandbox: another user takes",
    "sandbox.charge_max_tokens": "Sandbox: charges the longest answer",
    "sandbox.error_rate": "Sandbox: answered with a server error",
    "sandbox.hang_rate": "Sandbox: never answered",
    "sandbox.truncation_rate": "Sandbox: ended half-way",
    "sandbox.capacity": "Sandbox: slower above, in flight",
}
_SHORT = {name.removeprefix("sandbox.") for name in _NAMES} - {"max_workers"}
_OF_SANDBOX = "|".join(sorted(name for name in _SHORT if f"sandbox.{name}" in _NAMES))
_IN_CODE = re.compile(
    rf"\bsandbox (?:{_OF_SANDBOX})\b|\b(?:{'|'.join(sorted(name for name in _SHORT if '_' in name))})\b"
)
"""What a refusal calls a setting; a name that is a word of its own stays as it is."""
_UNSET: Mapping[str, str] = {
    "instructions": "none",
    "temperature": "the model's own",
    "max_output_tokens": "the model's own",
    "stream": "up to 16 workers",
    "name": "none",
    "requests_per_minute": "the account's",
    "tokens_per_minute": "the account's",
    "burst": "the account's",
    "cap_tokens": "no cap",
    "cap_usd": "no cap",
    "sandbox.burst": "a minute's worth",
    "sandbox.token_burst": "a minute's worth",
}
_SHARES = frozenset({"other_user_share", "error_rate", "hang_rate", "truncation_rate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A setting that differs, in words."""

    name: str
    a: str
    b: str


def refusal_words(sentence: str) -> str:
    """A refusal that calls settings as the form does, and not as the code does."""
    return _IN_CODE.sub(lambda found: f"“{_label(found[0])}”", sentence)


def _label(in_code: str) -> str:
    short = in_code.removeprefix("sandbox ")
    of_sandbox = short != in_code or short not in _NAMES
    words = _NAMES[f"sandbox.{short}" if of_sandbox else short].removeprefix("Sandbox: ")
    return words[:1].upper() + words[1:]


def differing(settings: Iterable[Setting], *, a: Run, b: Run) -> Iterator[Told]:
    """The settings in which two runs differ; long texts from where they part."""
    for each in settings:
        of_a, of_b = (_value(each.name, value, run.batch.model) for value, run in ((each.a, a), (each.b, b)))
        if max(len(of_a), len(of_b)) > MOST_CHARACTERS:
            of_a, of_b = _parted(of_a, of_b)
        yield Told(name=setting_name(each.name), a=of_a, b=of_b)


def settings_of(run: Run) -> Iterator[tuple[str, str]]:
    """A run's settings by name, those left alone out, but never the model and max_workers.

    Where it went on under another, all the values it had, in order.
    """
    model = run.batch.model
    for field in fields(Batch):
        if field.name in ("prompts", "sandbox"):
            continue
        had = run.had(field.name)
        if field.name in ("model", "max_workers") or had != (field.default,):
            yield setting_name(field.name), _value(field.name, had, model)
    if run.batch.sandbox is not None:
        for profile_field in fields(SandboxProfile):
            value = getattr(run.batch.sandbox, profile_field.name)
            if value != profile_field.default:
                name = f"sandbox.{profile_field.name}"
                yield setting_name(name), _value(name, value, model)


def moved_on(before: Batch, after: Batch) -> str | None:
    """The settings in which a run goes on otherwise: Timeout 2 min instead of 1 min, Retries 5 instead of 2.

    max_workers is none of them: it moves at any time, and the chart shows it.
    """
    names = [field.name for field in fields(Batch) if field.name not in ("prompts", "sandbox", "max_workers")]
    said = [
        f"{setting_name(name)} {now} instead of {was}"
        for name in names
        if (now := _value(name, getattr(after, name), after.model))
        != (was := _value(name, getattr(before, name), before.model))
    ]
    return ", ".join(said) or None


def went_on(run: Run) -> Iterator[str]:
    """A line for each stretch that went on under other settings than the one before it."""
    for before, after in pairwise(run.stretches):
        moved = moved_on(before.batch, after.batch)
        if moved is not None:
            yield f"{'Resumed' if after.purpose == 'resume' else 'Sent again'} with {moved}."


def setting_name(name: str) -> str:
    """A setting as the form names it."""
    return _NAMES.get(name, name)


def _value(name: str, value: object, model: str) -> str:
    short = name.removeprefix("sandbox.")
    if value is None:
        if name.startswith("sandbox.") and model != "sandbox":
            return "no sandbox"
        return _UNSET.get(name, "no limit")
    if isinstance(value, tuple):
        return _moved([_value(name, each, model) for each in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float):
        return str(value)
    if short == "seed":
        return str(value)
    if short in _SHARES:
        return percent(value)
    if short == "cap_usd":
        return money(value)
    if short in ("timeout_s", "first_token_ms", "token_ms"):
        return duration(value if short.endswith("_s") else value / 1000)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _moved(values: Sequence[str]) -> str:
    """8, then 12, then 3; of many the first, the last and how many changes lie between."""
    if len(values) > MOST_VALUES:
        return f"{values[0]}, then {values[-1]} at last, after {len(values) - 1:,} changes"
    return ", then ".join(values)


def _parted(a: str, b: str) -> tuple[str, str]:
    """Two long texts, a little before where they part."""
    begin = max(0, len(commonprefix([a, b])) - 40)  # noqa: RUF071  # characters are what is meant
    return _cut(a, begin), _cut(b, begin)


def _cut(text: str, begin: int) -> str:
    shown = text[begin : begin + MOST_CHARACTERS]
    return f"{'…' if begin else ''}{shown}{'…' if len(text) > begin + MOST_CHARACTERS else ''}"
