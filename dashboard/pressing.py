"""What Streamlit leaves undone where somebody presses a key or a link: see pressing.js, which each page brings along.

Comes in: nothing. Goes out: an element of which nothing is to be seen.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def listen() -> None:
    """On every page, before what is on it."""
    _component()(key="pressing", height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "fanout_pressing", js=Path(__file__).with_suffix(".js").read_text(), isolate_styles=False
    )
