"""Numbers as providers write them into headers and sentences: counts, durations, instants; None for anything else.

Comes in: text that may be anything. Goes out: a number that makes sense, or None. It raises nothing and asks no clock.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fanout.quota.limits import MOST

LONGEST_S = 32 * 86_400.0
"""A wait or a reset beyond a month is no wait: some servers send an instant, or the largest number they have."""
MOST_HEADER = 64
"""Characters of a text that can hold a number, a duration or a date."""


def count(text: str) -> int | None:
    """A whole number from 0 to MOST: `500`, `30,000`, `500.0`."""
    if not text.isdecimal():
        whole, _, fraction = text.strip().replace(",", "").partition(".")
        if fraction.strip("0"):
            return None
        text = whole
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        return None
    number = int(text)
    return number if number <= MOST else None


def milliseconds(text: str) -> float | None:
    """Seconds, of a number of milliseconds."""
    if not text.isascii():
        return None
    try:
        wait_s = float(text) / 1000
    except ValueError:
        return None
    return wait_s if 0 <= wait_s <= LONGEST_S else None


def span_s(text: str, now_s: float) -> float | None:
    """Seconds from now: of `12`, `33011.38`, `6m0s`, `120ms`, an RFC 3339 instant or an HTTP date; 0 of one past."""
    text = text.strip()
    if not text or len(text) > MOST_HEADER:
        return None
    found_s: float | None
    try:
        found_s = float(text.encode("ascii"))
    except ValueError:
        found_s = _duration_s(text)
        if found_s is None:
            found_s = _until_s(text, now_s)
    return found_s if found_s is not None and 0 <= found_s <= LONGEST_S else None


_UNITS_S = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|us|µs|ns|[dhms])")


def _duration_s(text: str) -> float | None:
    """A duration as Go prints it."""
    total_s, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        total_s += float(part[1]) * _UNITS_S[part[2]]
        at = part.end()
    return round(total_s, 9)


def _until_s(text: str, now_s: float) -> float | None:
    try:
        at = datetime.fromisoformat(text) if text[0].isdecimal() else parsedate_to_datetime(text)
        at_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, round(at_s - now_s, 6)) if at_s - now_s >= -LONGEST_S else None
