"""The prompts of two runs, one by one: the table with both answers, what only one run had, two answers word by word.

Comes in: a `Comparison`. Goes out: elements; a pressed row opens its pair. Cells are plain text, and the two answers
are shown as text with their marks.
"""

from __future__ import annotations

import streamlit as st

from dashboard import compare_words, elements, session_compare
from dashboard.compare_table import Filter, Order, Show, arrange, cells, left_over
from dashboard.rows import is_simulated
from dashboard.tables import MOST_ROWS, said
from dashboard.units import counted
from dashboard.word_diff import Difference, Piece, word_diff
from fanout.compare import Comparison, Pair
from fanout.run import Call, Run

SHOWS: dict[Show, str] = {"all": "All", "changed": "Changed only", "same": "Same", "one": "Not both answered"}
ORDERS: dict[Order, str] = {
    "given": "As they were given to A",
    "slower": "Most slower in B",
    "faster": "Most faster in B",
}
ROW_PX = 35
MOST_PX = 560


def draw_prompts(found: Comparison) -> None:
    """The controls and the rows of what both runs had."""
    if not found.pairs:
        return
    elements.heading("Prompt by prompt")
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_controls"):
        counts = {"all": len(found.pairs), "changed": found.count("changed"), "same": found.count("same")}
        counts["one"] = len(found.pairs) - counts["changed"] - counts["same"]
        shown: Show = st.segmented_control(
            "Show",
            list(SHOWS),
            format_func=lambda each: f"{SHOWS[each]} ({counts[each]:,})",
            key="compare_show",
            default="all",
            required=True,
            wrap=True,
        )
        order: Order = st.selectbox(
            "Order", list(ORDERS), format_func=lambda each: ORDERS[each], key="compare_order", width=230
        )
        text = st.text_input("Text in prompt or answers", key="compare_text", width=230, live=True)
    places = arrange(found, order=order, only=Filter(show=shown, text=text or ""))
    rows = places[:MOST_ROWS]
    _table(found, rows, asked=f"{shown}_{order}")
    if len(places) > len(rows):
        elements.quiet(f"The first {MOST_ROWS:,} of {len(places):,} rows. The filters and the order reach all of them.")
    elements.quiet("Press a row, or a bar above, to see both answers word by word.")


def _table(found: Comparison, places: tuple[int, ...], *, asked: str) -> None:
    key = f"compare_{found.a.run.run_id}_{found.b.run.run_id}_{asked}_{session_compare.pair_tables()}"
    session_compare.shown_pairs(key, places)
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    with st.container(key="results"):
        st.dataframe(
            cells([found.pairs[place] for place in places]),
            key=key,
            hide_index=True,
            height=min(MOST_PX, ROW_PX * (max(len(places), 1) + 1) + 3),
            on_select=session_compare.open_selected,
            selection_mode="single-cell",
            placeholder="–",
            alt=f"Every prompt with both answers; {compare_words.verdict(found)}",
            column_config={
                "answers": text("answers", width=90),
                "prompt": text("prompt", width=180),
                "answer_a": text("answer A", width=240),
                "answer_b": text("answer B", width=240),
                "latency_a": number("latency A", format="%.2f s", width=80),
                "latency_b": number("latency B", format="%.2f s", width=80),
                "slower": number("slower by", format="%+.2f s", width=80, help="B's latency less A's"),
                "tokens_a": number("tokens A", width=76, help="Of the answer"),
                "tokens_b": number("tokens B", width=76, help="Of the answer"),
                "more_tokens": number("more in B", format="%+d", width=80),
                "cost_a": number("cost A", format="$%.6f", width=90),
                "cost_b": number("cost B", format="$%.6f", width=90),
                "dearer": number("dearer by", format="%+.6f", width=90, help="B's cost less A's"),
                "number": number("#", width=50, help="The prompt's place in A"),
            },
        )


def draw_left_over(found: Comparison) -> None:
    """What only one of them had."""
    for name, calls in (("A", found.only_a), ("B", found.only_b)):
        if not calls:
            continue
        with st.expander(f"{counted(len(calls), 'prompt')} only in {name}", key=f"compare_only_{name}"):
            st.dataframe(
                left_over(calls[:MOST_ROWS]),
                key=f"compare_left_{name}",
                hide_index=True,
                placeholder="–",
                alt=f"The prompts that only {name} had",
                column_config={
                    "latency": st.column_config.NumberColumn("latency", format="%.2f s"),
                    "number": st.column_config.NumberColumn("#"),
                },
            )
            if len(calls) > MOST_ROWS:
                elements.quiet(f"The first {MOST_ROWS:,}; the run's own page has all.")


# One prompt


def draw_pair(found: Comparison, pair: Pair) -> None:
    """Both answers of one prompt, beside each other."""
    with st.container(key="pair"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            elements.heading(f"Prompt {pair.a.index + 1:,}: {compare_words.pair_words(pair)}")
            st.button("Close", key="close_pair", shortcut="Esc", on_click=session_compare.close_pair, type="tertiary")
        elements.quiet("Prompt")
        st.code(pair.a.prompt, language=None, wrap_lines=True, height=120 if len(pair.a.prompt) > 400 else "content")
        difference = _difference(pair)
        of_a, of_b = st.columns(2)
        with of_a:
            _answer("A", found.a.run, pair.a, difference.a if difference else None)
        with of_b:
            _answer("B", found.b.run, pair.b, difference.b if difference else None)
        if difference is not None and difference.by != "words":
            elements.quiet("These answers are long: what changed is marked in whole lines, not word by word.")
        if difference is not None and difference.cut:
            elements.quiet("Only their beginnings are shown; the runs' own pages have them whole.")


def _difference(pair: Pair) -> Difference | None:
    if pair.answers != "changed":
        return None
    return word_diff(pair.a.output or "", pair.b.output or "")


def _answer(name: str, run: Run, call: Call, pieces: tuple[Piece, ...] | None) -> None:
    simulated = ", simulated by the sandbox" if is_simulated(run, call) else ""
    if call.status != "answered":
        elements.quiet(f"{name} did not answer")
        if call.error is not None:
            elements.wrong(call.error.sentence)
        return
    marked = f"; what is not in {'B' if name == 'A' else 'A'}'s is underlined" if pieces is not None else ""
    elements.quiet(f"{name}'s answer{simulated}{marked}")
    text = said(call)
    shown = pieces if pieces is not None else (Piece(text=text, marked=False),)
    elements.text_in_pieces(shown, mark="del" if name == "A" else "ins")
