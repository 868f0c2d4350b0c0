"""In the place of any page that reads the store, while it cannot be read.

Comes in: what went wrong. Goes out: a sentence, and a look every few seconds whether it is over.
"""

from __future__ import annotations

import streamlit as st

from dashboard import door, elements, house, live
from dashboard.store_words import lost_sentence
from fanout.store.database import StoreLost


def draw_lost(error: StoreLost) -> None:
    """The whole page."""
    elements.wrong(lost_sentence(error))
    elements.quiet("Runs that go on here are held, and go on by themselves once it is back. So does this page.")
    live.poll(lambda: live.Look(every_s=live.LIST_S, draw=_look), key="store_lost")


def _look() -> None:
    try:
        house.library().newest(door.person(), 1)
    except StoreLost:
        return
    st.rerun()
