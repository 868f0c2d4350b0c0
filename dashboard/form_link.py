"""The form's settings in a link: `/?form=<run>&max_workers=12`. Pure.

Comes in: a batch and the one it came from, or the query of an address that anybody may have written. Goes out: the
query that says in what they differ, or the batch that it stands for, checked as any other. `form` names the run whose
prompts and settings are the beginning, or `new` for the form's first values. Nothing is sent by a link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.names import visible
from fanout.sandbox.profile import SandboxProfile
from fanout.store.shelf import MOST_NAME

FORM = "form"
NEW = "new"
"""What `form` says where no run is named."""
MOST_CHARACTERS = 1_000
"""Of a setting in a link: servers on the way cut long addresses. A longer one stays behind, and the page says so."""


def query_of(
    batch: Batch, *, base: Batch | None, run_id: str | None, most: int = MOST_CHARACTERS
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The query that stands for this batch, and the settings too long for it. `base`: the batch of the run named."""
    before = _first(batch.prompts) if base is None else base
    query, left = {FORM: run_id or NEW}, []
    for name in SETTINGS:
        value, was = _value(batch, name), _value(before, name)
        if value == was or (name == "sandbox" and batch.model != "sandbox"):
            continue
        text = _written(name, value)
        if len(text) > (MOST_NAME if name == "name" else most):  # one of before there was a bound
            left.append(name)
        else:
            query[name] = text
    return query, tuple(left)


def read(query: Mapping[str, str], base: Batch | None) -> Batch:
    """The batch that a link stands for; without a run its prompts are a stand-in. Raises BadInput, naming the setting.

    `base`: the batch of the run that the link names.
    """
    before = _first(["-"]) if base is None else base
    found: dict[str, Any] = {name: getattr(before, name) for name in SETTINGS}
    for name, text in query.items():
        if name in SETTINGS:
            found[name] = SETTINGS[name](name, text)
    if found["model"] != "sandbox":
        found["sandbox"] = None
    return Batch(prompts=before.prompts, **found)


def _value(batch: Batch, name: str) -> Any:
    value = getattr(batch, name)
    return SandboxProfile() if name == "sandbox" and value is None else value


def _first(prompts: Sequence[str]) -> Batch:
    """The form as at first."""
    return Batch(prompts=prompts, sandbox=SandboxProfile())


def named(query: Mapping[str, str]) -> tuple[str, ...]:
    """The settings that a link sets, in the form's order."""
    return tuple(name for name in SETTINGS if name in query)


def _written(name: str, value: Any) -> str:
    """A setting as text that `SETTINGS` reads back; empty where it is left to whoever decides then."""
    if value is None:
        return ""
    if isinstance(value, SandboxProfile):
        return value.encoded()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _text(_: str, text: str) -> str | None:
    return text or None


def _name(_: str, text: str) -> str | None:
    if len(text) > MOST_NAME:
        raise BadInput(f"a run's name may have {MOST_NAME} characters, this one has {len(text)}")
    return visible(text)


def _whole(name: str, text: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise BadInput(f"{name} must be a whole number, got {text[:40]!r}") from None


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise BadInput(f"{name} must be a number, got {text[:40]!r}") from None


def _yes_or_no(name: str, text: str) -> bool | None:
    if text not in ("", "yes", "no"):
        raise BadInput(f"{name} must be yes or no, got {text[:40]!r}")
    return text == "yes" if text else None


def _profile(_: str, text: str) -> SandboxProfile | None:
    return SandboxProfile.decode(text) if text else None


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "name": _name,
    "max_workers": _whole,
    "temperature": _number,
    "max_output_tokens": _whole,
    "timeout_s": _number,
    "retries": _whole,
    "stream": _yes_or_no,
    "auto_workers": _yes_or_no,
    "requests_per_minute": _whole,
    "tokens_per_minute": _whole,
    "burst": _whole,
    "weight": _whole,
    "cap_tokens": _whole,
    "cap_usd": _number,
    "reuse_answers": _yes_or_no,
    "identical_once": _yes_or_no,
    "sandbox": _profile,
}
SETTINGS: Mapping[str, Callable[[str, str], Any]] = {
    field.name: _READERS.get(field.name, _text) for field in fields(Batch) if field.name != "prompts"
}
"""How each setting is read from a link."""
