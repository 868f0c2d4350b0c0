"""What a session remembers of the sandbox's profile beyond a reload: see `session`, whose rules hold here.

A reload is a new session, and all that it has of the one before is the address. So the form's page and the sandbox's
keep the profile there, where it is not the default, in the words of a link to the form.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import streamlit as st

from dashboard import session
from fanout.errors import BadInput
from fanout.sandbox.profile import SandboxProfile

ADDRESS = "sandbox"
"""The name in the query: `form_link` reads it under the same."""


def adopt() -> None:
    """Before such a page is drawn: a new session takes the profile that the address holds; a wrong one is left."""
    if "_profile" in st.session_state or ADDRESS not in st.query_params:
        return
    try:
        session.put_in_profile_form(SandboxProfile.decode(st.query_params[ADDRESS]))
    except BadInput:
        return


def stands(key: str, otherwise: Any) -> Any:
    """What stands in this field of the profile's form; `otherwise`, where it was never drawn.

    Where Apply and a link to another page come in one breath, Streamlit has forgotten the fields by the time that it
    calls back for the press: then what stood there when they were last drawn.
    """
    return st.session_state.get(key, st.session_state.get("_profile_drawn", {}).get(key, otherwise))


def drawn(keys: Iterable[str]) -> None:
    """These fields are on the page."""
    st.session_state["_profile_drawn"] = {key: st.session_state[key] for key in keys}


def apply(profile: SandboxProfile) -> None:
    """The form's fields were applied."""
    session.set_profile(profile)
    st.session_state["_profile_applied"] = profile


def applied() -> SandboxProfile | None:
    """What was last applied; None where nothing was."""
    return cast("SandboxProfile | None", st.session_state.get("_profile_applied"))


def keep() -> None:
    """After it was drawn: the address holds what holds now."""
    held = session.profile()
    if held == SandboxProfile():
        st.query_params.pop(ADDRESS, None)
    elif st.query_params.get(ADDRESS) != held.encoded():
        st.query_params[ADDRESS] = held.encoded()
