"""A cheap OpenAI-compatible server for measurements: the prompt says how long it takes ("wait 200 ms").

Raw asyncio, about 0.1 ms of CPU a request, in a process of its own, so that what is measured is the client.
`GET /stats` tells requests, connections and the most in flight; `POST /reset` sets them to zero.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

WAIT = re.compile(rb"wait (\d+) ms")
TOKENS = [f"w{n} " for n in range(24)]


class Stats:
    def __init__(self) -> None:
        self.requests = self.connections = self.in_flight = self.most = 0


class Connection(asyncio.Protocol):
    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._stats.connections += 1

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._request(head, rest[:length])

    def _request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /stats"):
            stats = self._stats
            self._send(
                json.dumps({"requests": stats.requests, "connections": stats.connections, "most": stats.most}).encode()
            )
            return
        if head.startswith(b"POST /reset"):
            self._stats.__init__()  # type: ignore[misc]
            self._send(b"{}")
            return
        self._stats.requests += 1
        self._stats.in_flight += 1
        self._stats.most = max(self._stats.most, self._stats.in_flight)
        found = WAIT.search(body)
        wait_s = int(found[1]) / 1000 if found else 0.0
        answer = self._stream if b'"stream":true' in body.replace(b": ", b":") else self._answer
        asyncio.get_running_loop().call_later(wait_s, answer)

    def _answer(self) -> None:
        self._stats.in_flight -= 1
        self._send(COMPLETION)

    def _stream(self) -> None:
        self._stats.in_flight -= 1
        self._transport.write(STREAM)

    def _send(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


COMPLETION = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "".join(TOKENS).strip()},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 24, "total_tokens": 33},
    }
).encode()


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    event = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def streamed() -> bytes:
    events = b"".join(chunk({"role": "assistant", "content": token}) for token in TOKENS)
    events += chunk({}, "stop") + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events)


STREAM = streamed()


async def main() -> None:
    stats = Stats()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stats), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the parent closes the pipe
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
