"""Who may see a run, and the links to it: the popover of the strip.

Comes in: the row of a run that somebody may see. Goes out: its link, and for whoever may drive it the choice of who
else sees it. A link that was withdrawn opens nothing from then on, also where it is open.
"""

from __future__ import annotations

import streamlit as st

from dashboard import door, elements, house, session, session_share
from dashboard.safe import cut
from fanout.errors import FanoutError
from fanout.people import Visibility
from fanout.store.rows import RunRow

WORDS: dict[Visibility, str] = {
    "private": "Only me and admins",
    "team": "Everybody who is logged in",
    "link": "Whoever is logged in and has the link",
}
"""Who sees a run beside its owner and admins."""


def draw(row: RunRow, *, may_drive: bool, page: str = "") -> None:
    """The popover. `page`: the address of the page that it stands on."""
    with st.popover("Share", key="share"):
        if house.library().shelf is None:
            elements.quiet("Whoever can reach this page sees the run here, while this process keeps it.")
        elif not door.has_login():
            elements.quiet("Whoever can reach this page sees the run at its link.")
        elif may_drive:
            _choose(row)
        else:
            elements.quiet(f"Shared by {row.owner_name}: {WORDS[row.visibility].lower()}.")
        token = row.link_token if may_drive else session_share.link_of(row.run_id)
        st.code(session_share.address(row.run_id, token, page=page), language=None)
        elements.quiet("The form with its prompts and settings; with &max_workers=12 at its end, with 12 workers:")
        st.code(session_share.form_address(row.run_id, token, page=page), language=None)


def seen_by(visibility: Visibility, row: RunRow, *, is_own: bool) -> str:
    """Who sees it, in words for its owner, or for an admin who may drive it too."""
    if visibility == "private" and not is_own:
        return f"Only {cut(row.owner_name, 40)} and admins"
    return WORDS[visibility]


def _choose(row: RunRow) -> None:
    session_share.adopt_visibility(row.run_id, row.visibility)
    st.radio(
        "Who sees this run",
        list(WORDS),
        # Also as the default: a browser that draws it before it heard would show the first one, and report it.
        index=list(WORDS).index(row.visibility),
        format_func=lambda each: seen_by(each, row, is_own=row.owner_id == door.person().user_id),
        key=session_share.CHOICE,
        persist_state="session",
        on_change=_share,
        args=(row.run_id, row.visibility),
    )
    if row.visibility == "link":
        st.button("Make a new link", key="new_link", on_click=_renew, args=(row.run_id,))
        elements.quiet("The link before it opens nothing from then on.")


def _share(run_id: str, before: Visibility) -> None:
    chosen = session_share.chosen_visibility()
    if chosen != before:  # another link is made by its own button only
        _set(run_id, chosen)


def _renew(run_id: str) -> None:
    _set(run_id, "link")


def _set(run_id: str, visibility: Visibility) -> None:
    shelf = house.library().shelf
    if shelf is None:
        return
    try:
        shelf.share(door.person(), run_id, visibility)
    except FanoutError as exc:
        session.say(str(exc))
