"""The strip over a run: how it stands, and what whoever may drive it can do: the slider, pause, stop, go on, share.

Comes in: a run that was opened for somebody. Goes out: elements, and what their presses ask of the library. A run that
another process drives can be watched and asked to stop; what this process drives can be steered. Every press is held to
the same rules again where it arrives.
"""

from __future__ import annotations

import streamlit as st

from dashboard import door, elements, form_filling, house, kept_settings, resume_form, session, session_address, sharing
from dashboard.cap_words import go_on_label, waits_for_the_day
from dashboard.live import Told
from dashboard.quota_words import auto_words
from fanout.errors import FanoutError
from fanout.library import Opened, Watched
from fanout.live import LiveRun
from fanout.people import may_start
from fanout.run import Run
from fanout.store.rows import RunRow
from fanout.stretch import workers_wanted


def draw(opened: Opened, run: Run, told: Told) -> None:
    """The whole strip."""
    with st.container(key="strip", horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(key="strip_state", width="stretch"):
            elements.state(
                told.state,
                told.counts,
                answered=told.answered,
                failed=told.failed,
                given_up=told.given_up,
                of=len(run.calls),
            )
        if opened.may_drive and may_start(door.person()):
            _drive(opened, run)
        if may_start(door.person()):
            label = "Edit and run again" if opened.may_drive else "Duplicate"
            st.button(label, key="edit_again", on_click=_edit_again, args=(opened.row, run))
        sharing.draw(opened.row, may_drive=opened.may_drive)


def _drive(opened: Opened, run: Run) -> None:
    """What a run's driver may do with it."""
    if not run.ended:
        if opened.live is not None:
            _workers(opened.live, run)
            _hold(opened.live, run)
        else:
            elements.quiet("Driven by another process")
            st.button("Ask it to stop", key="strip_stop", on_click=_ask_to_stop, args=(opened.row.run_id,))
    elif resume_form.unanswered(run):
        kept_settings.take(run, moves_slider=opened.live is None)
        _workers_of_next(opened, run)
        resume_form.draw(opened, run)
        kept_settings.keep(run, resume_form.wanted(run))


def _workers(live_run: LiveRun, run: Run) -> None:
    """Where the user set it, which is the most that the automatic one may choose."""
    wanted = workers_wanted(live_run.record.now())  # what was moved is so at once, shown or not yet
    st.slider(
        "max_workers",
        1,
        max(house.settings().max_workers_ceiling, wanted),
        # Also as the default: a browser that a second drawing reaches before the first would show 1, and report it.
        session.adopt("strip_workers", live_run.run_id, wanted),
        key="strip_workers",
        on_change=_move_workers,
        args=(live_run,),
        width=220,
    )
    if run.batch.auto_workers and not run.ended:
        elements.quiet(auto_words(wanted=wanted, now=run.max_workers), width="content")


def _move_workers(live_run: LiveRun) -> None:
    live_run.max_workers = session.moved("strip_workers", live_run.run_id)


def _workers_of_next(opened: Opened, run: Run) -> None:
    """The slider of an ended run: where its next stretch will start."""
    if opened.live is not None:
        _workers(opened.live, run)
        return
    wanted = workers_wanted(run)
    most = max(house.settings().max_workers_ceiling, wanted)
    now = session.adopt("strip_workers", run.run_id, wanted)
    st.slider("max_workers", 1, most, now, key="strip_workers", width=220)


def _hold(live_run: LiveRun, run: Run) -> None:
    """Pause or Continue, and Stop. A press may reach us twice where a poll cuts in: each does the same again."""
    if run.state == "paused" and not waits_for_the_day(run):
        st.button(go_on_label(run), key="strip_continue", on_click=_go_on, args=(live_run,))
    else:
        st.button("Pause", key="strip_pause", on_click=live_run.pause, disabled=run.state != "running")
    st.button("Stop", key="strip_stop", on_click=stop, args=(live_run,), disabled=run.state == "stopping")


def _go_on(live_run: LiveRun) -> None:
    if live_run.snapshot().state == "paused":  # a click that is delivered twice raises a cap once
        live_run.continue_()


def stop(run: Watched) -> None:
    """Stop what this process drives, once, and have it said who did."""
    if run.snapshot().ended or (isinstance(run, LiveRun) and run.record.now().state == "stopping"):
        return
    try:
        house.library().stop(door.person(), run.run_id)
    except FanoutError as exc:
        session.say(str(exc))


def _ask_to_stop(run_id: str) -> None:
    try:
        house.library().stop(door.person(), run_id)
        session.say("Asked: the process that drives this run starts nothing further within a second or two.")
    except FanoutError as exc:
        session.say(str(exc))


def _edit_again(row: RunRow, run: Run) -> None:
    form_filling.from_run(row, run.batch)
    session_address.show_form()
