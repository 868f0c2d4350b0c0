"""What a session remembers of the settings under which a run is to go on: see `session`, whose rules hold here.

Comes in: a run's own settings, and what its fields report. Goes out: the values that stand in them, and why they were
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import streamlit as st

from dashboard import session
from fanout.batch import Batch

FIELDS = "resume_settings"
"""The key of the popover that holds them."""


def under() -> str:
    """What stands before the keys of its fields: another word each time that they begin anew."""
    return f"resume_{st.session_state.get('_resume_beginning', 0)}_"


def open_fields(*, are_open: bool) -> None:
    """Before they are drawn or left out: they begin anew at each opening, with what stood there.

    A browser that opens them while it is drawn without them says first what it shows, and forgets it with that drawing.
    Fields of the same keys would then come back empty: it is not told again what it has just said.
    """
    if are_open and not st.session_state.get("_resume_open"):
        stood, anew = session.form(under()), _begin_anew()
        st.session_state.update({f"{anew}{key}": value for key, value in stood.items()})
    st.session_state["_resume_open"] = are_open


def _begin_anew() -> str:
    """Fields of other keys, and nothing left of those before; gives what stands before their keys."""
    for key in session.form():
        st.session_state.pop(f"{under()}{key}", None)
    st.session_state["_resume_beginning"] = cast(int, st.session_state.get("_resume_beginning", 0)) + 1
    return under()


def close() -> None:
    """The run goes on: the fields are shut when it has ended again. From a callback only."""
    st.session_state[FIELDS] = False


def adopt(run_id: str, batch: Batch) -> None:
    """Before the fields are drawn: they begin anew with another run, or once it went on under other settings."""
    seen = (run_id, batch)
    if st.session_state.get("_resume_seen") != seen:
        st.session_state["_resume_seen"] = seen
        session.fill_settings(batch, under=_begin_anew())


def asks(run_id: str) -> bool:
    """Whether this session takes what the tab kept of this run: not once it did, or somebody changed the fields."""
    return bool(st.session_state.get("_resume_answered") != run_id)


def answered(run_id: str) -> None:
    """What the tab kept of this run is past."""
    st.session_state["_resume_answered"] = run_id


def note(run_id: str, wanted: Batch) -> None:
    """This stands in the fields now. Where it is not what stood there at first, somebody has changed them."""
    first = cast("tuple[str, Batch] | None", st.session_state.get("_resume_first"))
    if first is None or first[0] != run_id:
        st.session_state["_resume_first"] = (run_id, wanted)
    elif first[1] != wanted:
        answered(run_id)


def fill(run_id: str, own: Batch, wanted: Batch) -> None:
    """The fields as in `wanted`, of a run whose own settings are `own`. Before they are drawn."""
    adopt(run_id, own)
    session.fill_settings(wanted, under=under())


def form(run_id: str, batch: Batch) -> Mapping[str, Any]:
    """The values of the fields, by the form's keys; the run's own where they were not drawn."""
    adopt(run_id, batch)
    return session.form(under())


def refuse(asked: object, why: str) -> None:
    """Why nothing was sent, though it was asked for under these settings."""
    st.session_state["_resume_refused"] = (asked, why)


def refusal(asked: object) -> str | None:
    """Why these very settings were refused; with others it is over."""
    found = cast("tuple[object, str] | None", st.session_state.get("_resume_refused"))
    return found[1] if found is not None and found[0] == asked else None
