"""How a run that has ended goes on: with what settings, and what that will come to.

Comes in: a run that was opened for whoever drives it, and what stands in its fields. Goes out: a popover with them
beside its button, and what is asked of the library: the settings in which the run goes on otherwise. Many calls that
cost money are asked about as the form asks: by another button, so that a press that reaches us twice is still one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from dashboard import (
    door,
    elements,
    house,
    inputs,
    note_words,
    session,
    session_kept,
    session_resume,
    starting,
    wording,
)
from dashboard.expect import Expected
from dashboard.expect import expected as expected_of
from dashboard.more_form import draw_to_go_on
from dashboard.prospect_words import cautions
from dashboard.settings_words import moved_on, refusal_words
from dashboard.units import counted
from fanout.batch import Batch
from fanout.errors import BadInput, FanoutError
from fanout.library import Opened
from fanout.run import Run
from fanout.stretch import workers_wanted
from fanout.tuning.priced import has_unpriced

STAYS = (
    "The answers that are there stay. Instructions, temperature and max output tokens are as they were: "
    "Edit and run again changes these too."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the button will come to, in a sentence."""

    words: str
    is_wrong: bool = False
    """Whether it says why nothing is sent."""
    may_press: bool = True
    """Whether pressing the button can send something: not while a field holds what no run can go on under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The settings a run is to go on under, and which of them are others than it had."""

    batch: Batch
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Whether so many calls are to be sent, under these settings."""

    run_id: str
    asked: _Asked
    calls: int


def unanswered(run: Run) -> int:
    """How many prompts have no answer."""
    return sum(1 for call in run.calls if call.status != "answered")


def verb(run: Run) -> str:
    """What its button says."""
    return note_words.rest_button(run)


def draw(opened: Opened, run: Run) -> None:
    """The fields, and the button that sends what has no answer."""
    session_resume.adopt(run.run_id, run.batch)
    fields = st.popover("Other settings", key=session_resume.FIELDS, on_change="rerun")
    session_resume.open_fields(are_open=bool(fields.open))
    if fields.open:  # drawn by then: fields of a closed one would miss what they are filled with
        with fields:
            draw_to_go_on(session_resume.under())
    plan = plan_of(run)
    if fields.open:
        with fields:
            (elements.caution if plan.is_wrong else elements.quiet)(plan.words)
            elements.quiet(STAYS)
    question, off = _question(run), not plan.may_press
    ours = session_kept.name()  # in the keys: a page that an earlier server drew showed other settings
    if question is not None and session.asked(question):
        label = f"Send {counted(question.calls, 'call')}"
        st.button(label, key=f"retry_confirm_{ours}", type="primary", disabled=off, on_click=confirm, args=(opened,))
        st.button("Not now", key="not_now", on_click=session.forget_pending)
        return
    label = note_words.rest_label(run)
    st.button(label, key=f"retry_failed_{ours}", type="primary", disabled=off, on_click=press, args=(opened,))


def wanted(run: Run) -> Batch | None:
    """The settings that stand in the fields; None where no run can go on under them."""
    try:
        return _asked(run).batch
    except BadInput:
        return None


def plan_of(run: Run) -> Plan:
    """What the button will come to; why it sends nothing, where it would not, or where it was pressed and did not."""
    try:
        asked = _asked(run)
        expected = _expected(run, asked.batch)
    except BadInput as exc:
        return _refused(run, refusal_words(str(exc)), may_press=False)
    why = session_resume.refusal((run.run_id, asked))
    if why is not None:
        return _refused(run, why)
    said = [
        f"{verb(run)} sends {wording.plan_sentence(asked.batch, expected)}",
        *cautions(asked.batch, expected.quota, has_unpriced=has_unpriced(run, asked.batch.model)),
    ]
    moved = moved_on(run.batch, asked.batch)
    if moved is not None:
        said.append(f"From here on: {moved}.")
    question = _question(run)
    if question is not None and session.asked(question):
        said.append(wording.cost_question(asked.batch, expected))
    return Plan(words=" ".join(said))


def press(opened: Opened) -> None:
    """Send what has no answer, or ask once more, where that is many calls that cost money."""
    run = opened.run.snapshot()
    question = _question(run)
    if question is None:
        go_on_with(opened)
    elif run.ended:
        session.ask_again(question)


def confirm(opened: Opened) -> None:
    """Send what was asked about; where it would be something else by now, ask about that."""
    run = opened.run.snapshot()
    question = _question(run)
    if question is None or session.asked(question):
        go_on_with(opened)
    elif run.ended:
        session.ask_again(question)


def go_on_with(opened: Opened) -> None:
    """Send what has no answer, with max_workers as the slider says and the settings that stand in the fields."""
    run = opened.run.snapshot()
    if not run.ended:
        return  # this click was delivered before
    session.forget_pending()
    session.unsay()
    try:
        asked = _asked(run)
    except BadInput:
        return  # the plan says so
    try:
        starting.resume(door.person(), opened, changes=asked.changes)
        session.await_change(run.version)
        session_resume.close()
    except FanoutError as exc:
        session_resume.refuse((run.run_id, asked), str(exc))


def _question(run: Run) -> _Question | None:
    """What is asked before it is sent; None where nothing is."""
    try:
        asked = _asked(run)
    except BadInput:
        return None  # the plan says so
    calls = expected_of(asked.batch, (), reused=_answered(run)).calls
    if not inputs.asks_twice(asked.batch.model, calls, os.environ):
        return None
    return _Question(run_id=run.run_id, asked=asked, calls=calls)


def _answered(run: Run) -> list[int]:
    return [call.index for call in run.calls if call.status == "answered"]


def _expected(run: Run, batch: Batch) -> Expected:
    """Of the prompts that have no answer. Raises BadInput where they ask for more than fanout.toml allows."""
    try:
        runs = house.library().driven(door.person())
    except FanoutError:
        runs = ()  # the store is lost: nobody tells how long it takes
    return replace(expected_of(batch, runs, reused=_answered(run), account=house.engine().quota_for(batch)), reused=0)


def _refused(run: Run, why: str, *, may_press: bool = True) -> Plan:
    return Plan(words=f"{verb(run)} sends nothing: {why.rstrip('.')}.", is_wrong=True, may_press=may_press)


def _asked(run: Run) -> _Asked:
    """Raises BadInput, with the sentence to show."""
    wanted = workers_wanted(run)
    moved = session.slid("strip_workers") or wanted
    batch = inputs.batch_from(
        {**session_resume.form(run.run_id, run.batch), "max_workers": moved},
        run.batch.prompts,
        profile=run.batch.sandbox,
        ceiling=max(house.settings().max_workers_ceiling, wanted),
    )
    changes = inputs.changed(run.batch, batch)
    return _Asked(batch=batch, changes=changes if moved == wanted else {**changes, "max_workers": moved})
