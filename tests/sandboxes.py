"""A sandbox's server as tests ask it: by the OpenAI SDK, by plain HTTP, and for what it has counted."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionMessageParam

from fanout.sandbox.process import SandboxProcess
from fanout.sandbox.profile import SandboxProfile

FAST = SandboxProfile(first_token_ms=1, token_ms=0, token_sigma=0)
EXPLAIN = "Explain how a lighthouse works"


def sdk(sandbox: SandboxProcess, profile: SandboxProfile, key: str = "a key") -> openai.OpenAI:
    return openai.OpenAI(base_url=sandbox.base_url(profile), api_key=key, max_retries=0, timeout=30)


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def get(sandbox: SandboxProcess, path: str) -> Any:
    return send(sandbox, "GET", path)[1]


def send(sandbox: SandboxProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    parts = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def stats(sandbox: SandboxProcess, profile: SandboxProfile) -> dict[str, int]:
    counts: dict[str, int] = get(sandbox, f"/{profile.encoded()}/stats")
    return counts


def until(sandbox: SandboxProcess, profile: SandboxProfile, name: str, count: int) -> None:
    """Wait until the server has counted this; pytest's own timeout ends a wait that never will."""
    while stats(sandbox, profile)[name] != count:
        threading.Event().wait(0.01)
