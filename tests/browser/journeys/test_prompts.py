"""The list of prompts: pasted in three ways, edited in a table, dropped as a file, refused with a sentence."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def _xlsx() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


def test_pasted_text_is_parted_by_lines_blank_lines_or_dashes(browse: Browse) -> None:
    screen = browse()
    screen.type_prompts("Reply: one", "", "Reply: two", "Reply: two", "---", "Reply: three")
    screen.says("5 prompts, 1 of them a duplicate; 1 blank line skipped (line 2)")
    screen.says(re.compile(r"^5 calls, 5 quota slots, all at once[.,]"))
    screen.choose("Parted by", "Blank line between")
    screen.says(re.compile(r"^2 calls, 2 quota slots, all at once[.,]"))
    screen.choose("Parted by", "--- between")
    screen.says("2 prompts")
    screen.choose("Prompts", "Table")
    cells = screen.page.get_by_test_id("stDataFrame").get_by_test_id("glide-cell-1-0")
    expect(cells).to_have_text("Reply: one\n\nReply: two\nReply: two", use_inner_text=False)


def test_a_list_with_nothing_in_it_is_refused_in_a_sentence_and_nothing_is_sent(browse: Browse) -> None:
    screen = browse()
    screen.prompts.fill("   \n ")
    screen.run_button.click()
    expect(screen.alert.first).to_contain_text("expected at least one prompt")
    expect(screen.alert.last).to_contain_text("There are no prompts: give at least one")
    assert "run=" not in screen.page.url


def test_what_is_being_typed_stays_while_a_run_ends_and_the_list_of_runs_moves(
    browse: Browse, provider: Provider
) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("hold typing one")
    run = screen.run()
    screen.counts("0 of 1 answered, 1 in flight")
    screen.go_to("Run")
    link = screen.page.locator(f'[data-testid="stPageLink-NavLink"][href*="{run}"]')
    expect(link).to_contain_text("Running")
    screen.prompts.press("ControlOrMeta+End")
    screen.page.keyboard.type(" and more")
    provider.release("typing")
    expect(link).to_contain_text("Done")
    screen.page.keyboard.type(" typed")
    expect(screen.prompts).to_have_value("hold typing one and more typed")


def test_prompts_can_be_changed_and_added_in_a_table(browse: Browse) -> None:
    screen = browse()
    screen.type_prompts("Reply: one", "Reply: two", "Reply: three")
    screen.says("3 calls")
    screen.choose("Prompts", "Table")
    editor = screen.page.get_by_test_id("stDataFrame")
    expect(editor.get_by_test_id("glide-cell-1-2")).to_have_text("Reply: three")
    screen.press_cell(editor, 1, double=True)
    field = screen.page.get_by_test_id("portal").get_by_role("textbox")
    field.fill("Reply: changed")
    field.press("Enter")
    expect(editor.get_by_test_id("glide-cell-1-1")).to_have_text("Reply: changed")
    screen.press_cell(editor, 3)
    expect(editor.get_by_test_id("glide-cell-1-3")).to_be_attached()
    screen.press_cell(editor, 3, double=True)
    field.fill("Reply: added")
    screen.choose("Prompts", "Text")  # the press ends the typing too
    expect(screen.prompts).to_have_value("Reply: one\nReply: changed\nReply: three\nReply: added")
    screen.says("4 calls, 4 quota slots")


def test_a_file_is_read_in_the_encoding_it_was_saved_in(browse: Browse) -> None:
    screen = browse()
    screen.choose("Prompts", "File")
    screen.drop("marked.txt", "\ufeffReply: naïve\nReply: 你好\n".encode())
    screen.says("2 prompts")
    screen.drop("wide.csv", "prompt,label\nReply: שלום,a\nReply: olá,b\n".encode("utf-16"))
    screen.says("2 prompts; column “prompt”; read as utf-16-le")
    screen.drop("objects.jsonl", b'{"prompt": "Reply: one"}\n"Reply: two"\n{"prompt": "Reply: \\u00e9"}\n')
    screen.says("3 prompts")
    screen.drop("excel.csv", 'id;Frage;Antwort\r\n1;"Wie heißt ""Öl""\nauf Französisch?";huile\r\n'.encode("cp1252"))
    screen.says("1 prompt; column “Frage”; read as windows-1252")
    picker = screen.key("prompts_column").get_by_role("combobox")
    picker.click()
    screen.page.get_by_role("option", name="Antwort").click()
    screen.says("1 prompt; column “Antwort”; read as windows-1252")
    screen.choose("Prompts", "Text")
    expect(screen.prompts).to_have_value("huile")


BAD_FILES = {
    "picture.txt": (PNG, "“picture.txt” is not text, this is a PNG picture: prompts are text"),
    "book.csv": (_xlsx(), "“book.csv” is not text, this is an Excel workbook: save it as CSV"),
    "nothing.txt": (b"", "“nothing.txt” is empty: expected at least one prompt"),
    "broken.jsonl": (b'{"prompt": "one"}\n{"prompt": \n', "line 2"),
    "header.csv": (b"prompt,label\n", "only its header row"),
}


def test_a_bad_file_gets_a_sentence_and_the_list_stays_as_it_was(browse: Browse) -> None:
    screen = browse()
    screen.type_prompts("Reply: kept one", "Reply: kept two")
    screen.says("2 calls")
    screen.choose("Prompts", "File")
    for name, (content, sentence) in BAD_FILES.items():
        screen.drop(name, content)
        expect(screen.alert).to_contain_text(sentence)
        screen.says("The list stays as it was: 2 prompts.")
        screen.says("2 calls, 2 quota slots")
    screen.shoot("bad-file")
    screen.choose("Prompts", "Text")
    expect(screen.prompts).to_have_value("Reply: kept one\nReply: kept two")


def test_a_cell_of_150000_characters_is_sent_whole(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.choose("Prompts", "File")
    long = "Long: " + "word " * 29_998 + "end"
    screen.drop("long.jsonl", json.dumps({"prompt": long}).encode())
    screen.says("1 call")
    screen.run()
    screen.counts("1 of 1 answered")
    row = json.loads(screen.download("jsonl"))
    assert row["prompt"] == row["output"] == long
