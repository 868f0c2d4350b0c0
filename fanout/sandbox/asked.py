"""A request's body, read and checked: what is asked of the sandbox, whichever API asked it.

Comes in: bytes from the wire, hostile until checked. Goes out: `Asked`, or `Rejection` with the words and the shape of
an OpenAI error. Knows both APIs' fields and neither's answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fanout.sandbox.answers import estimated_tokens

MAX_OUTPUT_TOKENS = 1024
"""The longest answer; a real model has such a limit too."""
MAX_PROMPT_TOKENS = 250_000
"""The simulated context window."""


class Rejection(Exception):
    """A request that is answered with an OpenAI-shaped error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, param=param, code=code, kind=kind)


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """An error as OpenAI's servers write it."""
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One completion that is asked for."""

    model: str
    prompt: str
    """The last thing the user said."""
    instructions: str
    text: str
    """All that was sent, the conversation before it too: latency is drawn from it."""
    max_tokens: int | None
    """The longest answer that was asked for, however long; None where none was named."""
    stream: bool
    include_usage: bool

    @property
    def most_tokens(self) -> int:
        """Tokens the answer may have."""
        return MAX_OUTPUT_TOKENS if self.max_tokens is None else min(self.max_tokens, MAX_OUTPUT_TOKENS)

    @property
    def prompt_tokens(self) -> int:
        """Tokens sent, estimated."""
        return estimated_tokens(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to `Asked`, in the tokens it is sent in."""

    number: int
    """Of the request in this server: makes the ids."""
    created_s: int
    tokens: tuple[str, ...]
    complete: bool
    """False where the limit on tokens cut it."""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer as server-sent events: `opening` goes with the first token, `closing` with the last."""

    opening: bytes
    tokens: tuple[bytes, ...]
    closing: bytes


def read_object(body: bytes) -> Mapping[str, object]:
    """The body as a JSON object; raises Rejection on anything else."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Rejection(f"We could not parse the JSON body of your request: {exc}") from exc
    if not isinstance(values, dict):
        raise Rejection("The body of your request must be a JSON object.")
    return values


def read_chat(body: bytes) -> Asked:
    """What `POST chat/completions` asks for."""
    values = read_object(body)
    _refuse(values, "tools", "functions", why="The sandbox calls no tools.")
    if values.get("n") not in (None, 1):
        raise Rejection("The sandbox gives one answer: n must be 1.", param="n")
    _refuse_forms(values.get("response_format"), "response_format")
    messages = values.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Rejection("Missing required parameter: 'messages', a list of at least one message.", param="messages")
    options = values.get("stream_options")
    return _asked(
        values,
        items=messages,
        param="messages",
        instructions="",
        max_tokens=_limit(values, "max_completion_tokens", "max_tokens"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def read_response(body: bytes) -> Asked:
    """What `POST responses` asks for."""
    values = read_object(body)
    _refuse(values, "tools", why="The sandbox calls no tools.")
    _refuse(values, "previous_response_id", "conversation", why="The sandbox keeps no answers: send them in 'input'.")
    spoken = values.get("text")
    _refuse_forms(spoken.get("format") if isinstance(spoken, dict) else None, "text.format")
    sent = values.get("input")
    items: object = [{"role": "user", "content": sent}] if isinstance(sent, str) else sent
    if not isinstance(items, list) or not items:
        raise Rejection("Missing required parameter: 'input', a text or a list of items.", param="input")
    instructions = values.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise Rejection("'instructions' must be a text.", param="instructions")
    return _asked(
        values,
        items=items,
        param="input",
        instructions=instructions or "",
        max_tokens=_limit(values, "max_output_tokens"),
        include_usage=True,
    )


def model_of(values: Mapping[str, object]) -> str:
    """The model that is asked; any name will do."""
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise Rejection("you must provide a model parameter", param="model")
    return model


def _asked(
    values: Mapping[str, object],
    *,
    items: list[object],
    param: str,
    instructions: str,
    max_tokens: int | None,
    include_usage: bool,
) -> Asked:
    stream = values.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise Rejection("'stream' must be true or false.", param="stream")
    turns = [_turn(item, param) for item in items]
    asked = Asked(
        model=model_of(values),
        prompt=next((turn.text for turn in reversed(turns) if turn.role == "user"), turns[-1].text),
        instructions="\n".join([instructions, *(t.text for t in turns if t.role in ("system", "developer"))]).strip(),
        text="\n".join([instructions, *(f"{turn.role}: {turn.text}" for turn in turns)]),
        max_tokens=max_tokens,
        stream=stream is True,
        include_usage=include_usage,
    )
    if asked.prompt_tokens > MAX_PROMPT_TOKENS:
        raise Rejection(
            f"This model's maximum context length is {MAX_PROMPT_TOKENS} tokens. However, your messages resulted in"
            f" {asked.prompt_tokens} tokens. Please reduce the length of the messages.",
            param=param,
            code="context_length_exceeded",
        )
    return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    role: str
    text: str


def _turn(item: object, param: str) -> _Turn:
    if not isinstance(item, dict):
        raise Rejection(f"Each of '{param}' must be an object.", param=param)
    role = item.get("role", item.get("type"))
    if not isinstance(role, str):
        raise Rejection(f"Each of '{param}' must have a role.", param=param)
    return _Turn(role=role, text=_content(item.get("content"), param))


def _content(content: object, param: str) -> str:
    """The text of a message; what is no text (a picture, say) is passed over."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise Rejection(f"The content of each of '{param}' must be a text or a list of parts.", param=param)
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _limit(values: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise Rejection(f"'{name}' must be a whole number of at least 1.", param=name)
        return value
    return None


def _refuse_forms(form: object, param: str) -> None:
    """Only text: an answer that ignored the form it was to have would pass for a right one."""
    if form is not None and not (isinstance(form, dict) and form.get("type") == "text"):
        raise Rejection("The sandbox answers in text only, in no other format.", param=param)


def _refuse(values: Mapping[str, object], *names: str, why: str) -> None:
    for name in names:
        if values.get(name):
            raise Rejection(f"{why} Leave out '{name}'.", param=name)
