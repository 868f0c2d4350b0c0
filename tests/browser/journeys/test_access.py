"""axe finds nothing serious on any page, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import Screen

Browse = Callable[..., Screen]

_AXE = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] })
  return found.violations.filter((each) => ['serious', 'critical'].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.target.join(' ')}: ${node.failureSummary}`))
}"""


@cache
def _script() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def serious(screen: Screen) -> list[str]:
    """What axe calls serious or critical on the page as it stands."""
    page: Any = screen.at_rest().page
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_script()} }}")
    return list(page.evaluate(_AXE))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browse: Browse, provider: Provider, scheme: str) -> None:
    screen = browse(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    expect(screen.run_button).to_be_visible()
    screen.choose_model("openai-chat:faults")
    screen.more()
    screen.number("Retries", 0)
    found["compose"] = serious(screen)
    name = f"axe-{scheme}"
    screen.type_prompts("axe hello", "fail-500 axe", "once-500 " + name, f"hold {name} one")
    screen.run()
    screen.counts("2 failed, 1 of 4 answered, 1 in flight")
    screen.chart.drawn()
    found["running"] = serious(screen)
    provider.release(name)
    screen.counts("2 failed, 2 of 4 answered")
    screen.rows(4)
    found["ended"] = serious(screen)
    screen.press_row(0)
    expect(screen.detail).to_be_visible()
    found["detail"] = serious(screen)
    screen.go_to("Sandbox")
    screen.says("Median time to the first token, ms")
    found["sandbox"] = serious(screen)
    screen.go_to("Runs")
    screen.page.locator("table.history tbody input").first.check()
    expect(screen.key("history_delete")).to_be_visible()
    found["runs"] = serious(screen)
    assert found == {page: [] for page in found}
