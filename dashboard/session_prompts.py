"""The list of prompts behind the three editors, and what stands in each of them: see `session`, whose rules hold here.

Comes in: what the editors report. Goes out: the list as it was last good, and what an editor holds, read or
not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from fanout.prompts import Mode

Source = Literal["Text", "Table", "File"]
SOURCES: tuple[Source, ...] = ("Text", "Table", "File")
FILE = "prompts_file"
"""The key of the drop zone."""


def source() -> Source:
    """Which editor is open."""
    return cast(Source, st.session_state["prompts_source"])


def mode() -> Mode:
    """How the text parts its prompts."""
    return cast(Mode, st.session_state["prompts_mode"])


def listed() -> tuple[str, ...]:
    """The last good list of prompts, whichever editor it came from."""
    return cast("tuple[str, ...]", st.session_state.get("_listed", ()))


def keep_listed(prompts: Sequence[str]) -> None:
    """This is the list now."""
    st.session_state["_listed"] = tuple(prompts)


def put_in_editors(prompts: Sequence[str], *, text: str | None, mode: Mode) -> None:
    """Open the text editor on these prompts, or the table where text cannot hold them. From a callback only."""
    keep_listed(prompts)
    if text is None:
        st.session_state["prompts_source"] = "Table"
    else:
        st.session_state.update(prompts_source="Text", prompts_text=text, prompts_mode=mode)
    new_table(prompts)


def new_table(prompts: Sequence[str]) -> None:
    """Let the table begin anew from these prompts."""
    st.session_state["_table_from"] = tuple(prompts)
    st.session_state["_table_number"] = cast(int, st.session_state.get("_table_number", 0)) + 1


def table_key() -> str:
    """The table's key: a new one whenever it begins anew, so that old edits are not laid over a new list."""
    return f"prompts_table_{st.session_state.get('_table_number', 0)}"


def table_from() -> tuple[str, ...]:
    """What the table began from; the list as it is now, where Streamlit dropped the table's edits meanwhile."""
    if "_table_from" not in st.session_state or table_key() not in st.session_state:
        new_table(listed())
    return cast("tuple[str, ...]", st.session_state["_table_from"])


def editor() -> Source:
    """The editor that the list was last read from, or handed to: another one than `source` while it is changed."""
    return cast(Source, st.session_state.get("_editor", "Text"))


def open_editor() -> None:
    """The list is handed to the editor that is open."""
    st.session_state["_editor"] = source()


def text() -> str:
    """What stands in the text editor."""
    return cast(str, st.session_state.get("prompts_text") or "")


def table_edits() -> Mapping[str, Any] | None:
    """What was changed in the table since it began; None where it is not drawn."""
    return cast("Mapping[str, Any] | None", st.session_state.get(table_key()))


def dropped_file() -> UploadedFile | None:
    """The file in the drop zone."""
    return cast("UploadedFile | None", st.session_state.get(FILE))


def column_key(file_id: str) -> str:
    """The key of the box in which the column of this file is chosen."""
    return f"column_of_{file_id}"


def chosen_column(file_id: str) -> str | None:
    """The column that was chosen for this file, where there was something to choose."""
    return cast("str | None", st.session_state.get(column_key(file_id)))
