"""A run, watched: the strip, the sentence, the Gantt, the numbers, the table, the detail of one call.

Comes in: a `LiveRun` (and the one that measures its speed-up). Goes out: elements drawn from snapshots, and what
the controls ask of the run. It all sits in one fragment that `live` draws again; nothing here waits or computes.
"""

from __future__ import annotations

import os
from dataclasses import replace

import streamlit as st

from dashboard import detail, door, downloads, elements, house, live, pages, results, session, starting, wording
from dashboard.gantt.component import show
from dashboard.inputs import as_text, costs_money
from dashboard.live import Told, derived
from dashboard.quota_words import account_lines, gauge, go_on_label, known_limits, nothing_known, sharing, weight_moves
from fanout.errors import FanoutError
from fanout.live import LiveRun
from fanout.people import may_start
from fanout.quota.view import AccountView
from fanout.run import Run

ROWS_UP_TO = 100
"""Up to this many calls the chart opens with a row a prompt, above with a lane a worker."""
A_ROW, A_LANE = "A row a prompt", "A lane a worker"


def watch(live_run: LiveRun) -> None:
    """The whole page of one run."""
    baseline = live.baseline_of(live_run, house.engine().runs())
    wanted = _period(live_run.snapshot(), None if baseline is None else baseline.snapshot())
    live.poll(lambda: _draw(live_run), every_s=wanted, key=f"watch_{live_run.run_id}")
    downloads.draw(live_run, chosen=session.chosen(), baseline=baseline)


def _period(run: Run, baseline: Run | None) -> float | None:
    """How often to look: as often as the run or its baseline wants, and until what was asked has happened."""
    periods = [live.period_s(run), None if baseline is None else live.period_s(baseline)]
    if session.awaits_change(run.version):
        periods.append(live.FIRST_S)
    return min((period for period in periods if period is not None), default=None)


def _draw(live_run: LiveRun) -> float | None:
    """One refresh; gives the period it wants."""
    if session.named_run() != live_run.run_id:
        st.rerun()  # a button led to the form
    run, now_ns = live_run.snapshot(), live_run.now_ns()
    baseline = live.baseline_of(live_run, house.engine().runs())
    measured = None if baseline is None else baseline.snapshot()
    told = derived.told(run, now_ns=now_ns)
    _strip(live_run, run, told)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width="stretch", gap="xxsmall"):
            _sentences(run, told, baseline, measured)
        by_row = _rows_or_lanes(run)
    _quota(live_run, run)
    _gantt(run, measured, now_ns, by_row=by_row)
    elements.figures(told.figures)
    _actions(live_run, run, baseline)
    results.draw(run)
    opened = session.opened_call()
    if opened is not None and opened < len(run.calls):
        detail.draw(run, run.calls[opened], now_ns=now_ns)
    return _period(run, measured)


# The strip


def _strip(live_run: LiveRun, run: Run, told: Told) -> None:
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
        if may_start(door.person()):
            _drive(live_run, run)
        with st.popover("Share", key="share"):
            elements.quiet("Whoever can reach this page sees the run here, while this process keeps it.")
            st.code(session.address(), language=None)


def _drive(live_run: LiveRun, run: Run) -> None:
    """What a run's driver may do with it."""
    if not run.ended or _unanswered(run):
        _workers(live_run)
    if not run.ended:
        _hold(live_run, run)
    elif _unanswered(run):
        _again(live_run, run)
    st.button("Edit and run again", key="edit_again", on_click=_edit_again, args=(run,))


def _workers(live_run: LiveRun) -> None:
    now = live_run.max_workers
    session.adopt("strip_workers", live_run.run_id, now)
    st.slider(
        "max_workers",
        1,
        max(house.settings().max_workers_ceiling, now),
        key="strip_workers",
        on_change=_move_workers,
        args=(live_run,),
        width=220,
    )


def _move_workers(live_run: LiveRun) -> None:
    live_run.max_workers = session.moved("strip_workers", live_run.run_id)


