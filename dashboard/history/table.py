"""The table of runs on a page: a Custom Component v2 around a real HTML table.

Comes in: rows in words. Goes out: the table; what was selected and sorted by arrives in `session_history`. A
dataframe would be a canvas, which sorts only the page that is shown; here heads are buttons, rows are links with
addresses of their own, and a refresh changes the cells that changed and nothing else: focus, scroll and selection stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import streamlit as st

from dashboard import session_history, zones
from dashboard.gantt import assets
from dashboard.history.words import payload
from fanout.store.rows import RunRow
from fanout.store.shelf import Wanted

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def draw(
    rows: Sequence[RunRow], wanted: Wanted, *, with_owner: bool, found: int, picked: Sequence[RunRow] = ()
) -> None:
    """The rows of one page of the list; `picked` are those that are selected where it begins."""
    data = payload(rows, wanted, with_owner=with_owner, found=found, zone=zones.here())
    _table()(
        key=session_history.table_key(),
        data={**data, "home": f"{assets.base()}/", "picked": [row.run_id for row in picked]},
        default={"picked": []},
        height="content",
        on_picked_change=session_history.press_pick,
        on_sorted_change=session_history.press_head,
    )


@cache
def _table() -> ComponentRenderer:
    """Declared once; the script is a stub because Streamlit sends it along with every update."""
    return st.components.v2.component(
        "fanout_history",
        html='<div class="fo-history">\n</div>',
        js=f"const history = await ({assets.module('history.js')})\nexport default history.default\n",
        isolate_styles=False,
    )
