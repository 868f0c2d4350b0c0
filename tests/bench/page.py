"""What a live page costs: the server's CPU a refresh, the browser's main thread, ten viewers, the first answer.

`python -m tests.bench.page [CALLS ...]`. Real Chromium against the real dashboard, over an engine whose calls a timer
answers (tests/bench/page_app.py), so that nothing but the page is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
MEASURED_S = 12.0
VIEWERS = 10


@contextlib.contextmanager
def dashboard(calls: int, seconds: float) -> Iterator[tuple[str, int]]:
    """The URL and the process id of a dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "FANOUT_BENCH_CALLS": str(calls), "FANOUT_BENCH_SECONDS": str(seconds)}
    command = [sys.executable, "-m", "streamlit", "run", "tests/bench/page_app.py", "--server.port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--server.headless", "true"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(OSError):
                if ask(f"{url}/health"):
                    break
            assert process.poll() is None
            time.sleep(0.05)
        print(f"answers {time.perf_counter() - began:.1f} s after the command", flush=True)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def ask(url: str, *, method: str = "GET") -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share_of_a_core(pid: int) -> float:
    before, began = cpu_s(pid), time.perf_counter()
    time.sleep(MEASURED_S)
    return (cpu_s(pid) - before) / (time.perf_counter() - began)


def busy_s(session: CDPSession) -> float:
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in found if metric["name"] == "TaskDuration"))


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.goto(url)
    page.locator(".st-key-strip_state").wait_for()
    page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    return page


def costs(browser: Browser, calls: int) -> None:
    with dashboard(calls, seconds=150.0) as (url, pid):
        warm = opened(browser, f"{url}/?run={ask(f'{url}/bench/start', method='POST')['run_id']}")
        warm.context.close()
        address = f"{url}/?run={ask(f'{url}/bench/start', method='POST')['run_id']}"
        idle = share_of_a_core(pid)
        page = opened(browser, address)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})  # its CPU, whatever else the machine does
        ask(f"{url}/bench")
        before = busy_s(session)
        one = share_of_a_core(pid)
        refreshes = ask(f"{url}/bench")["refresh_ms"]
        main_thread_ms = 1000 * (busy_s(session) - before) / len(refreshes)
        print(f"| {calls:,} | {statistics.median(refreshes):.1f} | {main_thread_ms:.0f} | {one - idle:.1%} |", end="")
        others = [opened(browser, address) for _ in range(VIEWERS - 1)]
        ask(f"{url}/bench")
        ten = share_of_a_core(pid)
        print(f" {ten - idle:.1%} ({len(ask(f'{url}/bench')['refresh_ms']) / MEASURED_S:.1f}/s) |", flush=True)
        for each in [page, *others]:
            each.context.close()


def first_answer(browser: Browser) -> None:
    """From the instant the first call ended to the strip that says so, as the browser sees it."""
    found = []
    with dashboard(40, seconds=8.0) as (url, _):
        for _ in range(5):
            run_id = ask(f"{url}/bench/start?hold=1", method="POST")["run_id"]
            page = opened(browser, f"{url}/?run={run_id}")
            page.evaluate(WATCH)
            ask(f"{url}/bench/go", method="POST")
            seen_s = page.evaluate("() => window.seen")
            found.append(1000 * (seen_s - ask(f"{url}/bench?run={run_id}")["first_answer_s"]))
            page.context.close()
    print(f"first answer on the page after its arrival, ms: {', '.join(f'{each:.0f}' for each in sorted(found))}")


WATCH = """() => {
    window.seen = new Promise(done => {
        const look = () => /[1-9]\\d* of 40/.test(document.querySelector('.st-key-strip_state')?.innerText ?? '')
            ? done((performance.timeOrigin + performance.now()) / 1000) : requestAnimationFrame(look);
        look();
    });
}"""


def main() -> None:
    chromium = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        first_answer(browser)
        print("| calls | server CPU a refresh ms | browser main thread a refresh ms | one viewer | ten viewers |")
        print("|---|---|---|---|---|", flush=True)
        for calls in map(int, sys.argv[1:] or ("1000", "10000")):
            costs(browser, calls)
        browser.close()


if __name__ == "__main__":
    main()
