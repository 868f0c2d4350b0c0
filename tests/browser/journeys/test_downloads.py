"""What is saved: a table that no spreadsheet runs, JSON lines and a run without loss, a timeline, a report."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from fanout.archive import export_run, import_run, renamed
from fanout.fold import fold
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import COLUMN, Screen
from tests.trace_rules import check_trace

Browse = Callable[..., Screen]
PROMPTS = (
    '=HYPERLINK("http://203.0.113.9","x")',
    "+1",
    "-1",
    "@SUM(A1)",
    'said "so", twice',
    "שלום 你好",
    "fail-500 x",
)
_PROMPTS_BEGIN = f"""(prompts) => {{
  const shown = ({COLUMN})('prompt') ?? []
  return prompts.every((prompt, place) => shown[place] === prompt)
}}"""


def test_every_download_holds_the_run(
    browse: Browse, profiles: Callable[..., BrowserContext], shots: Path, tmp_path: Path
) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.more()
    screen.number("Retries", 1)
    screen.type_prompts(*PROMPTS)
    screen.run()
    screen.counts("1 failed, 6 of 7 answered")
    screen.as_given()
    screen.page.wait_for_function(_PROMPTS_BEGIN, arg=list(PROMPTS))

    rows = list(csv.DictReader(io.StringIO(screen.download("csv").decode("utf-8-sig"), newline="")))
    assert [row["prompt"].removeprefix("'") for row in rows] == list(PROMPTS)
    assert [row["prompt"][0] for row in rows[:4]] == ["'"] * 4
    assert [row["output"][:1] for row in rows[:4]] == ["'"] * 4
    lines = [json.loads(line) for line in screen.download("jsonl").decode().splitlines()]
    assert [(line["prompt"], line["status"]) for line in lines] == [
        *((prompt, "answered") for prompt in PROMPTS[:6]),
        (PROMPTS[6], "failed"),
    ]
    assert [line["output"] for line in lines[:6]] == list(PROMPTS[:6])
    assert "flooded" in lines[6]["error"]["provider_words"]
    assert check_trace(screen.download("trace").decode()) == []

    events = import_run(screen.download("run"))
    assert [(call.prompt, call.status, call.output) for call in fold(events).calls] == [
        (line["prompt"], line["status"], line["output"]) for line in lines
    ]
    assert import_run(export_run(renamed(events, "another"))) == renamed(events, "another")

    saved = tmp_path / "report.html"
    saved.write_bytes(screen.download("report"))
    page = profiles("file://", offline=True).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(saved.as_uri())
    expect(page.locator("#gantt .main-svg").first).to_be_visible()
    assert page.locator("#gantt .point, #gantt .bars path").count() >= len(PROMPTS)
    expect(page.locator("p.sentence")).to_contain_text("1 failed")
    expect(page.locator("#failures")).to_contain_text("flooded")
    expect(page.locator("#p6")).to_contain_text("שלום 你好")
    assert asked == [saved.as_uri()]
    page.screenshot(path=shots / "saved-report.png")


def test_results_are_saved_in_the_order_of_the_table(browse: Browse, provider: Provider) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.type_prompts("hold order", "order two")
    screen.run()
    screen.counts("1 of 2 answered, 1 in flight")
    provider.release("order")
    screen.counts("2 of 2 answered")
    for word, indexes in (("As they were given", [0, 1]), ("As they arrived", [1, 0])):
        screen.choose("Order", word)
        expect(screen.table.get_by_test_id("glide-cell-8-0")).to_have_text(str(indexes[0] + 1))
        assert [json.loads(line)["index"] for line in screen.download("jsonl").splitlines()] == indexes
