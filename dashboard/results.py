"""The table of answers: order, filters, rows.

Comes in: a run. Goes out: elements; a pressed row opens its detail. Cells are plain text: the dataframe renders no
Markdown and follows no link.
"""

from __future__ import annotations

import streamlit as st

from dashboard import elements, session, wording
from dashboard.live import Rows, derived
from dashboard.tables import MOST_ROWS, WORDS, Filter, Order
from fanout.run import CallStatus, Run

ORDERS: dict[Order, str] = {"completion": "As they arrived", "input": "As they were given"}
ROW_PX = 35
MOST_PX = 560


def draw(run: Run) -> None:
    """The controls and the rows."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="results_controls"):
        order, only = _order(), _filter()
    rows = derived.rows(run, order=order, only=only)
    _table(run, rows)
    if rows.found > len(rows.indexes):
        elements.quiet(
            f"The first {MOST_ROWS:,} of {rows.found:,} rows. The filters reach all of them; the downloads hold all."
        )


def _order() -> Order:
    first = session.order("completion")
    chosen = st.segmented_control(
        "Order",
        list(ORDERS),
        format_func=lambda order: ORDERS[order],
        key="order",
        required=True,
        persist_state="session",
    )
    order = chosen or first
    session.chosen().order = order
    return order


def _filter() -> Filter:
    statuses: list[CallStatus] = st.multiselect(
        "Status",
        list(WORDS),
        format_func=lambda status: WORDS[status],
        key="status_filter",
        placeholder="all",
        width=260,
    )
    text = st.text_input("Text in prompt or answer", key="text_filter", width=260, live=True)
    return Filter(statuses=frozenset(statuses), text=text or "")


def _table(run: Run, rows: Rows) -> None:
    simulated = " (simulated)" if run.had("model") == ("sandbox",) else ""
    key = f"results_{run.run_id}"
    session.shown_rows(key, rows.indexes)
    with st.container(key="results"):
        st.dataframe(
            rows.cells,
            key=key,
            hide_index=True,
            height=min(MOST_PX, ROW_PX * (max(len(rows.indexes), 1) + 1) + 3),
            on_select=session.open_selected,
            selection_mode="single-cell",
            placeholder="–",
            alt=f"The prompts and what became of them; {wording.counts_sentence(run)}",
            column_config={
                "status": st.column_config.TextColumn("status", width=88),
                "origin": st.column_config.TextColumn(
                    "origin", width=236, help="Whose answer this one has; it was not sent itself"
                ),
                "model": st.column_config.TextColumn("model", width=150, help="Whose answer it is"),
                "prompt": st.column_config.TextColumn("prompt", width=186),
                "latency": st.column_config.NumberColumn("latency", format="%.2f s", width=80),
                "answer": st.column_config.TextColumn(f"answer{simulated}", width=520),
                "first_token": st.column_config.NumberColumn("first token", format="%.2f s", width=90),
                "attempts": st.column_config.NumberColumn("attempts", width=76),
                "tokens_in": st.column_config.NumberColumn("tokens in", width=80),
                "tokens_out": st.column_config.NumberColumn("tokens out", width=86),
                "number": st.column_config.NumberColumn("#", width=60),
            },
        )
