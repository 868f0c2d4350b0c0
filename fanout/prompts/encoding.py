"""Bytes of a file -> its text, or a sentence that says what the file is instead.

Comes in: a file's bytes (and its name, for the sentence). Goes out: `Decoded`. Knows no format of prompts.

The order: a byte order mark decides. Without one, bytes with NULs are UTF-16 where that is unmistakable, else not
text. Then UTF-8, strictly: text in any other encoding practically never passes. What fails is what Excel saves on a
machine of the West, Windows-1252, as long as its bytes above 127 stand alone or in pairs, as accents do; where they
stand in long runs it is another alphabet and charset-normalizer names it. It is not asked first because on short
texts it is wrong about Windows-1252: of four French, German and English samples it called three cp1250 and one
cp852. Of twelve Cyrillic, Greek, Arabic, Hebrew, Chinese, Japanese and Korean ones it named nine rightly; where it was
wrong it had several guesses equally good and knew no language in any, so there we ask for UTF-8 rather than guess.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

from fanout.errors import BadInput
from fanout.prompts.names import quoted

MOST_BYTES = 50_000_000
MARK = "\ufeff"
"""The byte order mark, as a letter."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_BINARIES = (
    (b"PK\x03\x04", "a zip archive: unpack it and give the text file in it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook or another old Office file: save it as CSV"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture: prompts are text"),
    (b"\xff\xd8\xff", "a JPEG picture: prompts are text"),
    (b"%PDF-", "a PDF: copy its text into a .txt file"),
    (b"{\\rtf1", "a rich text (RTF) document: save it as plain text"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh91AY&SY", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it first"),
    (b"ARROW1\x00", "an Arrow file: save it as CSV or JSON lines"),
    (b"Obj\x01", "an Avro file: save it as CSV or JSON lines"),
    (b"version https://git-lfs.github.com/spec/", "the pointer that Git LFS leaves in its place: run `git lfs pull`"),
    (b"PAR1", "a Parquet file: save it as CSV or JSON lines"),
    (b"SQLite format 3\x00", "an SQLite database: save the table as CSV"),
)

_IN_ZIPS = (
    (b"xl/", "an Excel workbook: save it as CSV"),
    (b"word/", "a Word document: save it as plain text"),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet: save it as CSV"),
)

