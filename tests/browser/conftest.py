"""What the tests of the chart alone share: a server that shows it, one page for each file, nothing gone wrong on it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.charting import FORTY, WIDE, Chart, Demo, Visit
from tests.browser.chromium import FLAGS, chromium_path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "server.port": port,
        "server.address": "127.0.0.1",
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "runner.postScriptGC": "false",
        "runner.fastReruns": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("demo_app.py"))]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (tmp_path_factory.mktemp("demo") / "log").open("w+") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[2])
        try:
            found = Demo(port)
            deadline = time.monotonic() + 60
            while not found.up():
                assert server.poll() is None, "the demo server ended"
                assert time.monotonic() < deadline, "the demo server did not come up"
                time.sleep(0.05)  # there is no event to wait for in another process that is not up yet
            yield found
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visit(browser: Browser, demo: Demo) -> Iterator[Visit]:
    context = browser.new_context(viewport=WIDE, color_scheme="light", accept_downloads=True)
    found = Visit(context.new_page(), demo)
    demo.show(at_s=2.0, options=FORTY)
    found.page.goto(demo.url)
    yield found
    context.close()


@pytest.fixture
def chart(visit: Visit, demo: Demo, request: pytest.FixtureRequest) -> Iterator[Chart]:
    """The chart of a live run, two seconds old; afterwards: no error, no refused script, no request to elsewhere."""
    visit.page.mouse.move(2, 2)
    shown = Chart(visit.page, demo, request.node.name)
    shown.show(at_s=2.0)
    yield shown
    assert visit.wrong == []
