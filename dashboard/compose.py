"""The form: prompts on the left two thirds, settings on the right, Run, and the runs of this process.

Comes in: what `session` remembers and the engine's runs. Goes out: elements, and a run that was started. It decides
nothing: `prompt_editors` has the list, `inputs` makes the batch, `expect` and `wording` say what it will come to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

import streamlit as st

from dashboard import (
    door,
    elements,
    form_filling,
    house,
    inputs,
    kept_form,
    live,
    prompt_editors,
    runs_list,
    session,
    session_address,
    session_kept,
    session_link,
    session_sandbox,
    session_share,
    starting,
    wording,
)
from dashboard.cap_words import reached_today
from dashboard.expect import Expected
from dashboard.expect import expected as expected_of
from dashboard.gantt import component
from dashboard.more_form import chooses_who_sees, draw_more, model_field
from dashboard.prospect_words import cautions
from dashboard.session_link import Said
from dashboard.settings_words import refusal_words
from dashboard.units import counted
from fanout import Batch
from fanout.errors import BadInput, FanoutError
from fanout.people import may_start
from fanout.store import NoSuchRun


def draw_form() -> None:
    """The whole page; for viewers the runs alone."""
    if not may_start(door.person()):
        _draw_for_viewers()
        return
    ceiling = house.settings().max_workers_ceiling
    session_sandbox.adopt()
    form_filling.from_address(ceiling=ceiling)
    session.prepare_form(ceiling=ceiling, visibility=house.library().usual_visibility)
    kept_form.take()
    rows = runs_list.look()
    # Each in a container that is always there: a field keeps what is typed into it only while its place stays the same.
    with st.container():
        if rows.every_s is not None:
            live.poll(runs_list.look, key="runs")
    with st.container():
        form_filling.draw_told()
    left, right = st.columns([2, 1], gap="large")
    with left:
        prompts = prompt_editors.draw()
    with right:
        _settings(ceiling)
        _run(prompts, ceiling)
    if rows.every_s is None:
        rows.draw()
    session_sandbox.keep()
    kept_form.keep(ceiling=ceiling)
    component.early(key="gantt_early")


def _draw_for_viewers() -> None:
    elements.sentence("You read runs here; members start them.")
    live.poll(runs_list.look, key="runs")


# Settings


def _settings(ceiling: int) -> None:
    model_field()
    st.slider(
        "max_workers",
        1,
        ceiling,
        # Also as the default: a browser that was not told where it stands would show 1, and report it.
        session.slid("max_workers"),
        key="max_workers",
        help="Calls in flight at most. It can be moved while the run goes on.",
        persist_state="session",
    )
    with st.expander("More", key="more"):
        draw_more()


# Run


def _run(prompts: Sequence[str], ceiling: int) -> None:
    """The one primary button, what pressing it will come to, and why it did not work."""
    problem: str | None = None
    batch: Batch | None = None
    expected: Expected | None = None
    _carry()
    try:
        batch = inputs.batch_from(session.form(), prompts, profile=session.profile(), ceiling=ceiling)
        expected = _expected(batch)
    except BadInput as exc:
        problem = refusal_words(str(exc))
    waits = expected is not None and batch is not None and session.asked(batch)
    with st.container(key="run_button"):
        number = session_address.presses()
        pressed = st.button(
            f"Send {counted(expected.calls, 'call')}" if waits and expected is not None else "Run",
            type="primary",
            shortcut="Ctrl+Enter",
            width="stretch",
            key=f"run_press_{number}_{session_kept.name()}",  # no page of an earlier server has it
            on_click=session_address.press_run,
            args=(number,),
        )
    pressed = session_address.take_press() or pressed
    wrong = st.container()  # under the button that was pressed
    if waits:
        st.button("Not now", key="not_now", on_click=session.forget_pending)
    if batch is not None and expected is not None:
        _plan(batch, expected, waits=waits)
        if pressed:
            problem = _pressed(batch, expected, waits=waits)
        _link(batch)
    if problem is not None and (pressed or prompts):
        with wrong:
            elements.wrong(
                problem
            )  # a list that is not there yet is missed when Run is pressed, what is refused at once


def _carry() -> None:
    """Where the form was filled from a run: whether its answers are kept, as when it is gone on with."""
    came = session_link.came_from()
    if came is not None:
        st.toggle(
            f"Keep the answers of run {came.run_id[:8]}",
            key=session_link.CARRY,
            help="A prompt that this run answered is not sent again, wherever it stands in the list now: each of "
            "several identical ones takes an answer of its own. What has none is sent.",
            persist_state="session",
        )


def _expected(batch: Batch) -> Expected:
    """What the batch will come to. What is answered already is looked up once for each list and its settings.

    Raises BadInput where it asks for more than the settings allow.
    """
    account = house.engine().quota_for(batch)
    library, person, carried = house.library(), door.person(), session_link.carries()
    run_id = None if carried is None else carried.run_id
    asked = (batch, person.user_id, session_address.presses(), run_id)
    reused = session.kept("answered", asked)
    if reused is None:
        try:
            token = None if run_id is None else session_share.link_of(run_id)
            reused = library.answered_before(person, batch, carry_from=run_id, token=token)
        except NoSuchRun:
            _leave_run(run_id)
        except FanoutError:
            reused = frozenset()  # the store is lost, and the run will say so
        session.keep("answered", asked, reused)
    return expected_of(batch, library.driven(person), reused=reused, account=account)


def _leave_run(run_id: str | None) -> NoReturn:
    """The run whose answers were to be kept is known no longer: the form goes on without it, and says so."""
    session_link.leave()
    what = f"Run {(run_id or '')[:8]} is not known here any more: it was deleted, or is shared with you no longer"
    session_link.tell(Said(words=f"{what}. So its answers cannot be kept. Nothing was sent.", is_wrong=True))
    st.rerun()


def _link(batch: Batch) -> None:
    """The way to hand these settings on."""
    with st.popover("Link to this form", key="form_link", type="tertiary", icon=":material/link:"):
        address, said = form_filling.link_to(batch)
        elements.quiet(said)
        st.code(address, language=None, wrap_lines=True)


def _plan(batch: Batch, expected: Expected, *, waits: bool) -> None:
    elements.quiet(wording.plan_sentence(batch, expected))
    if batch.name:  # it stands in the closed half of the form, and holds for the next run too
        elements.quiet(f"It will be named “{batch.name}”.")
    for line in cautions(batch, expected.quota):
        elements.caution(line)
    today = house.library().today(door.person())
    reached = None if today is None else reached_today(*today)
    if reached is not None:
        elements.caution(reached)
    if batch.model == "sandbox":
        elements.quiet("The sandbox simulates its answers on this machine.")
    if waits:
        elements.quiet(wording.cost_question(batch, expected))


def _pressed(batch: Batch, expected: Expected, *, waits: bool) -> str | None:
    """Start the run, or ask once more; gives the sentence where it cannot be started."""
    if inputs.asks_twice(batch.model, expected.calls, os.environ) and not waits:
        session.ask_again(batch)
        st.rerun()
    carried = session_link.carries()
    run_id = None if carried is None else carried.run_id
    try:
        visibility = session.visibility() if chooses_who_sees() else None
        token = None if run_id is None else session_share.link_of(run_id)
        started = starting.start(door.person(), batch, visibility=visibility, carry_from=run_id, token=token)
    except NoSuchRun:
        _leave_run(run_id)
    except FanoutError as exc:
        return str(exc)
    form_filling.forget()
    session_address.show_run(started.run_id)
    st.rerun()
