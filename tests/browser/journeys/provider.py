"""A provider that does what the prompt says: the right answer, at once or when the journey allows it, or a wrong one.

Comes in: requests. Goes out: what is put on the wire, and what was asked. A prompt begins with one of the words of
`FAULTS`, with `hold NAME` (answered once `release(NAME)` was called) or with `once-500` (answered the second time); any
other is echoed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Self

from tests.hostile import (
    EVENTS_HEAD,
    Answer,
    Close,
    Gate,
    Hang,
    Hostile,
    Received,
    Reset,
    echo,
    event,
    http,
    status,
)

HALF: Answer = [EVENTS_HEAD, event({"role": "assistant", "content": "half an "}), Close()]


def _key(request: Received) -> str:
    """What it was let in by, which providers are known to say back."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


FAULTS: Mapping[str, Callable[[Received], Answer]] = {
    "fail-500": lambda _: status(500, "the engine room is flooded"),
    "limit-429": lambda _: status(429, "slow down, please", retry_after="0"),
    "spent-day": lambda _: status(
        429, "Rate limit reached on requests per day (RPD): Limit 200, Used 200. Please try again in 6h0m0s."
    ),
    "refuse-401": lambda _: status(401, "Incorrect API key provided"),
    "garbage": lambda _: [http(200, b"<html>this is no answer</html>", content_type="text/html")],
    "half": lambda _: HALF,
    "close": lambda _: [Close()],
    "reset": lambda _: [Reset()],
    "hang": lambda _: [Hang()],
    "words": lambda request: status(500, request.prompt.partition(" ")[2].replace("{key}", _key(request))),
}


class Provider:
    """The provider of all journeys; each uses prompts of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the two below: the journey releases, the server's loop asks
        self._gates: dict[str, Gate] = {}
        self._failed: set[str] = set()
        self._server = Hostile(self._answer)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    @property
    def base_url(self) -> str:
        return self._server.base_url

    @property
    def hang_ups(self) -> int:
        """Answers that the dashboard did not wait for, so far."""
        return self._server.hang_ups

    def asked(self, words: str) -> list[Received]:
        """The requests whose prompt holds these words, so far."""
        return [each for each in self._server.received if each.body and words in each.prompt]

    def await_asked(self, words: str, count: int) -> None:
        """Wait until that many such requests have come; never more than that at this moment."""
        self._server.wait_for(lambda _: len(self.asked(words)) >= count)
        assert len(self.asked(words)) == count

    def await_hang_ups(self, count: int) -> None:
        """Wait until the dashboard has hung up so often."""
        self._server.wait_for(lambda server: server.hang_ups >= count)

    def release(self, name: str) -> None:
        """Answer everything that was held under this name, and everything that will be."""
        self._gate(name).open()

    def _gate(self, name: str) -> Gate:
        with self._lock:
            return self._gates.setdefault(name, Gate())

    def _answer(self, request: Received) -> Answer:
        if not request.body:
            return [http(200, json.dumps({"object": "list", "data": []}).encode())]
        word, _, rest = request.prompt.partition(" ")
        if word == "hold":
            return [self._gate(rest.split(" ")[0]), *echo(request)]
        if word == "once-500" and self._first(request.prompt):
            return status(500, "the engine room is flooded")
        fault = FAULTS.get(word)
        return echo(request) if fault is None else fault(request)

    def _first(self, prompt: str) -> bool:
        with self._lock:
            first = prompt not in self._failed
            self._failed.add(prompt)
        return first
