"""Lists of prompts in tables and JSON, and which of their columns is the prompt."""

from __future__ import annotations

import csv
import io
import json
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fanout.prompts import Skipped, columns, guess_column, read_file
from tests.prompt_files import is_seen, read, refusal

# --- tables -------------------------------------------------------------------------------------------------------


def test_a_csv_gives_the_column_named_with_line_breaks_and_quotes_kept() -> None:
    found = read("a.csv", 'id,ask,prompt\r\n1,x,"two\r\nlines, ""quoted"""\r\n2,y, spaced \r\n')
    assert found.prompts == ('two\r\nlines, "quoted"', " spaced ")
    assert (found.column, found.columns, found.delimiter, found.header) == (
        "prompt",
        ("id", "ask", "prompt"),
        ",",
        True,
    )
    assert found.sentence == "2 prompts; column “prompt”"
    assert read("a.csv", "id,ask\n1,x\n", column="ASK ").prompts == ("x",)


def test_line_numbers_count_the_lines_inside_cells() -> None:
    found = read("a.csv", 'id,prompt\n1,"a\nb\nc"\n2,\n\n3,d\n4\n5,e,f\n')
    assert found.skipped == (
        Skipped(line=5, reason="blank"),
        Skipped(line=6, reason="blank"),
        Skipped(line=8, reason="no_cell"),
        Skipped(line=9, reason="extra_cells"),
    )
    assert found.sentence == (
        "2 prompts; 2 blank rows skipped (lines 5, 6); 1 row without that column skipped (line 8); "
        "1 row with more cells than the header skipped (line 9); column “prompt”"
    )


@pytest.mark.parametrize("sep_line", ["", "sep=;\r\n", '"sep=;"\r\n'])
def test_a_csv_as_excel_saves_it_in_europe(sep_line: str) -> None:
    text = f'{sep_line}Nr;Frage;Preis\r\n1;"Was kostet Öl, heute?";1,50\r\n2;Für wen?;2,00\r\n'
    found = read_file("a.csv", text.encode("cp1252"))
    assert found.prompts == ("Was kostet Öl, heute?", "Für wen?")
    assert (found.delimiter, found.column, found.encoding) == (";", "Frage", "windows-1252")


def test_the_line_that_names_the_delimiter_counts_as_a_line() -> None:
    found = read("a.csv", "sep=|\nprompt|n\na|1\n|\n")
    assert found.skipped == (Skipped(line=4, reason="blank"),)
    assert "names '\"' as its delimiter" in refusal("a.csv", 'sep="\na')


