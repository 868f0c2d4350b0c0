"""Text that others wrote, made fit for the few places that read Markdown or HTML.

Comes in: a prompt, an answer, a provider's words, a file's name. Goes out: the same text, which shows as itself. The
first choice is a place that takes plain text (st.text, st.code without language, a dataframe's cells): there nothing
of this is needed.
"""

from __future__ import annotations

import html
import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>&$:^=\"'@/])")


def markdown_escape(text: str) -> str:
    """`text` as Markdown that shows as itself, on one line: labels, titles and button words."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def html_escape(text: str) -> str:
    """`text` as HTML that shows as itself, in an element or in a quoted attribute."""
    return html.escape(text, quote=True)


def cut(text: str, most: int) -> str:
    """`text` on one line with at most `most` characters; what was cut is marked."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
