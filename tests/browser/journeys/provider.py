"""A provider that does what the prompt says: the right answer, or one of the ways in which providers go wrong.

Comes in: a request. Goes out: what is put on the wire. A prompt begins with one of the words of `FAULTS`; any other
is echoed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tests.hostile import (
    EVENTS_HEAD,
    Answer,
    Close,
    Hang,
    Received,
    Reset,
    chat,
    echo,
    event,
    http,
    status,
)

HALF = [EVENTS_HEAD, event({"role": "assistant", "content": "half an "}), Close()]

FAULTS: Mapping[str, Callable[[Received], Answer]] = {
    "fail-500": lambda _: status(500, "the engine room is flooded"),
    "limit-429": lambda _: status(429, "slow down, please", retry_after="0"),
    "refuse-401": lambda _: status(401, "Incorrect API key provided"),
    "unknown-404": lambda _: status(404, "The model does not exist", error={"code": "model_not_found"}),
    "garbage": lambda _: [http(200, b"<html>this is no answer</html>", content_type="text/html")],
    "half": lambda _: HALF,
    "close": lambda _: [Close()],
    "reset": lambda _: [Reset()],
    "hang": lambda _: [Hang()],
    "words": lambda request: status(500, request.prompt.partition(" ")[2]),
}


def answer(request: Received) -> Answer:
    """What the last message asks for."""
    if request.method == "GET":
        return [http(200, json.dumps({"object": "list", "data": []}).encode())]
    if not request.body:
        return chat("")
    fault = FAULTS.get(request.prompt.split(" ", 1)[0])
    return echo(request) if fault is None else fault(request)
