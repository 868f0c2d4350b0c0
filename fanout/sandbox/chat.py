"""Answers in the shape of the Chat Completions API.

Comes in: what was asked and the reply. Goes out: the bytes of a `chat.completion`, or of its chunks as server-sent
events. Knows no time and no connection.
"""

from __future__ import annotations

import json

from fanout.sandbox.asked import Asked, Reply, Stream

_FINGERPRINT = "fanout-sandbox"
_TEXT = "\x00text\x00"


def whole(asked: Asked, reply: Reply) -> bytes:
    """The answer in one piece."""
    message: dict[str, object] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return json.dumps(
        {**_head(asked, reply, "chat.completion"), "choices": [choice], "usage": _usage(asked, reply)}
    ).encode()


def stream(asked: Asked, reply: Reply) -> Stream:
    """The answer in one chunk a token; the usage comes last, where it was asked for."""
    head = _head(asked, reply, "chat.completion.chunk")
    closing = _event(head, [_choice({}, _finish(reply))])
    if asked.include_usage:
        closing += _event({**head, "usage": _usage(asked, reply)}, [])
    before, after = _event(head, [_choice({"content": _TEXT})]).rsplit(json.dumps(_TEXT).encode(), 1)
    return Stream(
        opening=_event(head, [_choice({"role": "assistant", "content": "", "refusal": None})]),
        tokens=tuple(before + json.dumps(token).encode() + after for token in reply.tokens),
        closing=closing + b"data: [DONE]\n\n",
    )


def _head(asked: Asked, reply: Reply, kind: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-sandbox-{reply.number}",
        "object": kind,
        "created": reply.created_s,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _choice(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(head: dict[str, object], choices: list[dict[str, object]]) -> bytes:
    return b"data: " + json.dumps({**head, "choices": choices}).encode() + b"\n\n"


def _finish(reply: Reply) -> str:
    return "stop" if reply.complete else "length"


def _usage(asked: Asked, reply: Reply) -> dict[str, object]:
    return {
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": len(reply.tokens),
        "total_tokens": asked.prompt_tokens + len(reply.tokens),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
