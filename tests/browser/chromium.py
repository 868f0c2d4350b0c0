"""The system's Chromium, and how it is started so that it asks nothing of anybody.

Comes in: the machine. Goes out: the browser's path, or a skip with a sentence (in CI a failure); its flags.
Playwright's own browser is never downloaded.
"""

from __future__ import annotations

import os
import shutil

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first one draws no window, and takes a quarter less of the machine."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-quic",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a leak must not leave even as a name's look-up
)


def chromium_path() -> str:
    """Where the browser is; without one the test is skipped, and in CI it fails."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    sentence = f"no browser here: install one of {', '.join(NAMES)} to run the browser journeys"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
