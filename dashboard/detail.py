"""One call in full: its prompt, its answer or error, its phases and attempts.

Comes in: a run and one of its calls. Goes out: a panel beside the page, which stays through every refresh until Close
or Esc. Everything that others wrote is shown as code without a language: plain text, with a copy button.
"""

from __future__ import annotations

import streamlit as st

from dashboard import elements, pages, session, wording
from dashboard.reasons import why_not_answered
from dashboard.rows import is_simulated, origin
from dashboard.tables import WORDS
from fanout.run import Call, Run

LONG_CHARACTERS = 1_200
LONG_PX = 320
"""A long text scrolls in itself."""


def draw(run: Run, call: Call, *, now_ns: int) -> None:
    """The panel."""
    with st.container(key="detail"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            elements.heading(f"Prompt {call.index + 1}: {WORDS[call.fate]}")
            st.button("Close", key="close_detail", shortcut="Esc", on_click=session.close_detail, type="tertiary")
        _text("Prompt", call.prompt)
        if call.output is not None and call.status == "answered":
            simulated = ", simulated by the sandbox" if is_simulated(run, call) else ""
            _text(f"Answer{simulated}", call.output)
            _origin(run, call)
        if call.error is not None:
            _error(call)
        why = why_not_answered(run, call)
        if why is not None:
            elements.quiet(why)
        _phases(run, call, now_ns)
        elements.figures(wording.call_figures(run, call))


def _text(name: str, text: str) -> None:
    elements.quiet(name)
    st.code(text, language=None, wrap_lines=True, height=LONG_PX if len(text) > LONG_CHARACTERS else "content")


def _origin(run: Run, call: Call) -> None:
    """Where the answer comes from, with the way there."""
    taken = origin(call, run_id=run.run_id)
    if call.origin is None or taken is None:
        return
    if call.origin.run_id == run.run_id:
        elements.quiet(f"It {taken}: it was not sent, and cost no quota slot of its own.")
        st.button(
            f"Open prompt {call.origin.call + 1}",
            key="open_origin",
            on_click=session.open_call,
            args=(call.origin.call,),
        )
    else:
        elements.quiet(f"Taken {taken}: it was not sent, and cost no quota slot.")
        pages.link_to_run(call.origin.run_id, f"Open run {call.origin.run_id[:8]}")


def _error(call: Call) -> None:
    assert call.error is not None
    elements.wrong(call.error.sentence)
    if call.error.provider_words:
        _text("The provider's words", call.error.provider_words)


def _phases(run: Run, call: Call, now_ns: int) -> None:
    phases = run.phases(call, now_ns=None if run.ended else now_ns)
    if not phases:
        return
    rows = wording.phase_rows(phases)
    if call.attempts:
        elements.rows(("Attempt", "Phase", "ms"), rows)
    else:
        elements.rows(("Phase", "ms"), [row[1:] for row in rows])
