"""The page of quota: each account and model with its limits, its last minutes, who shares it, and what was refused.

Comes in: the engine's accounts and runs. Goes out: elements. Accounts, models and runs were named by others: everything
passes through `elements` or is escaped; the words are `quota_words`'.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import tzinfo

import streamlit as st

from dashboard import door, elements, house, live, pages, zones
from dashboard.cap_words import today_lines
from dashboard.gantt.figure import CONFIG
from dashboard.prospect_words import spent_words
from dashboard.quota_chart import SHOWN_S, level_chart
from dashboard.quota_words import (
    account_lines,
    account_name,
    documented,
    gauge,
    gauges,
    limit_name,
    number_words,
    others_words,
    provider_said,
    share_words,
    source_words,
    turns_of,
    unknown_limits,
)
from dashboard.refusals import Explained, explained, runs_words
from dashboard.rows import when
from dashboard.safe import cut, markdown_escape
from dashboard.units import count, counted, duration
from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.quota.meters import DAILY
from fanout.quota.view import AccountView, Share

MOST_REFUSALS = 20
"""Explanations of an account, the newest."""
MOST_ENDED = 8
"""Runs of an account that have ended, the newest; all that go on are shown."""
IDLE_S = SHOWN_S
"""Without a run for so long an account is folded away: its chart would be empty by then."""


def look() -> live.Look:
    """All accounts as they stand."""
    accounts, driven = house.engine().quota(), house.library().driven(door.person())
    runs = {each.run_id: each for each in driven}
    return live.Look(every_s=every_s(accounts, driven), draw=lambda: _draw(accounts, runs))


def _draw(accounts: Iterable[AccountView], runs: Mapping[str, LiveRun]) -> None:
    """Those in use first."""
    draw_today()
    used, idle = used_and_idle(accounts, runs)
    for place, view in enumerate(used):
        if place:
            st.divider()
        draw_account(view, runs, key=f"level_{view.account}_{view.model}")
    if idle:
        label = f"{counted(len(idle), 'account')} without a run for {duration(IDLE_S)}"
        with st.expander(label, key="idle_accounts"):
            for view in idle:
                draw_account(view, runs, key=f"level_{view.account}_{view.model}")


def used_and_idle(
    accounts: Iterable[AccountView], runs: Mapping[str, LiveRun]
) -> tuple[list[AccountView], list[AccountView]]:
    """Those in use first, then by when they were used last; the one used last is never idle."""
    ordered = sorted(accounts, key=lambda view: (_in_use(view), _last_used_ns(view, runs)), reverse=True)
    used = [
        view
        for place, view in enumerate(ordered)
        if not place or _in_use(view) or seconds(view.at_ns - _last_used_ns(view, runs)) < IDLE_S
    ]
    return used, ordered[len(used) :]


def _last_used_ns(view: AccountView, runs: Mapping[str, LiveRun]) -> int:
    """When something was last heard of it: a level, a 429, the end of a run that may be seen."""
    heard = [sample.at_ns for sample in view.samples[-1:]] + [refused.at_ns for refused in view.refusals[-1:]]
    for share in view.shares:
        run = runs[share.run_id].snapshot() if share.run_id in runs else None
        if run is not None and run.stretches:
            heard.append(run.stretches[-1].ended_ns or view.at_ns)
    return max(heard, default=0)


def draw_today() -> None:
    """What whoever looks and the team have used of their caps today; nothing where none is set."""
    today = house.library().today(door.person())
    if today is not None:
        for line in today_lines(*today):
            elements.sentence(line)


def every_s(accounts: Iterable[AccountView], runs: Iterable[LiveRun]) -> float | None:
    """How often to look: while a run goes on, and until the limits of a minute are full again."""
    moves = any(not each.ended for each in runs) or any(
        limit.free < limit.capacity and limit.name not in DAILY for view in accounts for limit in view.limits
    )
    return live.LIST_S if moves else None


def draw_account(view: AccountView, runs: Mapping[str, LiveRun], *, key: str) -> None:
    """One of them."""
    elements.heading(account_name(view))
    for line in [*account_lines(view), *(spent_words(each, at_ns=view.at_ns) for each in view.spent)]:
        elements.sentence(line)
    if view.limits:
        elements.gauges(gauges(view))
    else:
        elements.quiet(unknown_limits(view))
    elements.quiet(documented(view))
    _chart(view, runs, key=key)
    if view.limits:
        _limits(view)
    _shares(view, runs)
    _refusals(view, runs)


def _in_use(view: AccountView) -> bool:
    return any(share.waiting or share.in_flight for share in view.shares)


def _chart(view: AccountView, runs: Mapping[str, LiveRun], *, key: str) -> None:
    used = [runs[share.run_id].snapshot() for share in view.shares if share.run_id in runs]
    used.sort(key=lambda run: run.opened_ns, reverse=True)
    figure = level_chart(view, used)
    if figure is not None:
        elements.quiet("The runs that used it, and how much of each limit was free")
        alt = "How much of each limit was free over the last minutes; the table under it holds the present figures"
        st.plotly_chart(figure, key=key, config={**CONFIG, "displayModeBar": False}, alt=alt)


def _limits(view: AccountView) -> None:
    elements.table(
        ("Limit", "Where the number is from", "Taken", "Free", "At once", "Reserved in flight", "Provider said"),
        (
            (
                number_words(limit),
                source_words(limit.source),
                count(max(0, limit.capacity - limit.free)),
                count(limit.free),
                count(limit.capacity),
                count(limit.reserved),
                provider_said(limit, at_ns=view.at_ns),
            )
            for limit in view.limits
        ),
    )
    elements.quiet(
        "Taken and free add up to what may start at once. What a call reserves is taken when it starts, grows back "
        "while it runs, and is settled to what it used when it ends."
    )


def _shares(view: AccountView, runs: Mapping[str, LiveRun]) -> None:
    """Who has what of it; runs that whoever looks may not see are counted, and not named."""
    if not view.shares:
        return
    turns = turns_of(view.shares)
    elements.heading("Who shares it")
    seen = [share for share in reversed(view.shares) if share.run_id in runs]
    ended = [share for share in seen if not (share.waiting or share.in_flight)][MOST_ENDED:]
    for share in seen:
        if share not in ended:
            pages.link_to_run(share.run_id, _share_label(share, runs[share.run_id], turns=turns))
            if share.own:
                elements.gauges([gauge(limit, at_ns=view.at_ns) for limit in share.own])
    if ended:
        elements.quiet(f"{counted(len(ended), 'earlier run')} not shown here: the page Runs has them all.")
    others = others_words((share for share in view.shares if share.run_id not in runs), turns=turns)
    if others is not None:
        elements.quiet(others)


def _share_label(share: Share, live_run: LiveRun, *, turns: int) -> str:
    words = markdown_escape(share_words(share, turns=turns))
    return f"**{markdown_escape(cut(_name(live_run), 60))}** · {words}"


def _name(live_run: LiveRun) -> str:
    return live_run.batch.name or f"run {live_run.run_id[:6]}"


def _refusals(view: AccountView, runs: Mapping[str, LiveRun]) -> None:
    """The same explanation once: what would have avoided it is read once too."""
    if not view.refusals:
        return
    elements.heading("429s, and what would have avoided them")
    groups = explained(view.refusals)
    now_s, zone = time.time(), zones.here()
    elements.table(
        ("Last", "What happened", "What would have avoided it", "Limit", "Times", "Calls", "Longest wait", "Run"),
        (_row(each, view, runs, now_s, zone) for each in groups[:MOST_REFUSALS]),
    )
    newest = f"The newest {MOST_REFUSALS} of {len(groups):,}. " if len(groups) > MOST_REFUSALS else ""
    elements.quiet(newest + zones.words(zone))


def _row(
    group: Explained, view: AccountView, runs: Mapping[str, LiveRun], now_s: float, zone: tzinfo | None
) -> tuple[str, ...]:
    """Its time is that of a row of the list: with its day, where it was not today."""

    def name(run_id: str) -> str | None:
        return cut(_name(runs[run_id]), 30) if run_id in runs else None

    return (
        when(now_s - seconds(view.at_ns - group.last_ns), zone=zone, now_s=now_s),
        group.why,
        group.remedy,
        "not named" if group.limit is None else limit_name(group.limit),
        count(group.times),
        count(group.calls),
        duration(group.longest_s, digits=2),
        runs_words(group.runs, name),
    )
