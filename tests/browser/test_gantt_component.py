"""The live Gantt in a real browser: what must survive an update, and the traps that once lost it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.charting import WIDE, Chart, Demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
HOSTILE = "<img src=http://203.0.113.9/x onerror=document.title='owned'> <b>bold</b> [a](http://203.0.113.9)"


def test_a_zoom_is_kept_while_the_run_goes_on(chart: Chart) -> None:
    chart.js("(window.plotBefore = c.plot.querySelector('.svg-container'))")
    chart.drag(0.2, 0.5)
    zoomed = chart.range()
    for at_s in (2.5, 3.0, 4.0):
        chart.show(at_s=at_s)
        assert chart.range() == zoomed
    assert chart.js("window.plotBefore === c.plot.querySelector('.svg-container')")


def test_the_config_is_the_same_object_at_every_update(chart: Chart) -> None:
    chart.js("(window.configBefore = c.config, window.rootBefore = c.root)")
    chart.show(at_s=3.0)
    assert chart.js("window.configBefore === c.config && window.rootBefore === c.root")


def test_the_modebar_s_mode_is_kept(chart: Chart) -> None:
    chart.page.locator(".modebar-btn[data-title='Pan']").click()
    chart.until("c.plot._fullLayout.dragmode === 'pan'")
    chart.show(at_s=3.0)
    assert chart.js("c.plot._fullLayout.dragmode") == "pan"


def test_a_double_click_goes_back_to_the_whole_run_and_sends_no_click(chart: Chart) -> None:
    chart.drag(0.2, 0.5)
    chart.show(at_s=None)
    box = chart.js("c.plot.getBoundingClientRect().toJSON()")
    chart.page.mouse.dblclick(box["x"] + box["width"] * 0.6, box["y"] + 100)
    chart.until("c.memory.x === null && c.plot._fullLayout.xaxis.range[1] > c.model.header.last_s")
    chart.until("c.clickTimer === 0")
    assert chart.page.get_by_text("clicked []").is_visible()


def test_an_update_waits_while_the_pointer_is_down(chart: Chart) -> None:
    version = chart.js("c.model.header.version")
    spot = chart.mark(10)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.page.mouse.down()
    chart.ask(at_s=3.0)
    chart.until("c.waiting")
    chart.page.mouse.move(spot["x"] + 120, spot["y"], steps=3)
    assert chart.js("c.model.header.version") == version
    chart.page.mouse.up()
    chart.until("!c.waiting && c.model.header.version > arg", version)
    assert chart.js("c.memory.x !== null")


def test_hovering_names_the_call_under_the_pointer(chart: Chart) -> None:
    chart.show(at_s=None, rows=False)
    for call in (0, 7, 23, 39):
        spot = chart.mark(call)
        chart.page.mouse.move(spot["x"], spot["y"])
        chart.until("!c.tip.hidden && c.tip.querySelector('strong').textContent.startsWith(arg)", f"#{call + 1} ")
    text = chart.page.locator(".fo-tip").inner_text()
    for word in ("answered", "review 39", "first token after", "generating", "tokens", "worker"):
        assert word in text


def test_a_failed_attempt_says_why_and_a_retried_one_which_it_was(chart: Chart) -> None:
    chart.show(at_s=None, rows=True)
    spot = chart.mark(6)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.until("c.tip.textContent.includes('answered 500')")
    spot = chart.mark(4, attempt=2)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.until("c.tip.textContent.includes('attempt') && c.tip.textContent.includes('2')")


def test_what_is_hovered_is_found_anew_when_the_bars_move(chart: Chart) -> None:
    chart.show(at_s=2.0, rows=False)
    spot = chart.mark(12)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.until("c.hit?.mark !== undefined")
    chart.show(at_s=None, rows=False)
    chart.until("c.hit?.mark !== undefined")
    under = chart.js(
        "(() => { const p = c.pointer; const i = c.hit.mark; const v = c.view, m = c.model.col;"
        "const t = v.x.from + (p.x - v.x.at) / v.x.length * (v.x.to - v.x.from);"
        "return t >= m.start[i] - 0.05 && t <= m.start[i] + m.end[i] + 0.05 })()"
    )
    assert under


def test_a_click_hands_the_call_to_python(chart: Chart) -> None:
    chart.show(at_s=None, rows=False)
    for call, told in ((23, "clicked [23]"), (6, "clicked [23, 6]")):
        spot = chart.mark(call)
        chart.page.mouse.click(spot["x"], spot["y"])
        chart.page.get_by_text(told).wait_for()
    assert chart.js("c.memory.selected") == 6


def test_a_click_on_a_row_is_a_click_on_its_prompt(chart: Chart) -> None:
    chart.show(at_s=1.0, rows=True, options={"run_id": "rows"})
    box = chart.js(
        "(() => { const b = c.plot.getBoundingClientRect(); const v = c.view;"
        "return {x: b.left + v.x.at - 30, y: b.top + v.y.at + v.y.length * 39.5 / 40} })()"
    )
    chart.page.mouse.click(box["x"], box["y"])
    chart.page.get_by_text("clicked [39]").wait_for()


def test_the_legend_names_what_is_present_with_counts_and_hides_it(chart: Chart) -> None:
    chart.show(at_s=None, rows=False)
    legend = chart.page.locator(".fo-legend button")
    assert legend.all_inner_texts() == ["answered\n39", "before the first token", "retried\n1", "failed\n1"]
    ink = (
        "c.still.getContext('2d').getImageData(0, 0, c.still.width, c.still.height)"
        ".data.reduce((n, v) => n + (v > 0), 0)"
    )
    before = chart.js(ink)
    legend.filter(has_text="answered").click()
    assert legend.first.get_attribute("aria-pressed") == "false"
    assert chart.js(ink) < before / 2
    chart.show(at_s=None, rows=True)
    assert legend.first.get_attribute("aria-pressed") == "false"


def test_nothing_is_uploaded_and_plotly_s_own_picture_button_is_gone(chart: Chart) -> None:
    titles = chart.js("[...c.plot.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert titles == ["Zoom", "Pan", "Autoscale", "Save as PNG"]
    names = ["showSendToCloud", "showTips", "plotlyServerURL"]
    assert chart.js("arg.map((name) => c.plot._context[name])", names) == [False, False, ""]


def test_the_keyboard_walks_the_bars_and_opens_one(chart: Chart) -> None:
    chart.show(at_s=None, rows=False)
    root = chart.page.locator(".fo-gantt")
    root.focus()
    says = chart.page.locator(".fo-says")
    for key, call in (("ArrowRight", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("End", None), ("Home", 0)):
        chart.page.keyboard.press(key)
        if call is not None:
            assert chart.js("c.cursor.call") == call
    assert says.inner_text().startswith("Call #1 answered. ")
    chart.page.keyboard.press("ArrowRight")
    second = chart.js("c.cursor.call")
    chart.page.keyboard.press("Enter")
    chart.page.get_by_text(f"clicked [{second}]").wait_for()
    assert chart.js("document.activeElement === c.root")
    chart.page.keyboard.press("Escape")
    assert chart.js("c.cursor === null && c.memory.selected === null && c.tip.hidden")


def test_a_screen_reader_is_not_told_the_label_each_second(chart: Chart) -> None:
    root = chart.page.locator(".fo-gantt")
    assert root.get_attribute("role") == "group"
    before = root.get_attribute("aria-label")
    chart.show(at_s=3.0)
    assert root.get_attribute("aria-label") == before
    chart.show(at_s=None)
    assert root.get_attribute("aria-label") == (
        "Timeline of 40 calls: 39 answered, 1 failed. Arrow keys walk the bars, Enter opens a call."
    )


def test_the_saved_picture_holds_the_bars_and_the_labels(chart: Chart) -> None:
    chart.show(at_s=None, rows=True)
    with chart.page.expect_download() as saving:
        chart.page.locator(".modebar-btn[data-title='Save as PNG']").click()
    assert saving.value.suggested_filename == f"fanout-{chart.run_id}.png"
    raw = Path(saving.value.path()).read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    shares = chart.js(
        "createImageBitmap(new Blob([new Uint8Array(arg)])).then((image) => {"
        " const canvas = new OffscreenCanvas(image.width, image.height); const ctx = canvas.getContext('2d');"
        " ctx.drawImage(image, 0, 0); const v = c.view; const wide = image.width / v.width;"
        " const inked = (x, y, w, h) => { const d = ctx.getImageData(x * wide, y * wide, w * wide, h * wide).data;"
        "  let n = 0; for (let k = 0; k < d.length; k += 4) if (d[k] < 200) n++; return n / (d.length / 4) };"
        " return {scale: wide, bars: inked(v.x.at, v.y.at + 28, v.x.length, v.y.length),"
        "  labels: inked(0, v.y.at + 28, v.x.at - 4, v.y.length)} })",
        list(raw),
    )
    assert shares["scale"] == 2
    assert shares["bars"] > 0.1
    assert shares["labels"] > 0.01


def test_bars_lie_above_the_grid_and_below_the_zoom_box(chart: Chart) -> None:
    order = chart.js(
        "[...c.plot.querySelector('.svg-container').children].map((e) => e.className.baseVal ?? e.className)"
    )
    kinds = [name for name in order if name.startswith(("main-svg", "fo-"))]
    assert kinds[:4] == ["main-svg", "fo-still", "fo-moving", "main-svg"]


def test_the_canvas_lies_exactly_on_plotly_s_axes(chart: Chart) -> None:
    """Guards the private `_fullLayout`: a bar's ink begins where Plotly's own scale puts its start."""
    chart.show(at_s=None, rows=False, options={"streamed": False})
    left = chart.js(
        "(() => { const i = c.model.marks.index[1];"
        " const x = c.plot._fullLayout.xaxis.d2p(c.model.col.start[i]) + c.view.x.at;"
        " const y = c.geometry(i).y; const s = c.view.dpr; const a = (at) => c.still.getContext('2d')"
        ".getImageData(Math.round(at * s), Math.round(y * s), 1, 1).data; return [[...a(x + 2)], [...a(x - 1.2)]] })()"
    )
    assert left[0] == [47, 111, 178, 255]
    assert left[1] != left[0]


def test_a_narrow_window_keeps_the_height_and_says_numbers(chart: Chart) -> None:
    chart.show(at_s=None, rows=True)
    height = chart.js("c.plot.offsetHeight")
    chart.page.set_viewport_size({"width": 390, "height": 800})
    chart.until("c.view.width < 400 && c.look.narrow")
    assert chart.js("c.plot.offsetHeight") == height
    assert chart.js("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    chart.page.set_viewport_size(WIDE)
    chart.until("c.view.width > 1000 && !c.look.narrow")


def test_it_follows_the_theme(chart: Chart) -> None:
    chart.drag(0.2, 0.5)
    zoomed = chart.range()
    assert chart.js("c.root.dataset.theme") == "light"
    chart.page.emulate_media(color_scheme="dark")
    chart.until("c.root.dataset.theme === 'dark'")
    assert chart.range() == zoomed
    chart.page.emulate_media(color_scheme="light")
    chart.until("c.root.dataset.theme === 'light'")


def test_what_did_not_change_is_not_drawn_again(chart: Chart) -> None:
    chart.show(at_s=None)
    drawn = chart.js("c.costs.updates")
    polls = chart.page.get_by_test_id("stText").filter(has_text="polled").inner_text()
    chart.page.wait_for_function(
        "(polls) => ![...document.querySelectorAll('[data-testid=stText]')].some((e) => e.innerText === polls)",
        arg=polls,
    )
    assert chart.js("c.costs.updates") == drawn


def test_now_moves_on_between_two_updates(chart: Chart) -> None:
    chart.show(at_s=1.0, options={"run_id": "clock"})
    before = chart.js("[c.now(), c.costs.updates]")
    chart.until("c.now() > arg + 0.3", before[0])
    assert chart.js("c.clock.now") <= before[0]


WORDS_ABOVE = """(() => {
  const found = []
  for (const canvas of [c.still, c.moving]) {
    const ctx = canvas.getContext('2d')
    ctx.fillText = (words, x, y) => {
      const half = ctx.measureText(words).width / 2
      if (y < c.view.y.at && ctx.textAlign === 'center') found.push([words.split(' ')[0], x - half, x + half])
      CanvasRenderingContext2D.prototype.fillText.call(ctx, words, x, y)
    }
  }
  c.paint()
  for (const canvas of [c.still, c.moving]) delete canvas.getContext('2d').fillText
  return found.sort((one, other) => one[1] - other[1])
})()"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_words_over_the_plot_never_lie_on_one_another(chart: Chart, width: int) -> None:
    chart.page.set_viewport_size({"width": width, "height": 1000})
    shown = set()
    for place, at_s in enumerate((1.05, 1.2, 1.6, 2.2)):  # a pause that grows, and then ends
        chart.show(at_s=at_s, options={"run_id": f"words{width}{place}", "pauses": [(1.0, 2.0)]})
        words = chart.js(WORDS_ABOVE)
        assert all(left[2] < right[1] for left, right in pairwise(words)), words
        assert "now" in [word for word, _, _ in words]
        shown |= {word for word, _, _ in words}
    assert shown == {"now", "paused"}


