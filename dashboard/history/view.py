"""The page of all runs: the words and the kind that are looked for, the rows, what can be done with the selected ones.

Comes in: what the address asks for. Goes out: elements; only the rows of the page that is shown are read. It all sits
in one fragment that is drawn again, often while a run of this page goes on.
"""

from __future__ import annotations

import math

import streamlit as st

from dashboard import door, elements, house, live, pages, session, session_history
from dashboard.history import actions, importing, table
from dashboard.history.words import SHOWS, counted_runs, nothing_found
from dashboard.runs_list import every_s
from fanout.people import may_start
from fanout.store.shelf import Found, Wanted

IDLE_S = 5.0
"""How long a run that another process began may be missing from a list in which nothing goes on."""


def draw_history() -> None:
    """The whole page."""
    session.unsay()  # it was said on another page
    live.poll(_look, key="history")


def _look() -> live.Look:
    """The runs that are asked for. Another process, a command line say, may begin one at any time."""
    _leave()
    wanted = session_history.wanted()
    found = house.library().list(door.person(), wanted)
    return live.Look(every_s=every_s(found.rows) or IDLE_S, draw=lambda: _draw(found, wanted))


def _draw(found: Found, wanted: Wanted) -> None:
    """One refresh."""
    if not found.count and wanted == Wanted(limit=session_history.ROWS):
        _none_yet()
        return
    if not found.rows and found.count:
        session_history.last_page(found.count)
        st.rerun()
    _controls(wanted)
    if not found.rows:
        elements.sentence(nothing_found(wanted))
        st.button("Show all runs", key="history_show_all", on_click=session_history.show_all)
        return
    picked = session_history.picked(found.rows)
    with st.container(key="history_bar", horizontal=True, vertical_alignment="center", gap="small"):
        if picked:
            actions.draw(picked, found.rows)
        else:
            elements.quiet(counted_runs(found.count, wanted))
    for problem in (session.said(), session_history.told(), house.library().trouble):
        if problem is not None:
            elements.wrong(problem)
    table.draw(found.rows, wanted, with_owner=door.has_login(), found=found.count, picked=picked)
    _pages(found.count)


def _leave() -> None:
    """To the run or the form that was asked for, if one was."""
    run_id = session_history.opened_row()
    if run_id is not None:
        st.switch_page(pages.run_page(), query_params={"run": run_id})
    if session_history.form_wanted():
        st.switch_page(pages.run_page())


def _controls(wanted: Wanted) -> None:
    session_history.prepare_controls(wanted)
    with st.container(key="history_controls", horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Search",
            key=session_history.WORDS,
            persist_state="session",
            type="search",
            placeholder="Name, model, owner, tag or id" if door.has_login() else "Name, model, tag or id",
            max_chars=session_history.MOST_WORDS_CHARACTERS,
            live=True,
            on_change=session_history.search,
            width=320,
        )
        st.segmented_control(
            "Show",
            [show for show in SHOWS if show != "mine" or door.has_login()],
            format_func=lambda show: SHOWS[show],
            key=session_history.SHOW,
            persist_state="session",
            required=True,
            wrap=True,
            on_change=session_history.search,
        )
        _import()


def _import() -> None:
    if may_start(door.person()) and house.library().shelf is not None:
        importing.draw()


def _none_yet() -> None:
    elements.sentence("No run yet.")
    if may_start(door.person()):
        elements.quiet("Every run is kept here with its answers: to look at, to compare and to send again.")
        with st.container(horizontal=True, vertical_alignment="center"):
            pages.link_to_form("Start one")
            _import()
    else:
        elements.quiet("Once somebody shares a run, it is here.")


def _pages(count: int) -> None:
    number = math.ceil(count / session_history.ROWS)
    if number > 1:
        st.pagination(
            number,
            default=session_history.page(),
            key=session_history.pages_key(),
            on_change=session_history.turn,
        )
