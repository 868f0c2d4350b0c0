"""Two runs beside each other: what differs in their settings, the verdict, both Gantts, the numbers, every prompt.

Comes in: the two runs that the address names, through `found`. Goes out: elements. What was compared is kept for all
viewers of the process, by the versions of the two runs; nothing is computed here. Prompts, answers and names are
others' words: they are shown as text.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

import streamlit as st

from dashboard import compare_words, elements, live, pages, session_compare, zones
from dashboard.compare_prompts import draw_left_over, draw_pair, draw_prompts
from dashboard.found import NOT_KNOWN, Choice, choice_of, choices, find
from dashboard.gantt.component import show
from dashboard.gantt.figure import CONFIG
from dashboard.latency_chart import latency_chart
from dashboard.rows import simulated
from dashboard.session_compare import Side
from dashboard.settings_words import differing
from fanout.clock import seconds
from fanout.compare import Comparison, compare
from fanout.metrics import wall_ns
from fanout.run import Run
from fanout.store.rows import row_of

MOST_CHART_PX = 420
"""Of one of the two charts: both must be seen at once."""
KEPT = 8


def draw_compare() -> None:
    """The whole page."""
    there, named = choices(), session_compare.chosen()
    if not there and named.a is None and named.b is None:
        elements.sentence("There is nothing to compare yet: it takes two runs.")
        pages.link_to_form("Start one")
        return
    runs = _runs(named)
    _choose(there, [run for run in runs.values() if run is not None])
    missing = [side for side, run_id in (("a", named.a), ("b", named.b)) if run_id is not None and runs[side] is None]
    a, b = runs["a"], runs["b"]
    if missing:
        elements.sentence(NOT_KNOWN)
        elements.quiet(
            f"The address names it as {' and '.join(side.upper() for side in missing)}: choose another above."
        )
    elif a is None or b is None:
        elements.sentence("Choose two runs." if a is None and b is None else "Choose the other run.")
        if len(there) < 2:
            elements.quiet("There is only one run yet.")
            pages.link_to_form("Start another")
    else:
        _compared(compared(a, b))
    seen = _versions(runs)
    live.poll(lambda: live.Look(every_s=live.STILL_S, draw=lambda: _look_again(named, seen)), key="compare")


def _runs(named: session_compare.Chosen) -> dict[str, Run | None]:
    """The two runs of the address, by their side; None for one that is not named, or not known to whoever looks."""
    return {side: None if run_id is None else find(run_id) for side, run_id in (("a", named.a), ("b", named.b))}


def _versions(runs: dict[str, Run | None]) -> tuple[int | None, ...]:
    return tuple(None if run is None else run.version for run in runs.values())


def _look_again(named: session_compare.Chosen, seen: tuple[int | None, ...]) -> None:
    """One that went on, was withdrawn or deleted meanwhile: the page is drawn anew, without what is not theirs."""
    if _versions(_runs(named)) != seen:
        st.rerun()


class _Kept:
    """Comparisons, each made once for all viewers. From any thread."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[object, ...], Comparison] = OrderedDict()
        self._lock = threading.Lock()  # protects the dict; nothing is compared under it

    def of(self, a: Run, b: Run) -> Comparison:
        """The comparison of these two, as they stand."""
        asked = (a.run_id, a.version, b.run_id, b.version)
        with self._lock:
            kept = self._found.get(asked)
        if kept is not None and kept.a.run.batch is a.batch and kept.b.run.batch is b.batch:
            return kept
        made = compare(a, b)
        with self._lock:
            self._found[asked] = made
            self._found.move_to_end(asked)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return made


compared = _Kept().of
"""Shared by all sessions of the process: it holds nothing of a person."""


# Which two


