"""The dashboard as a person sees it: where things are, in the words that stand on the page.

Comes in: a Playwright page. Goes out: what one can do and read there. Nothing here sleeps: each step waits for what the
page shows, and a timeout only ever means failure. It knows the page's words and keys and nothing of the code behind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import FilePayload, Locator, Page, ViewportSize, expect

from fanout.sandbox.profile import SandboxProfile

WIDE: ViewportSize = {"width": 1440, "height": 1000}
NARROW: ViewportSize = {"width": 390, "height": 844}
WAIT_MS = 20_000
"""Only ever means failure."""
PRESS_AGAIN_MS = 2_000
"""After so long a person presses once more what did not answer."""

PROFILE_LABELS: Mapping[str, str] = {
    "seed": "Seed",
    "first_token_ms": "Median time to the first token, ms",
    "first_token_sigma": "Its spread, sigma of a lognormal",
    "token_ms": "Median time of each further token, ms",
    "token_sigma": "Its spread, sigma",
    "requests_per_minute": "Requests a minute",
    "burst": "Requests at once after a quiet while (burst)",
    "error_rate": "Answered with a server error, %",
    "hang_rate": "Never answered, %",
    "truncation_rate": "Ended half-way, %",
}


PROFILE_TICKS: Mapping[str, str] = {"headers": "Headers off"}
"""Fields of the sandbox that are ticked where they are not as by default."""


class Screen:
    """One tab."""

    def __init__(self, page: Page, url: str, shots: Path) -> None:
        self.page = page
        self.url = url
        self._shots = shots

    # Moving about

    def open(self, path: str = "/") -> Screen:
        """Type an address."""
        self.page.goto(self.url + path)
        return self

    def go_to(self, name: Literal["Run", "Sandbox", "Runs", "Compare", "Quota", "Audit"]) -> None:
        """Press a page's name in the navigation."""
        size = self.page.viewport_size
        if size is not None and size["width"] < 768:
            self.page.get_by_test_id("stExpandSidebarButton").click()
        self.page.get_by_role("link", name=name, exact=True).click()

    @property
    def search_field(self) -> Locator:
        """Where runs are searched for. Other pages have fields of that name too."""
        return self.key("history_words").get_by_label("Search")

    def key(self, name: str) -> Locator:
        """The element with this key."""
        return self.page.locator(f".st-key-{name}")

    def quiet(self) -> Screen:
        """Wait until the page has been drawn whole and asks nothing of the server."""
        state = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
        self.page.locator(state).wait_for()
        return self

    def at_rest(self) -> Screen:
        """Wait until it has been, and nothing fades or moves any more."""
        self.quiet().page.evaluate(_AT_REST)
        return self

    # The form

    @property
    def run_button(self) -> Locator:
        return self.key("run_button").get_by_role("button")

    @property
    def alert(self) -> Locator:
        """What went wrong, as the page says it."""
        return self.page.get_by_role("alert")

    @property
    def prompts(self) -> Locator:
        return self.page.get_by_label("Prompts as text")

    def says(self, words: str | re.Pattern[str]) -> None:
        """Wait until the page says this somewhere."""
        expect(self.page.get_by_text(words).first).to_be_visible()

    def type_prompts(self, *prompts: str, between: str = "\n") -> None:
        """Replace the text by these prompts and leave the field; not while the tab hands back what was there before."""
        self._form_stands()
        self.prompts.fill(between.join(prompts))
        self.prompts.blur()

    def _form_stands(self) -> None:
        """Wait until the tab has handed back what was there before, if anything was."""
        self.page.wait_for_function(_FORM_STANDS)

    def choose(self, group: str, word: str) -> None:
        """Press one of several words that stand beside one another; again where the page moved under the press."""
        choice = self.page.get_by_role("radiogroup", name=group).get_by_role("radio", name=word, exact=True)
        choice.click()
        with suppress(AssertionError):
            expect(choice).to_have_attribute("aria-checked", "true", timeout=PRESS_AGAIN_MS)
            return
        choice.click()
        expect(choice).to_have_attribute("aria-checked", "true")

    def choose_model(self, name: str) -> None:
        """Type a model's name as one does; again where the box took Enter for the name it had before."""
        self.quiet()
        self._type_model(name)
        field = self.key("model").get_by_role("combobox").first  # for a moment there are two, the old one and the new
        with suppress(AssertionError):
            expect(field).to_have_value(name, timeout=PRESS_AGAIN_MS)
            self.quiet()
            return
        self._type_model(name)
        expect(field).to_have_value(name)
        self.quiet()

    def _type_model(self, name: str) -> None:
        field = self.key("model").get_by_role("combobox")
        field.click()
        field.press("Control+a")
        self.page.keyboard.type(name)  # Streamlit's box cuts a text that is put in at once and ends like the old one
        expect(self.page.get_by_role("option", name=name)).to_have_count(1)
        field.press("Enter")

    def pick(self, key: str, option: str) -> None:
        """Choose from a list that opens. It closes when the page moves, so the page is let come to rest first."""
        field = self.key(key).get_by_role("combobox")
        self.quiet()
        self.page.evaluate(_AT_REST)
        field.scroll_into_view_if_needed()
        self.page.evaluate(_AT_REST)
        field.click()
        self.page.get_by_role("option", name=option).click()

    def more(self) -> None:
        """Open what most people leave alone."""
        self.key("more").locator("summary").click()
        self.page.evaluate(_AT_REST)  # while it opens, what is in it moves away under a click

    def number(self, label: str, value: object) -> None:
        """Type a number into its field and leave it."""
        field = self.page.get_by_label(label, exact=True)
        field.fill(str(value))
        field.blur()

    def slide(self, key: str, value: int) -> None:
        """Move a slider by its keys."""
        thumb = self.key(key).get_by_role("slider")
        now = int(thumb.get_attribute("aria-valuenow") or thumb.input_value())
        thumb.focus()
        for _ in range(abs(value - now)):
            thumb.press("ArrowRight" if value > now else "ArrowLeft")

    def drop(self, name: str, content: bytes) -> None:
        """Give a file to the form; one that is there already makes way."""
        remove = self.key("prompts_file").get_by_role("button", name=re.compile("Remove"))
        if remove.count():
            remove.first.click()
            expect(remove).to_have_count(0)
            expect(self.key("prompts_preview")).to_have_count(0)
            expect(self.alert).to_have_count(0)
            self.quiet()
        file = FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
        self.key("prompts_file").locator("input[type=file]").set_input_files(file)
        expect(remove).to_have_count(1)

    def set_sandbox(self, profile: SandboxProfile) -> None:
        """Have the sandbox behave like this for this tab's runs, by its page; ends at the form."""
        self._form_stands()
        self.go_to("Sandbox")
        standard = SandboxProfile().as_json()
        for name, value in profile.as_json().items():
            if value != standard[name] and name in PROFILE_TICKS:
                self.page.get_by_text(PROFILE_TICKS[name], exact=True).click()
            elif value != standard[name]:
                shown = value * 100 if name.endswith("_rate") else value
                self.number(PROFILE_LABELS[name], f"{shown:g}" if isinstance(shown, float) else shown)
        self.page.get_by_role("button", name="Apply").click()
        self.says("Applied: the next run you start")
        self.go_to("Run")
        expect(self.run_button).to_be_visible()

    def run(self) -> str:
        """Press Run; gives the run's id once the page shows it."""
        self.run_button.click()
        return self.shown_run()

    def press_run_by_keys(self) -> None:
        """Ctrl+Enter in the text of the prompts."""
        self.prompts.press("Control+Enter")

    # A run

    def shown_run(self) -> str:
        """The id of the run that the page shows."""
        self.page.wait_for_url(re.compile(r"\?run=[0-9a-f]+"))
        self.key("strip").wait_for()
        return self.page.url.split("run=")[1]

    @property
    def strip(self) -> Locator:
        return self.key("strip_state")

    @property
    def sentence(self) -> Locator:
        return self.page.locator("p.sentence").first

    def state(self, word: str | re.Pattern[str]) -> None:
        """Wait for the run's state."""
        expect(self.strip.locator("b")).to_have_text(word)

    def counts(self, words: str | re.Pattern[str]) -> None:
        """Wait for the counts in the strip."""
        expect(self.strip.locator("span").first).to_have_text(words)

    def answered(self) -> int:
        """How many are answered, as the strip says it now."""
        found = re.search(r"([\d,]+) of [\d,]+ answered", self.strip.inner_text())
        assert found is not None, self.strip.inner_text()
        return int(found[1].replace(",", ""))

    def edit_again(self) -> None:
        """From the page of a run to the form, filled; ends when it stands there and nothing of the run does."""
        self.press("Edit and run again")
        expect(self.strip).to_have_count(0)
        expect(self.run_button).to_be_visible()

    def press(self, label: str | re.Pattern[str]) -> None:
        self.page.get_by_role("button", name=label, exact=isinstance(label, str)).click()

    def figure(self, term: str) -> str:
        """A number of the run, as it stands there."""
        return self._figure(term).inner_text()

    def figure_is(self, term: str, value: str) -> None:
        """Wait for a number of the run: it is drawn a moment after the strip."""
        expect(self._figure(term)).to_have_text(value)

    def _figure(self, term: str) -> Locator:
        return self.page.locator(f"dl.figures div:has(> dt:text-is({term!r})) dd").first

    # The table of answers

    @property
    def table(self) -> Locator:
        return self.key("results").get_by_test_id("stDataFrame")

    def column(self, name: str) -> list[str]:
        """The cells of a column, from the top, as a screen reader gets them, once each row has its own."""
        return [str(cell) for cell in self.page.wait_for_function(COLUMN, arg=name).json_value()]

    def column_is(self, name: str, cells: Sequence[str]) -> None:
        """Wait until a column has these cells, in any order: the table is drawn a moment after the strip."""
        self.page.wait_for_function(_COLUMN_IS, arg=[name, sorted(cells)])

    def as_given(self) -> None:
        """Have the rows stand as their prompts were given; ends when they do."""
        self.choose("Order", "As they were given")
        self.page.wait_for_function(_AS_GIVEN)

    def rows(self, count: int) -> None:
        """Wait until the table has so many rows."""
        expect(self.key("results").locator("table[role=grid]")).to_have_attribute("aria-rowcount", str(count + 1))

    def press_row(self, place: int) -> None:
        """Press a row of the answers (0 is the first), on its status."""
        self.press_cell(self.table, place, x=30)

    def press_cell(self, table: Locator, row: int, *, x: int = 200, double: bool = False) -> None:
        """Press in a table, which is a canvas: by its place (row 0 is the first below the heads)."""
        table.scroll_into_view_if_needed()
        box = table.bounding_box()
        assert box is not None
        at_x, at_y = box["x"] + x, box["y"] + 35 * (row + 1) + 17
        self.page.mouse.move(at_x + 2, at_y + 2)  # as a hand does: the table looks under a pointer that moves
        self.page.mouse.move(at_x, at_y)
        self.page.mouse.click(at_x, at_y, click_count=2 if double else 1)

    # The detail

    @property
    def detail(self) -> Locator:
        return self.key("detail")

    def open_detail(self, number: int) -> Locator:
        """Wait for the detail of this prompt (the first is 1)."""
        expect(self.detail.get_by_role("heading")).to_have_text(re.compile(rf"^Prompt {number}: "))
        return self.detail

    # The chart

    @property
    def chart(self) -> Chart:
        return Chart(self.page)

    # Files and pictures

    def download(self, key: str) -> bytes:
        """Press a download; gives what was saved."""
        with self.page.expect_download() as saving:
            self.key(f"download_{key}").get_by_role("button").click()
        assert saving.value.suggested_filename.startswith("fanout-")
        return Path(saving.value.path()).read_bytes()

    def shoot(self, name: str, *, tall: int | None = None, schemes: Sequence[str] = ("light", "dark")) -> None:
        """Keep a picture of the page once it is painted, wide and narrow, light and dark.

        In CI none is kept: the page, which is wide and light already, is painted once narrow in the other scheme.
        """
        in_ci = bool(os.environ.get("CI"))
        wide, narrow = (1440, tall or 1000), (390, (tall or 844) + (400 if tall else 0))
        for width, height in (narrow,) if in_ci else (wide, narrow):
            self.page.set_viewport_size({"width": width, "height": height})
            for scheme in schemes[-1:] if in_ci else schemes:
                self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                self._painted(scheme)
                if not in_ci:
                    self.page.screenshot(path=self._shots / f"{name}-{width}-{scheme}.png")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(WIDE)
        self._painted("light")

    def _painted(self, scheme: str) -> None:
        self.page.wait_for_function(_PAINTED, arg=scheme)

    def overflow_px(self) -> int:
        """By how much the page is wider than its window."""
        return int(self.page.evaluate(_OVERFLOW))


