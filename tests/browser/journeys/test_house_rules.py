"""The server itself: this machine only, the headers on every answer, no key and no traceback shown."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.journeys.screen import Screen
from tests.browser.serving import KEY, Served

LOOPBACK = "0100007F"
LISTENS = "0A"


@pytest.mark.parametrize("path", ["/", "/health", "/_stcore/health", "/runs"])
def test_the_headers_are_on_every_answer(dashboard: Served, path: str) -> None:
    with urllib.request.urlopen(dashboard.url + path, timeout=20) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "img-src 'self' data: blob:" in policy
    assert "connect-src 'self'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"


def test_the_server_listens_on_this_machine_only(dashboard: Served) -> None:
    port = f"{urlsplit(dashboard.url).port:04X}"
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == LISTENS and line.split()[1].endswith(f":{port}")
    ]
    assert listening == [f"{LOOPBACK}:{port}"]


def test_the_page_never_shows_a_key(browse: Callable[..., Screen]) -> None:
    screen = browse()
    screen.choose_model("openai-chat:faults")
    screen.more()
    screen.number("Retries", 0)
    screen.type_prompts("words your key is {key} indeed", "key hello")
    screen.run()
    screen.counts("1 failed, 1 of 2 answered")
    screen.rows(2)
    screen.as_given()
    screen.press_row(0)
    detail = screen.open_detail(1)
    expect(detail.locator("code").nth(1)).to_have_text(re.compile(r"your key is \[key\] indeed"))
    for kind in ("csv", "jsonl", "run", "trace", "report"):
        assert KEY.encode() not in screen.download(kind)
