"""A report opened from the disk, with no network: nothing is asked of anybody, and nothing goes wrong.

The watch of the profile fails each journey on any error in the console, a refused request included.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from dashboard.report import report_html
from fanout.run import Run
from tests.browser.journeys.screen import NARROW, WIDE
from tests.runs import make_run
from tests.test_report import hostile

Profiles = Callable[..., BrowserContext]


def _opened(profiles: Profiles, folder: Path, run: Run, **options: Any) -> tuple[Page, list[str]]:
    """The report in a new profile without network, drawn; and every address that was asked for."""
    file = folder / "report.html"
    file.write_text(report_html(run), encoding="utf-8")
    page = profiles("file://", offline=True, **options).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator("#gantt .main-svg").first).to_be_visible()
    return page, asked


def _held() -> Run:
    """Some of whose calls waited for a quota."""
    return make_run(n=24, max_workers=4, failing=[5], retrying=[3], holds=[(0.0, "workers"), (1.0, "requests")])


def _overflow_px(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_hostile_run_is_reported_as_text_with_no_request(
    profiles: Profiles, shots: Path, tmp_path: Path, size: Any, scheme: str
) -> None:
    page, asked = _opened(profiles, tmp_path, hostile(), viewport=size, color_scheme=scheme)
    assert asked == [page.url]
    assert page.locator("img, iframe, link, [href]:not([href^='#'])").count() == 0
    expect(page.locator("#p1 .text").first).to_contain_text("<img src=http://203.0.113.9/x onerror=alert(1)>")
    assert _overflow_px(page) == 0
    background = page.locator("#gantt .main-svg").first.evaluate("(svg) => svg.style.background")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")
    page.screenshot(path=shots / f"report-{size['width']}-{scheme}.png", full_page=True)


def test_the_chart_follows_the_readers_theme_and_is_light_on_paper(profiles: Profiles, tmp_path: Path) -> None:
    page, _ = _opened(profiles, tmp_path, make_run(n=12, failing=[3]), color_scheme="dark")
    svg = page.locator("#gantt .main-svg").first
    expect(svg).to_have_css("background-color", "rgb(20, 24, 29)")
    page.evaluate(
        "window.printed = null; addEventListener('beforeprint', () => { printed = "
        "document.querySelector('#gantt .main-svg').style.background })"
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("printed") == "rgb(255, 255, 255)"
    expect(svg).to_have_css("background-color", "rgb(20, 24, 29)")
    page.emulate_media(color_scheme="light")
    expect(svg).to_have_css("background-color", "rgb(255, 255, 255)")


def test_without_scripts_a_sentence_stands_in_place_of_the_chart_and_no_gap(profiles: Profiles, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_html(make_run(n=3)), encoding="utf-8")
    page = profiles("file://", offline=True, java_script_enabled=False).new_page()
    page.goto(file.as_uri())
    expect(page.get_by_text("The chart needs JavaScript; everything below does not.")).to_be_visible()
    height = page.locator("#timeline").bounding_box()
    assert height is not None
    assert height["height"] < 120


def test_the_lower_chart_has_its_caption_and_the_legend_names_each_look_once(
    profiles: Profiles, tmp_path: Path
) -> None:
    page, _ = _opened(profiles, tmp_path, make_run(n=24, max_workers=4, at_s=4.0), viewport=WIDE)
    expect(page.locator("#gantt").get_by_text("in flight, and max_workers (dashed)")).to_be_visible()
    expect(page.locator(".legend").get_by_role("button", name="before the first token")).to_have_count(1)


def test_a_strip_says_what_held_the_next_call(profiles: Profiles, shots: Path, tmp_path: Path) -> None:
    page, _ = _opened(profiles, tmp_path, _held(), viewport=WIDE)
    chart = page.locator("#gantt")
    expect(chart.get_by_text("held by")).to_be_visible()
    expect(chart.get_by_text("request quota")).to_be_visible()
    page.screenshot(path=shots / "report-strip.png")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_lies_over_the_legend_and_a_press_on_it_hides_what_it_names(
    profiles: Profiles, tmp_path: Path, size: Any
) -> None:
    page, _ = _opened(profiles, tmp_path, _held(), viewport=size)
    page.locator("#gantt").hover()
    expect(page.locator("#gantt .modebar")).to_have_count(0)
    entry = page.get_by_role("button", name="waiting for quota")
    expect(entry).to_have_attribute("aria-pressed", "true")
    strip = page.locator("#gantt").get_by_text("request quota")
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    expect(entry).to_be_focused()
    expect(strip).to_have_count(0)
    boxes = [box for box in (each.bounding_box() for each in page.locator("#timeline > *").all()) if box is not None]
    heading, tools, legend, chart = boxes
    assert heading["y"] + heading["height"] <= legend["y"]
    assert tools["y"] + tools["height"] <= legend["y"]
    assert legend["y"] + legend["height"] <= chart["y"]
    assert _overflow_px(page) == 0


def test_a_part_can_be_looked_at_all_of_it_again_and_kept_as_a_picture(profiles: Profiles, tmp_path: Path) -> None:
    page, asked = _opened(profiles, tmp_path, _held(), viewport=WIDE)
    again = page.get_by_role("button", name="Show all")
    expect(again).not_to_be_visible()
    plot = page.locator("#gantt .nsewdrag").first.bounding_box()
    assert plot is not None
    page.mouse.move(plot["x"] + 100, plot["y"] + 30)
    page.mouse.down()
    page.mouse.move(plot["x"] + 400, plot["y"] + 120, steps=4)
    page.mouse.up()
    expect(again).to_be_visible()
    page.emulate_media(color_scheme="dark")
    expect(page.locator("#gantt .main-svg").first).to_have_css("background-color", "rgb(20, 24, 29)")
    expect(again).to_be_visible()  # the theme changed, not what is looked at
    again.click()
    expect(again).not_to_be_visible()
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as PNG").click()
    assert saving.value.suggested_filename == f"fanout-{_held().run_id}.png"
    assert Path(saving.value.path()).read_bytes().startswith(b"\x89PNG")
    assert all(address == page.url or address.startswith(("blob:", "data:")) for address in asked)


def test_on_a_phone_a_finger_on_the_chart_scrolls_the_page(profiles: Profiles, tmp_path: Path) -> None:
    page, _ = _opened(profiles, tmp_path, _held(), viewport=NARROW)
    assert page.evaluate("document.getElementById('gantt').layout.dragmode") is False


def test_ten_thousand_answers_are_there_and_a_failure_leads_to_its_own(profiles: Profiles, tmp_path: Path) -> None:
    page, asked = _opened(profiles, tmp_path, make_run(n=10_000, max_workers=64, failing=[7_777]))
    assert asked == [page.url]
    expect(page.locator("#answers > details")).to_have_count(100)
    row = page.locator("#p7778")
    expect(row).not_to_be_visible()
    page.get_by_role("link", name="7778", exact=True).click()
    expect(row).to_be_visible()
    expect(row).to_contain_text("The provider answered 500")


def test_without_scripts_everything_but_the_chart_is_there(profiles: Profiles, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_html(make_run(n=3)), encoding="utf-8")
    page = profiles("file://", offline=True, java_script_enabled=False).new_page()
    page.goto(file.as_uri())
    expect(page.get_by_text("The chart needs JavaScript")).to_be_visible()
    expect(page.get_by_text("negative 2", exact=True)).to_be_visible()
