"""What Streamlit leaves undone where somebody drops a file: see dropping.js, which each drop zone brings along.

Comes in: nothing. Goes out: the place where it says that a file did not arrive; else nothing of it is to be seen.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def listen() -> None:
    """Over the drop zone; it is to be there before there is anything to drop a file on."""
    _component()(key="dropping", height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "fanout_dropping", js=Path(__file__).with_suffix(".js").read_text(), isolate_styles=False
    )
