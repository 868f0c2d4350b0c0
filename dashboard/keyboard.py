"""What Streamlit leaves undone for people who use keys: see keyboard.js, which each page brings along once.

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
    _component()(key="keyboard", height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "fanout_keyboard", js=Path(__file__).with_suffix(".js").read_text(), isolate_styles=False
    )