def test_leaving_takes_everything_along_and_coming_back_restores_the_zoom(chart: Chart) -> None:
    chart.show(at_s=None)
    chart.drag(0.2, 0.5)
    zoomed = chart.range()
    chart.js("(window.left = c)")
    chart.ask(mounted=False)
    chart.page.get_by_text("left", exact=True).wait_for()
    chart.page.wait_for_function("window.left.closed && !document.querySelector('.fo-gantt')")
    chart.show(at_s=None)
    assert chart.js("window.left !== c")
    assert chart.range() == pytest.approx(zoomed)


def test_hostile_prompts_are_shown_as_text(chart: Chart) -> None:
    options = {"prompts": [HOSTILE] * 2 + ["ok"] * 2, "failing": [1], "retrying": [], "run_id": "hostile"}
    chart.show(at_s=None, rows=True, options=options)
    spot = chart.mark(0)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.until("c.tip.textContent.includes('<img src=')")
    assert chart.page.locator(".fo-gantt img, .fo-gantt b, .fo-gantt a[href^='http']").count() == 0
    assert chart.page.title() != "owned"


def test_ten_thousand_bars_are_found_and_zoomed(chart: Chart) -> None:
    options = {"n": 10_000, "max_workers": 64, "latency_s": 0.5, "failing": 0.03, "run_id": "tenthousand"}
    chart.show(at_s=60.0, options=options)
    assert chart.js("c.model.header.rows") is False
    chart.drag(0.4, 0.45)
    zoomed = chart.range()
    call = chart.js(
        "(() => { const v = c.view; const m = c.model.col; const t = (v.x.from + v.x.to) / 2;"
        "const here = (i) => m.row[i] === 30 && m.start[i] <= t && m.start[i] + m.end[i] >= t;"
        "for (let i = 0; i < c.model.size; i++) if (here(i)) return m.call[i] })()"
    )
    spot = chart.mark(call)
    chart.page.mouse.move(min(max(spot["x"], 200), 1100), spot["y"])
    chart.until("c.hit?.mark !== undefined && c.model.col.row[c.hit.mark] === 30")
    chart.show(at_s=62.0, options=options)
    assert chart.range() == zoomed


