"""The form's values become a Batch: pure, apart from the files and variables of the operator's environment it is given.

Comes in: the values of the controls, as the browser sent them (nothing about them is trusted), and the list of
prompts. Goes out: a `Batch`, or BadInput with the sentence the page shows. Knows no element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboard.guard import is_loopback
from dashboard.session import STREAM_CHOICES
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.prompts import Mode, read_text
from fanout.sandbox.profile import SandboxProfile

ASK_ABOVE_CALLS = 500
"""Above this many calls on a model that costs money, what sends them is pressed twice."""
GO_ON = (
    "model",
    "timeout_s",
    "retries",
    "stream",
    "auto_workers",
    "requests_per_minute",
    "tokens_per_minute",
    "burst",
    "cap_tokens",
    "cap_usd",
    "identical_once",
)
"""The settings under which a run can go on, beside max_workers. Those that stay out of it say what its stored answers
are answers to; but another model may answer what is left, where one is gone or too slow. Weight moves as it runs."""


def batch_from(
    form: Mapping[str, Any], prompts: Sequence[str], *, profile: SandboxProfile | None, ceiling: int
) -> Batch:
    """What Run starts. Raises BadInput, with the sentence to show."""
    model = str(form["model"] or "").strip()
    workers = form["max_workers"]
    if isinstance(workers, int) and workers > ceiling:
        raise BadInput(f"max_workers must be at most {ceiling} here (FANOUT_MAX_WORKERS_CEILING), got {workers}")
    if form["stream"] not in STREAM_CHOICES:
        raise BadInput(f"stream must be one of {', '.join(STREAM_CHOICES)}, got {form['stream']!r}")
    return Batch(
        prompts=tuple(prompts),
        model=model,
        max_workers=workers,
        instructions=form["instructions"],
        temperature=form["temperature"],
        max_output_tokens=form["max_output_tokens"],
        timeout_s=_given("timeout_s", form["timeout_s"]),
        retries=_given("retries", form["retries"]),
        stream=STREAM_CHOICES[form["stream"]],
        name=form["run_name"],
        auto_workers=form["auto_workers"],
        requests_per_minute=form["requests_per_minute"],
        tokens_per_minute=form["tokens_per_minute"],
        burst=form["burst"],
        weight=_given("weight", form["weight"]),
        cap_tokens=form["cap_tokens"],
        cap_usd=form["cap_usd"],
        reuse_answers=form["reuse_answers"],
        identical_once=form["identical_once"],
        sandbox=profile if model == "sandbox" else None,
    )


def changed(before: Batch, after: Batch) -> dict[str, Any]:
    """The settings of a run's form that are others than before, by field, as a run goes on under them."""
    return {name: getattr(after, name) for name in GO_ON if getattr(after, name) != getattr(before, name)}


def _given(name: str, value: Any) -> Any:
    if value is None:
        raise BadInput(f"{name} is empty: give a number")
    return value


def asks_twice(model: str, calls: int, environment: Mapping[str, str]) -> bool:
    """Whether a press that sends so many calls to this model waits for a second one."""
    return calls > ASK_ABOVE_CALLS and costs_money(model, environment)


def costs_money(model: str, environment: Mapping[str, str]) -> bool:
    """Whether somebody pays for calls of this model: not the sandbox, not a server on this machine."""
    if model == "sandbox":
        return False
    provider = model.partition(":")[0]
    if provider == "ollama":
        return not _local(environment.get("OLLAMA_BASE_URL", "http://localhost"))
    if provider in ("openai", "openai-chat", "openai-responses"):
        return not _local(environment.get("OPENAI_BASE_URL", ""))
    return True


def _local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AsText:
    """A list of prompts as text, and how that text parts them."""

    text: str
    mode: Mode


def as_text(prompts: Sequence[str]) -> AsText | None:
    """The text that reads back as exactly these prompts: one a line where that holds them, else parted by `---`.

    None where no text does (a prompt with a line of `---`, or blank lines at its ends): the table holds those.
    """
    if not prompts:
        return AsText(text="", mode="line")
    modes: tuple[tuple[Mode, str], ...] = (("line", "\n"), ("dashes", "\n---\n"))
    for mode, between in modes:
        text = between.join(prompts)
        try:
            if read_text(text, mode=mode).prompts == tuple(prompts):
                return AsText(text=text, mode=mode)
        except BadInput:
            continue
    return None


def from_table(cells: Iterable[object]) -> tuple[str, ...]:
    """The prompts of an edited table: its texts, without the rows left blank."""
    return tuple(cell for cell in cells if isinstance(cell, str) and cell.strip())


def edited(cells: Sequence[str], edits: Mapping[str, Any]) -> list[object]:
    """The cells of a table of one column after these edits of it, in the order in which Streamlit lays them over it."""
    changed: list[object] = [edits["edited_rows"].get(row, {}).get("prompt", cell) for row, cell in enumerate(cells)]
    deleted = set(edits["deleted_rows"])
    left = [cell for row, cell in enumerate(changed) if row not in deleted]
    return left + [row.get("prompt") for row in edits["added_rows"]]


def duplicates(prompts: Sequence[str]) -> int:
    """How many repeat an earlier one."""
    return len(prompts) - len(set(prompts))
