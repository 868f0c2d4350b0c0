"""Lists of prompts as people have them: exports with titles, JSON of other tools, pages and pointers saved as lists."""

from __future__ import annotations

import json

import pytest

from fanout.errors import BadInput
from fanout.prompts import columns, guess_column, name_of_piped, read_file, read_text
from tests.prompt_files import read, refusal

# --- what nobody meant to send ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u2060\u200d", "\u00a0\u200b", "\u2800", "\u3164", "\u00ad"])
def test_a_line_of_letters_that_nobody_sees_is_blank(unseen: str) -> None:
    assert read_text(f"a\n{unseen}\nb").sentence == "2 prompts; 1 blank line skipped (line 2)"
    assert read("a.csv", f"id,prompt\n1,{unseen}\n2,b\n").prompts == ("b",)
    with pytest.raises(BadInput, match="expected at least one prompt"):
        read_text(unseen)


def test_letters_that_nobody_sees_stay_in_a_prompt() -> None:
    assert read_text("👩\u200d💻\n\u200fשלום\n").prompts == ("👩\u200d💻", "\u200fשלום")


def test_the_marks_inside_files_that_were_put_together_are_no_letters() -> None:
    one = b"\xef\xbb\xbf"
    assert read_file("a.txt", one + one + b"a\r\n" + one + b"b\n").prompts == ("a", "b")
    assert read_file("a.jsonl", one + b'"a"\n' + one + b'"b"\n').prompts == ("a", "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"%PDF-2.0\n", "a PDF"), (b"BZh91AY&SY\x00", "a bzip2 archive"), (b"\xfd7zXZ\x00\x00", "an xz archive"),
     (b"\x28\xb5\x2f\xfd\x04Xhello", "a zstd archive"), (b"7z\xbc\xaf\x27\x1c\x00", "a 7z archive"),
     (b"ARROW1\x00\x00", "an Arrow file"), (b"Obj\x01\x04\x14avro.codec", "an Avro file"),
     (b"a.txt".ljust(257, b"\x00") + b"ustar\x0000", "a tar archive"),
     (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "run `git lfs pull`")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_a_file_that_stands_in_a_lists_place_is_called_what_it_is(name: str, content: bytes, said: str) -> None:
    assert said in refusal(name, content)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv"])
def test_a_web_page_is_not_sent_line_by_line(name: str) -> None:
    assert "is a web page" in refusal(name, "\n<!DOCTYPE html>\n<html>\n<body>Sign in</body>\n</html>\n")


def test_pages_that_are_prompts_are_read() -> None:
    page = "<html><body>Summarize me</body></html>"
    assert read("a.txt", f"{page}\n{page}\n").prompts == (page, page)
    assert read_file("a.txt", b"<html>\n</html>\n---\nb", mode="dashes").prompts == ("<html>\n</html>", "b")


def test_json_lines_in_a_text_file_are_not_sent_as_json() -> None:
    said = refusal("a.txt", '{"prompt": "a"}\n{"prompt": "b"}\n')
    assert said == "“a.txt” holds JSON lines, which would be sent as they are: end its name with .jsonl"
    assert read("a.txt", '{"city": "Paris"}\n').prompts == ('{"city": "Paris"}',)
    assert read("a.txt", '{"prompt": "a"}\nor not\n').prompts == ('{"prompt": "a"}', "or not")


def test_a_column_of_a_plain_text_is_refused() -> None:
    assert refusal("a.txt", "id,prompt\n1,a\n", column="prompt") == (
        "“a.txt” is read as plain text, which has no column “prompt”: "
        "end its name with .csv, .tsv or .jsonl, or name no column"
    )


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Report 2024,,\n,,\n", "# exported by hand\n\n", '"Tickets, all of them"\n\n'])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_title_over_the_header_is_no_prompt(title: str, end: str) -> None:
    found = read("a.csv", (title + "id,prompt,label\n1,a,x\n2,b,y\n").replace("\n", end))
    assert found.prompts == ("a", "b")
    assert found.columns == ("id", "prompt", "label")
    assert found.sentence == (
        "2 prompts; 1 row above the header skipped (line 1); 1 blank row skipped (line 2); column “prompt”"
    )


def test_a_title_over_a_header_without_a_known_name_is_told_by_the_column_asked_for() -> None:
    table = "Tickets\nnr;anliegen\n1;a\n2;b\n"
    assert read("a.csv", table, column="Anliegen").prompts == ("a", "b")


def test_prompts_over_a_line_that_looks_like_a_header_are_prompts() -> None:
    lines = ("Write a haiku", "text,image", "Hello world", "Another prompt")
    assert read("a.csv", "\n".join(lines)).prompts == lines
    assert read("a.csv", "prompt\ntext,image\nb\n").prompts == ("text,image", "b")


def test_a_space_after_each_delimiter_is_no_part_of_a_cell() -> None:
    found = read("a.csv", 'id, prompt\n1, "a, b"\n2, c\n')
    assert (found.columns, found.prompts) == (("id", "prompt"), ("a, b", "c"))


def test_a_tsv_without_quoting_keeps_its_quotes() -> None:
    found = read("a.tsv", 'id\tprompt\n1\t"Yes" he said\n2\t"never closed\n')
    assert found.prompts == ('"Yes" he said', '"never closed')
    said = refusal("a.tsv", 'id\tprompt\n1\t"Yes" he said\n2\tb\tc\n')
    assert said.startswith("“a.tsv”, line 2: text follows the closing double quote of a cell")


def test_a_table_of_delimiters_is_blank() -> None:
    assert refusal("a.csv", ",,,\n,,,\n") == "“a.csv” holds only blanks: expected at least one prompt"


# --- JSON of other tools ------------------------------------------------------------------------------------------

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
BATCH_LINE = json.dumps({"custom_id": "r1", "method": "POST", "body": {"model": "m", "messages": CHAT}})


def test_a_batch_file_is_refused_with_the_name_that_reads_it() -> None:
    said = refusal("a.jsonl", BATCH_LINE)
    assert said == (
        "“a.jsonl”, line 1: the object has no field “prompt”, it has “custom_id”, “method”, “body”; name one of its "
        "fields, such as “body.messages.user.content”: that one text is sent, without what else the object holds"
    )
    assert read("a.jsonl", BATCH_LINE, column="body.messages.user.content").prompts == ("Hello",)
    assert "a text in it is “body.messages.user.content”" in refusal("a.jsonl", BATCH_LINE, column="body")


@pytest.mark.parametrize(
    ("value", "name"),
    [({"messages": CHAT}, "messages.user.content"),
     ({"messages": [*CHAT, {"role": "assistant", "content": "Hi, a long answer"}]}, "messages.user.content"),
     ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
      "messages.user.content.-1.text"),
     ({"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi, a long answer"}]},
      "conversations.human.value"),
     ({"id": 1, "vars": {"lang": "a long language", "question": "Hello"}}, "vars.question")],
)  # fmt: skip
def test_a_text_further_down_is_named_guessed_and_read(value: dict[str, object], name: str) -> None:
    line = json.dumps(value)
    assert f"such as “{name}”" in refusal("a.jsonl", line)
    assert guess_column("a.jsonl", line.encode()) == name
    assert name in columns("a.jsonl", line.encode())
    assert read("a.jsonl", line, column=name).prompts == ("Hello",)


