"""What the door remembers while the process lives: logins that were ended, links that were asked for, attempts.

Comes in: logins, browsers, client addresses. Goes out: whether a login still holds, the link to go back to, whether one
more attempt is allowed. All of it is bounded, from any thread, and gone with the process; the clock is given.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from dashboard.door.rules import SKEW_S, Admitted, Policy, Turned, judge, login_id
from dashboard.form_link import FORM, MOST_CHARACTERS, SETTINGS

MOST = 10_000
"""Entries that each memory keeps; the oldest goes first."""
ASKED_FOR_S = 900.0
"""How long a login may take before the link is forgotten."""
ATTEMPTS = 30
ATTEMPTS_PER_S = 0.5
"""Logins of one client address: 30 at once (a team behind one address in the morning), then one in two seconds. A
login takes two requests, so each attempt here is one of them."""
PAGE = re.compile(r"[a-z-]{0,40}")
QUERY_KEYS = ("run", "link", "a", "b", "link_a", "link_b", "q", "show", "sort", "page", FORM, *SETTINGS)
"""The only shape of a page's name and the only keys that a link keeps through a login: nobody is led elsewhere."""
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SEARCH = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
"""Of `q`, the words that are looked for; `path` encodes them."""
_SETTING = re.compile(rf"[^\x00-\x08\x0b-\x1f\x7f]{{0,{MOST_CHARACTERS}}}")
"""Of a setting that a link to the form names; instructions have lines."""

Now = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A page of ours with what its address may name; `of` drops anything else."""

    page: str
    query: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, page: str, query: Mapping[str, str]) -> Asked:
        """Keep of an address what is known and harmless."""
        kept = tuple((key, query[key]) for key in QUERY_KEYS if key in query and _shape(key).fullmatch(query[key]))
        return cls(page=page if PAGE.fullmatch(page) else "", query=kept)

    @property
    def words(self) -> str | None:
        """What was asked for, as people call it; None for the first page, which everybody is led to."""
        if any(key == "run" for key, _ in self.query):
            return "run"
        return "page" if self.page or self.query else None

    def path(self) -> str:
        """The address below the base path, with its slash."""
        return f"/{self.page}" + (f"?{urlencode(self.query)}" if self.query else "")


def _shape(key: str) -> re.Pattern[str]:
    return _SETTING if key in SETTINGS else _SEARCH if key == "q" else _VALUE


class Ended:
    """Logins that were ended before their time, and whom to wake when one is."""

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()  # protects both dicts from script threads and the server's loop
        self._until: OrderedDict[str, float] = OrderedDict()
        self._watching: dict[str, set[Callable[[], None]]] = {}

    def end(self, login: str, *, until_s: float) -> None:
        """End this login; it is remembered until it would have ended by itself."""
        with self._lock:
            for old in [each for each, ends_s in self._until.items() if ends_s <= self._now_s()]:
                del self._until[old]
            self._until[login] = until_s
            while len(self._until) > MOST:
                self._until.popitem(last=False)
            woken = tuple(self._watching.get(login, ()))
        for wake in woken:
            wake()

    def __contains__(self, login: object) -> bool:
        with self._lock:
            return login in self._until

    def watch(self, login: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when this login is ended; gives what stops that."""
        with self._lock:
            self._watching.setdefault(login, set()).add(wake)

        def stop() -> None:
            with self._lock:
                watching = self._watching.get(login, set())
                watching.discard(wake)
                if not watching:
                    self._watching.pop(login, None)

        return stop


class Links:
    """The link each browser asked for before it went to log in."""

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()  # protects the dict from script threads and the server's loop
        self._asked: OrderedDict[str, tuple[float, Asked]] = OrderedDict()

    def keep(self, browser: str, asked: Asked) -> None:
        """This browser goes to log in, and wants to come back here."""
        with self._lock:
            self._asked[browser] = (self._now_s(), asked)
            self._asked.move_to_end(browser)
            while len(self._asked) > MOST:
                self._asked.popitem(last=False)

    def take(self, browser: str) -> Asked | None:
        """Where this browser wanted to go, once."""
        with self._lock:
            began_s, asked = self._asked.pop(browser, (float("-inf"), None))
        return asked if self._now_s() - began_s < ASKED_FOR_S else None


class Missed:
    """The browsers whose last login was not completed: it was denied at the provider, or failed on the way back."""

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()  # protects the dict from script threads and the server's loop
        self._at_s: OrderedDict[str, float] = OrderedDict()

    def add(self, browser: str) -> None:
        """This one came back without a login."""
        with self._lock:
            self._at_s[browser] = self._now_s()
            self._at_s.move_to_end(browser)
            while len(self._at_s) > MOST:
                self._at_s.popitem(last=False)

    def discard(self, browser: str) -> None:
        """It tries again, or came in."""
        with self._lock:
            self._at_s.pop(browser, None)

    def __contains__(self, browser: object) -> bool:
        with self._lock:
            at_s = self._at_s.get(browser, float("-inf")) if isinstance(browser, str) else float("-inf")
        return self._now_s() - at_s < ASKED_FOR_S


class Leaving:
    """The sockets of tabs in which "Log out" was pressed, by the keys of their handshakes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the keys from script threads and the server's loop
        self._keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> None:
        """This tab leaves by itself."""
        with self._lock:
            self._keys[key] = None
            while len(self._keys) > MOST:
                self._keys.popitem(last=False)

    def discard(self, key: str) -> bool:
        """Whether it does; asked once."""
        with self._lock:
            return self._keys.pop(key, False) is None


class Attempts:
    """A bucket of attempts for each client address."""

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()  # protects the dict; the server's loop and tests take from it
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str | None) -> float:
        """0 where one more attempt is allowed (and counted), else how long to wait."""
        client = client_of(address)
        with self._lock:
            now_s = self._now_s()
            left, at_s = self._left.get(client, (float(ATTEMPTS), now_s))
            left = min(float(ATTEMPTS), left + (now_s - at_s) * ATTEMPTS_PER_S)
            allowed = left >= 1
            self._left[client] = (left - 1 if allowed else left, now_s)
            self._left.move_to_end(client)
            while len(self._left) > MOST:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / ATTEMPTS_PER_S


def client_of(address: str | None) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 client chooses its addresses from."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


class Door:
    """The policy and all that is remembered: one for a process."""

    def __init__(self, policy: Policy, *, now_s: Now = time.time) -> None:
        self.policy = policy
        self.now_s = now_s
        self.ended = Ended(now_s)
        self.links = Links(now_s)
        self.missed = Missed(now_s)
        self.leaving = Leaving()
        self.attempts = Attempts(now_s)

    def judge(self, claims: Mapping[str, Any]) -> Admitted | Turned:
        """Whether these claims let somebody in now."""
        found = judge(self.policy, claims, now_s=self.now_s())
        if isinstance(found, Admitted) and found.login_id is not None and found.login_id in self.ended:
            return Turned(why="ended")
        return found

    def end(self, claims: Mapping[str, Any]) -> None:
        """End the login of these claims, in every tab that it has open."""
        login = login_id(claims)
        if login is not None:
            self.ended.end(login, until_s=self.now_s() + self.policy.session_s + SKEW_S)


_door = Door(Policy())
"""Open to the one who sits here, which is right where no server was started: app.py puts the operator's in its place
before it answers anybody."""


def set_door(door: Door) -> None:
    """From now on this is the door of the process."""
    global _door
    _door = door


def door() -> Door:
    """The door of the process."""
    return _door
