"""Which run the address names, and which one the page shows: see `session`, whose rules hold here.

Comes in: the address's query, as the browser reports it with each message. Goes out: the run to show. A message that
the browser sent before it heard of a run just started names none: until it is heard to name it, the run counts.
"""

from __future__ import annotations

import time
from typing import cast

import streamlit as st

from dashboard import session

PRESS_HOLDS_S = 5.0
"""After that, whoever pressed Run and saw nothing happen is elsewhere by now."""


def shown_run() -> str | None:
    """The run that the page shows. The page begins to be drawn."""
    named, started = named_run(), cast("str | None", st.session_state.get("_started"))
    shown = started if named is None else named
    if shown != started:
        st.session_state.pop("_started", None)  # a link led on
    if named is None and started is not None:
        _point_at(started)
    elif named is not None:
        st.query_params["run"] = named  # said again: a link to the page one is on leaves the address be
    if st.session_state.get("_shown", shown) != shown:
        st.session_state["_opened"] = None  # a link or the way back led from another run: what was open is of that one
    st.session_state["_shown"] = shown
    st.session_state["_page_begun"] = True
    return shown


def page_drawn() -> None:
    """It was drawn whole: what is drawn again from now on, the browser asks for."""
    st.session_state["_page_begun"] = False


def named_run() -> str | None:
    """The run that the address names at this instant."""
    return st.query_params.get("run")


def hear() -> None:
    """A part of the page is drawn again. Where the browser asked for that, it has said where it is."""
    if not st.session_state.get("_page_begun") and named_run() == st.session_state.get("_started"):
        st.session_state.pop("_started", None)


def is_heard() -> bool:
    """Whether the browser is known to be where the page is."""
    return "_started" not in st.session_state


def show_run(run_id: str) -> None:
    """Point the address at a run that was started, and forget what was open on the one before."""
    _point_at(run_id)
    st.session_state["_started"] = run_id
    st.session_state["_presses"] = presses() + 1
    session.forget_pending()
    session.close_detail()


def _point_at(run_id: str) -> None:
    """Without the form's words and another run's: a run's own address is its id alone."""
    for other in ("sandbox", "link"):
        st.query_params.pop(other, None)
    st.query_params["run"] = run_id


def show_form() -> None:
    """Point the address at the form."""
    for other in ("run", "link"):
        st.query_params.pop(other, None)
    st.session_state.pop("_started", None)
    session.forget_pending()
    session.close_detail()


def press_run(number: int) -> None:
    """Run was pressed, on a page drawn when so many runs were started. A callback: the press is there too where the
    drawing that it asks for is cut off before it comes to the button."""
    st.session_state["_run_pressed"] = (number, time.monotonic())


def take_press() -> bool:
    """Whether Run was pressed and nothing came of it yet; once."""
    number, at_s = cast("tuple[int, float]", st.session_state.pop("_run_pressed", (-1, 0.0)))
    return number == presses() and time.monotonic() - at_s < PRESS_HOLDS_S


def presses() -> int:
    """How many runs this session has started; part of a button's key, so that a double click cannot start two."""
    return cast(int, st.session_state.get("_presses", 0))
