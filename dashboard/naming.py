"""What a run is called and its tags, and how those who may drive it change them: on its page and in the list.

Comes in: the row of a run. Goes out: its name as a heading with its tags, and the popover in which both are typed. The
shelf says who may, and what is too long.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st

from dashboard import door, elements, house, session_history
from fanout.errors import FanoutError
from fanout.library import Opened
from fanout.store.rows import RunRow
from fanout.store.shelf import MOST_NAME, MOST_TAGS, Shelf


def draw_heading(opened: Opened) -> None:
    """Over the strip of a run's page: the name and the tags it has, and the way to change them."""
    row, shelf = opened.row, house.library().shelf
    may = opened.may_drive and shelf is not None
    if not row.name and not row.tags and not may:
        return
    with st.container(key="named", horizontal=True, vertical_alignment="center", gap="small"):
        if row.name or row.tags:
            elements.named(row.name, row.tags)
        if may:
            popover(row, label="Rename" if row.name else "Name this run", told=True)


def popover(row: RunRow, *, label: str, known: Collection[str] = (), told: bool = False) -> None:
    """The fields; `known` are tags that are offered, `told` draws a complaint beside them."""
    session_history.adopt_name(row)
    with st.popover(
        label,
        key=session_history.NAMING,
        type="tertiary" if told else "secondary",
        icon=":material/edit:",
        on_change="rerun",
    ):
        with st.form("naming_form", border=False):
            name = (row.name or "")[:MOST_NAME]
            st.text_input("Name", name, key=session_history.naming_key(session_history.NAME), max_chars=MOST_NAME)
            key = session_history.naming_key(session_history.TAGS)
            tag_field("Tags", key, known=(*known, *row.tags), placeholder="Type one, then Enter", first=row.tags)
            st.form_submit_button("Save", on_click=_save, args=(row,))
        problem = session_history.told() if told else None
        if problem is not None:
            elements.wrong(problem)


def tag_field(
    label: str,
    key: str,
    *,
    known: Collection[str],
    placeholder: str,
    new: bool = True,
    first: Sequence[str] = (),
) -> None:
    """A field of tags."""
    offered = sorted({*known, *session_history.typed_tags(key)}, key=str.lower)
    st.multiselect(
        label,
        offered,
        list(first[:MOST_TAGS]),
        key=key,
        accept_new_options=new,
        max_selections=MOST_TAGS,
        placeholder=placeholder,
        width=340,
        select_all=False,
    )


def _save(row: RunRow) -> None:
    """Only what was changed is changed: so the audit tells the truth."""
    name, tags = (
        session_history.typed_name(),
        session_history.typed_tags(session_history.naming_key(session_history.TAGS)),
    )
    session_history.tell(None)
    try:
        shelf = shelf_here()
        if name.strip() != (row.name or ""):
            shelf.rename(door.person(), row.run_id, name)
        if set(tags) != set(row.tags):
            shelf.tag(door.person(), row.run_id, tags)
    except FanoutError as exc:
        session_history.tell(sentence(exc))
        return
    session_history.close_popover(session_history.NAMING)


def retag(rows: Sequence[RunRow], *, add: Collection[str], remove: Collection[str]) -> list[str]:
    """Put tags on several runs and take others off; gives what could not be done, in sentences."""
    problems = []
    for row in rows:
        tags = tuple(dict.fromkeys([*(tag for tag in row.tags if tag not in remove), *add]))
        try:
            if tags != row.tags:
                shelf_here().tag(door.person(), row.run_id, tags)
        except FanoutError as exc:
            problems.append(sentence(exc))
    return problems


def shelf_here() -> Shelf:
    """The shelf, where runs are kept; its actions are not drawn where they are not."""
    shelf = house.library().shelf
    if shelf is None:
        raise RuntimeError("nothing is kept here")
    return shelf


def sentence(error: FanoutError) -> str:
    """What a refusal says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
