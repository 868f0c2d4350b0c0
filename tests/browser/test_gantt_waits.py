"""What held the queue, in a real browser: the strip under the bars, the waits' colours and their names."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import units
from tests.browser.charting import Chart

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
HOLDS = [[0.0, "workers"], [0.5, "requests"], [3.0, None]]
SHORT: dict[str, Any] = {"n": 12, "max_workers": 2, "retrying": [], "failing": [], "holds": HOLDS}


def strip_at(chart: Chart, t: float) -> tuple[float, float]:
    """A place on the strip, at an instant of the run: in pixels of the plot."""
    x, y = chart.js(
        "[c.view.x.at + (arg - c.view.x.from) / (c.view.x.to - c.view.x.from) * c.view.x.length,"
        " c.view.y.at + c.view.y.length + 15]",
        t,
    )
    return x, y


def looks_of_strip(chart: Chart, t: float, layer: str = "still") -> set[str]:
    """The looks whose colours are found on a few pixels of the strip around an instant."""
    x, y = strip_at(chart, t)
    return set(
        chart.js(
            "(() => { const s = c.view.dpr; const ctx = document.createElement('canvas').getContext('2d');"
            f"const d = c.{layer}.getContext('2d').getImageData((arg.x - 6) * s, arg.y * s, 12 * s, 1).data;"
            "const hex = (k) => '#' + [d[k], d[k + 1], d[k + 2]].map((v) => v.toString(16).padStart(2, '0')).join('');"
            "const found = new Set(); for (let k = 0; k < d.length; k += 4) if (d[k + 3]) for (const look of"
            " ['waiting', 'quota']) if (c.view.colours[look] === hex(k)) found.add(look); return [...found] })()",
            {"x": x, "y": y},
        )
    )


def hover_strip(chart: Chart, t: float) -> str:
    x, y = strip_at(chart, t)
    box = chart.js("c.plot.getBoundingClientRect().toJSON()")
    chart.page.mouse.move(box["x"] + x, box["y"] + y - 5)
    tip = chart.page.locator(".fo-tip")
    tip.wait_for()
    return tip.inner_text()


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "lanes"])
def test_the_strip_shows_what_held_the_next_call_in_every_view(chart: Chart, rows: bool) -> None:
    chart.show(options=SHORT, rows=rows)
    assert looks_of_strip(chart, 0.3 if rows else 0.45) == {"waiting"}  # beside the name that stands there
    assert looks_of_strip(chart, 2.5) == {"quota"}
    assert looks_of_strip(chart, 3.5) == set()
    said = hover_strip(chart, 2.5)
    assert "waiting for the request quota" in said
    assert "2.5 s" in said
    assert "waiting for quota" in chart.page.locator(".fo-legend").inner_text()


def test_what_the_legend_hides_is_gone_from_waits_and_strip(chart: Chart) -> None:
    chart.show(options=SHORT, rows=True)
    entry = chart.page.locator(".fo-legend button", has_text="waiting for quota")
    entry.click()
    assert looks_of_strip(chart, 2.5) == set()
    assert looks_of_strip(chart, 0.3) == {"waiting"}
    entry.click()
    assert looks_of_strip(chart, 2.5) == {"quota"}


def test_a_live_strip_ends_now(chart: Chart) -> None:
    chart.show(options=SHORT, rows=False, at_s=2.0)
    assert looks_of_strip(chart, 1.5, layer="moving") == {"quota"}
    assert looks_of_strip(chart, chart.js("c.until") * 0.99, layer="moving") == set()


BAND = """(() => {
  const ctx = document.createElement('canvas').getContext('2d')
  const at = (t) => (c.view.x.at + (t - c.view.x.from) / (c.view.x.to - c.view.x.from) * c.view.x.length) * c.view.dpr
  c.paint()
  const now = c.now()
  c.paintMoving()
  return [0.5, 1.5, 4, now - 0.1, now + 0.1, c.until - 0.1].map((t) => {
    const place = [Math.round(at(t)), Math.round((c.view.y.at + c.view.y.length - 2) * c.view.dpr)]
    return ['still', 'moving'].some((layer) => c[layer].getContext('2d').getImageData(...place, 1, 1).data[3] > 0)
  })
})()"""


def test_a_pause_that_goes_on_is_grey_up_to_now_and_no_further(chart: Chart) -> None:
    options = {"n": 60, "max_workers": 2, "retrying": [], "failing": [], "pauses": [[1.0, 9.0]]}
    chart.show(options=options, rows=False, at_s=6.0)
    assert chart.js(BAND) == [False, True, True, True, False, False]


def test_a_run_that_nothing_held_has_no_strip(chart: Chart) -> None:
    chart.show(options={**SHORT, "holds": []}, rows=False)
    without = chart.js("c.view.height")
    assert chart.page.locator(".fo-legend button", has_text="waiting").count() == 0
    chart.show(options=SHORT, rows=False)
    assert chart.js("c.view.height") > without


def test_every_wait_of_a_tall_row_is_named_where_it_is_drawn(chart: Chart) -> None:
    """The words are read off what the canvas was asked to write."""
    chart.show(options=SHORT, rows=True)
    written = chart.js(
        "(() => { const said = []; const ctx = c.still.getContext('2d'); const write = ctx.fillText;"
        "ctx.fillText = (words, ...at) => (said.push(words), write.call(ctx, words, ...at));"
        "c.paint(); delete ctx.fillText; return said })()"
    )
    waits = chart.js("c.model.waits.index.length")
    assert 0 < written.count("request quota") <= waits + 1
    assert "held by" in written


def test_ten_thousand_waits_with_a_flickering_reason_cost_no_more_than_their_rows(chart: Chart) -> None:
    flicker = [[step / 50, "requests" if step % 2 else "workers"] for step in range(1_900)]
    options = {"n": 1_000, "max_workers": 4, "retrying": [], "failing": [], "holds": flicker}
    chart.show(options=options, rows=True, at_s=20.0)
    pieces = chart.js(
        "(() => { const ctx = c.moving.getContext('2d'); let cut = 0; const draw = ctx.drawImage;"
        "ctx.drawImage = (...args) => (cut++, draw.apply(ctx, args)); c.paintMoving();"
        "delete ctx.drawImage; return cut })()"
    )
    assert 0 < pieces <= 1_000 + chart.js("Math.ceil(c.view.x.length)")


DURATIONS = (
    0.0,
    4e-8,
    0.0004567,
    0.12,
    0.8404,
    0.9994,
    0.9996,
    1.0,
    2.5,
    6.1234,
    59.4,
    59.6,
    64.0,
    154.0,
    600.0,
    3_599.0,
)
LONG = (3_600.0, 3_840.0, 86_390.0, 86_400.0, 90_000.0, 1e8)


def test_a_duration_reads_in_the_chart_as_it_does_on_the_page(chart: Chart) -> None:
    chart.show(options=SHORT, rows=False)
    written = chart.page.evaluate(
        "async (all) => { const { name } = performance.getEntriesByType('resource').find((e) => /format/.test(e.name));"
        "const { duration } = await import(name); return [...all.map(duration), duration(NaN)] }",
        [*DURATIONS, *LONG],
    )
    assert written == [*map(units.duration, (*DURATIONS, *LONG)), units.UNKNOWN]
