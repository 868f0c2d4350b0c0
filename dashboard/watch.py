"""A run, watched: the strip, the sentence, the Gantt, the numbers, the table, the detail of one call.

Comes in: a `LiveRun` (and the one that measures its speed-up). Goes out: elements drawn from snapshots, and what
the controls ask of the run. It all sits in one fragment that `live` draws again; nothing here waits or computes.
"""

from __future__ import annotations

import os
from dataclasses import replace

import streamlit as st

from dashboard import (
    detail,
    door,
    downloads,
    elements,
    found,
    house,
    live,
    naming,
    note_words,
    pages,
    results,
    resume_form,
    session,
    session_address,
    session_share,
    starting,
    strip,
    wording,
)
from dashboard.cap_words import unpriced
from dashboard.gantt.component import show
from dashboard.inputs import costs_money
from dashboard.live import Told, derived
from dashboard.quota_words import (
    account_lines,
    gauges,
    known_limits,
    nothing_known,
    sharing,
    weight_moves,
)
from dashboard.rows import simulated
from dashboard.settings_words import went_on
from fanout.errors import FanoutError
from fanout.library import Opened, Watched
from fanout.live import LiveRun
from fanout.people import may_start
from fanout.quota.view import AccountView
from fanout.run import Run

ROWS_UP_TO = 100
"""Up to this many calls the chart opens with a row a prompt, above with a lane a worker."""
A_ROW, A_LANE = "A row a prompt", "A lane a worker"


def watch(opened: Opened) -> None:
    """The whole page of one run."""
    run_id = opened.row.run_id
    live.poll(lambda: _look(run_id), key=f"watch_{run_id}")
    baseline = house.library().baseline_of(door.person(), opened)
    downloads.draw(opened, chosen=session.chosen(), baseline=baseline)


def _period(run: Run, baseline: Run | None) -> float:
    """How often to look: as often as the run or its baseline wants, and until what was asked has happened.

    One that stands still may go on or be deleted in another tab, and one of somebody else be withdrawn.
    """
    periods = [live.period_s(run), None if baseline is None else live.period_s(baseline)]
    if session.awaits_change(run.version) or not session_address.is_heard():
        periods.append(live.FIRST_S)
    return min((period for period in periods if period is not None), default=live.STILL_S)


def _look(run_id: str) -> live.Look:
    """The run as it stands. It is opened anew: it may be withdrawn, or driven elsewhere now."""
    session_address.hear()
    opened = found.opened(run_id) if session_address.named_run() == run_id else None
    if opened is None:
        st.rerun()  # a button led to the form, or the run is theirs to see no longer
    run = opened.run.snapshot()
    baseline = house.library().baseline_of(door.person(), opened)
    measured = None if baseline is None else baseline.snapshot()
    return live.Look(every_s=_period(run, measured), draw=lambda: _draw(opened, run, baseline, measured))


def _draw(opened: Opened, run: Run, baseline: Watched | None, measured: Run | None) -> None:
    """One refresh."""
    now_ns = opened.run.now_ns()
    trouble = None if run.ended else opened.run.trouble
    told = derived.told(run, now_ns=now_ns, held=trouble is not None)
    naming.draw_heading(opened)
    strip.draw(opened, run, told)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width="stretch", gap="xxsmall"):
            _sentences(opened, run, told, trouble, baseline, measured)
        by_row = _rows_or_lanes(run)
    with st.container():  # of as many lines as there are: what follows keeps its place, and the chart and table stay
        _quota(opened.live, run)
    _gantt(run, measured, now_ns, by_row=by_row)
    elements.figures(told.figures)
    with st.container():
        _actions(opened, run, baseline)
    results.draw(run)
    opened_call = session.opened_call()
    if opened_call is not None and opened_call < len(run.calls):
        detail.draw(run, run.calls[opened_call], now_ns=now_ns)


# The sentence and the chart


def _sentences(
    opened: Opened, run: Run, told: Told, trouble: str | None, baseline: Watched | None, measured: Run | None
) -> None:
    for problem in (session.said(), trouble):
        if problem is not None:
            elements.wrong(problem)
    elements.sentence(told.sentence)
    twice = note_words.billed_twice(run)
    if twice is not None:
        elements.quiet(twice)
    for line in went_on(run):
        elements.quiet(line)
    if run.ended and opened.may_drive and may_start(door.person()) and resume_form.unanswered(run):
        plan = resume_form.plan_of(run)
        (elements.wrong if plan.is_wrong else elements.quiet)(plan.words)
    for note in (note_words.whose(opened.row, door.person()), note_words.taken_in(opened.row), simulated(run)):
        if note is not None:
            elements.quiet(note)
    if baseline is None or measured is None:
        return
    if measured.ended:
        elements.sentence(wording.speed_up_sentence(run, measured))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.quiet(f"One after another: {wording.counts_sentence(measured)}")
        if opened.may_drive and may_start(door.person()):
            st.button("Stop measuring", key="stop_measuring", on_click=strip.stop, args=(baseline,))


