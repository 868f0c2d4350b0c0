"""What can be done with the runs that are selected: one, two or several.

Comes in: their rows, as whoever looks sees them. Goes out: buttons, and what their presses ask of the library, which is
held to who may do it where it arrives. What cannot be done is said with its reason; nothing is deleted at the first
press.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from dashboard import door, elements, form_filling, found, house, naming, pages, session, session_history, sharing
from dashboard.history.words import delete_question, not_theirs
from dashboard.rows import title
from dashboard.safe import cut
from dashboard.units import counted
from fanout.errors import FanoutError
from fanout.people import may_drive, may_start
from fanout.store import NoSuchRun
from fanout.store.rows import RunRow

MOST_SAID = 3
"""Sentences about runs that stayed; further ones say the same."""


def draw(picked: Sequence[RunRow], shown: Sequence[RunRow]) -> None:
    """The row of buttons over the list. `shown`: the rows of this page, whose tags are offered."""
    person = door.person()
    kept = house.library().shelf is not None
    theirs = [row for row in picked if kept and may_drive(person, owner_id=row.owner_id)]
    tags = {tag for row in shown for tag in row.tags}
    if session.asked(_question(theirs)):
        _ask_again(theirs)
        return
    st.button(
        f"{len(picked):,} selected",
        key="history_deselect",
        type="tertiary",
        icon=":material/close:",
        help="Select nothing",
        on_click=session_history.deselect,
    )
    if len(picked) == 1:
        _one(picked[0], tags, is_theirs=bool(theirs))
    elif len(picked) == 2:
        a, b = sorted(picked, key=lambda row: row.opened_at)
        pages.link_to_compare_two(a.run_id, b.run_id, "Compare them")
    if len(theirs) > 1:
        _tag(theirs, tags)
    if theirs:
        st.button(
            "Delete" if len(theirs) == 1 else f"Delete {len(theirs):,}",
            key="history_delete",
            icon=":material/delete:",
            on_click=_press_delete,
            args=(theirs,),
        )
    others = [row for row in picked if row not in theirs]
    if others and kept:
        elements.quiet(not_theirs(others, may_start=may_start(person)))


def _one(row: RunRow, tags: set[str], *, is_theirs: bool) -> None:
    if is_theirs:
        naming.popover(row, label="Name and tags", known=tags)
    sharing.draw(row, may_drive=is_theirs, page="runs")
    if may_start(door.person()):
        st.button("Duplicate", key="history_duplicate", on_click=_duplicate, args=(row.run_id,))
    pages.link_to_compare(row.run_id, "Compare with another run")


def _duplicate(run_id: str) -> None:
    """The form, filled in as the run was started; it opens as soon as the page is drawn."""
    opened = found.opened(run_id)
    if opened is None:
        session_history.tell(found.NOT_KNOWN)
        return
    form_filling.from_run(opened.row, replace(opened.run.snapshot().batch, name=opened.row.name))
    session_history.open_form()


# Tags of several


def _tag(rows: Sequence[RunRow], tags: set[str]) -> None:
    with (
        st.popover("Tags", key=session_history.TAGGING, icon=":material/sell:", on_change="rerun"),
        st.form("tagging_form", border=False),
    ):
        naming.tag_field("Put on", session_history.ADD, known=tags, placeholder="Type one, then Enter")
        on_them = {tag for row in rows for tag in row.tags}
        naming.tag_field("Take off", session_history.REMOVE, known=on_them, placeholder="None", new=False)
        st.form_submit_button(f"Save on {counted(len(rows), 'run')}", on_click=_retag, args=(rows,))


def _retag(rows: Sequence[RunRow]) -> None:
    problems = naming.retag(
        rows,
        add=session_history.typed_tags(session_history.ADD),
        remove=session_history.typed_tags(session_history.REMOVE),
    )
    session_history.tell(" ".join(problems[:MOST_SAID]) or None)
    session_history.close_popover(session_history.TAGGING)


# Deleting, at the second press


def _question(rows: Sequence[RunRow]) -> object:
    return ("delete", tuple(row.run_id for row in rows))


def _press_delete(rows: Sequence[RunRow]) -> None:
    """Runs that go on are told at once: they have to be stopped first."""
    going = [row for row in rows if row.goes_on]
    if going:
        session_history.tell(" ".join(_goes_on(row) for row in going[:MOST_SAID]))
        return
    session_history.tell(None)
    session.ask_again(_question(rows))


def _ask_again(rows: Sequence[RunRow]) -> None:
    elements.caution(delete_question(rows))
    st.button(
        "Delete it" if len(rows) == 1 else f"Delete {len(rows):,} runs",
        key="history_delete_confirm",
        type="primary",
        on_click=_delete,
        args=(rows,),
    )
    st.button("Keep it" if len(rows) == 1 else "Keep them", key="history_keep", on_click=session.forget_pending)


def _delete(rows: Sequence[RunRow]) -> None:
    """Delete what can be; a press that is delivered twice finds nothing the second time."""
    person, gone, problems = door.person(), 0, []
    for row in rows:
        try:
            house.library().delete(person, row.run_id)
            gone += 1
        except NoSuchRun:
            continue
        except FanoutError as exc:
            problems.append(f"“{cut(title(row), 60)}” stays. {naming.sentence(exc)}")
    session.forget_pending()
    if gone:
        session_history.deselect()
    if problems:
        session_history.tell(" ".join(problems[:MOST_SAID]))


def _goes_on(row: RunRow) -> str:
    return f"“{cut(title(row), 60)}” still goes on: open it and stop it first."
