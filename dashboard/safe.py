"""Text that others wrote, made fit for the few places that read Markdown or HTML.

Comes in: a prompt, an answer, a provider's words, a file's name. Goes out: the same text, which shows as itself. The
first choice is a place that takes plain text (st.text, st.code without language, a dataframe's cells): there nothing
of this is needed.
"""

from __future__ import annotations

import html
import re

_PLAIN = frozenset({"there", "the", "this", "these", "no", "nothing", "a", "an", "it", "prompt", "members"})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>&$:^=\"'@/])")


def markdown_escape(text: str) -> str:
    """`text` as Markdown that shows as itself, on one line: labels, titles and button words."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def html_escape(text: str) -> str:
    """`text` as HTML that shows as itself, in an element or in a quoted attribute."""
    return html.escape(text, quote=True)


def as_sentence(text: str) -> str:
    """An error's words as a sentence of their own: it ends, and begins large where it begins with a plain word.

    The name of a setting or a provider stays as it is spelt.

    >>> as_sentence("there are no prompts: give at least one"), as_sentence("retries must be from 0 to 20, got -5")
    ('There are no prompts: give at least one.', 'retries must be from 0 to 20, got -5.')
    """
    words = text.rstrip()
    if words.split(" ", 1)[0] in _PLAIN:
        words = words[0].upper() + words[1:]
    return words if not words or words[-1] in ".!?…" else f"{words}."


def cut(text: str, most: int) -> str:
    """`text` on one line with at most `most` characters; what was cut is marked."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