def _quota(live_run: LiveRun | None, run: Run) -> None:
    """How full the account's limits are while the run goes on, and what they were at last."""
    if run.ended:
        for line in (known_limits(run), weight_moves(run)):
            if line is not None:
                elements.quiet(line)
        return
    if live_run is None:
        return
    account = live_run.quota()
    costs = costs_money(run.batch.model, os.environ)
    nothing = nothing_known(account, run, costs_money=costs)
    if nothing is not None:
        elements.quiet(nothing)
    not_capped = unpriced(run) if costs and house.settings().caps.in_dollars else None
    if not_capped is not None:
        elements.caution(not_capped)
    if account is None:
        return
    shown = gauges(account)
    if shown:
        elements.gauges(shown)
    for line in account_lines(account):
        elements.quiet(line)
    _weight(live_run, account)


def _weight(live_run: LiveRun, account: AccountView) -> None:
    """Beside whom the run goes on, and its share, which can be moved where the settings allow more than one."""
    beside = sharing(account, live_run.run_id)
    if beside is not None:
        elements.quiet(beside)
    if account.max_weight == 1 or (beside is None and not account.shared_file):
        return
    st.slider(
        "Weight",
        1,
        account.max_weight,
        session.adopt("weight_slider", live_run.run_id, live_run.weight),
        key="weight_slider",
        help="This run's share beside others on the same account, from the next call on.",
        on_change=_move_weight,
        args=(live_run,),
        width=220,
    )


def _move_weight(live_run: LiveRun) -> None:
    try:
        live_run.weight = session.moved("weight_slider", live_run.run_id)
    except FanoutError as exc:
        session.say(str(exc))


def _rows_or_lanes(run: Run) -> bool:
    """The switch over the chart; True for a row a prompt."""
    session.prefer_rows(run.run_id, A_ROW if len(run.calls) <= ROWS_UP_TO else A_LANE)
    shape = st.segmented_control(
        "Rows or lanes",
        [A_ROW, A_LANE],
        key="rows_or_lanes",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    return shape == A_ROW


def _gantt(run: Run, measured: Run | None, now_ns: int, *, by_row: bool) -> None:
    clicked = show(
        run,
        key=f"gantt_{run.run_id}",
        rows=by_row,
        now_ns=now_ns,
        baseline=measured,
        selected=session.opened_call(),
    )
    if clicked is not None:
        session.open_call(clicked)


# What can be done with a run


def _actions(opened: Opened, run: Run, baseline: Watched | None) -> None:
    if not run.ended or not may_start(door.person()):
        return
    with st.container(horizontal=True, vertical_alignment="center", key="actions"):
        is_whole = baseline is not None or not (resume_form.unanswered(run) or _took_answers(run))
        if opened.may_drive and run.baseline_of is None and is_whole:
            _measure(opened, run, baseline)
        token = session_share.link_of(run.run_id)
        pages.link_to_compare(run.run_id, "Compare with another run", token=token)
        st.button("New run", key="new_run", type="tertiary", on_click=session_address.show_form)


def _measure(opened: Opened, run: Run, baseline: Watched | None) -> None:
    """Send the same list once more with one worker, on the second press."""
    if baseline is not None and not baseline.ended:
        return
    question = ("speed-up", run.run_id)
    if not session.asked(question):
        st.button("Measure the speed-up", key="measure_speed_up", on_click=session.ask_again, args=(question,))
        return
    elements.quiet(wording.speed_up_question(run))
    st.button(
        f"Send {len(run.calls):,} again, one at a time",
        key="measure_confirm",
        on_click=_start_baseline,
        args=(opened, run),
    )
    st.button("Not now", key="not_now", on_click=session.forget_pending)


def _start_baseline(opened: Opened, run: Run) -> None:
    """It holds the same prompts and answers as the run: the same people see it, and nobody by a link of its own."""
    going = house.library().baseline_of(door.person(), opened)
    if going is not None and not going.ended:
        return  # this click was delivered before: its slots are paid for once
    session.forget_pending()
    session.unsay()
    visibility = "private" if opened.row.visibility == "link" else opened.row.visibility
    batch = replace(run.batch, max_workers=1, reuse_answers=False)
    try:
        starting.start(door.person(), batch, baseline_of=run.run_id, visibility=visibility)
    except FanoutError as exc:
        session.say(str(exc))


def _took_answers(run: Run) -> bool:
    """Whether it has answers of other runs: what took no time has no speed-up."""
    return any(call.origin is not None and call.origin.run_id != run.run_id for call in run.calls)
