"""The seam between a function that asks a model and whoever records it: the current span.

Comes in: the stamps of the call that runs in this context. Goes out: to the span that `enter` made current, or to
nobody. So `fanout.completion` stamps what it sees without knowing `fanout.Executor`, and the other way round.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Protocol

from fanout.events import Usage


class Span(Protocol):
    """What takes the stamps of one call. From any thread, at any time; returns at once and never raises."""

    def on_sent(self, at_ns: int) -> None:
        """The request left; the first stamp counts."""
        ...

    def on_first_token(self, at_ns: int) -> None:
        """The first piece of the answer arrived; the first stamp counts."""
        ...

    def received(self, at_ns: int, *, usage: Usage = Usage(), cost_usd: float | None = None) -> None:  # noqa: B008
        """The last byte arrived; the last stamp counts, tokens and cost add up."""
        ...


class _Unwatched:
    """The span of a call that nobody records."""

    def on_sent(self, at_ns: int) -> None:
        pass

    def on_first_token(self, at_ns: int) -> None:
        pass

    def received(self, at_ns: int, *, usage: Usage = Usage(), cost_usd: float | None = None) -> None:  # noqa: B008
        pass


_UNWATCHED = _Unwatched()
_current: ContextVar[Span] = ContextVar("fanout_span", default=_UNWATCHED)


def current_span() -> Span:
    """The span of the call that runs here; one that takes stamps and forgets them where nobody records."""
    return _current.get()


def enter(span: Span) -> Token[Span]:
    """Make `span` the current one of this context until `leave` is given what this returns."""
    return _current.set(span)


def leave(token: Token[Span]) -> None:
    """Bring back the span that was current before `enter`."""
    _current.reset(token)
