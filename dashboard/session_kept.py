"""What a session remembers for the form that its tab keeps beyond a reload: see `session`, whose rules hold here.

Comes in: nothing but the session. Goes out: its name, so that the tab asks once in each; what the tab handed back,
until the browser is heard to show it; whether the form was filled by more than first values; and the settings as they
last were good.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast
from uuid import uuid4

import streamlit as st

from dashboard import session, session_prompts

HELD_S = 5.0
"""So long a tab holds its fields while they are filled; after that somebody may have changed them."""


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


def take(slot: str, handed: object) -> None:
    """The fields of this name are to be filled with what the tab handed back."""
    st.session_state[f"_handed_{slot}"] = (uuid4().hex, handed, time.monotonic())


def pending(slot: str) -> object | None:
    """What they are filled with at each drawing, until the browser is heard to have it.

    What it says of them before that is what stood there earlier, and a drawing that is cut off may never arrive.
    """
    name, handed, at_s = _handed(slot)
    if name is not None and time.monotonic() - at_s > HELD_S:
        forget(slot)
        return None
    return handed


def filling(slot: str) -> str | None:
    """By what name the browser is to say that it has it; None where it has."""
    return _handed(slot)[0]


def hear(slot: str, said: object) -> None:
    """The browser says which filling it has."""
    if said == filling(slot):
        forget(slot)


def forget(slot: str) -> None:
    """Nothing is to be filled: it is, or something else has filled the fields."""
    st.session_state.pop(f"_handed_{slot}", None)


def _handed(slot: str) -> tuple[str | None, object | None, float]:
    return cast("tuple[str | None, object | None, float]", st.session_state.get(f"_handed_{slot}", (None, None, 0.0)))


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
