"""A prompt to a model and back: the Caller that the engine uses, and `completion`, a plain blocking function.

Comes in: a batch's model and settings. Goes out: attempts in flight, stamped on the loop thread from one clock. It
knows no provider: `providers` does, and is imported when a model is first used, so that importing this is cheap.
"""

from __future__ import annotations

import concurrent.futures
import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from fanout.batch import Batch
from fanout.calls import Reply, Sending, Stamp
from fanout.clock import Clock, MonotonicClock
from fanout.errors import BadInput, Broken, CallFailed, FanoutError
from fanout.events import Usage
from fanout.letters import sendable
from fanout.providers.building import building
from fanout.providers.models import check_model
from fanout.sandbox.profile import SandboxProfile
from fanout.spans import current_span

if TYPE_CHECKING:
    from fanout.providers.asking import Asker


class Completion:
    """Sends the prompts of one batch to its model. Raises BadInput where its model string cannot be used."""

    def __init__(self, batch: Batch, clock: Clock | None = None) -> None:
        check_model(batch.model)
        self._batch = batch
        self._clock = clock or MonotonicClock()
        self._lock = threading.Lock()  # protects _asker: threads that call before anyone has warmed up
        self._asker: Asker | None = None
        _MADE.add(self)

    def __repr__(self) -> str:
        return f"<Completion {self._batch.model} {'cold' if self._asker is None else 'warm'}>"

    def warm_up(self) -> None:
        """Import, start the sandbox, build the client; bills nothing. Raises BadInput or CallFailed.

        Again before each stretch: it finds the model where it was, or makes it anew (the sandbox has been restarted,
        the loop was closed).
        """
        try:
            with self._lock:
                self._asker = self._made()
        except BadInput:
            raise
        except Exception as exc:
            raise _before_sending(exc) from exc
        freeze_once()

    def send(self, prompt: str, *, on_sent: Stamp, on_first_token: Stamp) -> Sending:
        """Start one attempt on the loop and return at once. `on_sent` is stamped when the HTTP client sends it off."""
        try:
            asker = self._warm()
            return _OnTheLoop(asker.ready.loop.submit(self._attempt(asker, prompt, on_sent, on_first_token)))
        except Exception as exc:  # the contract: what goes wrong is in the reply
            return _Ended(Reply(received_ns=self._clock.now_ns(), error=_before_sending(exc)))

    async def _attempt(self, asker: Asker, prompt: str, on_sent: Stamp, on_first_token: Stamp) -> Reply:
        now_ns = self._clock.now_ns
        asked = await asker.ask(
            prompt, on_sent=lambda: on_sent(now_ns()), on_first_token=lambda: on_first_token(now_ns())
        )
        received_ns, answer = now_ns(), asked.answer
        if answer is None:
            return Reply(received_ns=received_ns, error=asked.failure, report=asked.report)
        return Reply(
            received_ns=received_ns,
            output=answer.text,
            usage=Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
            cost_usd=answer.cost_usd,
            report=asked.report,
        )

    def _forked(self) -> None:
        """In a forked child, where nobody is left who warms it up."""
        self._lock = threading.Lock()

    def _warm(self) -> Asker:
        asker = self._asker
        if asker is None or asker.ready.loop.closed:
            self.warm_up()
            asker = self._asker
        assert asker is not None
        return asker

    def _made(self) -> Asker:
        with building:  # the imports too: see there
            from fanout.providers.asking import Asker
            from fanout.providers.ready import ready_model

        batch = self._batch
        return Asker(
            ready_model(batch.model, sandbox=batch.sandbox),
            instructions=batch.instructions,
            temperature=batch.temperature,
            max_output_tokens=batch.max_output_tokens,
            timeout_s=batch.timeout_s,
            streams=batch.streams,
        )


_MADE: weakref.WeakSet[Completion] = weakref.WeakSet()
"""For a forked child."""


def _after_fork() -> None:
    for completion in list(_MADE):
        completion._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _before_sending(error: Exception) -> CallFailed:
    if isinstance(error, CallFailed):
        return error
    words = str(error) if isinstance(error, FanoutError) else f"{type(error).__name__}: {error}"
    return Broken(f"The model could not be made ready: {words}", was_sent=False)


class _OnTheLoop:
    """An attempt that runs on the loop thread."""

    __slots__ = ("_future",)

    def __init__(self, future: concurrent.futures.Future[Reply]) -> None:
        self._future = future

    def reply(self) -> Reply:
        return self._future.result()

    def cancel(self) -> None:
        self._future.cancel()


class _Ended:
    """An attempt that was over before it began."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def reply(self) -> Reply:
        return self._reply

    def cancel(self) -> None:
        return


_frozen = False


def freeze_once() -> None:
    """Take what has been imported out of the garbage collector's rounds; the first time only.

    After warm-up some 150,000 objects of pydantic-ai and the SDKs are alive for good, and each full collection walks
    them all with the GIL held, while every call waits. At 256 in flight it was worth 9 to 18 % of a call's CPU and,
    with rarer collections, most of the p99; at 32 nothing that could be told from noise. Collected first, so that no
    garbage is kept with them.
    """
    global _frozen
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()


def completion(
    model: str = "sandbox",
    *,
    instructions: str | None = None,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
    timeout_s: float = 60.0,
    sandbox: SandboxProfile | None = None,
) -> Callable[[str], str]:
    """A blocking function from a prompt to the model's answer, safe from any thread; one attempt a call.

    Raises BadInput at once where the model or a setting cannot be used. The function raises a CallFailed where the
    call fails. Importing the provider's library, a few seconds the first time, is done here, so that the calls' times
    are their own; all calls share one event loop and its connections. What a call's
    span (`fanout.spans`) is told: when it was sent, when its answer was complete, its tokens and its cost.

    >>> call = completion("sandbox")                                            # doctest: +SKIP
    >>> call("Reply: alpha")                                                    # doctest: +SKIP
    'alpha'
    """
    batch = Batch(
        prompts=("one at a time",),
        model=model,
        instructions=instructions,
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        timeout_s=timeout_s,
        stream=False,
        sandbox=sandbox,
    )
    caller = Completion(batch)
    caller.warm_up()

    def call(prompt: str) -> str:
        if not isinstance(prompt, str) or not prompt.strip():
            raise BadInput(f"a prompt must be text that is not blank, got {prompt!r}")
        span = current_span()
        sending = caller.send(sendable(prompt), on_sent=span.on_sent, on_first_token=span.on_first_token)
        try:
            reply = sending.reply()
        except BaseException:  # Ctrl+C while waiting: hang up rather than leave the call to its end
            sending.cancel()
            raise
        span.received(reply.received_ns, usage=reply.usage, cost_usd=reply.cost_usd)
        if reply.error is not None:
            raise reply.error
        assert reply.output is not None
        return reply.output

    return call
