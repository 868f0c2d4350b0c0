"""The chart alone in a browser: the server that shows any run of `tests.runs`, and the chart driven from outside.

Comes in: what is to be shown. Goes out: where its marks lie, and what it says of itself.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from playwright.sync_api import Page, ViewportSize

FORTY: dict[str, Any] = {"n": 40, "max_workers": 8, "retrying": [4], "failing": [6]}
WIDE: ViewportSize = {"width": 1280, "height": 1000}


class Demo:
    """The demo server: what it shows is what was last asked for."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def show(self, **state: Any) -> dict[str, Any]:
        whole = {"rows": None, "baseline": False, "mounted": True, "at_s": None, **state}
        request = urllib.request.Request(f"{self.url}/control", json.dumps(whole).encode())
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    def up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Chart:
    """The chart on a page, driven and read from outside."""

    def __init__(self, page: Page, demo: Demo, run_id: str) -> None:
        self.page = page
        self.demo = demo
        self.run_id = run_id

    def ask(self, **state: Any) -> dict[str, Any]:
        """Have another picture sent: of this test's run, so that no zoom and no selection is left from another's."""
        options = {**FORTY, "run_id": self.run_id, **state.pop("options", {})}
        return self.demo.show(options=options, **state)

    def show(self, **state: Any) -> None:
        """Ask for another picture and wait until it is drawn."""
        told = self.ask(**state)
        self.page.wait_for_function(
            "({run_id, version}) => { const c = document.querySelector('.fo-gantt')?.chart;"
            "return c?.view && !c.waiting && c.model.header.run === run_id && c.model.header.version === version }",
            arg=told,
        )

    def js(self, expression: str, arg: Any = None) -> Any:
        return self.page.evaluate(
            f"(arg) => {{ const c = document.querySelector('.fo-gantt').chart; return {expression} }}", arg
        )

    def until(self, expression: str, arg: Any = None) -> None:
        self.page.wait_for_function(
            f"(arg) => {{ const c = document.querySelector('.fo-gantt')?.chart; return c && ({expression}) }}", arg=arg
        )

    def mark(self, call: int, attempt: int = 1) -> dict[str, float]:
        """Where the middle of a call's bar lies on the page."""
        return dict(
            self.js(
                "(() => { const i = [...c.model.col.call].findIndex((k, n) => k === arg.call"
                " && c.model.col.number[n] === arg.attempt); const at = c.geometry(i);"
                "const box = c.plot.getBoundingClientRect(); return {x: box.left + at.x, y: box.top + at.y} })()",
                {"call": call, "attempt": attempt},
            )
        )

    def range(self) -> list[float]:
        return list(self.js("c.plot._fullLayout.xaxis.range.slice()"))

    def drag(self, from_share: float, to_share: float) -> None:
        """A box zoom along the time axis."""
        box = self.js("({...c.plot.getBoundingClientRect().toJSON(), v: c.view})")
        left, wide = box["x"] + box["v"]["x"]["at"], box["v"]["x"]["length"]
        y = box["y"] + box["v"]["y"]["at"] + 40
        self.page.mouse.move(left + from_share * wide, y)
        self.page.mouse.down()
        self.page.mouse.move(left + (from_share + to_share) / 2 * wide, y, steps=4)
        self.page.mouse.move(left + to_share * wide, y, steps=4)
        self.page.mouse.up()
        self.until("c.memory.x !== null")


class Visit:
    """One page for all tests of this module, on which nothing may go wrong: loading it is what takes long."""

    def __init__(self, page: Page, demo: Demo) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: None if _ours(request.url, demo) else self.wrong.append(request.url))


def _ours(url: str, demo: Demo) -> bool:
    return url.startswith((demo.url, demo.url.replace("http", "ws"), "data:", "blob:"))
