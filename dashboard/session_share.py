"""What a session remembers of links and of who may see a run: see `session`, whose rules hold here.

Comes in: the address's query and the share popover's choice. Goes out: the link token by which somebody came to a run.
"""

from __future__ import annotations

from typing import cast

import streamlit as st

from dashboard.form_link import FORM
from fanout.people import Visibility

CHOICE = "visibility"
"""The key of the popover's choice."""


def link_of(run_id: str) -> str | None:
    """The token of the link by which this session came to the run; it counts for the rest of the session."""
    links = cast("dict[str, str]", st.session_state.setdefault("_links", {}))
    for names, name in (("run", "link"), (FORM, "link"), ("a", "link_a"), ("b", "link_b")):
        token = st.query_params.get(name)
        if token and run_id == st.query_params.get(names):
            links[run_id] = token
    return links.get(run_id)


def remember(run_id: str, token: str) -> None:
    """The run was come to by this link, in a session before."""
    cast("dict[str, str]", st.session_state.setdefault("_links", {}))[run_id] = token


def address(run_id: str, token: str | None, *, page: str = "") -> str:
    """The link to a run, with its token where it is shared by link. `page`: the address of the page one is on."""
    return f"{root(page=page)}/?run={run_id}" + (f"&link={token}" if token else "")


def form_address(run_id: str, token: str | None, *, page: str = "") -> str:
    """The link to the form with a run's prompts and settings."""
    return f"{root(page=page)}/?{FORM}={run_id}" + (f"&link={token}" if token else "")


def root(*, page: str = "") -> str:
    """Where the browser finds this dashboard, without a slash at its end."""
    return (st.context.url or "").split("?")[0].rstrip("/").removesuffix(f"/{page}" if page else "")


def let_see(visibility: Visibility) -> None:
    """Who is to see the next run, as the form has it. From a callback, or before the form is drawn."""
    st.session_state["run_visibility"] = visibility


def adopt_visibility(run_id: str, visibility: Visibility) -> None:
    """Before the choice is drawn: take over how the run is shared, unless this session has seen it so already."""
    seen = (run_id, visibility)
    if st.session_state.get("_visibility_seen") != seen or CHOICE not in st.session_state:
        st.session_state["_visibility_seen"] = seen
        st.session_state[CHOICE] = visibility


def chosen_visibility() -> Visibility:
    """Who was chosen to see the run; a callback of the choice."""
    return cast(Visibility, st.session_state[CHOICE])
