"""What one browser session remembers: the only file, with its siblings `session_*`, that touches st.session_state and
the address's query.

Comes in: what the page's controls report. Goes out: plain values. Nothing here is shared: two people in two browsers
have two of everything, and only the engine's runs are common. Widgets keep their own values under the keys named
here; what a widget cannot keep (the list behind the editors, the call whose detail is open, a press that waits for its
second one) is kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import streamlit as st

from dashboard import session_prompts
from dashboard.tables import Order
from fanout.batch import Batch
from fanout.people import Visibility
from fanout.prompts import Mode
from fanout.samples import SAMPLE_PROMPTS
from fanout.sandbox.profile import SandboxProfile

StreamChoice = Literal["Up to 16 workers", "Always", "Never"]
STREAM_CHOICES: Mapping[StreamChoice, bool | None] = {"Up to 16 workers": None, "Always": True, "Never": False}
FEW_WORKERS = 8
"""Where the slider stands at first."""

_FORM: Mapping[str, object] = {
    "prompts_source": "Text",
    "prompts_mode": "line",
    "model": "sandbox",
    "instructions": "",
    "temperature": None,
    "max_output_tokens": None,
    "timeout_s": 60.0,
    "retries": 2,
    "stream": "Up to 16 workers",
    "run_name": "",
    "auto_workers": False,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "burst": None,
    "weight": 1,
    "cap_tokens": None,
    "cap_usd": None,
    "reuse_answers": False,
    "identical_once": False,
}


# The form


def prepare_form(*, ceiling: int, visibility: Visibility) -> None:
    """Give every control of the form its first value, where it has none."""
    st.session_state.setdefault("prompts_text", "\n".join(SAMPLE_PROMPTS))
    for key, value in _FORM.items():
        st.session_state.setdefault(key, value)
    st.session_state.setdefault("run_visibility", visibility)
    workers = st.session_state.setdefault("max_workers", min(FEW_WORKERS, ceiling))
    if workers > ceiling:
        st.session_state["max_workers"] = ceiling


def form(under: str = "") -> Mapping[str, Any]:
    """The values of the form's controls, by key. `under`: what stands before the keys, where it is not the form's."""
    firsts = (*_FORM.items(), ("max_workers", FEW_WORKERS))
    return {key: st.session_state.get(f"{under}{key}", first) for key, first in firsts}


def visibility() -> Visibility:
    """Who is to see the next run."""
    return cast(Visibility, st.session_state["run_visibility"])


def fill_form(batch: Batch, *, text: str | None, mode: Mode) -> None:
    """The form as this batch was started; `text` None leaves its prompts to the table. From a callback only."""
    fill_settings(batch)
    session_prompts.put_in_editors(batch.prompts, text=text, mode=mode)


def fill_settings(batch: Batch, *, under: str = "") -> None:
    """The form's settings as in this batch, under the same keys as `form`. From a callback, or before it is drawn."""
    stream = next(word for word, value in STREAM_CHOICES.items() if value is batch.stream)
    values = {
        "model": batch.model,
        "instructions": batch.instructions or "",
        "temperature": batch.temperature,
        "max_output_tokens": batch.max_output_tokens,
        "timeout_s": float(batch.timeout_s),
        "retries": batch.retries,
        "stream": stream,
        "run_name": batch.name or "",
        "max_workers": batch.max_workers,
        "auto_workers": batch.auto_workers,
        "requests_per_minute": batch.requests_per_minute,
        "tokens_per_minute": batch.tokens_per_minute,
        "burst": batch.burst,
        "weight": batch.weight,
        "cap_tokens": batch.cap_tokens,
        "cap_usd": None if batch.cap_usd is None else float(batch.cap_usd),
        "reuse_answers": batch.reuse_answers,
        "identical_once": batch.identical_once,
    }
    st.session_state.update({f"{under}{key}": value for key, value in values.items()})
    if not under:
        st.session_state["_filled"] = True
    if batch.sandbox is not None and not under:
        put_in_profile_form(batch.sandbox)


# What was read


def kept(slot: str, question: object) -> Any:
    """What was found for this very question (a text and a mode, a file and a column), or None."""
    found = st.session_state.get(f"_kept_{slot}")
    return found[1] if found is not None and found[0] == question else None


def keep(slot: str, question: object, answer: object) -> None:
    """Remember an answer, so that a slider's move does not read a large file again."""
    st.session_state[f"_kept_{slot}"] = (question, answer)


# The sandbox


def profile() -> SandboxProfile:
    """How the sandbox behaves for runs started from this session from now on."""
    return cast(SandboxProfile, st.session_state.get("_profile", SandboxProfile()))


def set_profile(profile: SandboxProfile) -> None:
    """From now on like this; runs that go on keep theirs."""
    st.session_state["_profile"] = profile


def put_in_profile_form(profile: SandboxProfile) -> None:
    """From now on like this, and the form shows it. From a callback, or where the form is not on the page."""
    set_profile(profile)
    st.session_state["_profile_forms"] = profile_forms() + 1


