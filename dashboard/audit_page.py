"""Who did what and when, for admins where people log in: the newest first, found by words, a page at a time.

Comes in: what the address asks for. Goes out: a table of words. The library refuses whoever is no admin, and then this
says what is said of any page that is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import streamlit as st

from dashboard import door, elements, house, pages, session_history, zones
from dashboard.rows import when
from dashboard.safe import cut
from dashboard.units import UNKNOWN, counted
from fanout.errors import NotAllowed
from fanout.store.audit import Line, Told

NO_PAGE = "There is no such page here."


def draw_audit() -> None:
    """The whole page."""
    try:
        told = _told()
    except NotAllowed:
        elements.sentence(NO_PAGE)
        return
    session_history.prepare_audit()
    st.text_input(
        "Search",
        key=session_history.AUDIT_WORDS,
        persist_state="session",
        type="search",
        placeholder="Person, what they did, run or words",
        max_chars=session_history.MOST_WORDS_CHARACTERS,
        live=True,
        on_change=session_history.search_audit,
        width=320,
    )
    if not told.lines:
        elements.sentence("Nothing is found." if session_history.wanted().words else "Nobody did anything yet.")
        return
    elements.quiet(f"{counted(told.count, 'line')}. {zones.words(zones.here())}")
    elements.table(("When", "Who", "What", "Run", "Words"), _cells(told))
    number = math.ceil(told.count / session_history.ROWS)
    if number > 1:
        st.pagination(
            number, default=session_history.page(), key=session_history.pages_key(), on_change=session_history.turn
        )


def _told() -> Told:
    """The lines of this page; of the last one where the address names one behind the end."""
    wanted = session_history.wanted()
    person, library = door.person(), house.library()
    told = library.audited(person, words=wanted.words, offset=wanted.offset, limit=wanted.limit)
    if told.count and not told.lines:
        session_history.last_page(told.count)
        offset = session_history.wanted().offset
        return library.audited(person, words=wanted.words, offset=offset, limit=wanted.limit)
    return told


def _cells(told: Told) -> Iterator[tuple[str | elements.Link, ...]]:
    """Runs that are there still are links."""
    zone, shelf, person = zones.here(), house.library().shelf, door.person()
    named = {line.run_id for line in told.lines if line.run_id}
    there = frozenset() if shelf is None else shelf.seen(person, named)
    for line in told.lines:
        run: str | elements.Link = line.run_id or UNKNOWN
        if line.run_id in there:
            run = elements.Link(line.run_id, pages.address_of_run(line.run_id))
        yield when(line.at, zone=zone), cut(line.user_name, 80), line.action, run, _words(line)


def _words(line: Line) -> str:
    return cut(line.words, 200) if line.words else UNKNOWN
