"""The zone in which whoever looks reads times: their browser's; the server's where it tells none that is known here.

Comes in: the name that the browser gave Streamlit (IANA's, as Asia/Tokyo), or none. Goes out: a zone for `rows.when`,
where None is the server's, and the words that say which it is. The day of a cap is not of here: it is UTC's.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st


def here() -> tzinfo | None:
    """The zone of the browser that this page is drawn for."""
    return zone_of(st.context.timezone)


def zone_of(name: str | None) -> tzinfo | None:
    """The zone of this name; None, the server's, where there is no such zone. The name is anybody's word."""
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # KeyError: no such zone; the others: no name of one, or a folder of them
        return None


def words(zone: tzinfo | None) -> str:
    """Which zone times are in, said once beside them."""
    if isinstance(zone, ZoneInfo):
        return f"Times are in {zone.key}."
    return f"Times are in the server's zone, {datetime.now().astimezone().tzname()}."
