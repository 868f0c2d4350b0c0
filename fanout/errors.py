"""What can go wrong, by who must act: the user now, this call, or we ourselves.

Comes in: nothing. Goes out: exception classes that are also values: a call's failure is kept in its run
as data (`CallFailed.bare`), compared by content, written to JSON and read back. This file knows no provider;
`providers.failures` maps what they raise to these classes, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

FailureKind = Literal["rate", "quota_exhausted", "overload", "transient", "fatal", "ours"]
"""What a failure asks for: wait for the quota; stop, the quota is gone; back off, they are full; try again; give the
call up; mend our code."""


class FanoutError(Exception):
    """The root of everything Fanout raises on purpose."""


class BadInput(FanoutError, ValueError):
    """The user must change something now; nothing was sent and nothing was changed."""


class NotAllowed(FanoutError):
    """This person may not do this; somebody with another role may. Nothing was sent and nothing was changed."""


class EngineClosed(FanoutError, RuntimeError):
    """The engine has been closed; open another one."""


class CallFailed(FanoutError):
    """One attempt of one call failed. A run keeps it as data; it never stops the other calls.

    `sentence` says what happened and what to do. `provider_words` is the provider's own text (hostile: show it as
    text only). `retry_after_s` is what the provider asked us to wait, None where it asked nothing. `was_sent` is
    False where the request certainly did not reach the provider, so that no quota slot was used.
    """

    kind: ClassVar[FailureKind] = "fatal"
    """What it asks for."""
    retryable: ClassVar[bool] = False
    """Whether another attempt may end differently."""
    stops_run: ClassVar[bool] = False
    """Whether every further call of the run would fail alike."""

    def __init__(
        self,
        sentence: str,
        *,
        provider_words: str | None = None,
        status_code: int | None = None,
        retry_after_s: float | None = None,
        was_sent: bool = True,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.provider_words = provider_words
        self.status_code = status_code
        self.retry_after_s = retry_after_s
        self.was_sent = was_sent

    def _content(self) -> tuple[object, ...]:
        return (
            type(self),
            self.sentence,
            self.provider_words,
            self.status_code,
            self.retry_after_s,
            self.was_sent,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallFailed) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_from_json, (self.as_json(),))

    def bare(self) -> CallFailed:
        """The same failure without traceback and cause, so that keeping it keeps no frame alive."""
        return _from_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` gives an equal failure back."""
        return {
            "class": type(self).__name__,
            "sentence": self.sentence,
            "provider_words": self.provider_words,
            "status_code": self.status_code,
            "retry_after_s": self.retry_after_s,
            "was_sent": self.was_sent,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read back what `as_json` wrote. An unknown class is read as plain `CallFailed`."""
        failure = _from_json(fields)
        if not isinstance(failure, cls):
            raise BadInput(f"expected a {cls.__name__}, read a {type(failure).__name__}")
        return failure


class RateLimited(CallFailed):
    """The provider answered 429: the quota is used up for now. Wait `retry_after_s`, then send again."""

    kind = "rate"
    retryable = True


class TimedOut(CallFailed):
    """No complete answer within `timeout_s`."""

    kind = "transient"
    retryable = True


class ConnectionFailed(CallFailed):
    """The provider could not be reached (`was_sent` False), or closed the connection before the answer ended."""

    kind = "transient"
    retryable = True


class ServerFailed(CallFailed):
    """The provider failed inside (5xx), or could not take the request just then (409, 425)."""

    kind: ClassVar[FailureKind] = "transient"
    retryable = True


class Overloaded(ServerFailed):
    """The provider says it has too much to do (503, 529)."""

    kind = "overload"


class Truncated(CallFailed):
    """The answer's stream ended before the provider said that it was complete."""

    kind = "transient"
    retryable = True


class BadAnswer(CallFailed):
    """The provider answered something that is not an answer (not JSON, a missing field, too large, nothing at all).

    A fault of the provider's, and not sent again by itself: what was answered may have been billed, and as a rule comes
    again as it came.
    """

    kind: ClassVar[FailureKind] = "transient"


class EmptyAnswer(BadAnswer):
    """An answer in good order without a word in it, and not for want of output tokens."""

    retryable = True


class Rejected(CallFailed):
    """The provider refuses this prompt or these settings (400, 422); sending it again changes nothing."""

    kind = "fatal"


class QuotaExhausted(CallFailed):
    """The account has no credit left, has reached its spending limit or has used up its day. Every further call would
    fail alike."""

    kind = "quota_exhausted"
    stops_run = True


class KeyRefused(CallFailed):
    """The provider does not accept the key (401, 403). Every further call would fail alike."""

    kind = "fatal"
    stops_run = True


class ModelUnknown(CallFailed):
    """The provider does not know the model (404). Every further call would fail alike."""

    kind = "fatal"
    stops_run = True


class Broken(CallFailed):
    """A bug of ours, or a function of yours that raised: kept in the call's row, with its class and message."""

    kind = "ours"


FAILURES: Mapping[str, type[CallFailed]] = {
    cls.__name__: cls
    for cls in (
        CallFailed,
        RateLimited,
        TimedOut,
        ConnectionFailed,
        ServerFailed,
        Overloaded,
        Truncated,
        BadAnswer,
        EmptyAnswer,
        Rejected,
        QuotaExhausted,
        KeyRefused,
        ModelUnknown,
        Broken,
    )
}
"""Every class of failure by its name, as JSON spells it."""


def _from_json(fields: Mapping[str, Any]) -> CallFailed:
    return FAILURES.get(fields["class"], CallFailed)(
        fields["sentence"],
        provider_words=fields.get("provider_words"),
        status_code=fields.get("status_code"),
        retry_after_s=fields.get("retry_after_s"),
        was_sent=fields.get("was_sent", True),
    )