def test_tabs_part_a_tsv_and_an_unicode_text_from_excel() -> None:
    assert read("a.tsv", "n\tprompt\n1\ta, b; c\n").prompts == ("a, b; c",)
    found = read_file("a.csv", "n\tprompt\n1\tdéjà, vu\n".encode("utf-16"))
    assert found.prompts == ("déjà, vu",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_parts_rows(end: str) -> None:
    assert read("a.csv", end.join(["n,prompt", "1,a", "2,b", ""])).prompts == ("a", "b")


def test_a_file_of_one_column_needs_no_header_and_no_quotes() -> None:
    found = read("a.csv", "Hello, world\nIs it 5, or 6?\nfoo\n")
    assert found.prompts == ("Hello, world", "Is it 5, or 6?", "foo")
    assert found.sentence == "3 prompts; no header row found"
    assert read("a.csv", 'Hello,world\n"Is it 5, ""or"" 6?"\nfoo\nbar').prompts[:2] == (
        "Hello,world",
        'Is it 5, "or" 6?',
    )


@pytest.mark.parametrize("header", ["prompt", "Question", "review_text", " TEXT "])
def test_a_lone_cell_with_a_known_name_is_a_header(header: str) -> None:
    found = read("a.csv", f"{header}\nHello, world\nfoo\n")
    assert found.prompts == ("Hello, world", "foo")
    assert found.column == header.strip()


def test_a_lone_cell_is_a_header_where_it_is_the_column_asked_for() -> None:
    assert read("a.csv", "notes\nHello\n").prompts == ("notes", "Hello")
    assert read("a.csv", "notes\nHello\n", column="notes").prompts == ("Hello",)


def test_several_columns_without_a_header_get_numbers() -> None:
    found = read("a.csv", "1,What is the capital of France?,Paris\n2,What is 2+2?,4\n")
    assert found.columns == ("column 1", "column 2", "column 3")
    assert (found.header, found.column, len(found.prompts)) == (False, "column 2", 2)
    text = b"1,What is the capital of France?,Paris\n"
    assert read_file("a.csv", text, column="column 3").prompts == ("Paris",)


def test_doubled_and_blank_names_are_told_apart() -> None:
    assert read("a.csv", "text,text,,text (2),x\na,b,c,d,e\n").columns == (
        "text", "text (2)", "column 3", "text (2) (2)", "x"
    )  # fmt: skip
    assert read("a.csv", "text,text\na,b\n", column="text (2)").prompts == ("b",)


def test_delimiters_at_the_end_of_rows_are_no_cells() -> None:
    assert read("a.csv", "n,prompt,,\n1,a,,\n2,b,,,,\n").prompts == ("a", "b")
    assert read("a.csv", "n,prompt,,\n1,a\n").columns == ("n", "prompt")


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    assert refusal("a.csv", "id,ask\n1,x\n", column="prompt") == "“a.csv” has no column “prompt”: it has “id”, “ask”"


def test_a_quote_that_is_never_closed_is_refused_with_its_line() -> None:
    said = refusal("a.csv", 'id,prompt\n1,"a\nb"\n2,"never\n3,c\n4,d\n')
    assert said.startswith("“a.csv”, line 4: the cell that begins here opens a double quote that is never closed")
    said = refusal("a.csv", 'id,prompt\n1,a\n2,"Yes" he said\n')
    assert said.startswith("“a.csv”, line 3: text follows the closing double quote of a cell")


def test_a_header_alone_and_a_blank_column_are_refused() -> None:
    assert refusal("a.csv", "id,prompt\n") == "“a.csv” holds only its header row: expected at least one prompt"
    assert "the column “prompt” of “a.csv” holds only blanks (2 rows)" in refusal("a.csv", "id,prompt\n1,\n2,\n")
    assert "holds no row that fits its header (2 rows)" in refusal("a.csv", "id,prompt\n1,a,b\n2,c,d\n")


def test_a_cell_of_150_000_letters_is_read_and_the_limit_of_others_is_never_lowered() -> None:
    old = csv.field_size_limit(1_000)
    try:
        found = read("a.csv", f'id,prompt\n1,"{"long " * 30_000}"\n')
        assert len(found.prompts[0]) == 150_000
        raised = csv.field_size_limit()
        read("a.csv", "id,prompt\n1,short\n")
        assert csv.field_size_limit() == raised > 150_000
    finally:
        csv.field_size_limit(old)


def test_two_threads_read_long_cells_at_once() -> None:
    old = csv.field_size_limit(1_000)
    texts = ["long " * size for size in (30_000, 40_000, 50_000, 60_000)]
    found: dict[int, str] = {}
    gate = threading.Barrier(len(texts))

    def one(place: int) -> None:
        gate.wait(10)
        found[place] = read("a.csv", f"prompt\n{texts[place]}\n").prompts[0]

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(texts))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [found[place] for place in range(len(texts))] == texts
    finally:
        csv.field_size_limit(old)


CELLS = st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1)


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1),
    st.sampled_from([(".csv", ","), (".csv", ";"), (".csv", "\t"), (".csv", "|"), (".tsv", "\t")]),
)
@example([("\r", "a"), (" ", '"')], (".csv", ","))
@example([("0", ";"), ("0", "a;b;c")], (".csv", ","))
def test_what_csv_writes_comes_back(cells: list[tuple[str, str]], kind: tuple[str, str]) -> None:
    ending, delimiter = kind
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("id", "prompt"), *cells])
    wanted = tuple(prompt for _, prompt in cells if is_seen(prompt))
    if wanted:
        assert read(f"a{ending}", out.getvalue()).prompts == wanted