def _choose(there: tuple[Choice, ...], found: list[Run]) -> None:
    """Two boxes and a button between them; a run that was named and is not in the list is put to it."""
    labels = {
        choice.run_id: choice.label
        for choice in (*(choice_of(row_of(run), zone=zones.here()) for run in found), *there)
    }
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_boxes"):
        _box("a", labels)
        st.button("Swap", key="compare_swap", on_click=session_compare.swap, icon=":material/swap_horiz:")
        _box("b", labels)


def _box(side: Side, labels: dict[str, str]) -> None:
    session_compare.prepare_box(side, frozenset(labels))
    st.selectbox(
        f"Run {side.upper()}",
        list(labels),
        format_func=lambda run_id: labels.get(run_id, run_id),
        key=session_compare.box(side),
        persist_state="session",
        index=None,
        placeholder="Choose a run",
        on_change=session_compare.choose,
        args=(side,),
        width="stretch",
    )


# What came of it


def _simulated(found: Comparison) -> Iterator[str]:
    """Which of the answers no model made."""
    of_a, of_b = (simulated(side.run, whose="the answers of both") for side in (found.a, found.b))
    if of_a == of_b:
        told = [of_a]
    else:
        told = [simulated(side.run, whose=f"{name}'s answers") for name, side in (("A", found.a), ("B", found.b))]
    yield from (said for said in told if said is not None)


def _compared(found: Comparison) -> None:
    elements.sentence(compare_words.verdict(found))
    for said in _simulated(found):
        elements.quiet(said)
    _settings(found)
    _gantts(found)
    numbers, times = st.columns(2, gap="large")
    with numbers:
        _numbers(found)
    with times:
        _latencies(found)
        _phases(found)
    draw_prompts(found)
    draw_left_over(found)
    opened = session_compare.opened_pair()
    if opened is not None and opened < len(found.pairs):
        draw_pair(found, found.pairs[opened])


def _settings(found: Comparison) -> None:
    told = list(differing(found.settings, a=found.a.run, b=found.b.run))
    if not told:
        elements.quiet("All settings are the same.")
        return
    elements.heading("Settings that differ")
    elements.table(("Setting", "A", "B"), ((each.name, each.a, each.b) for each in told))


def _gantts(found: Comparison) -> None:
    """One above the other, a second as long in both."""
    until_s = max(seconds(wall_ns(side.run)) for side in (found.a, found.b))
    for name, side in (("A", found.a), ("B", found.b)):
        run = side.run
        elements.heading(f"{name}: {choice_of(row_of(run), zone=zones.here()).label}")
        lanes = max((step.value for step in run.limits), default=run.max_workers)
        clicked = show(
            run,
            key=f"compare_gantt_{name}_{run.run_id}",
            rows=False,
            height=min(MOST_CHART_PX, 178 + 26 * max(lanes, 3)),
            until_s=until_s,
        )
        if clicked is not None:
            _open_call(found, clicked, of_a=name == "A")


def _open_call(found: Comparison, call: int, *, of_a: bool) -> None:
    """The pair that a bar belongs to; none where the other run has no such prompt."""
    for place, pair in enumerate(found.pairs):
        if (pair.a if of_a else pair.b).index == call:
            session_compare.open_pair(place)
            return


def _numbers(found: Comparison) -> None:
    elements.heading("Numbers")
    elements.numbers(
        ("", "A", "B", "B − A"),
        ((each.term, each.a, each.b, each.more) for each in compare_words.numbers(found)),
    )


def _latencies(found: Comparison) -> None:
    figure = latency_chart(found)
    if figure is None:
        return
    elements.heading("Latencies: the share of answers that had come")
    alt = "The share of each run's answers that had come after how long; the numbers beside it hold both medians"
    st.plotly_chart(figure, key="compare_latencies", config={**CONFIG, "displayModeBar": False}, alt=alt)


def _phases(found: Comparison) -> None:
    if not found.phases:
        return
    elements.heading("Where the time went, all calls added up")
    elements.numbers(
        ("Phase", "A", "B", "B − A"),
        ((each.term, each.a, each.b, each.more) for each in compare_words.phases(found)),
    )
