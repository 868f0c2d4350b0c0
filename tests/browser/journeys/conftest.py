"""What the journeys share: one dashboard, one browser, a sandbox and a provider of our own to ask for the truth.

Every journey has a fresh profile. At its end nothing may have gone wrong in it: no error in the console or on the page,
no request to anybody but the dashboard's own server.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, WebSocket, expect, sync_playwright

from fanout.sandbox.process import SandboxProcess
from fanout.sandbox.profile import SandboxProfile
from tests.browser.chromium import FLAGS, chromium_path
from tests.browser.journeys.provider import Provider
from tests.browser.journeys.screen import WAIT_MS, WIDE, Screen
from tests.browser.journeys.team import NewSomebody, directory, served_to_a_team, somebodies
from tests.browser.serving import KEY, Served, before_end, served
from tests.keys import in_frame

SHOTS = Path(__file__).resolve().parents[1] / "shots"
DEEP_LINK = re.compile(r"/(runs|sandbox|quota|compare|audit)/_stcore/(health|host-config)$")
"""Streamlit's own page looks for its server below the address first, is told 404, and finds it above."""

LEFT = "Cannot send rerun backMessage when disconnected from server"
"""What Streamlit says where the timer of a page that is being left runs out in that moment."""

UNANSWERED = re.compile(
    "ERR_CONNECTION_|WebSocket connection to|disconnected from server|not responding|No response received"
)
"""What Streamlit's own page and the browser say of a server that was killed."""

Browse = Callable[..., Screen]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of these is a journey."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all journeys."""
    path = chromium_path()
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The sandbox that the dashboard sends to, asked what really arrived."""

    url: str

    def counts(self, profile: SandboxProfile) -> dict[str, int]:
        """What happened to the requests of this profile."""
        with urllib.request.urlopen(f"{self.url}/{profile.encoded()}/stats", timeout=20) as found:
            return {name: int(count) for name, count in json.load(found).items()}


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that serves all journeys; a profile with a seed of its own has counts of its own."""
    with SandboxProcess(environ={}) as process:
        yield Sandbox(url=process.url)


@pytest.fixture(scope="package")
def provider() -> Iterator[Provider]:
    """An OpenAI-compatible server that does what the prompt says, right or wrong."""
    with Provider() as found:
        yield found


