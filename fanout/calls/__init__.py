"""What one call does, as the engine sees it: a `Caller` sends a prompt, a `Sending` is one attempt in flight.

Goes out: the two protocols and `Reply`, what an attempt came to. The engine knows nothing else of models; the tests put
callers of their own in, whose sendings they finish by hand. `calls.completion` is the one that asks a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fanout.errors import CallFailed
from fanout.events import Usage
from fanout.quota.report import RateReport

Stamp = Callable[[int], None]
"""Is told an instant (`at_ns` of the monotonic clock), from any thread, at most once; returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one attempt came to: an output or an error, never both."""

    received_ns: int
    """The instant of the last byte, or of the failure."""
    output: str | None = None
    error: CallFailed | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    report: RateReport = RateReport()
    """What the response said of limits, whether it was an answer or not."""


class Sending(Protocol):
    """One attempt in flight."""

    def reply(self) -> Reply:
        """Wait for the end. A failure is in the reply; raises concurrent.futures.CancelledError after `cancel`."""
        ...

    def cancel(self) -> None:
        """Hang up on the provider; from any thread, any number of times; returns at once."""
        ...


class Caller(Protocol):
    """Sends the prompts of one batch."""

    def warm_up(self) -> None:
        """Whatever is slow the first time (imports, TLS), before the clock starts. Raises CallFailed or BadInput."""
        ...

    def send(self, prompt: str, *, on_sent: Stamp, on_first_token: Stamp) -> Sending:
        """Start one attempt and return at once. Never raises: what goes wrong is in the reply."""
        ...
