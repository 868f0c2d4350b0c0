"""CSV and TSV -> rows with their line numbers, a header or none, and the column that holds the prompts.

Comes in: the text of a file. Goes out: a `Table`, and the `PromptList` of one of its columns. Knows no encoding.

Quotes are read strictly: a quote that is never closed would otherwise swallow the rest of the file into one prompt.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fanout.errors import BadInput
from fanout.prompts.encoding import Decoded, refuse_page
from fanout.prompts.names import best_name, is_prompt_name, listed, quoted, unique
from fanout.prompts.prompt_list import Found, PromptList, Skipped, gather

_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_DELIMITERS = (",", ";", "\t", "|")
_BLANKS = "".join(_DELIMITERS) + '" \r\n'
_NONE = "\x00"  # parts nothing: text with a NUL has been refused
_SAMPLE_LETTERS = 60_000
_SAMPLE_ROWS = 50
_MOST_ABOVE = 10
_NAME_LETTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; `line` is where it begins."""

    line: int
    cells: tuple[str, ...]

    @property
    def blank(self) -> bool:
        """Whether no cell has anything in it."""
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows under the header. Where there is no header, `names` are `column 1`, `column 2`, ..."""

    names: tuple[str, ...]
    above: tuple[Row, ...] = ()
    """A title and what else stands over the header."""
    rows: tuple[Row, ...]
    delimiter: str | None
    """None where each row is one cell, with all the commas in it."""
    header: bool

    def best_column(self) -> str | None:
        """The name of the column that most likely holds the prompts."""
        sizes = [sum(len(row.cells[place]) for row in self.rows if place < len(row.cells)) for place in self._places]
        return best_name(dict(zip(self.names, sizes, strict=True)))

    def column(self, name: str) -> Iterator[Found | Skipped]:
        """What stands in one column, row by row."""
        place = self.names.index(name)
        width = len(self.names)
        for row in self.above:
            yield Skipped(line=row.line, reason="blank" if row.blank else "above_header")
        for row in self.rows:
            if row.blank:
                yield Skipped(line=row.line, reason="blank")
            elif width == 1:
                # One column: a delimiter in the text is part of it, quoted or not.
                yield Found(line=row.line, text=(self.delimiter or _NONE).join(row.cells))
            elif any(cell.strip() for cell in row.cells[width:]):
                yield Skipped(line=row.line, reason="extra_cells")
            elif place >= len(row.cells):
                yield Skipped(line=row.line, reason="no_cell")
            else:
                yield Found(line=row.line, text=row.cells[place])

    @property
    def _places(self) -> range:
        return range(len(self.names))


def read(name: str, decoded: Decoded, *, tabs: bool, column: str | None) -> PromptList:
    """The prompts of one column, None for the likeliest."""
    table = parse(name, decoded.text, tabs=tabs, column=column)
    chosen = table.best_column() if column is None else _find(table.names, column)
    if chosen is None:
        raise BadInput(f"{quoted(name)} has no column {quoted(column or '')}: it has {listed(table.names)}")
    return gather(
        table.column(chosen),
        where=quoted(name),
        unit="row",
        encoding=decoded.encoding,
        column=chosen,
        columns=table.names,
        delimiter=table.delimiter,
        header=table.header,
    )


def parse(name: str, text: str, *, tabs: bool, column: str | None = None) -> Table:
    """The table in a text. A first row that holds `column` is its header."""
    _allow_cells(len(text))
    refuse_page(name, text)
    sep = _SEP_LINE.match(text)
    body = text[sep.end() :] if sep else text
    delimiter = sep[1] if sep else "\t" if tabs else _sniff(body, column)
    if delimiter is not None and delimiter in '"\r\n':
        raise BadInput(f"{quoted(name)} names {delimiter!r} as its delimiter: expected one of , ; | or a tab")
    rows = _rows_of(name, body, delimiter, first_line=2 if sep else 1)
    above = _count_above([row.cells for row in rows[: _MOST_ABOVE + _SAMPLE_ROWS]], column)
    start = next((place for place, row in enumerate(rows) if place >= above and not row.blank), None)
    if start is None or not body.strip(_BLANKS):
        raise BadInput(f"{quoted(name)} holds only blanks: expected at least one prompt")
    first = rows[start].cells
    if _find(tuple(cell.strip() for cell in first), column) is not None or _is_header(first):
        names = unique(_without_blank_end(first))
        below = rows[above:start] + rows[start + 1 :]
        return Table(names=names, above=rows[:above], rows=below, delimiter=delimiter, header=True)
    width = max(len(_without_blank_end(first)), 1)
    return Table(names=unique([""] * width), rows=rows, delimiter=delimiter, header=False)


def _allow_cells(letters: int) -> None:
    """Let the csv module take cells of that length. Its limit is the whole process's, so it is only ever raised and
    never put back: another thread may be reading just then, and a higher limit fails nobody. What bounds a cell here
    is the limit on the file."""
    if letters > csv.field_size_limit():
        csv.field_size_limit(letters)


def _rows_of(name: str, text: str, delimiter: str | None, *, first_line: int) -> tuple[Row, ...]:
    """The rows, cells with line breaks included.

    Two ways of writing tables are told from the rows: a space after each delimiter, which else would stand before a
    cell's quote and unmake it; and tabs without quoting, where a quote is a letter and every row is as wide as the
    header.
    """
    try:
        rows = tuple(_rows(name, text, delimiter or _NONE, first_line=first_line))
    except BadInput:
        plain = tuple(_rows(name, text, "\t", first_line=first_line, quotes=False)) if delimiter == "\t" else ()
        widths = {len(row.cells) for row in plain if not row.blank}
        if len(widths) != 1 or widths == {1}:
            raise
        return plain
    first = next((row.cells for row in rows if not row.blank), ())
    if len(first) > 1 and _is_header(first) and all(cell.startswith(" ") for cell in first[1:]):
        return tuple(_rows(name, text, delimiter or _NONE, first_line=first_line, spaced=True))
    return rows


def _rows(
    name: str, text: str, delimiter: str, *, first_line: int, spaced: bool = False, quotes: bool = True
) -> Iterator[Row]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=spaced,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    line = first_line
    try:
        for cells in reader:
            yield Row(line=line, cells=tuple(cells))
            line = first_line + reader.line_num
    except csv.Error as exc:
        raise BadInput(f"{quoted(name)}, line {line:,}: {_fault(exc)}") from exc


def _fault(exc: csv.Error) -> str:
    if "unexpected end" in str(exc):
        return "the cell that begins here opens a double quote that is never closed: close it, or leave it out"
    if "expected after" in str(exc):
        return (
            "text follows the closing double quote of a cell: put the whole cell in double quotes and write "
            'each quote inside it twice ("")'
        )
    return f"this row is not CSV ({exc})"


def _count_above(rows: Sequence[Sequence[str]], column: str | None) -> int:
    """How many rows stand over the header: a title, a comment or nothing, each in one cell, over a row that names what
    is looked for and over more rows as wide."""
    for place, row in enumerate(rows[:_MOST_ABOVE]):
        cells = _without_blank_end(row)
        if len(cells) < 2:
            if is_prompt_name(cells[0] if cells else "") or _find(cells, column) in cells:
                return 0
            continue
        named = _find(tuple(cell.strip() for cell in cells), column)
        if named is None and not (any(map(is_prompt_name, cells)) and _is_header(cells) and not _is_prose(cells)):
            return 0
        below = [each for each in rows[place + 1 :] if any(cell.strip() for cell in each)][:_SAMPLE_ROWS]
        return place if sum(len(_without_blank_end(each)) > 1 for each in below) * 2 > len(below) else 0
    return 0


def _sniff(text: str, column: str | None) -> str | None:
    """The delimiter of the table; None where there is none: a table of one column needs no delimiter, and its texts
    have commas."""
    found = _sniff_rows(text)
    if found is not None:
        return found
    cut = text[:_SAMPLE_LETTERS]
    return next((each for each in _DELIMITERS if _count_above(_sample(cut, each), column)), None)


def _sniff_rows(text: str) -> str | None:
    """The delimiter under which most rows are as wide as the first, or the first names what we look for."""
    cut = text[:_SAMPLE_LETTERS]
    best, best_score = None, 0
    for delimiter in _DELIMITERS:
        rows = _sample(cut, delimiter)
        if not rows or len(rows[0]) < 2 or _is_prose(rows[0]):
            continue
        score = sum(len(row) == len(rows[0]) for row in rows)
        if any(is_prompt_name(cell) for cell in rows[0]):
            score += len(rows)
        if score > best_score and score * 2 >= len(rows):
            best, best_score = delimiter, score
    return best


def _sample(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            rows.append(row)
        if len(rows) > _SAMPLE_ROWS:
            return rows
    return rows


def _is_prose(first: Sequence[str]) -> bool:
    """Whether it is a sentence with commas rather than cells: each comma is followed by a space."""
    return all(cell.startswith(" ") for cell in first[1:]) and not any(is_prompt_name(cell) for cell in first)


def _is_header(first: tuple[str, ...]) -> bool:
    """Whether the first row names columns: a known name certainly does; of several cells, short words without
    numbers and full stops do; a lone cell with any other text is taken for a prompt."""
    cells = [cell.strip() for cell in first if cell.strip()]
    if any(is_prompt_name(cell) for cell in cells):
        return True
    return len(first) > 1 and not any(_is_content(cell) for cell in cells)


def _is_content(cell: str) -> bool:
    if len(cell) > _NAME_LETTERS or "\n" in cell or "\r" in cell:
        return True
    if " " in cell and cell[-1] in ".?!…":
        return True
    return re.fullmatch(r"[-+]?[\d.,]*\d[\d.,]*(e[-+]?\d+)?%?", cell, re.IGNORECASE) is not None


def _without_blank_end(cells: Sequence[str]) -> tuple[str, ...]:
    last = max((place for place, cell in enumerate(cells) if cell.strip()), default=0)
    return tuple(cells[: last + 1])


def _find(names: tuple[str, ...], wanted: str | None) -> str | None:
    """The name as it is written, whatever its case; an exact one first."""
    if wanted is None or wanted in names:
        return wanted
    plain = wanted.strip().casefold()
    return next((name for name in names if name.casefold() == plain), None)
