"""Answers in the shape of the Responses API.

Comes in: what was asked and the reply. Goes out: the bytes of a `response`, or of its events from `response.created` to
`response.completed`. Knows no time and no connection.
"""

from __future__ import annotations

import json
from itertools import count

from fanout.sandbox.asked import Asked, Reply, Stream

_Object = dict[str, object]


def whole(asked: Asked, reply: Reply) -> bytes:
    """The answer in one piece."""
    return json.dumps(_ended(asked, reply)).encode()


def stream(asked: Asked, reply: Reply) -> Stream:
    """The answer as typed events, numbered from 0 without gaps."""
    numbers = count()

    def event(kind: str, **fields: object) -> bytes:
        body = {"type": kind, "sequence_number": next(numbers), **fields}
        return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()

    place: _Object = {"item_id": _message_id(reply), "output_index": 0, "content_index": 0}
    begun = _response(asked, reply, status="in_progress", output=[])
    item, ended = _message(reply), _ended(asked, reply)
    started = {**item, "status": "in_progress", "content": []}
    return Stream(
        opening=event("response.created", response=begun)
        + event("response.in_progress", response=begun)
        + event("response.output_item.added", output_index=0, item=started)
        + event("response.content_part.added", **place, part=_part("")),
        tokens=tuple(event("response.output_text.delta", **place, delta=token, logprobs=[]) for token in reply.tokens),
        closing=event("response.output_text.done", **place, text=reply.text, logprobs=[])
        + event("response.content_part.done", **place, part=_part(reply.text))
        + event("response.output_item.done", output_index=0, item=item)
        + event(f"response.{ended['status']}", response=ended),
    )


def _ended(asked: Asked, reply: Reply) -> _Object:
    if reply.complete:
        ended = _response(asked, reply, status="completed", output=[_message(reply)])
    else:
        ended = _response(asked, reply, status="incomplete", output=[_message(reply)])
        ended["incomplete_details"] = {"reason": "max_output_tokens"}
    ended["usage"] = _usage(asked, reply)
    return ended


def _response(asked: Asked, reply: Reply, *, status: str, output: list[_Object]) -> _Object:
    return {
        "id": f"resp_sandbox_{reply.number}",
        "object": "response",
        "created_at": reply.created_s,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.max_tokens,
        "metadata": {},
        "model": asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def _message_id(reply: Reply) -> str:
    return f"msg_sandbox_{reply.number}"


def _message(reply: Reply) -> _Object:
    return {
        "id": _message_id(reply),
        "type": "message",
        "status": "completed" if reply.complete else "incomplete",
        "role": "assistant",
        "content": [_part(reply.text)],
    }


def _part(text: str) -> _Object:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(asked: Asked, reply: Reply) -> _Object:
    return {
        "input_tokens": asked.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(reply.tokens),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked.prompt_tokens + len(reply.tokens),
    }