class Chart:
    """The live Gantt of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".fo-gantt")

    def js(self, expression: str, arg: Any = None) -> Any:
        """Read something of the drawn chart `c`."""
        self.drawn()
        return self.page.evaluate(
            f"(arg) => {{ const c = document.querySelector('.fo-gantt').chart; return {expression} }}", arg
        )

    def until(self, expression: str, arg: Any = None) -> None:
        self.page.wait_for_function(
            f"(arg) => {{ const c = document.querySelector('.fo-gantt')?.chart; return c?.view && ({expression}) }}",
            arg=arg,
        )

    def drawn(self) -> None:
        """Wait until it stands there."""
        self.until("!c.waiting")

    def bar(self, call: int) -> Mapping[str, float]:
        """Where the middle of a call's last bar lies on the page."""
        self.root.scroll_into_view_if_needed()
        return dict(
            self.js(
                "(() => { const at = c.geometry([...c.model.col.call].lastIndexOf(arg));"
                "const box = c.plot.getBoundingClientRect(); return {x: box.left + at.x, y: box.top + at.y} })()",
                call,
            )
        )

    def limits(self) -> list[int]:
        """The values of the max_workers line, from left to right."""
        return [int(value) for value in self.js("[...c.model.col.limit]")]


COLUMN = """(name) => {
  const grid = document.querySelector('.st-key-results table[role=grid]')
  if (!grid) return []
  const heads = [...grid.querySelectorAll('thead th')].map((head) => head.textContent)
  const place = heads.findIndex((head) => head === name || head.startsWith(name + ' ('))
  const cells = [...grid.querySelectorAll('tbody tr')].map((row) => row.children[place]?.textContent)
  return cells.includes(undefined) ? null : cells
}"""
_COLUMN_IS = f"([name, cells]) => JSON.stringify(({COLUMN})(name)?.sort()) === JSON.stringify(cells)"
_AS_GIVEN = f"() => ({COLUMN})('#')?.every((number, place) => Number(number) === place + 1)"
_AT_REST = """async () => {
  const moves = (each) => each.playState === 'running' && each.effect.getComputedTiming().endTime < Infinity
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  do await painted()
  while (document.getAnimations().some(moves))  // one that ended and keeps its last picture stays listed
}"""
_FORM_STANDS = "() => window.fanoutKept?.slots['fanout-form']?.session && !document.querySelector('.stMain').inert"
_PAINTED = """(scheme) => new Promise((done) => {
  const app = document.querySelector('.stApp')
  const chart = document.querySelector('.fo-gantt')
  const settled = () => getComputedStyle(app).colorScheme === scheme &&
    (!chart || !chart.offsetParent || (chart.chart?.view && !chart.chart.waiting && chart.dataset.theme === scheme &&
      chart.chart.view.width === Math.max(280, chart.clientWidth)))
  requestAnimationFrame(() => requestAnimationFrame(() => done(settled())))
})"""
_OVERFLOW = """() => Math.max(0, ...[document.documentElement, ...document.querySelectorAll('.stApp, .stMain')]
  .map((each) => each.scrollWidth - each.clientWidth))"""
