"""Every way in which asking a model can fail, mapped once to our tree: what happened, why, what to do next.

Comes in: whatever pydantic-ai, the providers' SDKs or the wire raised, and what is known of the attempt. Goes out: a
`CallFailed` with the provider's own words kept and every key struck out. It raises nothing, sends nothing, retries
nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLError

import httpx2
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelUnavailableError,
    UnexpectedModelBehavior,
    UserError,
)

from fanout.errors import (
    BadAnswer,
    Broken,
    CallFailed,
    ConnectionFailed,
    EmptyAnswer,
    KeyRefused,
    ModelUnknown,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerFailed,
    TimedOut,
    Truncated,
)
from fanout.events import LimitName
from fanout.providers import used_up
from fanout.providers.bodies import DAYS, is_about_spending
from fanout.providers.inside import chain
from fanout.providers.keys import redacted
from fanout.providers.numbers import LONGEST_S
from fanout.quota.report import RateReport

MOST_WORDS = 2_000
"""Characters kept of what a provider says."""
MOST_COMPLAINT = 200
"""Characters of a parser's complaint in a sentence."""
MOST_BEGINNING = 60
"""Characters of an odd answer in a sentence."""
WORTH_WAITING_S = 60.0
"""A day's limit of which more comes back this soon stops no run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of an attempt, whatever it failed with."""

    timeout_s: float
    model: str
    address: str
    """Where the provider is, as a person would say it: host and port."""
    key_name: str | None = None
    """The environment variable that holds the key."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What must not be in what we say: the key, and what else the request's headers were let in by."""
    was_sent: bool = True
    """Whether the request was handed to the wire."""
    content_type: str | None = None
    """Of the answer, once its headers have come; None before."""
    status_code: int | None = None
    """Likewise."""
    beginning: bytes = b""
    """How the answer began."""
    timed_out: bool = False
    """Whether our own clock ended the attempt."""
    provider: str = ""
    """Who was asked, as `account.speaker` names it."""
    said: RateReport = RateReport()
    """What the response said of limits."""


def failure_of(error: BaseException, at: Circumstances) -> CallFailed:
    """`error` as a failure of our tree, with `error` as its cause unless its text gives a key away."""
    known = next((link for link in chain(error) if isinstance(link, CallFailed)), None)
    if known is not None:  # raised where it was seen, and perhaps wrapped by an SDK since
        return _clean(known, at.secrets)
    failure = _clean(_mapped(error, at), at.secrets)
    if not any(_tells_a_key(link, at.secrets) for link in chain(error)):
        failure.__cause__ = error
    return failure


def _clean(failure: CallFailed, secrets: tuple[str, ...]) -> CallFailed:
    words = failure.provider_words  # struck out before it is cut, or half a key would stay
    return type(failure)(
        redacted(failure.sentence, *secrets),
        provider_words=None if not words else redacted(words, *secrets)[:MOST_WORDS],
        status_code=failure.status_code,
        retry_after_s=failure.retry_after_s,
        was_sent=failure.was_sent,
    )


def _tells_a_key(error: BaseException, secrets: tuple[str, ...]) -> bool:
    text = f"{error}{error!r}"
    return redacted(text, *secrets) != text


def _mapped(error: BaseException, at: Circumstances) -> CallFailed:
    if at.timed_out:
        return _timed_out(at)
    if isinstance(error, ModelHTTPError):
        return _answered(error, at)
    if isinstance(error, ModelConnectionError) or _transport_error(error) is not None:
        return _wire_failed(error, at)
    if isinstance(error, ModelAPIError):
        return _odd_answer(error, at)
    if isinstance(error, ContentFilterError):
        return Rejected(_FILTERED, provider_words=str(error))
    if isinstance(error, UnexpectedModelBehavior):
        return _not_an_answer(at, error.message)
    if isinstance(error, UserError):
        return Rejected(f"This request cannot be made: {error}. Change the settings.", was_sent=at.was_sent)
    if isinstance(error, RecursionError):  # JSON nested a thousand deep, at whoever parsed it
        return _not_an_answer(at, "it is nested too deep")
    if any(type(link).__module__.startswith("google.auth") for link in chain(error)):
        return KeyRefused(f"The credentials do not work: {error}. Sign in again.", was_sent=at.was_sent)
    if at.status_code is not None and not _is_ours(error):  # an SDK met an answer that it did not expect
        return _not_an_answer(at, f"{type(error).__name__}: {error}")
    return Broken(f"This call broke on our side: {type(error).__name__}: {error}", was_sent=at.was_sent)


