"""A short text of any value, for a row: never fails, never grows, keeps nothing of the value.

Comes in: whatever a user's function takes or returns. Goes out: an exact `str` of at most 2,000 characters.
"""

from __future__ import annotations

import reprlib

MOST_CHARACTERS = 2_000

_repr = reprlib.Repr()
_repr.maxlevel = 4
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = _repr.maxfrozenset = _repr.maxdeque = 20
_repr.maxstring = _repr.maxother = MOST_CHARACTERS
_PLAIN = frozenset({int, float, bool, type(None)})


def shorten(value: object) -> str:
    """The text itself of a str, else the repr; both cut. A value whose repr raises is named by its class."""
    if isinstance(value, str):
        # str's own slicing: gives an exact str, whatever a subclass makes of slicing and of __str__.
        return str.__getitem__(value, slice(MOST_CHARACTERS))
    try:
        if type(value) in _PLAIN:
            return repr(value)[:MOST_CHARACTERS]
        if isinstance(value, bytes | bytearray):
            value = bytes(value[:MOST_CHARACTERS])  # the repr of a whole recording would be four times its size
        return str.__getitem__(_repr.repr(value), slice(MOST_CHARACTERS))
    except Exception:  # theirs, not ours: a picture is no reason to break a call
        return f"<{type(value).__name__} that cannot be shown>"
