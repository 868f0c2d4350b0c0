"""What one browser session remembers of the comparison: a part of `session`, in a file of its own for its length.

Comes in: the address and what the page's controls report. Goes out: which two runs, which rows, which prompt is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st

Side = Literal["a", "b"]
SIDES: tuple[Side, ...] = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The ids of the two runs, as the address or the boxes name them."""

    a: str | None
    b: str | None


def box(side: Side) -> str:
    """The key of the box in which a run is chosen."""
    return f"compare_{side}"


def chosen() -> Chosen:
    """What the address names: whoever writes it anew (a link, the browser's way back) is followed."""
    return Chosen(a=st.query_params.get("a"), b=st.query_params.get("b"))


def prepare_box(side: Side, known: frozenset[str]) -> None:
    """Let the box show what the address names, where that can be chosen."""
    named = st.query_params.get(side)
    st.session_state[box(side)] = named if named in known else None


def choose(side: Side) -> None:
    """A run was chosen in a box. A callback of it."""
    run_id = cast("str | None", st.session_state[box(side)])
    if run_id is not None:
        st.query_params[side] = run_id
        st.query_params.pop(f"link_{side}", None)
    close_pair()


def swap() -> None:
    """A becomes B, and B becomes A, each with the link by which it was come to."""
    for a, b in (("a", "b"), ("link_a", "link_b")):
        named = {a: st.query_params.get(b), b: st.query_params.get(a)}
        for name, value in named.items():
            st.query_params.pop(name, None)
            if value is not None:
                st.query_params[name] = value
    close_pair()


def opened_pair() -> int | None:
    """The prompt whose two answers are open, by its place in the comparison."""
    return cast("int | None", st.session_state.get("_pair"))


def open_pair(place: int) -> None:
    """Open these two answers."""
    st.session_state["_pair"] = place


def close_pair() -> None:
    """Close them; the table begins anew, so that the same row can be pressed again."""
    st.session_state["_pair"] = None
    st.session_state["_pair_tables"] = pair_tables() + 1


def pair_tables() -> int:
    """How often the table began anew; part of its key."""
    return cast(int, st.session_state.get("_pair_tables", 0))


def shown_pairs(key: str, places: tuple[int, ...]) -> None:
    """These pairs are the table's rows from now on: what a selected position means."""
    st.session_state["_pairs_key"] = key
    st.session_state["_pairs"] = places


def open_selected() -> None:
    """Open the row that was pressed; a selection taken back closes it. A callback of the table."""
    state = st.session_state[st.session_state["_pairs_key"]]
    selected = [row for row, _ in state["selection"]["cells"]]
    places = cast("tuple[int, ...]", st.session_state["_pairs"])
    st.session_state["_pair"] = places[selected[0]] if selected and selected[0] < len(places) else None