def _hold(live_run: LiveRun, run: Run) -> None:
    """Pause or Continue, and Stop. A press may reach us twice where a poll cuts in: each does the same again."""
    if run.state == "paused":
        st.button(go_on_label(run), key="strip_continue", on_click=_go_on, args=(live_run,))
    else:
        st.button("Pause", key="strip_pause", on_click=live_run.pause, disabled=run.state != "running")
    st.button("Stop", key="strip_stop", on_click=live_run.cancel, disabled=run.state == "stopping")


def _go_on(live_run: LiveRun) -> None:
    if live_run.snapshot().state == "paused":  # a click that is delivered twice raises a cap once
        live_run.continue_()


def _again(live_run: LiveRun, run: Run) -> None:
    st.button(
        f"Retry {_unanswered(run):,} unanswered",
        key="retry_failed",
        type="primary",
        on_click=_retry,
        args=(live_run,),
    )


def _unanswered(run: Run) -> int:
    return sum(1 for call in run.calls if call.status != "answered")


def _retry(live_run: LiveRun) -> None:
    if not live_run.ended:
        return  # this click was delivered before
    session.unsay()
    version = live_run.snapshot().version
    try:
        if starting.retry(door.person(), live_run):
            session.await_change(version)
    except FanoutError as exc:
        session.say(str(exc))


def _edit_again(run: Run) -> None:
    written = as_text(run.batch.prompts)
    session.fill_form(
        run.batch,
        text=None if written is None else written.text,
        mode="line" if written is None else written.mode,
    )
    session.show_form()


# The sentence and the chart


def _sentences(run: Run, told: Told, baseline: LiveRun | None, measured: Run | None) -> None:
    problem = session.said()
    if problem is not None:
        elements.wrong(problem)
    elements.sentence(told.sentence)
    if run.batch.model == "sandbox":
        elements.quiet("Simulated: the sandbox on this machine made these answers, no model did.")
    if baseline is None or measured is None:
        return
    if measured.ended:
        elements.sentence(wording.speed_up_sentence(run, measured))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.quiet(f"One after another: {wording.counts_sentence(measured)}")
        if may_start(door.person()):
            st.button("Stop measuring", key="stop_measuring", on_click=baseline.cancel)


def _quota(live_run: LiveRun, run: Run) -> None:
    """How full the account's limits are while the run goes on, and what they were at last."""
    if run.ended:
        for line in (known_limits(run), weight_moves(run)):
            if line is not None:
                elements.quiet(line)
        return
    account = live_run.quota()
    nothing = nothing_known(account, run, costs_money=costs_money(run.batch.model, os.environ))
    if nothing is not None:
        elements.quiet(nothing)
    if account is None:
        return
    shown = (*account.own, *account.limits)
    if shown:
        elements.gauges(map(gauge, shown))
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
    session.adopt("weight_slider", live_run.run_id, live_run.weight)
    st.slider(
        "Weight",
        1,
        account.max_weight,
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
        "Rows or lanes", [A_ROW, A_LANE], key="rows_or_lanes", required=True, label_visibility="collapsed"
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


def _actions(live_run: LiveRun, run: Run, baseline: LiveRun | None) -> None:
    if not run.ended or not may_start(door.person()):
        return
    with st.container(horizontal=True, vertical_alignment="center", key="actions"):
        if run.baseline_of is None and (baseline is not None or not _unanswered(run)):
            _measure(live_run, run, baseline)
        pages.link_to_compare(run.run_id, "Compare with another run")


def _measure(live_run: LiveRun, run: Run, baseline: LiveRun | None) -> None:
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
        args=(live_run,),
    )
    st.button("Not now", key="not_now", on_click=session.forget_pending)


def _start_baseline(live_run: LiveRun) -> None:
    going = live.baseline_of(live_run, house.engine().runs())
    if going is not None and not going.ended:
        return  # this click was delivered before: its slots are paid for once
    session.forget_pending()
    session.unsay()
    try:
        starting.start(door.person(), replace(live_run.batch, max_workers=1), baseline_of=live_run.run_id)
    except FanoutError as exc:
        session.say(str(exc))
