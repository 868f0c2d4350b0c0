"""The three editors of the list of prompts: a text, a table, a file; and how the list goes from one to the next.

Comes in: what `session` remembers of each. Goes out: elements, and the list as it stands. `fanout.prompts` reads texts
and files, `inputs` reads tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import dropping, elements, inputs, session, session_prompts, wording
from fanout.errors import BadInput
from fanout.prompts import ENDINGS, Mode, PromptList, columns, guess_column, read_file, read_text

MODES: dict[Mode, str] = {"line": "One a line", "paragraph": "Blank line between", "dashes": "--- between"}


def draw() -> tuple[str, ...]:
    """The editors; gives the list as it stands."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Prompts",
            session_prompts.SOURCES,
            key="prompts_source",
            required=True,
            on_change=_changed_source,
            persist_state="session",
        )
        if session_prompts.source() == "Text":
            st.segmented_control(
                "Parted by",
                list(MODES),
                format_func=lambda mode: MODES[mode],
                key="prompts_mode",
                required=True,
                persist_state="session",
            )
    session_prompts.open_editor()
    dropping.listen()
    editors = {"Text": _text, "Table": _table, "File": _file}
    editors[session_prompts.source()]()
    return session_prompts.listed()


def _changed_source() -> None:
    """Hand the list to the editor that is opened, as it stands in the one that is left.

    It may have come with this very press, or with one whose drawing was cut off by it: then it was not read yet.
    """
    standing = {"Text": _standing_text, "Table": _standing_table, "File": _standing_file}
    with suppress(BadInput):  # the list stays as it was last good
        session_prompts.keep_listed(standing[session_prompts.editor()]())
    session_prompts.open_editor()
    prompts = session_prompts.listed()
    if session_prompts.source() == "Text":
        written = inputs.as_text(prompts)
        session_prompts.put_in_editors(
            prompts, text=None if written is None else written.text, mode="line" if written is None else written.mode
        )
    elif session_prompts.source() == "Table":
        session_prompts.new_table(prompts)


def _text() -> None:
    st.text_area(
        "Prompts as text",
        key="prompts_text",
        height=420,
        label_visibility="collapsed",
        placeholder="One prompt a line",
        persist_state="session",
    )
    try:
        found = _read_text()
    except BadInput as exc:
        session_prompts.keep_listed(())
        elements.wrong(str(exc))
        return
    session_prompts.keep_listed(found.prompts)
    elements.quiet(f"{found.sentence}.")


def _read_text() -> PromptList:
    text, mode = session_prompts.text(), session_prompts.mode()
    return _read("text", (text, mode), lambda: read_text(text, mode=mode))


def _standing_text() -> tuple[str, ...]:
    try:
        return _read_text().prompts
    except BadInput:
        return ()


def _table() -> None:
    edited = st.data_editor(
        pd.DataFrame({"prompt": pd.Series(session_prompts.table_from(), dtype="object")}),
        key=session_prompts.table_key(),
        num_rows="dynamic",
        height=420,
        column_config={"prompt": st.column_config.TextColumn("Prompt", width="large")},
        alt="The prompts, one a row; rows can be added, changed and removed",
    )
    session_prompts.keep_listed(inputs.from_table(edited["prompt"].tolist()))
    elements.quiet(wording.list_sentence(session_prompts.listed()))


def _standing_table() -> tuple[str, ...]:
    edits = session_prompts.table_edits()
    return (
        session_prompts.listed()
        if edits is None
        else inputs.from_table(inputs.edited(session_prompts.table_from(), edits))
    )


def _file() -> None:
    dropped = st.file_uploader(
        f"A file of prompts ({', '.join(ENDINGS)})", type=[ending[1:] for ending in ENDINGS], key=session_prompts.FILE
    )
    if dropped is None:
        elements.quiet(wording.list_sentence(session_prompts.listed()))
        return
    try:
        found = _read_file(dropped, column=_column(dropped))
    except BadInput as exc:
        elements.wrong(str(exc))
        elements.quiet(f"The list stays as it was: {wording.list_sentence(session_prompts.listed())}")
        return
    session_prompts.keep_listed(found.prompts)
    elements.quiet(f"{found.sentence}.")
    _preview(found.prompts)


def _read_file(dropped: UploadedFile, *, column: str | None) -> PromptList:
    return _read("file", (dropped.file_id, column), lambda: read_file(dropped.name, dropped.getvalue(), column=column))


def _standing_file() -> tuple[str, ...]:
    dropped = session_prompts.dropped_file()
    if dropped is None:
        return session_prompts.listed()
    names, guessed = _columns(dropped)
    chosen = session_prompts.chosen_column(dropped.file_id)
    column = chosen if chosen in names and len(names) > 1 else guessed
    return _read_file(dropped, column=column).prompts


def _columns(dropped: UploadedFile) -> tuple[Sequence[str], str | None]:
    """Its columns, and the one that looks as if it held the prompts. Raises BadInput where it cannot be read."""
    found: tuple[Sequence[str], str | None] | None = session.kept("columns", dropped.file_id)
    if found is None:
        content = dropped.getvalue()
        names, guessed = columns(dropped.name, content), guess_column(dropped.name, content)
        found = names, guessed if guessed in names or not names else names[0]
        session.keep("columns", dropped.file_id, found)
    return found


def _column(dropped: UploadedFile) -> str | None:
    """The column picker, where there is something to pick."""
    names, guessed = _columns(dropped)
    if len(names) < 2:
        return guessed  # the one that there is, whatever it is called
    with st.container(key="prompts_column"):
        chosen: str | None = st.selectbox(
            "Column with the prompts",
            names,
            index=names.index(guessed),
            key=session_prompts.column_key(dropped.file_id),
            width=320,
        )
    return chosen


def _read(slot: str, question: object, reads: Callable[[], PromptList]) -> PromptList:
    found: PromptList | None = session.kept(slot, question)
    if found is None:
        found = reads()
        session.keep(slot, question, found)
    return found


def _preview(prompts: Sequence[str]) -> None:
    st.dataframe(
        pd.DataFrame({"prompt": list(prompts[:100])}),
        hide_index=True,
        height=min(260, 35 * (len(prompts) + 1) + 3),
        column_config={"prompt": "Prompts" if len(prompts) <= 100 else "The first 100 prompts"},
        key="prompts_preview",
    )
