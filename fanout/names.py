"""What people call things: whether a name can be seen, and where it stands among others. Pure.

Comes in: a text of anybody's. Goes out: the text, or None where nobody would see it; a key to sort by.
"""

from __future__ import annotations

import unicodedata

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that are drawn as nothing."""


def visible(text: str | None) -> str | None:
    """`text`, or None where no character of it is seen: spaces, joiners, marks that stand alone.

    >>> visible("\\u200b \\u3164"), visible(" a ")
    (None, ' a ')
    """
    if text is None or text.isascii():
        return text if text and not text.isspace() else None
    return text if any(map(_is_seen, text)) else None


def _is_seen(char: str) -> bool:
    return not char.isspace() and char not in _BLANK and unicodedata.category(char)[0] not in "CM"


def sort_key(text: str) -> tuple[str, str]:
    """Where a name stands: without a look at accents and at the case of letters; names alike but for these by them.

    >>> sorted(["zebra", "Äpfel", "éclair", "Öl", "apple"], key=sort_key)
    ['Äpfel', 'apple', 'éclair', 'Öl', 'zebra']
    """
    if text.isascii():
        return text.lower(), text
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return plain.casefold(), text