def test_a_path_to_nothing_is_refused_and_one_to_null_is_blank() -> None:
    for path in ("body.messages.5.content", "body.messages.x", ".", "..", "body.", "custom_id.x", "body.messages.tool"):
        assert f"has no field “{path}”" in refusal("a.jsonl", BATCH_LINE, column=path)
    assert read("a.jsonl", '{"a": {"b": null}}\n{"a": {"b": "x"}}', column="a.b").prompts == ("x",)
    assert read("a.jsonl", '{"a.b": "x", "a": {"b": "y"}}', column="a.b").prompts == ("x",)
    assert read("a.jsonl", '{"a": [["x"], ["y", "z"]]}', column="a.-1.0").prompts == ("y",)


@pytest.mark.parametrize(
    ("value", "column", "wanted"),
    [({"prompts": ["a", "b"]}, None, ("a", "b")), ({"version": 1, "data": [{"prompt": "a"}]}, None, ("a",)),
     ({"text": ["a", "b"], "label": [0, 1]}, None, ("a", "b")),
     ({"question": ["a", "b"], "answer": ["c", "d"]}, "question", ("a", "b")),
     ({"features": [{"name": "text"}], "rows": [{"row": {"text": "a"}}]}, "row.text", ("a",))],
)  # fmt: skip
def test_the_list_inside_an_object_is_read_where_it_can_be_told(
    value: object, column: str | None, wanted: tuple[str, ...]
) -> None:
    assert read("a.json", json.dumps(value), column=column).prompts == wanted


def test_several_lists_in_an_object_are_named() -> None:
    said = refusal("a.json", '{"question": ["a"], "answer": ["c"]}')
    assert said.endswith(" a JSON list of texts or objects; name one in it: “question”, “answer”")
    assert "expected a JSON list" in refusal("a.json", '{"text": ["a"]}', column="question")
    assert refusal("a.json", " \n").endswith("holds only blanks: expected at least one prompt")


def test_json_lines_that_end_in_commas_are_read_and_a_list_is_sent_to_json() -> None:
    assert read("a.jsonl", '{"prompt": "a"},\n{"prompt": "b"} , \n"c"\n').prompts == ("a", "b", "c")
    assert refusal("a.jsonl", '[\n{"prompt": "a"}\n]\n') == "“a.jsonl” is one JSON list: end its name with .json"
    assert ".jsonl" not in refusal("a.jsonl", '{"prompt": "a"} x').replace("a.jsonl", "")