@pytest.fixture(scope="package")
def dashboard(sandbox: Sandbox, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The dashboard, started as the README says, with a compatible provider and a key in its environment."""
    with served(
        tmp_path_factory.mktemp("dashboard"),
        FANOUT_SANDBOX_URL=sandbox.url,
        OPENAI_BASE_URL=provider.base_url,
        OPENAI_API_KEY=KEY,
        FANOUT_LIMITS='{"sandbox": {"max_weight": 3}}',
    ) as found:
        yield found


@pytest.fixture(scope="package")
def provider_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where people log in."""
    with directory(tmp_path_factory.mktemp("directory")) as found:
        yield found


@pytest.fixture(scope="package")
def team(provider_url: str, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The dashboard that a team logs in to; members have one model on offer."""
    with served_to_a_team(
        tmp_path_factory.mktemp("team"),
        provider_url,
        FANOUT_MODELS="openai-chat:echo",
        OPENAI_BASE_URL=provider.base_url,
        OPENAI_API_KEY=KEY,
    ) as found:
        yield found


@pytest.fixture
def somebody(browser: Browser, shots: Path, provider_url: str) -> Iterator[NewSomebody]:
    """Makes people with browsers of their own."""
    with somebodies(browser, shots, provider_url) as make:
        yield make


class Watched:
    """What went wrong in a browser's profile, and whom it asked."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.wrong: list[str] = []
        self.server_may_be_lost = False
        """Whether the browser's own complaints that nobody answers are none."""
        self._ours = (f"{url}/", "data:", "blob:")
        self._socket = f"{url.replace('http', 'ws')}/"
        context.on("console", self._console)
        context.on("weberror", lambda error: self.wrong.append(f"page error: {error.error.stack or error.error}"))
        context.on("request", lambda request: self._asked(request.url))
        context.on("page", lambda page: page.on("websocket", self._opened))

    def _console(self, message: ConsoleMessage) -> None:
        if self.server_may_be_lost and UNANSWERED.search(message.text):
            return
        if message.type == "error" and not DEEP_LINK.search(str(message.location.get("url", ""))):
            self.wrong.append(f"console: {message.text} ({message.location.get('url')})")
            if LEFT in message.text and message.page is not None:
                self._until_left(message.page, self.wrong[-1])

    def _until_left(self, page: Page, said: str) -> None:
        """It was no fault if the page was being left: its address is another, or drawn anew, a moment later."""

        def left(frame: Frame) -> None:
            if frame.parent_frame is None and said in self.wrong:
                self.wrong.remove(said)

        page.on("framenavigated", left)

    def _asked(self, url: str) -> None:
        if not url.startswith(self._ours):
            self.wrong.append(f"request to elsewhere: {url}")

    def _opened(self, socket: WebSocket) -> None:
        if not socket.url.startswith(self._socket):
            self.wrong.append(f"socket to elsewhere: {socket.url}")
        socket.on("framereceived", self._received)

    def _received(self, frame: bytes | str) -> None:
        """All that a page ever shows came through here."""
        if in_frame(frame):
            self.wrong.append("a key reached the page")


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where the pictures of the journeys are kept."""
    SHOTS.mkdir(exist_ok=True)
    return SHOTS


@pytest.fixture
def profiles(browser: Browser, shots: Path) -> Iterator[Callable[..., BrowserContext]]:
    """Makes new browser profiles, each watched until the journey ends."""
    opened: list[tuple[BrowserContext, Watched]] = []

    def make(url: str, *, server_may_be_lost: bool = False, **options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": WIDE, "color_scheme": "light", **options})
        context.set_default_timeout(WAIT_MS)
        watched = Watched(context, url)
        watched.server_may_be_lost = server_may_be_lost
        opened.append((context, watched))
        ends.enter_context(before_end(url, context.close))
        return context

    with ExitStack() as ends:
        yield make
    for context, _ in opened:
        context.close()
    assert [wrong for _, watched in opened for wrong in watched.wrong] == []


@pytest.fixture(scope="package")
def known_profile(browser: Browser, dashboard: Served) -> Iterator[tuple[BrowserContext, Watched]]:
    """A profile that has been here before: its cache makes most journeys a second shorter."""
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    context.set_default_timeout(WAIT_MS)
    yield context, Watched(context, dashboard.url)
    context.close()


@pytest.fixture
def browse(
    dashboard: Served,
    profiles: Callable[..., BrowserContext],
    known_profile: tuple[BrowserContext, Watched],
    shots: Path,
) -> Iterator[Browse]:
    """Opens the dashboard: `browse("/runs")`; with options of a profile in a new one: `browse(color_scheme="dark")`."""
    context, watched = known_profile

    def open_it(path: str = "/", **options: Any) -> Screen:
        page = profiles(dashboard.url, **options).new_page() if options else context.new_page()
        return Screen(page, dashboard.url, shots).open(path)

    yield open_it
    for page in context.pages:
        page.close()
    wrong, watched.wrong = watched.wrong, []
    assert wrong == []


@pytest.fixture
def new_tab(dashboard: Served, shots: Path) -> Callable[[Screen, str], Screen]:
    """Opens another tab in the profile of one that is open."""

    def open_it(beside: Screen, path: str) -> Screen:
        page: Page = beside.page.context.new_page()
        return Screen(page, dashboard.url, shots).open(path)

    return open_it


_seeds = iter(range(1_000 + os.getpid() % 1_000 * 1_000, 10**9))


@pytest.fixture
def profile() -> Callable[..., SandboxProfile]:
    """A fast sandbox profile that no other journey uses; what is given makes it slower or worse."""

    def make(**changed: Any) -> SandboxProfile:
        quick = {"first_token_ms": 30.0, "first_token_sigma": 0.0, "token_ms": 1.0, "token_sigma": 0.0}
        return SandboxProfile(**{"seed": next(_seeds), **quick, **changed})

    return make
