"""What a session remembers for the form that its tab keeps beyond a reload: see `session`, whose rules hold here.

Comes in: nothing but the session. Goes out: its name, so that the tab asks once in each; whether its form was filled by
more than first values; and the settings as they last were good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast
from uuid import uuid4

import streamlit as st

from dashboard import session, session_prompts


def name() -> str:
    """Of this session; another one after each reload."""
    return cast(str, st.session_state.setdefault("_session_name", uuid4().hex))


def next_drawing() -> int:
    """The number of this drawing, from 1."""
    number = cast(int, st.session_state.get("_kept_drawing", 0)) + 1
    st.session_state["_kept_drawing"] = number
    return number


def is_filled() -> bool:
    """Whether a link, a run or the tab has filled the form (`session.fill_settings`): what the tab kept is past."""
    return bool(st.session_state.get("_filled"))


def fill() -> None:
    """What the tab kept has been looked at."""
    st.session_state["_filled"] = True


def filling() -> str | None:
    """The last time that the form was filled, by a name of its own; None where it has what it began with."""
    number = st.session_state.get("_fillings")
    return None if number is None else f"{name()}:{number}"


def hear(said: object) -> None:
    """The browser has a drawing that was made after the form was filled so."""
    st.session_state["_filling_heard"] = said


def say_again(keys: Iterable[str]) -> None:
    """Before the form is drawn: its values are for the browser until it is heard to have them.

    Streamlit says a value that was set once, and a drawing that is cut off by the next one may never arrive.
    """
    if filling() != st.session_state.get("_filling_heard"):
        for key in keys:
            if key in st.session_state:
                st.session_state[key] = st.session_state[key]


def is_touched() -> bool:
    """Whether somebody has changed the form since this was first asked: from then on it is theirs, and filled."""
    now = (session.form(), session_prompts.text())
    touched = bool(st.session_state.setdefault("_first_form", now) != now)
    if touched:
        fill()
    return touched


def keep_settings(settings: Mapping[str, str]) -> None:
    """The form's settings in the words of a link."""
    st.session_state["_good_settings"] = settings


def settings() -> Mapping[str, str]:
    """As they last were good; those at first where they never were."""
    return cast("Mapping[str, str]", st.session_state.get("_good_settings", {}))