# --- from a pipe --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "ending"),
    [("a\nb", None, ".txt"), ("id,q\n1,a", "q", ".csv"), ('\n{"q": "a"}\n', "q", ".jsonl"),
     ('"a"\n"b"', None, ".jsonl"),
     ('["a",\n "b"]', None, ".json"), ('{\n "prompts": ["a"]}', None, ".json"), ("[1] a\n[2] b", None, ".txt"),
     ("[1, 2]", None, ".txt"), ("5", None, ".txt")],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bytes_without_a_name_are_told_by_what_they_hold(
    text: str, column: str | None, ending: str, encoding: str
) -> None:
    assert name_of_piped(text.encode(encoding), column=column) == f"standard input{ending}"


# --- half a letter ------------------------------------------------------------------------------------------------


def test_half_a_letter_is_replaced_by_the_sign_for_a_lost_one_and_said_with_its_line() -> None:
    found = read("a.jsonl", '{"prompt": "whole \\ud83d\\ude00"}\n\n{"prompt": "cut \\uD83D"}\n"\\ude00 \\ud83d"\n')
    assert found.prompts == ("whole 😀", "cut \ufffd", "\ufffd \ufffd")
    assert found.sentence == "3 prompts; 1 blank line skipped (line 2); half a letter in 2 prompts replaced by � (lines 3, 4)"  # fmt: skip # noqa: E501
    assert read("a.json", '["a", "\\udc00"]').sentence == "2 prompts; half a letter in 1 prompt replaced by � (entry 2)"
    many = read("a.jsonl", '"\\ud83d"\n' * 7).sentence
    assert many.endswith("half a letter in 7 prompts replaced by � (lines 1, 2, 3, 4, 5 and 2 more)")


def test_half_a_letter_where_it_is_not_sent_is_nothing_to_say() -> None:
    found = read("a.jsonl", '{"id": "\\ud83d", "prompt": "a sign that was there: \ufffd"}')
    assert found.sentence == "1 prompt; column “prompt”"


def test_a_field_with_half_a_letter_in_its_name_can_be_chosen() -> None:
    content = b'{"\\ud83d a": "x", "b": {"\\uD83D": "y"}}'
    assert columns("a.jsonl", content) == ("\ufffd a", "b.\ufffd")
    assert read_file("a.jsonl", content, column="\ufffd a").prompts == ("x",)
    assert read_file("a.jsonl", content, column="b.\ufffd").prompts == ("y",)


# --- several lists in one object ----------------------------------------------------------------------------------

SPLITS = {"train": [{"text": "a", "label": "x"}], "test": [{"text": "bb"}], "notes": ["c", "d"], "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("column", "wanted"),
    [("train.text", ("a",)), ("test.text", ("bb",)), ("label", ("x",)), ("train.label", ("x",)), ("notes", ("c", "d"))],
)
def test_each_list_in_an_object_is_offered_by_a_name_that_reads_it(column: str, wanted: tuple[str, ...]) -> None:
    content = json.dumps(SPLITS)
    offered = columns("a.json", content.encode())
    assert offered == ("train.text", "train.label", "test.text", "notes")
    found = read("a.json", content, column=column)
    assert found.prompts == wanted
    assert found.sentence.endswith(f"column “{column}”")
    assert guess_column("a.json", content.encode()) == "train.text"


def test_a_name_that_leads_to_two_lists_or_none_is_refused_with_the_names_that_lead_to_one() -> None:
    for column in (None, "text", "nothing", "train", "sizes", "notes.text"):
        said = refusal("a.json", json.dumps(SPLITS), column=column)
        assert (
            "name one in it: “train.text”, “train.label”, “test.text”, “notes”" in said
            or "has no field “prompt”" in said
        )
    assert columns("a.json", b'{"prompts": ["a"], "n": 1}') == ()
    assert read("a.json", '{"data": [{"text": "a"}]}', column="data.text").prompts == ("a",)
    assert read("a.json", '{"data": [{"prompt": "a"}], "b": ["c"]}', column="data").prompts == ("a",)
    assert read("a.json", '{"text": ["a"], "rows": [{"text": "b"}]}', column="text").prompts == ("a",)
    assert read("a.json", '{"text": ["a"], "rows": [{"text": "b"}]}', column="rows.text").prompts == ("b",)


def test_a_list_further_down_in_an_object_is_asked_for_by_its_path() -> None:
    content = json.dumps({"version": {"n": 1}, "data": {"items": [{"q": {"text": "a"}}, {"q": {"text": "b"}}]}})
    assert columns("a.json", content.encode()) == ("data.items.q.text",)
    assert guess_column("a.json", content.encode()) == "data.items.q.text"
    assert refusal("a.json", content).endswith("; name one in it: “data.items.q.text”")
    for column in ("data.items.q.text", "q.text"):
        assert read("a.json", content, column=column).prompts == ("a", "b")
    assert read("a.json", '{"config": {"stop": ["x"]}, "prompts": ["a"]}', column="prompts").prompts == ("a",)
    assert refusal("a.json", '{"config": {"stop": ["x"]}}').endswith("; name one in it: “config.stop”")


def test_a_name_without_an_ending_is_said_to_have_none() -> None:
    assert refusal("prompts", "a\n").startswith("“prompts” has no ending: expected one of .txt,")
