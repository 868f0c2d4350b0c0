"""A team and the provider it logs in at: oidc-provider-mock on loopback, and a dashboard that asks for the login.

Comes in: who there is, and settings. Goes out: a dashboard that answers, and people with browsers of their own. The
provider is a process of its own, because it imports what its libraries call deprecated.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.journeys.screen import WAIT_MS, WIDE, Screen
from tests.browser.serving import UP_WITHIN_S, Served, served
from tests.keys import in_frame

COOKIE_SECRET = "a-cookie-secret-of-the-journeys-0123456789"
PEOPLE: tuple[dict[str, Any], ...] = (
    {"sub": "anna", "email": "Anna@Example.com", "email_verified": True, "name": "Anna Example"},
    {"sub": "ben", "email": "ben@example.com", "email_verified": True, "name": "Ben"},
    {"sub": "boss", "email": "boss@example.com", "email_verified": True, "name": "**Boss** <b>1</b> :material/key:"},
    {"sub": "vera", "email": "vera@audit.org", "email_verified": True, "name": "Vera"},
    {"sub": "eve", "email": "eve@evil.org", "email_verified": True, "name": "Eve"},
    {"sub": "mallory", "email": "boss@example.com", "email_verified": False, "name": "Boss"},
)
LISTS = {"FANOUT_ADMINS": "boss@example.com", "FANOUT_MEMBERS": "example.com", "FANOUT_VIEWERS": "audit.org"}


@contextmanager
def directory(folder: Path) -> Iterator[str]:
    """The provider; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    claims = [part for person in PEOPLE for part in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(port), *claims]
    with (folder / "provider.log").open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(f"http://127.0.0.1:{port}/.well-known/openid-configuration", child)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(UP_WITHIN_S)


def _await(url: str, child: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=UP_WITHIN_S).close()
        except OSError:
            assert child.poll() is None, "the provider ended by itself"
            assert time.monotonic() < ends_s, "the provider did not start"
            time.sleep(0.05)  # nothing tells when another process begins to listen
        else:
            return


@contextmanager
def served_to_a_team(
    folder: Path,
    provider_url: str,
    *,
    base: str = "",
    origin: str = "http://127.0.0.1:{port}",
    **environment: str,
) -> Iterator[Served]:
    """The dashboard as a team runs it; `base` is a path such as `/fan`, `origin` where people are to open it."""
    secrets = folder / ".streamlit" / "secrets.toml"  # the folder is the server's home, where Streamlit looks
    secrets.parent.mkdir()
    secrets.write_text(
        f'[auth]\nredirect_uri = "{origin}{base}/oauth2callback"\ncookie_secret = "{COOKIE_SECRET}"\n'
        f'client_id = "fanout"\nclient_secret = "hush"\n'
        f'server_metadata_url = "{provider_url}/.well-known/openid-configuration"\n'
    )
    path = {"STREAMLIT_SERVER_BASE_URL_PATH": base.strip("/")} if base else {}
    with served(folder, **LISTS, **path, **environment) as found:
        yield found
    assert COOKIE_SECRET not in found.said()


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person at a browser of their own."""

    context: BrowserContext
    team: Served
    base: str
    shots: Path

    def opens(self, path: str = "/") -> Screen:
        """A new tab at this address."""
        return Screen(self.context.new_page(), self.team.url + self.base, self.shots).open(path)

    def logs_in(self, name: str, screen: Screen, label: str = "Log in") -> Screen:
        """Press the button, and say at the provider who one is."""
        screen.press(label)
        screen.page.get_by_role("button", name=name, exact=True).click()
        screen.page.wait_for_url(f"{self.team.url}{self.base}/**")
        return screen

    def comes_in(self, name: str, path: str = "/") -> Screen:
        """Open an address, and log in."""
        return self.logs_in(name, self.opens(path))


NewSomebody = Callable[..., Somebody]


@contextmanager
def somebodies(browser: Browser, shots: Path, provider_url: str) -> Iterator[NewSomebody]:
    """Makes people; at the end nothing may have gone wrong in the dashboard's pages of any of them."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def make(team: Served, *, base: str = "", **options: Any) -> Somebody:
        context = browser.new_context(**{"viewport": WIDE, "color_scheme": "light", **options})
        context.set_default_timeout(WAIT_MS)
        context.on("weberror", lambda error: wrong.append(f"page error: {error.error.stack or error.error}"))
        context.on("request", lambda request: _asked(request.url, team.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: socket.on("framereceived", _received)))
        contexts.append(context)
        return Somebody(context=context, team=team, base=base, shots=shots)

    def _received(frame: bytes | str) -> None:
        if in_frame(frame) or (COOKIE_SECRET.encode() in (frame.encode() if isinstance(frame, str) else frame)):
            wrong.append("a secret reached the page")

    def _asked(url: str, ours: str) -> None:
        if not url.startswith((f"{ours}/", f"{provider_url}/", "https://cdn.jsdelivr.net/", "data:", "blob:")):
            wrong.append(f"request to elsewhere: {url}")

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


def shows_nothing_of(screen: Screen, words: str) -> None:
    """The door's page stands there, and nothing else."""
    expect(screen.key("door")).to_be_visible()
    screen.quiet()
    assert words not in screen.page.content()
    expect(screen.page.get_by_role("link", name="Runs", exact=True)).to_have_count(0)
