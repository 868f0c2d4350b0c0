"""One question to one model: a prompt goes in; the answer's text, tokens and cost come out, or a failure as a value.

Runs on the loop thread, in a task per attempt. One request leaves per question: no retry here, none in the SDK. It
knows neither runs nor workers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic_ai import direct
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from fanout.errors import CallFailed, TimedOut, Truncated
from fanout.providers.failures import (
    Circumstances,
    empty_answer,
    failure_of,
    truncated_answer,
    withheld_answer,
)
from fanout.providers.headers import NOTHING, Headers, report
from fanout.providers.inside import told
from fanout.providers.keys import masked, sent_with
from fanout.providers.prices import Prices, counted
from fanout.providers.ready import ReadyModel
from fanout.providers.transport import Wire, wire
from fanout.quota.report import RateReport

Told = Callable[[], None]
"""Is told that something happened now; on the loop thread, at most once; must not block it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said. Tokens and cost are None where nobody knows them."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a question came to: an answer or a failure, never both."""

    answer: Answer | None = None
    failure: CallFailed | None = None
    report: RateReport = NOTHING
    """What the response said of limits."""


class Asker:
    """Asks one model with one set of settings, which every question shares."""

    def __init__(
        self,
        ready: ReadyModel,
        *,
        instructions: str | None,
        temperature: float | None,
        max_output_tokens: int | None,
        timeout_s: float,
        streams: bool,
    ) -> None:
        self.ready = ready
        self._instructions = instructions
        self._timeout_s = timeout_s
        self._streams = streams
        # One settings and one parameters object for all calls: with the parts of the instructions in it, pydantic-ai
        # does not copy it for every call.
        self._settings = ModelSettings(**ready.settings)
        if temperature is not None:
            self._settings["temperature"] = temperature
        if max_output_tokens is not None:
            self._settings["max_tokens"] = max_output_tokens
        parts = [InstructionPart(content=instructions)] if instructions else None
        self._parameters = ModelRequestParameters(instruction_parts=parts)
        self._prices = Prices()

    async def ask(self, prompt: str, *, on_sent: Told, on_first_token: Told) -> Asked:
        """What `prompt` came to. Cancelling the task hangs up on the provider.

        `timeout_s` is from sending to the last byte, whatever the provider trickles in between.
        """
        seen = Wire(on_sent)
        wire.set(seen)
        if not self.ready.hooked:
            seen.leave()  # no hook of ours tells: the instant before is the nearest there is
        deadline = asyncio.timeout(self._timeout_s)
        heard: list[StreamedResponse] = []
        try:
            async with deadline:
                response = await self._response(prompt, on_first_token, heard)
            return Asked(answer=self._answer(response, seen), report=self._said(seen))
        except Exception as exc:
            model = self.ready.model.model_name
            error = told(exc, status_code=seen.status_code, beginning=seen.beginning, model=model)
            said = self._said(seen, error)
            timed_out = error is exc and deadline.expired()
            failure = failure_of(error, self._circumstances(seen, said, timed_out))
            whole = _whole(heard) if isinstance(failure, Truncated | TimedOut) else None
            if whole is None:
                return Asked(failure=failure, report=said)
            return Asked(answer=self._answer(whole, seen), report=said)

    def _said(self, seen: Wire, error: Exception | None = None) -> RateReport:
        """What the response said of limits; an error in the midst of a stream has a status and a body of its own."""
        status_code, body = seen.status_code, None
        headers: Headers = () if seen.headers is None else seen.headers.raw
        if isinstance(error, ModelHTTPError):
            status_code, body = error.status_code, error.body
            headers = headers or error.headers or ()
        if status_code is None:
            return NOTHING
        return report(headers, provider=self.ready.provider, status_code=status_code, body=body, now_s=time.time())

    async def _response(self, prompt: str, on_first_token: Told, heard: list[StreamedResponse]) -> ModelResponse:
        request = ModelRequest(parts=[UserPromptPart(prompt)], instructions=self._instructions)
        messages: list[ModelMessage] = [request]
        if self._streams:
            return await self._streamed(messages, on_first_token, heard)
        return await direct.model_request(
            self.ready.model, messages, model_settings=self._settings, model_request_parameters=self._parameters
        )

    async def _streamed(
        self, messages: list[ModelMessage], on_first_token: Told, heard: list[StreamedResponse]
    ) -> ModelResponse:
        told = False
        opened = direct.model_request_stream(
            self.ready.model, messages, model_settings=self._settings, model_request_parameters=self._parameters
        )
        async with opened as stream:
            heard.append(stream)
            async for event in stream:
                if not told and _has_text(event):
                    told = True
                    on_first_token()
            response = stream.get()
        if response.finish_reason is None and self.ready.says_when_complete:
            raise truncated_answer()
        return response

    def _answer(self, response: ModelResponse, seen: Wire) -> Answer:
        text = response.text
        if not text:
            raise _without_text(response)
        usage = response.usage
        known = counted(usage)
        return Answer(
            text=masked(text, self._secrets(seen)),
            input_tokens=usage.input_tokens if known else None,
            output_tokens=usage.output_tokens if known else None,
            cost_usd=self._prices.cost_usd(response) if known and self.ready.priced else None,
        )

    def _secrets(self, seen: Wire) -> tuple[str, ...]:
        """What the request was let in by."""
        sent = () if seen.sent is None else sent_with(seen.sent.raw)
        return sent if self.ready.secret is None else (self.ready.secret, *sent)

    def _circumstances(self, seen: Wire, said: RateReport, timed_out: bool) -> Circumstances:
        return Circumstances(
            timeout_s=self._timeout_s,
            model=self.ready.model.model_name,
            address=self.ready.address,
            key_name=self.ready.key_name,
            secrets=self._secrets(seen),
            was_sent=seen.left,
            content_type=seen.content_type,
            status_code=seen.status_code,
            beginning=seen.beginning,
            timed_out=timed_out,
            provider=self.ready.provider,
            said=said,
        )


def _whole(heard: list[StreamedResponse]) -> ModelResponse | None:
    """The answer of a stream that was lost after the provider had said that it was complete: it is paid for."""
    response = heard[0].get() if heard else None
    return response if response is not None and response.finish_reason is not None and response.text else None


def _has_text(event: object) -> bool:
    if isinstance(event, PartDeltaEvent):
        return isinstance(event.delta, TextPartDelta) and bool(event.delta.content_delta)
    return isinstance(event, PartStartEvent) and isinstance(event.part, TextPart) and bool(event.part.content)


def _without_text(response: ModelResponse) -> CallFailed:
    if response.finish_reason == "content_filter":
        refusal = (response.provider_details or {}).get("refusal")
        return withheld_answer(refusal if isinstance(refusal, str) else None)
    return empty_answer(cut_off=response.finish_reason == "length")
