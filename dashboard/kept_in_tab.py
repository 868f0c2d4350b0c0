"""What a tab keeps in its own storage, by name, and hands back to the session that begins after a reload, or with a
server that was started anew.

Comes in: what is to be kept, as JSON. Goes out: what the tab has kept, which may be anything; `kept_form` and
`kept_settings` read it. A tab hands it back once a session, unless somebody has begun to fill what is on the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import session_kept
from dashboard.gantt import assets
from fanout.errors import BadInput

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def handed_back(name: str, *, takes: bool, asks: bool, about: str | None = None) -> object | None:
    """Before it is drawn: what the tab has kept under this name, once; None where it has nothing, or is not asked.

    `takes`: whether this session takes it; `asks`: whether the tab is to hand it back. `about`: of what it must be. It
    is what the component gives back, and no callback: one that comes before the page was drawn whole finds nothing.
    """
    data = {**_data(name, about, asks=asks), "drawing": session_kept.next_drawing()}  # the tab is asked in each
    found = _component()(key=f"kept_{name}", data=data, height="content", on_kept_change=_heard, on_back_change=_heard)
    return found.kept if takes else None


def keep(name: str, form: Mapping[str, Any] | None, *, asks: bool, about: str | None = None) -> None:
    """After it was drawn: have the tab keep it as it is now; None: nothing. `asks`: whether it is still to be asked."""
    told = form if form is None or about is None else {**form, "about": about}
    filling = session_kept.filling(name)  # the tab says which it has, once it has all of this
    _component()(
        key=_key_of(name),
        data={**_data(name, about, asks=asks), "form": told, "filling": filling},
        height="content",
        on_kept_change=_heard,
        on_back_change=_heard,
        on_heard_change=partial(_has_filling, name),
    )


def _data(name: str, about: str | None, *, asks: bool) -> Mapping[str, Any]:
    session = session_kept.name()
    return {"name": f"fanout-{name}", "session": session, "about": about, "asks": asks, "home": f"{assets.base()}/"}


def parsed(handed: object, *, who: str) -> Mapping[str, Any]:
    """What a tab handed back, with its settings as in a link. Raises BadInput where it is none, or somebody else's."""
    try:
        form = json.loads(handed) if isinstance(handed, str) else None
    except (ValueError, RecursionError):
        form = None
    if not isinstance(form, dict) or form.get("who") != who:
        raise BadInput("nothing of this person's")
    settings = form.get("settings")
    if not (isinstance(settings, dict) and all(isinstance(value, str) for value in settings.values())):
        raise BadInput("no settings")
    return form


def _has_filling(name: str) -> None:
    """The tab says which it has. A callback."""
    session_kept.hear(name, (st.session_state.get(_key_of(name)) or {}).get("heard"))


def _key_of(name: str) -> str:
    return f"kept_{name}_now"


def _heard() -> None:
    """It must be named for Streamlit to hand on what the tab gives."""


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "fanout_kept", js=Path(__file__).with_suffix(".js").read_text(), isolate_styles=False
    )
