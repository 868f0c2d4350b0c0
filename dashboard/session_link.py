"""What a session remembers of links that fill the form: see `session`, whose rules hold here.

Comes in: the address's query. Goes out: what it asks the form to hold, once; from which run the form's list came; and
what the page says of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import streamlit as st

from dashboard.form_link import FORM, SETTINGS
from fanout.batch import Batch

CARRY = "carry_answers"
"""The key of the switch that keeps the answers of the run from which the form was filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """The run from which the form was filled."""

    run_id: str
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the page says of a link that it followed, and whether it could not be."""

    words: str
    is_wrong: bool = False


def asked() -> dict[str, str] | None:
    """What the address asks the form to hold; None where it asks nothing."""
    if FORM not in st.query_params:
        return None
    return {name: st.query_params[name] for name in (FORM, *SETTINGS) if name in st.query_params}


def take() -> None:
    """It was followed: the address no longer asks, so that what is typed from now on stays through a refresh."""
    for name in (FORM, "link", *SETTINGS):
        st.query_params.pop(name, None)


def came_from() -> Came | None:
    """From which run the form was filled; None where from none."""
    return cast("Came | None", st.session_state.get("_came_from"))


def keep(came: Came, *, carries: bool = False) -> None:
    """The form was filled from this run. `carries`: its answers are to be kept."""
    st.session_state["_came_from"] = came
    st.session_state[CARRY] = carries


def leave() -> None:
    """The run is known no longer: the form is as one that came from none."""
    st.session_state["_came_from"] = None


def carries() -> Came | None:
    """The run whose answers are to be kept; None where none's are."""
    came = came_from()
    return came if came is not None and st.session_state.get(CARRY) else None


def tell(said: Said | None) -> None:
    """Above the form, until a run is started."""
    st.session_state["_link_said"] = said


def told() -> Said | None:
    """What was to be said."""
    return cast("Said | None", st.session_state.get("_link_said"))