def _is_ours(error: BaseException) -> bool:
    """Whether the code that raised it is Fanout's, or nobody knows whose it is."""
    rooms, trace = [], error.__traceback__
    while trace is not None:
        rooms.append(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    return next((room == "fanout" for room in reversed(rooms) if room not in sys.stdlib_module_names), True)


_FILTERED = "The provider's content filter withheld the answer. Change the prompt; sending it again changes nothing."


def _timed_out(at: Circumstances) -> CallFailed:
    if not at.was_sent:
        return TimedOut(f"Nothing could be sent within {at.timeout_s:g} s. Raise the timeout.", was_sent=False)
    return TimedOut(f"No complete answer within {at.timeout_s:g} s. Send it again, or raise the timeout.")


# ---- the provider answered with a status that is not a success


def _answered(error: ModelHTTPError, at: Circumstances) -> CallFailed:
    status = error.status_code
    wait_s = _wait_s(error, at)
    kind = _kind(error, wait_s, at)
    sentence = f"The provider answered {status}: {_reason(kind, error, wait_s, at)}"
    return kind(sentence, provider_words=words_of(error.body), status_code=status, retry_after_s=wait_s)


def _wait_s(error: ModelHTTPError, at: Circumstances) -> float | None:
    """The best wait known, in seconds."""
    if at.said.retry_after_s is not None or _spent_day(at) is not None:
        return at.said.retry_after_s  # what Gemini asks to wait for a spent day is the minute's wait
    asked_s = error.retry_after  # as pydantic-ai reads it, whatever it is
    return asked_s if asked_s is not None and 0 <= asked_s <= LONGEST_S else None


# pydantic-ai's categories first: they know the providers' codes (an exhausted balance is a 429 here, a 400 there).
_BY_CATEGORY: tuple[tuple[type[ModelAPIError], type[CallFailed]], ...] = (
    (ModelQuotaExceededError, QuotaExhausted),
    (ModelRateLimitError, RateLimited),
    (ModelUnavailableError, Overloaded),
    (ModelServerError, ServerFailed),
    (ModelAuthenticationError, KeyRefused),
    (ModelNotFoundError, ModelUnknown),
    (ModelRequestRejectedError, Rejected),
)


_PASSING: Mapping[int, str] = {
    409: "another request was in its way. Send it again.",
    425: "it was too early for it. Send it again.",
}
"""Statuses of the 400s that say nothing against the request: the SDKs of OpenAI and Anthropic send a 409 again too."""


def _kind(error: ModelHTTPError, wait_s: float | None, at: Circumstances) -> type[CallFailed]:
    if error.status_code in _PASSING:
        return ServerFailed
    kind = next((kind for category, kind in _BY_CATEGORY if isinstance(error, category)), None)
    if kind is RateLimited:
        day_is_over = _spent_day(at) is not None and (wait_s is None or wait_s > WORTH_WAITING_S)
        return QuotaExhausted if day_is_over or is_about_spending(error.body) else RateLimited
    if kind is not None:
        return kind
    if error.status_code == 408:
        return TimedOut
    return ServerFailed if error.status_code >= 500 else Rejected


def _spent_day(at: Circumstances) -> LimitName | None:
    return at.said.exhausted if at.said.exhausted in DAYS else None


def _reason(kind: type[CallFailed], error: ModelHTTPError, wait_s: float | None, at: Circumstances) -> str:
    if error.status_code in _PASSING:
        return _PASSING[error.status_code]
    if kind is RateLimited:
        return used_up.for_now(at.said.exhausted, wait_s)
    if kind is QuotaExhausted:
        day = _spent_day(at)
        if day is not None:
            return used_up.for_the_day(day, wait_s, provider=at.provider)
        return used_up.SPENDING if is_about_spending(error.body) else used_up.NO_CREDIT
    if kind is ModelUnknown:
        near = f", perhaps {error.suggested_model_id}" if error.suggested_model_id else ""
        return f"it knows no model {at.model!r} at {at.address}. Check the name{near} and the base URL."
    if kind is KeyRefused:
        return f"it does not accept the key. Check {at.key_name or 'the key'}, and whether it may use {at.model!r}."
    if isinstance(error, ModelContextWindowExceededError):
        return "the prompt is longer than the model can read. Shorten it."
    return _REASONS[kind]


_REASONS: Mapping[type[CallFailed], str] = {
    Overloaded: "it has too much to do. Send it again later, or lower max_workers.",
    ServerFailed: "it failed inside. Send it again.",
    TimedOut: "it gave up waiting. Send it again.",
    Rejected: "it refuses this prompt or these settings. Change them; sending it again changes nothing.",
}


def words_of(body: object) -> str | None:
    """The message in the body of a provider's error, else the whole body."""
    if isinstance(body, list) and len(body) == 1:  # Google's OpenAI-compatible API wraps its error in a list
        body = body[0]
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        message = inner.get("message") or inner.get("detail") if isinstance(inner, Mapping) else inner
        body = message or body
    if body is None or body == "":
        return None
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    return text.strip() or None


# ---- the wire failed


def _transport_error(error: BaseException) -> BaseException | None:
    kinds = (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError, httpx2.InvalidURL)
    return next((link for link in chain(error) if isinstance(link, kinds)), None)


def _wire_failed(error: BaseException, at: Circumstances) -> CallFailed:
    cause = _transport_error(error) or error
    if isinstance(cause, httpx2.DecodingError):
        return _not_unpacked(at)
    if not at.was_sent or _phase(error, cause) in ("connect", "pool"):
        return ConnectionFailed(
            f"The provider could not be reached at {at.address}: {_why(cause)}. Check the address and the network.",
            was_sent=False,
        )
    if isinstance(cause, httpx2.TimeoutException):
        return _timed_out(at)
    if at.content_type is not None or "incomplete" in str(cause):
        return _truncated()
    if isinstance(cause, httpx2.RemoteProtocolError) and "disconnected" not in str(cause):
        return _not_an_answer(at, str(cause))
    return ConnectionFailed(
        "The provider closed the connection before it answered. Send it again; it may have counted this request."
    )


def _phase(error: BaseException, cause: BaseException) -> str | None:
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol):
        return "connect"
    return error.phase if isinstance(error, ModelConnectionError) else None


