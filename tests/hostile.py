"""A server that answers what a test tells it to, byte for byte: right answers, wrong ones, half ones, none.

Comes in: a script, one `Answer` per request or a function from the request to its answer. Goes out: a base URL on
loopback, and counts of what really happened on the wire: requests, connections, hang-ups. It runs on a loop of its own
in a thread of its own; a test waits for a count with `wait_for`, never with a sleep.

    with Hostile([status(429, retry_after=3), chat("yes")]) as server:
        ask(server.base_url)
        assert server.requests == 2
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

WAIT_S = 20.0
"""Only ever means failure."""
REASONS = {200: "OK", 307: "Temporary Redirect", 429: "Too Many Requests"}


# ---- what an answer is made of


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so many seconds; a hang-up ends it."""

    seconds: float


class Gate:
    """Nothing until the test calls `open`; a hang-up ends it. One gate may stand in many answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the two below: the test opens, the server's loop waits
        self._is_open = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        """Let every answer that waits here go on; from any thread."""
        with self._lock:
            self._is_open = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    async def passed(self) -> None:
        """Return once it is open."""
        event = asyncio.Event()
        with self._lock:
            if self._is_open:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


class Hang:
    """Nothing more, until the client hangs up."""


class Close:
    """The connection is closed in good order (FIN)."""


class Reset:
    """The connection is torn down (RST)."""


Step = bytes | Pause | Gate | Hang | Close | Reset
Answer = Sequence[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def streams(self) -> bool:
        return bool(self.body) and bool(self.json.get("stream"))

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return str(self.json["messages"][-1]["content"])


Script = Sequence[Answer] | Callable[[Received], Answer]


def http(status: int, body: bytes, *, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole response. Header names are written with underscores: retry_after="3"."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Hm')}", f"content-length: {len(body)}"]
    if content_type:
        lines.append(f"content-type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def completion_body(text: str | None, *, finish: str = "stop", usage: bool = True, **message: Any) -> bytes:
    """A chat completion as OpenAI spells it."""
    content = {"role": "assistant", "content": text, **message}
    body: dict[str, Any] = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "tiny",
        "choices": [{"index": 0, "message": content, "finish_reason": finish}],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps(body).encode()


def chat(text: str = "yes", **options: Any) -> Answer:
    """A right answer."""
    return [http(200, completion_body(text, **options))]


def status(code: int, message: str = "no", *, error: Mapping[str, Any] | None = None, **headers: str) -> Answer:
    """An error as OpenAI spells it; `error` adds fields to it."""
    body = json.dumps({"error": {"message": message, **(error or {})}}).encode()
    return [http(code, body, **headers)]


EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(delta: Mapping[str, Any] | None, *, finish: str | None = None, usage: bool = False) -> bytes:
    """One server-sent event of a streamed completion, as a chunk."""
    choices = [] if delta is None else [{"index": 0, "delta": dict(delta), "finish_reason": finish}]
    body: dict[str, Any] = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "tiny",
        "choices": choices,
    }
    if usage:
        body["usage"] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


def stream(*words: str, between: Step | None = None) -> Answer:
    """A right streamed answer, `between` its words."""
    steps: list[Step] = [EVENTS_HEAD]
    for word in words:
        steps.append(event({"role": "assistant", "content": word}))
        if between is not None:
            steps.append(between)
    steps += [event({}, finish="stop"), event(None, usage=True), chunk(b"data: [DONE]\n\n"), END]
    return steps


def echo(request: Received) -> Answer:
    """The prompt itself, streamed where that was asked for."""
    return stream(request.prompt) if request.streams else chat(request.prompt)


# ---- the server


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    connections: int = 0
    hang_ups: int = 0
    in_flight: int = 0
    peak: int = 0
    received: list[Received] = field(default_factory=list)


class Hostile:
    """Serves `script` on a free port of 127.0.0.1 for as long as the with block lasts.

    A list is served in order, its last answer again and again; None echoes the prompts.
    """

    def __init__(self, script: Script | None = None) -> None:
        self._script: Script = echo if script is None else script
        self._counts = _Counts()
        self._changed = threading.Condition()  # protects _counts: the server's loop writes, the test reads
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="hostile", daemon=True)
        self._up = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(WAIT_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> int:
        """Requests read to their end."""
        return self._counts.requests

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._counts.connections

    @property
    def hang_ups(self) -> int:
        """Answers that the client did not wait for."""
        return self._counts.hang_ups

    @property
    def in_flight(self) -> int:
        """Requests that are being answered now."""
        return self._counts.in_flight

    @property
    def peak(self) -> int:
        """The most requests in flight at once so far."""
        return self._counts.peak

    @property
    def received(self) -> Sequence[Received]:
        """Every request so far."""
        with self._changed:
            return tuple(self._counts.received)

    def wait_for(self, happened: Callable[[Hostile], bool]) -> None:
        """Block until `happened(self)`; a count changes, or the test fails."""
        with self._changed:
            assert self._changed.wait_for(lambda: happened(self), WAIT_S), f"never happened: {self._counts}"

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._count(connections=1)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read(reader)
            with self._changed:
                number = self._counts.requests
                self._counts.received.append(request)
            self._count(requests=1, in_flight=1)
            try:
                kept = await self._answer(self._next(number, request), reader, writer)
            finally:
                self._count(in_flight=-1)
            if not kept:
                return

    def _next(self, number: int, request: Received) -> Answer:
        if callable(self._script):
            return self._script(request)
        return self._script[min(number, len(self._script) - 1)]

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may carry another request."""
        try:
            for step in answer:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                elif isinstance(step, Close):
                    return False
                elif isinstance(step, Reset):
                    _reset(writer)
                    return False
                elif await _hung_up(reader, step):
                    self._count(hang_ups=1)
                    return False
        except ConnectionError:
            self._count(hang_ups=1)
            return False
        return True

    def _count(self, *, requests: int = 0, connections: int = 0, hang_ups: int = 0, in_flight: int = 0) -> None:
        with self._changed:
            self._counts.requests += requests
            self._counts.connections += connections
            self._counts.hang_ups += hang_ups
            self._counts.in_flight += in_flight
            self._counts.peak = max(self._counts.peak, self._counts.in_flight)
            self._changed.notify_all()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method=method, path=path, headers=headers, body=body)


async def _hung_up(reader: asyncio.StreamReader, step: Pause | Gate | Hang) -> bool:
    """Do nothing as `step` says; whether the client hung up meanwhile. A client says nothing before it is answered."""
    gone = asyncio.ensure_future(reader.read(1))
    if isinstance(step, Gate):
        over: asyncio.Future[None] = asyncio.ensure_future(step.passed())
    else:
        over = asyncio.ensure_future(asyncio.sleep(step.seconds if isinstance(step, Pause) else WAIT_S, None))
    try:
        await asyncio.wait((gone, over), return_when=asyncio.FIRST_COMPLETED)
        return gone.done()
    finally:
        for waiting in (gone, over):
            waiting.cancel()
        await asyncio.gather(gone, over, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def closed_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
