"""A whole chat completion read out of a body, so that no answer that was paid for is lost for what nobody needs of it.

Comes in: bytes, or JSON that was parsed already. Goes out: a `ChatCompletion`, or None where there is none in it; and
usage that makes sense, or None. Servers that imitate OpenAI leave out what nobody needs of an answer (its id, its
date): that is filled in. What is there is never changed, save usage that cannot be: it is unknown then.
"""

from __future__ import annotations

import json
from typing import Any

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from pydantic import ValidationError

from fanout.providers.prices import MOST_TOKENS

_MOST_DIGITS = 100
"""Of a number; Python refuses to read one of 4,300, and a body is not lost for it."""


def completed(content: bytes, *, model: str) -> ChatCompletion | None:
    """A chat completion of a whole body; None where it is none."""
    try:
        completion = ChatCompletion.model_validate_json(content)
    except ValidationError:
        try:
            filled = _filled(loosely(content), model)
            return None if filled is None else ChatCompletion.model_validate(filled, strict=True)
        except (ValueError, RecursionError):
            return None
    if completion.usage is not None and not makes_sense(completion.usage):
        completion.usage = None
    return completion


def loosely(content: bytes) -> Any:
    """JSON, NaN and numbers of any length allowed. Raises ValueError, or RecursionError where it is nested too deep."""
    return json.loads(content, parse_int=_number)


def usage_of(given: Any) -> dict[str, Any] | None:
    """The fields of a usage that makes sense; of one whose details do not, its totals; None of any other."""
    try:
        usage = CompletionUsage.model_validate(given)
    except ValidationError:
        if not isinstance(given, dict):
            return None
        taken, said = given.get("prompt_tokens"), given.get("completion_tokens")
        if type(taken) is not int or type(said) is not int:
            return None
        usage = CompletionUsage(prompt_tokens=taken, completion_tokens=said, total_tokens=taken + said)
    return usage.model_dump(exclude_unset=True) if makes_sense(usage) else None


def makes_sense(usage: CompletionUsage) -> bool:
    """Whether an answer can have taken so many tokens."""
    return 0 <= usage.prompt_tokens <= MOST_TOKENS and 0 <= usage.completion_tokens <= MOST_TOKENS


def _filled(body: Any, model: str) -> dict[str, Any] | None:
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or not body["choices"]:
        return None
    choices = []
    for place, choice in enumerate(body["choices"]):
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            return None
        message = {"role": "assistant", **choice["message"]}
        choices.append({"index": place, "finish_reason": "stop", **choice, "message": message})
    usage = usage_of(body.get("usage"))
    whole = {"id": "", "created": 0, "object": "chat.completion", "model": model, **body}
    return {**whole, "choices": choices, "usage": usage}


def _number(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else float("nan")
