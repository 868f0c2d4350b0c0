"""The page of quota: each account and model with its limits, its last minutes, who shares it, and what was refused.

Comes in: the engine's accounts and runs. Goes out: elements. Accounts, models and runs were named by others: everything
passes through `elements` or is escaped; the words are `quota_words`'.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import streamlit as st

from dashboard import door, elements, house, live, pages
from dashboard.cap_words import today_lines
from dashboard.gantt.figure import CONFIG
from dashboard.quota_chart import level_chart
from dashboard.quota_words import (
    account_lines,
    account_name,
    documented,
    gauges,
    limit_name,
    number_words,
    provider_said,
    share_words,
    source_words,
    unknown_limits,
)
from dashboard.safe import cut, markdown_escape
from dashboard.units import count, duration
from fanout.clock import seconds
from fanout.live import LiveRun
from fanout.quota.meters import DAILY
from fanout.quota.view import AccountView, Refused, Share

MOST_REFUSALS = 20
"""Of an account, the newest."""


def draw_accounts() -> float | None:
    """All accounts, those in use first; gives how often it wants to be drawn again."""
    draw_today()
    runs = {each.run_id: each for each in house.library().driven(door.person())}
    accounts = house.engine().quota()
    for place, view in enumerate(sorted(accounts, key=lambda each: not _in_use(each))):
        if place:
            st.divider()
        draw_account(view, runs, key=f"level_{view.account}_{view.model}")
    return every_s(accounts, tuple(runs.values()))


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
    for line in account_lines(view):
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
    shown = [share for share in reversed(view.shares) if share.run_id in runs]
    if not shown:
        return
    elements.heading("Who shares it")
    for share in shown:
        pages.link_to_run(share.run_id, _share_label(share, runs[share.run_id]))


def _share_label(share: Share, live_run: LiveRun) -> str:
    name = live_run.batch.name or f"run {share.run_id[:6]}"
    return f"**{markdown_escape(cut(name, 60))}** · {markdown_escape(share_words(share))}"


def _refusals(view: AccountView, runs: Mapping[str, LiveRun]) -> None:
    if not view.refusals:
        return
    elements.heading("429s, and what would have avoided them")
    now_s = time.time()
    elements.table(
        ("When", "What happened", "What would have avoided it", "Limit", "Calls", "Waited", "Run"),
        (_refusal(each, view, runs, now_s) for each in reversed(view.refusals[-MOST_REFUSALS:])),
    )
    if len(view.refusals) > MOST_REFUSALS:
        elements.quiet(f"The newest {MOST_REFUSALS} of {len(view.refusals):,}.")


def _refusal(refused: Refused, view: AccountView, runs: Mapping[str, LiveRun], now_s: float) -> tuple[str, ...]:
    live_run = runs.get(refused.run_id)
    name = None if live_run is None else live_run.batch.name
    when_s = now_s - seconds(view.at_ns - refused.at_ns)
    return (
        time.strftime("%H:%M:%S", time.localtime(when_s)),
        refused.why,
        refused.remedy,
        "not named" if refused.limit is None else limit_name(refused.limit),
        count(refused.count),
        duration(refused.wait_s, digits=2),
        cut(name or f"run {refused.run_id[:6]}", 30),
    )
