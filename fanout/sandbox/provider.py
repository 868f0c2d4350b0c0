"""The simulated provider: what it remembers of each profile, and how it takes one request from arrival to end.

Comes in: a request that has been read, with its wire. Goes out: the answer at its time, a refusal, or a fault. Every
profile has a provider of its own (accounts, request numbers, load), so that no two disturb each other. Runs on the
server's one event loop, so it needs no locks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal

from fanout.sandbox.account import Account
from fanout.sandbox.asked import Stream, error_body
from fanout.sandbox.draws import Fault, Latency, fault, latency
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.spelling import limit_headers, refusal_body
from fanout.sandbox.wire import Headers, Wire

MAX_ACCOUNTS = 1024  # of one provider; the oldest is forgotten first, so that a stranger's keys cannot fill the memory

Counted = Literal["received", "answered", "refused", "rejected", "failed", "truncated", "hung_up"]
COUNTED: tuple[Counted, ...] = ("received", "answered", "refused", "rejected", "failed", "truncated", "hung_up")


class Tally:
    """Counts of requests, by how they ended, and the load; every count is added to `total` as well."""

    def __init__(self, total: Tally | None = None) -> None:
        self._total = total
        self._counts: Counter[Counted] = Counter()
        self.in_flight = 0
        self._peak_in_flight = 0

    def add(self, what: Counted) -> None:
        """One more."""
        self._counts[what] += 1
        if self._total is not None:
            self._total.add(what)

    def change_load(self, by: int) -> None:
        """A request has come into flight (1) or left it (-1)."""
        self.in_flight += by
        self._peak_in_flight = max(self._peak_in_flight, self.in_flight)
        if self._total is not None:
            self._total.change_load(by)

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        counts: dict[str, int] = {name: self._counts[name] for name in COUNTED}
        return {**counts, "in_flight": self.in_flight, "peak_in_flight": self._peak_in_flight}


class Provider:
    """The simulated provider of one profile."""

    def __init__(self, profile: SandboxProfile, *, total: Tally, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.profile = profile
        self.tally = Tally(total)
        self.now_ns = now_ns
        self._accounts: dict[str, Account] = {}
        self._ordinals = count()

    def account(self, key: str) -> Account:
        """The account of this API key."""
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= MAX_ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
            account = self._accounts[key] = Account(self.profile, at_ns=self.now_ns())
        return account

    def next_fault(self) -> Fault | None:
        """What is to go wrong with the next request that the quota lets pass."""
        return fault(self.profile, next(self._ordinals))

    def pace(self, text: str) -> Latency:
        """The latency of this text at the load of this moment."""
        drawn = latency(self.profile, text)
        return drawn.grown(in_flight=self.tally.in_flight, capacity=self.profile.capacity)

    @contextmanager
    def in_flight(self, account: Account) -> Iterator[None]:
        """Counts one request as in flight, from when its account admitted it."""
        self.tally.change_load(1)
        try:
            yield
        finally:
            self.tally.change_load(-1)
            account.release()


class Exchange:
    """One request on its way through a provider. Each method ends it, or raises HungUp."""

    __slots__ = ("_arrived_ns", "_headers", "_key", "_model", "_provider", "_wire")

    def __init__(self, provider: Provider, wire: Wire, *, key: str, model: str, arrived_ns: int, number: int) -> None:
        self._provider = provider
        self._wire = wire
        self._key = key
        self._model = model
        self._arrived_ns = arrived_ns
        self._headers: Headers = ((b"x-request-id", b"req_sandbox_%d" % number),)

    async def whole(self, body: Callable[[], bytes], *, text: str, cost_tokens: int, tokens: int) -> None:
        """Answer in one piece, when the last of `tokens` is due."""
        account = await self._admitted(cost_tokens)
        if account is None:
            return
        with self._provider.in_flight(account):
            pace, going_wrong = self._provider.pace(text), self._provider.next_fault()
            if going_wrong == "error" or going_wrong == "hang":
                await self._fail(going_wrong, pace)
            elif going_wrong == "truncation":
                await self._wait(pace.due_ns(tokens // 2))
                await self._wire.broken_json(body(), self._headers)
                self._provider.tally.add("truncated")
            else:
                await self._wait(pace.due_ns(max(0, tokens - 1)))
                await self._wire.json(200, body(), self._headers)
                self._provider.tally.add("answered")

    async def streamed(self, stream: Callable[[], Stream], *, text: str, cost_tokens: int) -> None:
        """Answer in events, each when its token is due."""
        account = await self._admitted(cost_tokens)
        if account is None:
            return
        with self._provider.in_flight(account):
            pace, going_wrong = self._provider.pace(text), self._provider.next_fault()
            if going_wrong == "error" or going_wrong == "hang":
                await self._fail(going_wrong, pace)
            else:
                await self._send_events(stream(), pace, truncated=going_wrong == "truncation")
                self._provider.tally.add("truncated" if going_wrong else "answered")

    async def _admitted(self, cost_tokens: int) -> Account | None:
        """The account that admitted it; None where it did not, and the client has been told."""
        account = self._provider.account(self._key)
        admission = account.admit(tokens=cost_tokens, at_ns=self._provider.now_ns())
        if self._provider.profile.headers:
            self._headers = (*self._headers, *limit_headers(admission))
        if admission.refusal is None:
            return account
        self._provider.tally.add("refused")
        await self._wire.json(
            429, refusal_body(admission.refusal, self._model, numbers=self._provider.profile.headers), self._headers
        )
        return None

    async def _fail(self, going_wrong: Fault, pace: Latency) -> None:
        if going_wrong == "hang":
            await self._wire.wait_until(None)
        await self._wait(pace.due_ns(0))
        self._provider.tally.add("failed")
        body = error_body("The sandbox failed on purpose: its profile asks for errors.", kind="server_error")
        await self._wire.json(500, body, self._headers)

    async def _wait(self, due_ns: int) -> None:
        await self._wire.wait_until(self._arrived_ns + due_ns)

    async def _send_events(self, stream: Stream, pace: Latency, *, truncated: bool) -> None:
        """Send each token at its time; tokens that are due already go out together.

        A truncated stream says `connection: close` and ends like any body that only the socket's end delimits: nothing
        but the missing last chunk tells it from a complete answer.
        """
        tokens = stream.tokens[: len(stream.tokens) // 2] if truncated else stream.tokens
        await self._wait(pace.due_ns(0))
        closing = ((b"connection", b"close"),) if truncated else ()
        await self._wire.start(200, [(b"content-type", b"text/event-stream; charset=utf-8"), *self._headers, *closing])
        ready = stream.opening
        for place, token in enumerate(tokens):
            if self._arrived_ns + pace.due_ns(place) > self._provider.now_ns():
                await self._wire.more(ready)
                await self._wait(pace.due_ns(place))
                ready = b""
            ready += token
        await self._wire.end(ready if truncated else ready + stream.closing)