def profile_forms() -> int:
    """How often the profile's form began anew; part of its controls' keys."""
    return cast(int, st.session_state.get("_profile_forms", 0))


# A press that waits for its second one


def ask_again(question: object) -> None:
    """A costly thing was pressed once."""
    st.session_state["_pending"] = question


def asked(question: object) -> bool:
    """Whether exactly this was pressed once; any change of what it would do makes it another question."""
    return bool(st.session_state.get("_pending") == question)


def forget_pending() -> None:
    """Nothing waits for a second press."""
    st.session_state.pop("_pending", None)


# What is watched


def say(sentence: str) -> None:
    """A sentence that the next drawing of the page shows once, because what was pressed could not be done."""
    st.session_state["_said"] = sentence


def said() -> str | None:
    """That sentence; kept while the page is only refreshed, gone with the next press."""
    return cast("str | None", st.session_state.get("_said"))


def unsay() -> None:
    """Something else was pressed."""
    st.session_state.pop("_said", None)


def await_change(version: int) -> None:
    """Something was asked of a run that it will only do in a moment: look until it has left this version."""
    st.session_state["_awaits"] = version


def awaits_change(version: int) -> bool:
    """Whether what was asked has still not happened."""
    return bool(st.session_state.get("_awaits") == version)


def prefer_rows(run_id: str, first: str) -> None:
    """Let the chart of a run open as `first`; a switch by hand holds for that run."""
    if st.session_state.get("_rows_for") != run_id:
        st.session_state["_rows_for"] = run_id
        st.session_state["rows_or_lanes"] = first


def opened_call() -> int | None:
    """The call whose detail is open."""
    return cast("int | None", st.session_state.get("_opened"))


def open_call(index: int) -> None:
    """Open the detail of this call."""
    st.session_state["_opened"] = index


def close_detail() -> None:
    """Close the detail and take the selection off the table, so that the same row can be pressed again."""
    st.session_state["_opened"] = None
    st.session_state["_closed"] = _Closed(selected=_selected())
    key = st.session_state.get("_results_key")
    if key is not None and key in st.session_state:
        st.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": []}}


def shown_rows(key: str, indexes: tuple[int, ...]) -> None:
    """These calls are the table's rows from now on: what a selected position means."""
    st.session_state["_results_key"] = key
    st.session_state["_rows"] = indexes
    closed = cast("_Closed | None", st.session_state.get("_closed"))
    if closed is not None and not _selected():
        st.session_state["_closed"] = replace(closed, seen_empty=True) if not closed.seen_empty else None


def open_selected() -> None:
    """Open the detail of the row that was pressed; a selection taken back closes it. A callback of the table."""
    places = _selected()
    closed = cast("_Closed | None", st.session_state.get("_closed"))
    if closed is not None and places and places == closed.selected:
        return  # the browser has not heard yet that the selection was taken off
    st.session_state["_closed"] = None
    rows = cast("tuple[int, ...]", st.session_state["_rows"])
    st.session_state["_opened"] = rows[places[0]] if places and places[0] < len(rows) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closed:
    """The selection that was taken off by closing the detail, until the browser is known to have heard of it."""

    selected: tuple[int, ...]
    seen_empty: bool = False
    """The drawing that took it off sees it empty; the browser has heard when a later one does."""


def _selected() -> tuple[int, ...]:
    """The selected rows, by their places in the table."""
    key = st.session_state.get("_results_key")
    if key is None or key not in st.session_state:
        return ()
    state = st.session_state[key]
    return (*state["selection"]["rows"], *(row for row, _ in state["selection"]["cells"]))


def order(first: Order) -> Order:
    """The order of the table; `first` until the user chose one."""
    st.session_state.setdefault("order", first)
    return cast(Order, st.session_state["order"])


@dataclass(slots=True)
class Chosen:
    """What was chosen for the table, where a download that is pressed later can still read it."""

    order: Order = "completion"


def chosen() -> Chosen:
    """This session's; the same object every time."""
    return cast(Chosen, st.session_state.setdefault("_chosen", Chosen()))


def adopt(slider: str, run_id: str, value: int) -> int:
    """Where this slider stands when it is drawn: what the run says, unless this session has seen it say so already.

    So a change in another tab shows here, and a refresh never pulls the slider out of the hand that moves it.
    """
    seen = (run_id, value)
    if st.session_state.get(f"_{slider}_seen") != seen or slider not in st.session_state:
        st.session_state[f"_{slider}_seen"] = seen
        st.session_state[slider] = value
    return cast(int, st.session_state[slider])


def slide(slider: str, value: int) -> None:
    """Have this slider stand here when it is drawn."""
    st.session_state[slider] = value


def slid(slider: str) -> int | None:
    """Where this slider stands; None where it is not drawn."""
    return cast("int | None", st.session_state.get(slider))


def moved(slider: str, run_id: str) -> int:
    """Where this slider was moved to; a callback of the slider, which from now on need not be told."""
    value = cast(int, st.session_state[slider])
    st.session_state[f"_{slider}_seen"] = (run_id, value)
    return value
