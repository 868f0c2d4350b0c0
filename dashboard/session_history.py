"""What a session remembers of the list of runs: see `session`, whose rules hold here.

Comes in: the address and what the page's controls report. Goes out: which rows are wanted, and which are selected. The
address is the truth of the first, so that a list can be handed on as a link and is there again after a refresh; whoever
writes it anew (a link, the browser's way back) is followed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast, get_args

import streamlit as st

from fanout.store.rows import RunRow
from fanout.store.shelf import Show, Sort, Wanted

WORDS, SHOW, AUDIT_WORDS = "history_words", "history_show", "audit_words"
"""The keys of the controls."""
NAME, TAGS, ADD, REMOVE, NAMING, TAGGING = (
    "naming_name",
    "naming_tags",
    "tagging_add",
    "tagging_remove",
    "naming",
    "tagging",
)
"""Those of the popovers in which runs are named and tagged."""
ROWS = 50
"""Of one page of the list."""
MOST_WORDS_CHARACTERS = 200
MOST_PAGES = 1_000_000
FIRST_SORT = "-opened_at"


# What is wanted, in the address


def wanted() -> Wanted:
    """The rows that the address asks for; what it does not say, or says wrongly, is as at first."""
    sort = st.query_params.get("sort", FIRST_SORT)
    if sort.removeprefix("-") not in get_args(Sort):
        sort = FIRST_SORT
    show = st.query_params.get("show", "all")
    return Wanted(
        words=st.query_params.get("q", "")[:MOST_WORDS_CHARACTERS],
        show=cast(Show, show if show in get_args(Show) else "all"),
        sort=cast(Sort, sort.removeprefix("-")),
        descending=sort.startswith("-"),
        offset=(page() - 1) * ROWS,
        limit=ROWS,
    )


def page() -> int:
    """The page of the list that the address names, from 1."""
    named = st.query_params.get("page", "1")
    return min(max(1, int(named)), MOST_PAGES) if named.isascii() and named.isdigit() and len(named) < 8 else 1


def prepare_controls(asked: Wanted) -> None:
    """Let the controls show what the address says; what is being typed is left alone."""
    for key, value in ((WORDS, asked.words), (SHOW, asked.show)):
        if st.session_state.get(key) != value:
            st.session_state[key] = value


def pages_key() -> str:
    """The key of the row of pages: a new one, which begins where the address says, whenever the two differ."""
    if st.session_state.get(_pages_key(), page()) != page():
        st.session_state["_history_pages"] = cast(int, st.session_state.get("_history_pages", 0)) + 1
    return _pages_key()


def _pages_key() -> str:
    return f"history_page_{st.session_state.get('_history_pages', 0)}"


def search() -> None:
    """Other words, or another kind. A callback of these controls."""
    _put("q", cast("str | None", st.session_state.get(WORDS)) or "", "")
    _put("show", cast("str | None", st.session_state.get(SHOW)) or "all", "all")
    _begin_anew()


def prepare_audit() -> None:
    """The same for the audit's only control."""
    words = wanted().words
    if st.session_state.get(AUDIT_WORDS) != words:
        st.session_state[AUDIT_WORDS] = words


def search_audit() -> None:
    """Other words in the audit. A callback of its field."""
    _put("q", cast("str | None", st.session_state.get(AUDIT_WORDS)) or "", "")
    _begin_anew()


def turn() -> None:
    """Another page was chosen. A callback of the row of pages."""
    _put("page", str(st.session_state[_pages_key()]), "1")
    deselect()


def sort_by(sort: str) -> None:
    """Another order: a field of `Wanted.sort`, with a minus for the greatest first."""
    _put("sort", sort, FIRST_SORT)
    _begin_anew()


def show_all() -> None:
    """Take the words and the kind off."""
    for name in ("q", "show"):
        st.query_params.pop(name, None)
    _begin_anew()


def _put(name: str, value: str, first: str) -> None:
    """Into the address, unless it is as at first."""
    if value == first:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value


def _begin_anew() -> None:
    st.query_params.pop("page", None)
    deselect()


# Which rows are selected


def table_key() -> str:
    """The table's key: a new one whenever the selection is taken off it."""
    return f"history_table_{st.session_state.get('_history_tables', 0)}"


def deselect() -> None:
    """Select nothing."""
    st.session_state["_history_tables"] = cast(int, st.session_state.get("_history_tables", 0)) + 1
    press_pick()


def picked(rows: tuple[RunRow, ...]) -> tuple[RunRow, ...]:
    """The rows of these that are selected: what is not shown is not selected."""
    state = st.session_state.get(table_key())
    ids = state.get("picked") if state is not None else None
    chosen: Collection[object] = ids if isinstance(ids, list) else ()
    return tuple(row for row in rows if row.run_id in chosen)


def press_pick() -> None:
    """Other rows were selected: what was said of those before is over. A callback of the table."""
    st.session_state["_history_told"] = None
    st.session_state.pop("_pending", None)


def press_head() -> None:
    """The head of a column was pressed; a callback of the table."""
    told = st.session_state[table_key()].get("sorted")
    if isinstance(told, str) and told.removeprefix("-") in get_args(Sort):
        sort_by(told)


def open_row(run_id: str) -> None:
    """Open this run as soon as the page is drawn."""
    st.session_state["_history_opened"] = run_id


def opened_row() -> str | None:
    """The run to open, once."""
    return cast("str | None", st.session_state.pop("_history_opened", None))


def tell(sentence: str | None) -> None:
    """What came of a press, until the next one."""
    st.session_state["_history_told"] = sentence


def told() -> str | None:
    """That sentence."""
    return cast("str | None", st.session_state.get("_history_told"))


# Names and tags, as they are typed


def adopt_name(row: RunRow) -> None:
    """Before the fields are drawn: begin them anew where the run is called otherwise than this session has seen."""
    seen = (row.run_id, row.name, row.tags)
    if st.session_state.get("_naming_seen") != seen:
        st.session_state["_naming_seen"] = seen
        st.session_state["_namings"] = cast(int, st.session_state.get("_namings", 0)) + 1


def naming_key(field: str) -> str:
    """The key of a field; a closed popover's fields take their first value by their key, and no later one."""
    return f"{field}_{st.session_state.get('_namings', 0)}"


def typed_name() -> str:
    """The name in its field."""
    return cast("str | None", st.session_state.get(naming_key(NAME))) or ""


def typed_tags(key: str) -> tuple[str, ...]:
    """The tags in a field."""
    return tuple(cast("list[str] | None", st.session_state.get(key)) or ())


def close_popover(key: str) -> None:
    """What was typed there was taken. From a callback only."""
    st.session_state[key] = False
    for field in (ADD, REMOVE):
        st.session_state.pop(field, None)


# Leaving the list, and files that are taken in


def open_form() -> None:
    """Go to the form as soon as the page is drawn."""
    st.session_state["_history_form"] = True


def form_wanted() -> bool:
    """Whether to go to the form, once."""
    return bool(st.session_state.pop("_history_form", False))


def last_page(count: int) -> None:
    """The page that was asked for lies behind the end: go to the last one."""
    _put("page", str(max(1, -(-count // ROWS))), "1")


def upload_key() -> str:
    """The key of the field for a run file: a new one once a file was taken in."""
    return f"import_file_{st.session_state.get('_uploads', 0)}"


def new_upload() -> None:
    """That file was taken in."""
    st.session_state["_uploads"] = cast(int, st.session_state.get("_uploads", 0)) + 1
