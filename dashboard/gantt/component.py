"""The live Gantt on a page: a Custom Component v2 around Plotly.js.

Comes in: a `Run` (and perhaps the run with one worker to hold it against). Goes out: the chart, and the index of the
call that was clicked. What is drawn is decided in `wire` and in the browser; this file only mounts.
Zoom, hover and selection live in the browser and survive every update. Unchanged bytes are not sent again.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from dashboard.gantt import assets, wire
from fanout.run import Run

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

ROWS_UP_TO: Final = 100
"""Calls up to which a chart opens with a row per prompt; above, with a lane per worker."""


def show(
    run: Run,
    *,
    key: str,
    rows: bool | None = None,
    height: int | None = None,
    now_ns: int | None = None,
    baseline: Run | None = None,
    selected: int | None = None,
    until_s: float = 0.0,
) -> int | None:
    """Draw the run; the index of the call that was clicked since the last script run, None where none was.

    `rows` draws a row per prompt, or a lane per worker; None decides by the number of calls. `height` (px) is the
    whole chart's; None leaves it to the chart. `now_ns` is the run's clock (`LiveRun.now_ns()`) while it goes on.
    `baseline`, the same list with one worker, is drawn above on the same time axis. `selected` is the call to outline:
    a new value is taken over, an unchanged one leaves the browser's own selection alone. The time axis of a run that
    has ended reaches at least to `until_s`.
    """
    by_row = len(run.calls) <= ROWS_UP_TO if rows is None else rows
    picture = wire.payload(run, rows=by_row, now_ns=now_ns, baseline=baseline, until_s=until_s)
    viewer = {"selected": selected, "label": label(run), "height": height}
    with st.container(gap=None):
        _texts()(key=f"{key}-texts", data=wire.texts(run), height="content")
        data = wire.pack(viewer, {"picture": np.frombuffer(picture, np.uint8)})
        _chart()(key=key, data=data, height="content", on_clicked_change=partial(_keep_click, key))
    clicked = st.session_state.pop(f"{key}-clicked", None)
    return int(clicked) if isinstance(clicked, int | float) and 0 <= clicked < len(run.calls) else None


def early(*, key: str) -> None:
    """On a page without a chart yet: fetch what the first one needs while nobody waits for it."""
    _early()(key=key, height="content")


def label(run: Run) -> str:
    """The chart in a sentence for a screen reader; it stands still while the run goes on, or it is read each second."""
    calls = f"{len(run.calls)} call" + ("" if len(run.calls) == 1 else "s")
    if not run.ended:
        return f"Timeline of {calls}, going on. Arrow keys walk the bars, Enter opens a call."
    words = ("answered", "failed", "cancelled", "not_sent")
    counts = [(sum(call.fate == word for call in run.calls), word.replace("_", " ")) for word in words]
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"Timeline of {calls}: {told}. Arrow keys walk the bars, Enter opens a call."


def _keep_click(key: str) -> None:
    """Keep a click until `show` hands it on, once.

    A poll may cut off the script run that a click began; Streamlit then plays the trigger again, and this with it.
    The browser numbers its clicks, so that neither loses one nor counts one twice.
    """
    click = (st.session_state.get(key) or {}).get("clicked")  # a page that is being left has forgotten its chart
    if isinstance(click, dict) and click.get("serial") != st.session_state.get(f"{key}-serial"):
        st.session_state[f"{key}-serial"] = click.get("serial")
        st.session_state[f"{key}-clicked"] = click.get("call")


@cache
def _chart() -> ComponentRenderer:
    """Declared once; the script is a stub because Streamlit sends it along with every update."""
    return st.components.v2.component(
        "fanout_gantt",
        html='<div class="fo-home">\n</div>',
        js=f"const gantt = await ({assets.module('gantt.js')})\nexport default gantt.default\n",
        isolate_styles=False,
    )


@cache
def _texts() -> ComponentRenderer:
    """Takes the prompts' first words once; they would weigh more than the picture at each update."""
    return st.components.v2.component(
        "fanout_gantt_texts",
        js=f"const gantt = await ({assets.module('gantt.js')})\nexport default ({{ data }}) => gantt.remember(data)\n",
        isolate_styles=False,
    )


@cache
def _early() -> ComponentRenderer:
    return st.components.v2.component(
        "fanout_gantt_early",
        js=f"const gantt = await ({assets.module('gantt.js')})\nexport default () => gantt.early()\n",
        isolate_styles=False,
    )
