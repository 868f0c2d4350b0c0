"""A page with nothing but the chart, for its browser tests."""

import sys
from pathlib import Path

sys.path[:0] = [p for p in [str(Path(__file__).parents[2])] if p not in sys.path]

import streamlit as st  # noqa: E402

from dashboard.gantt.component import show  # noqa: E402
from tests.browser import demo_state as demo  # noqa: E402

st.set_page_config(layout="wide")


@st.fragment(run_every=demo.SHOWN["every"])
def live() -> None:
    if not demo.SHOWN["mounted"]:
        st.text("left")
        return
    run = demo.shown_run()
    clicks = st.session_state.setdefault(f"clicks {run.run_id}", [])
    clicked = show(
        run,
        key="gantt",
        rows=demo.SHOWN["rows"],
        now_ns=demo.shown_now_ns(),
        baseline=demo.baseline_run(),
    )
    if clicked is not None:
        clicks.append(clicked)
    st.text(f"clicked {clicks}")
    st.session_state["polls"] = st.session_state.get("polls", 0) + 1
    st.text(f"polled {st.session_state['polls'] // 5}")


live()
