"""The few elements that Streamlit has not: sentences, figures, the state of a run, the phases of a call.

Comes in: words and numbers, already worded. Goes out: HTML on the page, with every text escaped here and nowhere else:
no caller passes markup. Their look is in look.css.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from dashboard.figures import Figure
from dashboard.quota_words import Gauge
from dashboard.safe import as_sentence, cut, html_escape
from dashboard.units import unbroken
from dashboard.word_diff import Piece

TITLE_CHARACTERS = 80
SENTENCE_CHARACTERS = 40
"""Above it a cell of a table is a sentence."""


def _words(text: str) -> str:
    """Text of anybody's as HTML, with each number beside its unit."""
    return html_escape(unbroken(text))


def sentence(text: str) -> None:
    """What is read first."""
    st.html(f'<p class="sentence">{_words(text)}</p>')


def quiet(text: str, *, width: Literal["stretch", "content"] = "stretch") -> None:
    """A line beside the matter."""
    st.html(f'<p class="quiet">{_words(text)}</p>', width=width)


def wrong(text: str) -> None:
    """What went wrong, and what to do; readers hear it at once."""
    st.html(f'<p class="wrong" role="alert">{_words(as_sentence(text))}</p>')


def caution(text: str) -> None:
    """What somebody should know before they go on."""
    st.html(f'<p class="caution" role="note">{_words(text)}</p>')


def when_the_server_is_lost() -> None:
    """Two lines that nobody sees while the page is connected; look.css shows the one that is true, readers hear it."""
    st.html(
        '<p class="lost" role="alert">No connection to the server: what you see is its last word. The page goes on by '
        "itself once it is back. Stored answers are not lost.</p>"
        '<p class="lost for-good" role="alert">The connection to the server has ended: what you see is its last word. '
        "Reload the page. Stored answers are not lost.</p>"
    )


def heading(text: str) -> None:
    """The name of a part of the page."""
    st.html(f'<h2 class="heading">{_words(text)}</h2>')


def tab_title(title: str) -> None:
    """What the browser's tab is called. Names are others' words: it is shown as text."""
    st.set_page_config(page_title=f"{cut(title, TITLE_CHARACTERS)} · Fanout")


def named(name: str | None, tags: Iterable[str]) -> None:
    """What somebody called a run, and the tags they gave it."""
    told = "" if name is None else f'<h1 class="name">{html_escape(name)}</h1>'
    marks = " ".join(f'<span class="tag">{html_escape(tag)}</span>' for tag in tags)
    st.html(f'<div class="named" dir="auto">{told} {marks}</div>', width="content")


def figures(found: Iterable[Figure]) -> None:
    """Numbers beside one another."""
    st.html(f'<dl class="figures">{"".join(map(_figure, found))}</dl>')


def _figure(figure: Figure) -> str:
    why = "" if figure.why is None else f' title="{html_escape(figure.why)}"'
    return f"<div{why}><dt>{html_escape(figure.term)}</dt><dd>{_words(figure.value)}</dd></div>"


def state(word: str, said: str, *, answered: int, failed: int, given_up: int, of: int) -> None:
    """How far a run is: a word, a few counts, and a bar of what was answered, what failed and what was given up."""
    parts = (("answered", answered), ("failed", failed), ("given-up", given_up))
    bar = "".join(
        f'<i class="{name}" style="width:{100 * count / max(of, 1):.1f}%"></i>' for name, count in parts if count
    )
    st.html(
        f'<div class="state"><b>{html_escape(word)}</b> <span>{_words(said)}</span>'
        f'<div class="bar" role="progressbar" aria-label="Prompts that have ended" '
        f'aria-valuemin="0" aria-valuemax="{of}" aria-valuenow="{answered + failed + given_up}">{bar}</div></div>'
    )


def gauges(found: Iterable[Gauge]) -> None:
    """Limits beside one another: a thin bar of what is used, reserved and free, under its words."""
    st.html(f'<div class="gauges">{"".join(map(_gauge, found))}</div>')


def _gauge(gauge: Gauge) -> str:
    parts = (("used", gauge.used), ("reserved", gauge.reserved))
    bar = "".join(f'<i class="{name}" style="width:{100 * share:.1f}%"></i>' for name, share in parts if share > 0)
    return (
        f'<div title="{html_escape(gauge.why)}"><span>{_words(gauge.words)}</span>'
        f'<div class="bar" aria-hidden="true">{bar}</div></div>'
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to another page of ours."""

    text: str
    address: str


def table(heads: Iterable[str], cells: Iterable[Iterable[str | Link]]) -> None:
    """A table of words, in which only sentences break into lines; where the page is narrower, it scrolls in itself.

    On a narrow page each row is a list of its cells by their heads (look.css).
    """
    _table(heads, cells, "words")


def numbers(heads: Iterable[str], cells: Iterable[Iterable[str]]) -> None:
    """The same of a term and numbers, which stand to the right."""
    _table(heads, cells, "words numbers")


def _table(heads: Iterable[str], cells: Iterable[Iterable[str | Link]], look: str) -> None:
    named = tuple(heads)
    head = "".join(f'<th scope="col" role="columnheader">{html_escape(each)}</th>' for each in named)
    body = "".join(f'<tr role="row">{"".join(map(_cell, named, row))}</tr>' for row in cells)
    st.html(  # the roles are said because a table whose cells are laid out otherwise has none
        '<div class="wide" tabindex="0" role="group" aria-label="Table">'
        f'<table class="{look}" role="table"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cell(head: str, cell: str | Link) -> str:
    text = cell.text if isinstance(cell, Link) else cell
    kind = ' class="long"' if len(text) > SENTENCE_CHARACTERS else ""
    inner = _words(text)
    if isinstance(cell, Link):
        inner = f'<a href="{html_escape(cell.address)}" target="_self">{inner}</a>'
    return f'<td{kind} role="cell" data-head="{html_escape(head)}">{inner}</td>'


def text_in_pieces(pieces: Iterable[Piece], *, mark: Literal["del", "ins"]) -> None:
    """A text as it is, line breaks and all; what another text has not got is underlined."""
    inner = "".join(
        f"<{mark}>{html_escape(piece.text)}</{mark}>" if piece.marked else html_escape(piece.text) for piece in pieces
    )
    st.html(f'<div class="pieces" dir="auto" tabindex="0" role="group" aria-label="Answer">{inner}</div>')


def rows(heads: Iterable[str], cells: Iterable[Iterable[str]]) -> None:
    """A small table of words; the last column is numbers."""
    head = "".join(f'<th scope="col">{html_escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{html_escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    st.html(f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')