def _why(cause: BaseException) -> str:
    if isinstance(cause, httpx2.ConnectTimeout):
        return "no connection in time"
    root = list(chain(cause))[-1]  # the socket's own error says more than "All connection attempts failed"
    if isinstance(root, OSError) and not isinstance(root, SSLError) and root.errno and root.errno > 0:
        return os.strerror(root.errno)
    return str(root) or str(cause) or "no connection"


def _truncated() -> CallFailed:
    return Truncated("The answer broke off before its end: the connection was lost. Send it again.")


def truncated_answer() -> CallFailed:
    """The stream ended in good order, but without the provider's word that the answer is complete."""
    return Truncated(
        "The answer's stream ended before the provider said that it was complete. Send it again; if it always does, "
        "turn streaming off."
    )


# ---- something came, but it is no answer


def _odd_answer(error: ModelAPIError, at: Circumstances) -> CallFailed:
    if "without a `finish_reason`" in error.message:
        return truncated_answer()
    status = getattr(error.__cause__, "status_code", None)
    if isinstance(status, int) and 300 <= status < 400:
        return _moved(status)
    if error.in_stream or error.body is not None:
        return ServerFailed(
            "The provider reported an error inside its answer. Send it again.",
            provider_words=words_of(error.body) or error.message,
        )
    return _not_an_answer(at, error.message)


def _not_unpacked(at: Circumstances) -> CallFailed:
    return BadAnswer(
        f"The provider answered {at.status_code} with a body that cannot be unpacked: it is damaged, or packed in "
        f"another way than it says. {_MAY_BE_BILLED}"
    )


def _moved(status: int) -> CallFailed:
    """A redirect, which is not followed: the key would go along."""
    if status not in _REDIRECTS:
        return Rejected(f"The provider answered {status}, which is no answer. Check the base URL.", status_code=status)
    return Rejected(f"The provider answered {status}: it has moved. Check the base URL.", status_code=status)


def _not_an_answer(at: Circumstances, complaint: str) -> CallFailed:
    if at.status_code is not None and 300 <= at.status_code < 400:
        return _moved(at.status_code)
    kind = (at.content_type or "").partition(";")[0].strip().lower()
    if kind == "text/event-stream" and at.beginning.lstrip()[:1] not in _NO_EVENT:
        if "ended without content" in complaint:
            return truncated_answer()
    elif at.status_code is not None:
        return BadAnswer(f"{_what_came(at, kind)}. Check that {at.address} is the right base URL. {_MAY_BE_BILLED}")
    why = complaint.partition("\n")[0][:MOST_COMPLAINT]
    return BadAnswer(f"The provider sent something that is not an answer: {why}. {_MAY_BE_BILLED}")


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_EVENT = frozenset({b"{", b"[", b"<"})
"""What no stream of events begins with."""
_MAY_BE_BILLED = "It is not sent again by itself: it may have been billed."


def _what_came(at: Circumstances, kind: str) -> str:
    beginning = at.beginning.decode("utf-8", "replace")
    said = " ".join("".join(each if each.isprintable() else " " for each in redacted(beginning, *at.secrets)).split())
    if not said:
        return f"The provider answered {at.status_code} with an empty body, which is not an answer"
    said = said if len(said) <= MOST_BEGINNING else f"{said[:MOST_BEGINNING].rstrip()}…"
    what = "a web page" if kind == "text/html" else kind or "a body of no named type"
    return f"The provider answered {at.status_code} with {what} that is not an answer, beginning: '{said}'"


def empty_answer(*, cut_off: bool) -> CallFailed:
    """An answer came, complete and without a word of text; `cut_off` where it had reached its output limit."""
    if cut_off:
        return BadAnswer("The answer is empty: the model used up its output tokens first. Raise max output tokens.")
    return EmptyAnswer("The provider sent an empty answer. Send it again, or change the prompt.")


def withheld_answer(words: str | None) -> CallFailed:
    """The provider refused to show the answer, in `words` of its own where it gave some."""
    return Rejected(_FILTERED, provider_words=words)
