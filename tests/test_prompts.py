"""Lists of prompts: pasted text, encodings, whatever bytes there are, and the samples."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.prompts import (
    ENDINGS,
    MOST_PROMPTS,
    Mode,
    Skipped,
    columns,
    guess_column,
    read_file,
    read_text,
)
from fanout.prompts.encoding import MOST_BYTES
from fanout.samples import SAMPLE_PROMPTS
from tests.prompt_files import is_seen, refusal

# --- pasted text --------------------------------------------------------------------------------------------------


def test_a_line_is_a_prompt_without_the_blanks_around_it() -> None:
    assert read_text("  one\ntwo \r\nthree\rfour\n").prompts == ("one", "two", "three", "four")


def test_only_line_ends_part_lines() -> None:
    text = "a\x0bb\x0cc\x85d\u2028e\u2029f"
    assert read_text(text).prompts == (text,)


def test_the_sentence_tells_count_duplicates_and_blanks_with_their_lines() -> None:
    lines = ["a", "b", "a", "", "c", "d", "a", "e", " ", "f", "g", "\t", "h"]
    assert read_text("\n".join(lines)).sentence == (
        "10 prompts, 2 of them duplicates; 3 blank lines skipped (lines 4, 9, 12)"
    )
    assert read_text("a\na\n\n").sentence == "2 prompts, 1 of them a duplicate; 1 blank line skipped (line 3)"
    assert read_text("a").sentence == "1 prompt"


def test_a_long_list_of_blanks_is_counted_whole_and_kept_to_a_hundred() -> None:
    found = read_text("a\n" + "\n" * 1_500 + "b")
    assert found.skipped_count == 1_500
    assert (len(found.skipped), found.skipped[0]) == (100, Skipped(line=2, reason="blank"))
    assert found.sentence == "2 prompts; 1,500 blank lines skipped (lines 2, 3, 4, 5, 6 and 1,495 more)"


def test_paragraphs_keep_their_lines_and_indentation() -> None:
    found = read_text("\n  def f():\n    pass\n\n \n\nsecond\r\nline\n\n", mode="paragraph")
    assert found.prompts == ("  def f():\n    pass", "second\nline")
    assert found.skipped == ()


def test_dashes_part_prompts_that_have_blank_lines_and_name_an_empty_part() -> None:
    found = read_text("one\n\nstill one\n---\n\n---\ntwo\n----\n - --- \n --- \n", mode="dashes")
    assert found.prompts == ("one\n\nstill one", "two\n----\n - ---")
    assert found.sentence == "2 prompts; 1 blank part skipped (line 5)"


@pytest.mark.parametrize("mode", ["line", "paragraph", "dashes"])
@pytest.mark.parametrize("text", ["", "\n\n", " \t ", "\ufeff", "\u3000\n"])
def test_a_text_of_blanks_is_refused(text: str, mode: Mode) -> None:
    with pytest.raises(BadInput, match="expected at least one prompt"):
        read_text(text, mode=mode)


def test_half_a_letter_is_replaced_and_said() -> None:
    found = read_text("b\na\ud83d")
    assert found.prompts == ("b", "a\ufffd")
    assert found.sentence == "2 prompts; half a letter in 1 prompt replaced by \ufffd (line 2)"


@given(
    st.lists(
        st.text(min_size=1)
        .filter(lambda text: text.strip() == text and not set(text) & set("\r\n\ufeff"))
        .filter(is_seen)
    )
)
def test_lines_written_are_the_prompts_read(lines: list[str]) -> None:
    if lines:
        assert read_text("\n".join(lines)).prompts == tuple(lines)


def test_more_prompts_than_the_limit_are_refused_with_the_line_where_they_pass_it() -> None:
    assert len(read_text("a\n" * MOST_PROMPTS).prompts) == MOST_PROMPTS
    with pytest.raises(BadInput, match=r"more than 100,000 prompts \(line 100,002\): split it"):
        read_text("\n" + "a\n" * (MOST_PROMPTS + 1))


def test_more_than_fifty_megabytes_are_refused() -> None:
    assert refusal("a.txt", b"a" * (MOST_BYTES + 1)) == ("“a.txt” has more than 50 MB, the most that is read: split it")
    with pytest.raises(BadInput, match="more than 50 MB"):
        read_text("a" * (MOST_BYTES + 1))


# --- encodings ----------------------------------------------------------------------------------------------------

EVERYWHERE = "Où est l’été ?\nשלום עולם\n日本の首都は？\n😀 emoji\n"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16-le"), ("utf-32", "utf-32-le"),
     ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")],
)  # fmt: skip
def test_unicode_is_read_with_its_mark_and_without(encoding: str, said: str) -> None:
    found = read_file("a.txt", EVERYWHERE.encode(encoding))
    assert found.prompts == tuple(EVERYWHERE.splitlines())
    assert found.encoding == said


def test_utf_16_big_endian_with_its_mark() -> None:
    assert read_file("a.txt", b"\xfe\xff" + EVERYWHERE.encode("utf-16-be")).encoding == "utf-16-be"


@pytest.mark.parametrize(
    "text", ["Quel café à Genève ?\n“été”…", "Größe über Öl für Straße", "It costs €5 – don’t", "ÿ", "déjà vu, élève"]
)
def test_what_is_not_utf_8_and_has_lone_accents_is_windows_1252(text: str) -> None:
    found = read_file("a.txt", text.encode("cp1252"))
    assert "\n".join(found.prompts) == text
    assert found.sentence.endswith("; read as windows-1252")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("日本の首都はどこですか。\n東京について説明してください。\n", "shift_jis"),
     ("中国的首都是哪里？\n请解释一下光合作用。\n", "gbk"),
     ("Привет, как дела?\nКакая столица Франции?\nОпиши погоду\n", "cp1251")],
)  # fmt: skip
def test_other_alphabets_are_recognised_where_they_can_be(text: str, encoding: str) -> None:
    assert read_file("a.txt", text.encode(encoding)).prompts == tuple(text.splitlines())


@pytest.mark.parametrize(("text", "encoding"), [("Classify: Привет\n", "cp1251"), ("מהי בירת צרפת?\n", "cp1255")])
def test_an_encoding_that_could_be_several_is_not_guessed(text: str, encoding: str) -> None:
    said = refusal("a.txt", text.encode(encoding))
    assert said == "“a.txt” is in an encoding that could not be told: save it as UTF-8 text"


def test_utf_8_with_a_broken_byte_is_called_damaged_where_it_is() -> None:
    content = "é ü ö\n漢字\n".encode() + b"abc \xff\nmore"
    assert refusal("a.txt", content) == "“a.txt” is UTF-8 but damaged in line 3: save it again as UTF-8"


def test_a_marked_file_that_is_cut_short_is_called_damaged() -> None:
    assert "says that it is UTF-16-LE but is damaged at byte 4" in refusal("a.txt", b"\xff\xfea\x00b")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK\x03\x04....xl/workbook.xml", "an Excel workbook: save it as CSV"),
     (b"PK\x03\x04....word/document.xml", "a Word document: save it as plain text"),
     (b"PK\x03\x04....photo.bmp", "a zip archive: unpack it"),
     (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", "an Excel workbook or another old Office file: save it as CSV"),
     (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG picture"), (b"%PDF-1.7\n", "a PDF"), (b"\x1f\x8b\x08", "a gzip archive")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl", "a.xlsx"])
def test_a_binary_file_is_called_what_it_is(name: str, content: bytes, said: str) -> None:
    assert said in refusal(name, content)


def test_a_nul_byte_is_refused_with_its_line() -> None:
    assert "it has a NUL byte in line 2; save it as UTF-8 text" in refusal("a.txt", b"one\nt\x00wo")
    assert "is not text" in refusal("a.txt", bytes(range(256)))
    assert "could not be told" in refusal("a.txt", b"\x01\x02\xe9x" * 50)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_file_and_one_of_blanks_are_refused(ending: str) -> None:
    assert refusal(f"a{ending}", b"") == f"“a{ending}” is empty: expected at least one prompt"
    assert f"“a{ending}”" in refusal(f"a{ending}", b" \n\n  \n")


def test_an_unknown_ending_is_refused_with_those_there_are() -> None:
    assert refusal("a.docx", b"hello") == f"“a.docx” ends with '.docx': expected one of {', '.join(ENDINGS)}"
    assert "“README” has no ending" in refusal("README", b"hello")


def test_a_hostile_file_name_stays_short_and_on_one_line() -> None:
    assert refusal("\n" * 30 + "x" * 200 + ".doc", b"hello").startswith("“" + " " * 30 + "x" * 30 + "…”")


# --- anything at all ----------------------------------------------------------------------------------------------

ANYTHING = st.one_of(
    st.binary(),
    st.text(alphabet='",;\t\n\r|ab1 {}[]:\x00é漢').map(str.encode),
    st.text(alphabet='",;\n ab1é—').map(lambda text: text.encode("cp1252")),
    st.text().map(lambda text: text.encode("utf-16-le", "surrogatepass")),
    st.binary().map(lambda tail: b"id,prompt\n1,\xc3\xa9" + tail),
)


@settings(max_examples=400, deadline=None)  # the first look at an unknown encoding imports its detector
@given(st.sampled_from(ENDINGS), ANYTHING, st.sampled_from([None, "prompt", "column 1", ""]))
@example(".csv", b"sep=\n", None)
@example(".csv", b'sep="', None)
@example(".csv", b'"', None)
@example(".txt", b"\x81" * 5, None)
def test_any_bytes_are_prompts_that_can_be_run_or_a_sentence(ending: str, content: bytes, column: str | None) -> None:
    name = f"a{ending}"
    try:
        found = read_file(name, content, column=column)
        assert Batch(prompts=found.prompts).prompts == found.prompts
        assert found.sentence.startswith(f"{len(found.prompts)} prompt")
    except BadInput:
        pass
    try:
        guess = guess_column(name, content)
        assert guess is None or guess in columns(name, content)
    except BadInput:
        pass


# --- the samples --------------------------------------------------------------------------------------------------


def test_the_samples_are_forty_prompts_one_a_line_none_twice() -> None:
    found = read_text("\n".join(SAMPLE_PROMPTS))
    assert found.prompts == SAMPLE_PROMPTS
    assert found.sentence == "40 prompts"