@given(st.lists(CELLS.filter(is_seen), min_size=1))
def test_a_written_column_comes_back(cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("prompt",), *((cell,) for cell in cells)])
    assert read("a.csv", out.getvalue()).prompts == tuple(cells)


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_a_json_line_is_a_text_or_an_object_with_a_prompt() -> None:
    found = read("a.jsonl", '"one"\n{"prompt": "two", "id": 1}\n\n{"prompt": " "}\n{"prompt": null}\r\n"a\u2028b"\n')
    assert found.prompts == ("one", "two", "a\u2028b")
    assert found.sentence == "3 prompts; 3 blank lines skipped (lines 3, 4, 5); column “prompt”"
    assert read("a.ndjson", '{"q": "x"}\n"y"', column="q").prompts == ("x", "y")


def test_a_json_list_holds_texts_or_objects() -> None:
    found = read("a.json", '["one",\n {"prompt": "two"}, ""]')
    assert found.prompts == ("one", "two")
    assert found.sentence == "2 prompts; 1 blank entry skipped (entry 3)"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '"a"\n{bad\n', "“a.jsonl”, line 2 is not JSON: Expecting property name"),
        ("a.jsonl", '"a"\n["b"]\n', "line 2 is a list: write one text or object a line, or end the file's name with"),
        ("a.jsonl", '{"text": "a", "id": 1}', "line 1: the object has no field “prompt”, it has “text”, “id”"),
        ("a.jsonl", "{}", "the object has no field “prompt”, it is empty"),
        ("a.jsonl", '{"prompt": 5}', "line 1, field “prompt” is a number: expected text"),
        ("a.jsonl", "true", "line 1 is true or false: expected text"),
        ("a.json", '"a"\n"b"', "is not JSON: Extra data at line 2, character 1; if it holds one value a line"),
        ("a.json", '{"prompt": "a"}', "“a.json” is an object: expected a JSON list of texts or objects"),
        ("a.json", '["a", 7]', "“a.json”, entry 2 is a number: expected text"),
        ("a.json", "[" * 100_000, "cannot be read as JSON"),
        ("a.json", f"[{'9' * 5_000}]", "cannot be read as JSON"),
        ("a.json", "[]", "“a.json” holds nothing: expected at least one prompt"),
    ],
)
def test_bad_json_is_refused_with_what_and_where(name: str, text: str, said: str) -> None:
    assert said in refusal(name, text)


@given(st.lists(st.text(min_size=1).filter(is_seen), min_size=1), st.booleans(), st.booleans())
def test_what_json_writes_comes_back(prompts: list[str], ascii_only: bool, objects: bool) -> None:
    values = [{"id": 1, "prompt": prompt} if objects else prompt for prompt in prompts]
    lines = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values)
    if not any("\x00" in prompt for prompt in prompts) or ascii_only:
        assert read("a.jsonl", lines).prompts == tuple(prompts)
        assert read("a.json", json.dumps(values, ensure_ascii=ascii_only, indent=1)).prompts == tuple(prompts)


# --- which column -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "guess"),
    [("id,Prompt,text", "1,a,much longer", "Prompt"), ("id,input,question", "1,a,b", "question"),
     ("label,customer-message", "long label here,b", "customer-message"), ("a,b,c", "x,longest,yy", "b"),
     ("title,text", "a long title,b", "text")],
)  # fmt: skip
def test_the_likeliest_column_is_guessed_and_taken(header: str, row: str, guess: str) -> None:
    content = f"{header}\n{row}\n".encode()
    assert columns("a.csv", content) == tuple(header.split(","))
    assert guess_column("a.csv", content) == guess
    assert read_file("a.csv", content).column == guess


def test_text_fields_of_json_objects_are_columns() -> None:
    content = b'{"id": 1, "body": "b", "note": "long enough"}\n"lone"\n{"more": "c", "n": null}\n'
    assert columns("a.jsonl", content) == ("body", "note", "more")
    assert guess_column("a.jsonl", content) == "body"
    assert guess_column("a.jsonl", b'{"x": "b", "y": "long enough"}') == "y"
    assert guess_column("a.jsonl", b'"lone"') is None


def test_a_text_file_has_no_columns() -> None:
    assert columns("a.txt", b"hello") == ()
    assert guess_column("a.md", b"hello") is None
