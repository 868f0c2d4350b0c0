"""What UTF-8 cannot hold: halves of letters, as they are left where a text was cut by a program that counts in UTF-16.

Comes in: a text of anybody's. Goes out: the text that can be sent, stored and shown. Pure.
"""

from __future__ import annotations

LOST = "\ufffd"
"""The sign for a letter that was lost."""


def sendable(text: str) -> str:
    """`text` with two halves that stand side by side joined, and a lone one replaced by the sign for a lost letter.

    >>> sendable("cut \\ud83d")
    'cut �'
    """
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
