"""A run file, taken in: the popover over the list.

Comes in: a file from anybody, of any name: `export --format run` writes to the one that it is given. Goes out: the run
it holds, stored as whoever gave it their own, and its id to open; or a sentence about what is wrong with the file.
Streamlit refuses a file above its bound before it is read.
"""

from __future__ import annotations

import streamlit as st

from dashboard import door, dropping, elements, house, session, session_history
from dashboard.naming import sentence
from fanout.errors import FanoutError


def draw() -> None:
    """The popover."""
    with st.popover("Import", key="import_popover", icon=":material/upload_file:"):
        dropping.listen()
        given = st.file_uploader("A run file", key=session_history.upload_key())
        seen_by = " Nobody but you and admins sees it before you share it." if door.has_login() else ""
        elements.quiet(f"A run's page saves one: “Run file”. It becomes a run of yours, and opens.{seen_by}")
        if given is None:
            return
        problem = session.kept("import", given.file_id)
        if problem is None:
            problem = _take_in(given.file_id, given.getvalue())
        if problem:
            elements.wrong(problem)


def _take_in(file_id: str, content: bytes) -> str:
    """Store it, once for each file that was given; gives what is wrong with it, or nothing."""
    try:
        run_id = house.library().put_in(door.person(), content)
    except FanoutError as exc:
        problem = f"Nothing was imported. {sentence(exc)}"
        session.keep("import", file_id, problem)
        return problem
    session.keep("import", file_id, "")
    session_history.open_row(run_id)
    session_history.new_upload()
    st.rerun()