_TAR = (257, b"ustar")
_PAGE = re.compile(r"\s*(<!doctype html|<html)[\s>]", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_RUNS = re.compile(rb"[\x80-\xff]{4,}")
_HIGH = bytes(range(0x80, 0x100))
_NOT_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
_LINE_END = re.compile(r"(?:\r\n|\r|\n)\ufeff*")  # files that were put together have marks inside
_SAMPLE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A file's text without its byte order mark, and the name of the encoding as it is said to people."""

    text: str
    encoding: str


def decode(name: str, content: bytes) -> Decoded:
    """The text of a file. Raises BadInput for an empty, a binary, a damaged and an unreadable one."""
    where = quoted(name)
    if not content:
        raise BadInput(f"{where} is empty: expected at least one prompt")
    _refuse_binary(where, content)
    decoded = _marked(where, content) or _utf_16(content) or _utf_8(content) or _legacy(where, content)
    _refuse_nul(where, decoded.text)
    return Decoded(text=decoded.text.lstrip(MARK), encoding=decoded.encoding)


def refuse_page(name: str, text: str) -> None:
    """BadInput for a web page saved in place of a list, where each of its lines would be sent as a prompt."""
    if _PAGE.match(text) and "</html" not in split_lines(text.lstrip())[0].lower():
        raise BadInput(
            f"{quoted(name)} is a web page, and each of its lines would be a prompt: give the file of prompts itself"
        )


def split_lines(text: str) -> list[str]:
    """The lines of a text. Not str.splitlines(), which also cuts at U+2028, form feeds and other letters that a
    prompt may hold."""
    lines = _LINE_END.split(text)
    if not lines[-1].strip():
        lines.pop()  # what follows the last line's end is not a line
    return lines


def refuse_size(where: str, size: int) -> None:
    """BadInput for more than 50 MB."""
    if size > MOST_BYTES:
        raise BadInput(f"{where} has more than {MOST_BYTES // 1_000_000} MB, the most that is read: split it")


def _refuse_binary(where: str, content: bytes) -> None:
    for start, words in _BINARIES:
        if content.startswith(start):
            if start.startswith(b"PK"):
                words = next((better for mark, better in _IN_ZIPS if mark in content), words)
            raise BadInput(f"{where} is not text, this is {words}")
    at, mark = _TAR
    if content[at : at + len(mark)] == mark and b"\x00" in content[:at]:
        raise BadInput(f"{where} is not text, this is a tar archive: unpack it first")


def _refuse_nul(where: str, text: str) -> None:
    at = text.find("\x00")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise BadInput(f"{where} is not plain text: it has a NUL byte in line {line:,}; save it as UTF-8 text")


def _marked(where: str, content: bytes) -> Decoded | None:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return Decoded(text=content[len(mark) :].decode(encoding), encoding=encoding)
            except UnicodeDecodeError as exc:
                said = f"{where} says that it is {encoding.upper()} but is damaged at byte {exc.start + len(mark):,}"
                raise BadInput(f"{said}: save it again as UTF-8") from exc
    return None


def _utf_16(content: bytes) -> Decoded | None:
    """UTF-16 without a mark, where NULs stand in one half of the pairs and the text then has no impossible letter."""
    if b"\x00" not in content or len(content) % 2:
        return None
    nuls_first, nuls_second = content[::2].count(0), content[1::2].count(0)
    encoding = "utf-16-le" if nuls_second > nuls_first else "utf-16-be"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    if _CONTROLS.search(text) or any(unicodedata.category(letter) in ("Cn", "Co") for letter in text[:_SAMPLE]):
        return None
    return Decoded(text=text, encoding=encoding)


def _utf_8(content: bytes) -> Decoded | None:
    try:
        return Decoded(text=content.decode("utf-8"), encoding="utf-8")
    except UnicodeDecodeError:
        return None


def _legacy(where: str, content: bytes) -> Decoded:
    _refuse_damaged(where, content)
    if b"\x00" in content:
        raise BadInput(f"{where} is not text: it is full of bytes that no text has; save it as UTF-8 text")
    text = None
    encoding = "windows-1252" if _looks_western(content) else _guess(content)
    if encoding is not None:
        try:
            text = content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            text = None
    if encoding is None or text is None or len(_CONTROLS.findall(text)) * 50 > len(text):
        raise BadInput(f"{where} is in an encoding that could not be told: save it as UTF-8 text")
    return Decoded(text=text, encoding=encoding)


def _refuse_damaged(where: str, content: bytes) -> None:
    """UTF-8 but for a few bytes: read as Windows-1252 every accent in it would turn into two wrong letters."""
    text = content.decode("utf-8", "replace")
    faults = text.count("\ufffd")
    if len(_NOT_ASCII.findall(text)) > faults:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        raise BadInput(f"{where} is UTF-8 but damaged in line {line:,}: save it again as UTF-8")


def _looks_western(content: bytes) -> bool:
    in_runs = sum(len(run) for run in _HIGH_RUNS.findall(content))
    return in_runs * 4 < len(content) - len(content.translate(None, _HIGH))


def _guess(content: bytes) -> str | None:
    from charset_normalizer import from_bytes  # 30 ms that few files need

    sample = content[:_SAMPLE]
    guesses = from_bytes(sample if len(content) <= _SAMPLE else sample[: sample.rfind(b"\n") + 1] or sample)
    best = guesses.best()
    if best is None:
        return None
    rivals = [guess for guess in guesses if guess is not best and guess.chaos <= best.chaos]
    return best.encoding if best.coherence or not rivals else None