def test_a_baseline_is_drawn_above_on_the_same_axis(chart: Chart) -> None:
    chart.show(at_s=None, rows=False, baseline=True)
    assert chart.js("c.model.sections.map((s) => s.kind)") == ["baseline", "lanes"]
    assert chart.js("c.plot._fullLayout.xaxis.range[1] > c.model.header.beside_s")
    spot = chart.mark(0)
    chart.page.mouse.move(spot["x"], spot["y"])
    chart.until("c.tip.textContent.includes('one at a time')")


def test_before_the_first_call_it_says_so(chart: Chart) -> None:
    chart.show(at_s=-1, options={"n": 41, "run_id": "opening"})
    assert "Nothing has been sent yet" in chart.page.locator(".fo-note").inner_text()
    assert chart.page.locator(".fo-legend button").count() == 0


def test_it_reacts_to_touch_by_scrolling_not_by_zooming(browser: Browser, demo: Demo) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    shown = Chart(page, demo, "touch")
    shown.ask(at_s=None)
    page.goto(demo.url)
    shown.show(at_s=None)
    assert shown.js("c.plot._fullLayout.dragmode") is False
    spot = shown.mark(12)
    page.touchscreen.tap(spot["x"], spot["y"])
    page.get_by_text("clicked [12]").wait_for()
    phone.close()
