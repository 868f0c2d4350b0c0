"""Numbers as the pages and reports write them: units, at most three significant digits, a dash where unknown.

Comes in: a number, or None. Goes out: plain text. Counts of prompts and calls are exact; measured things are rounded.
"""

from __future__ import annotations

import re

UNKNOWN = "—"
_UNIT = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|d|%)(?!\w))")


def unbroken(text: str) -> str:
    """`text` with a number and its unit on one line, wherever it is shown.

    >>> unbroken("840 ms of 1 min 4 s")
    '840\\xa0ms of 1\\xa0min 4\\xa0s'
    """
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def duration(value_s: float | None, *, digits: int = 3) -> str:
    """Seconds in the unit that reads best: 840 ms, 6.12 s, 1 min 4 s, 1 h 4 min.

    >>> duration(0.84), duration(6.1234), duration(64), duration(3840)
    ('840 ms', '6.12 s', '1 min 4 s', '1 h 4 min')
    """
    if value_s is None:
        return UNKNOWN
    whole = round(value_s)
    if _rounded(value_s * 1000, digits) < 1000:
        return f"{_plain(value_s * 1000, digits)} ms"
    if whole < 60:
        return f"{_plain(value_s, digits)} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(value_s / 60)
    if minutes < 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(value_s / 3600)
    return _two(hours // 24, "d", hours % 24, "h")


def count(value: int | None) -> str:
    """An exact whole number: 9,999."""
    return UNKNOWN if value is None else f"{value:,}"


def counted(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 prompt, 2 prompts, 3 retries."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def tokens(value: int | None) -> str:
    """Tokens, rounded: 12,400 tokens."""
    return UNKNOWN if value is None else counted(round(_rounded(value, 3)), "token")


def money(value_usd: float | None) -> str:
    """US dollars: $0.0042, $12.30, $1,230. Unknown is a dash, never $0."""
    if value_usd is None:
        return UNKNOWN
    rounded = _rounded(value_usd, 3)
    if rounded >= 1:
        return f"${rounded:,.0f}" if rounded >= 100 else f"${rounded:,.2f}"
    return f"${_plain(rounded, 3)}"


def percent(share: float | None) -> str:
    """A share of 1: 41 %."""
    return UNKNOWN if share is None else f"{_plain(share * 100, 3)} %"


def number(value: float | None, *, digits: int = 3) -> str:
    """A number without a unit: 6.71."""
    return UNKNOWN if value is None else _plain(value, digits)


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large:,} {large_unit} {small} {small_unit}" if small else f"{large:,} {large_unit}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def _plain(value: float, digits: int) -> str:
    """`value` with so many significant digits at most, without exponent and without trailing zeros."""
    rounded = _rounded(value, digits)
    text = f"{rounded:,.12f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
