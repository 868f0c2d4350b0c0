"""Errors that a provider told in a way in which its SDK did not find them.

Comes in: what an attempt raised, and what the wire saw of the response. Goes out: the provider's error, as pydantic-ai
would have raised it; or the exception as it was, where the response told none.

Two kinds: a status that says it all, whose body then broke off, stalled or could not be unpacked (a 429 is one whatever
became of its body); and a 200 whose body is an error, as gateways send it once they have begun to answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelUnavailableError,
)

from fanout.errors import CallFailed

_Category = type[
    ModelRateLimitError | ModelQuotaExceededError | ModelUnavailableError | ModelServerError | ModelRequestRejectedError
]
_BY_STATUS: Mapping[int, _Category] = {
    401: ModelAuthenticationError,
    402: ModelQuotaExceededError,
    403: ModelAuthenticationError,
    404: ModelNotFoundError,
    429: ModelRateLimitError,
    503: ModelUnavailableError,
    529: ModelUnavailableError,
}
_STATUSES: Mapping[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "unauthenticated": 401,
    "insufficient_quota": 402,
    "permission_denied": 403,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found": 404,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "overloaded_error": 529,
    "unavailable": 503,
}
"""What providers call, in an error's code, type or status, what they otherwise send such a status for."""


def told(raised: Exception, *, status_code: int | None, beginning: bytes, model: str) -> Exception:
    """The error in a response of that status whose body began so, `raised` its cause; `raised` where there is none."""
    if status_code is None or isinstance(raised, ModelHTTPError):
        return raised
    is_judged = any(isinstance(link, CallFailed) for link in chain(raised))
    if is_judged and status_code >= 400 and status_code != 429:
        return raised  # too large a body, say: that is not to be had again
    body = _parsed(beginning)
    error = _of_status(status_code, body, model) if status_code >= 400 else _in_success(body, model)
    if error is None:
        return raised
    if not is_judged:  # what is judged already would be taken for the failure itself
        error.__cause__ = raised
    return error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it, the last one first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_status(status_code: int, body: object, model: str) -> ModelHTTPError:
    category = _BY_STATUS.get(status_code)
    return ModelHTTPError.for_category(category, status_code=status_code, model_name=model, body=body)


def _in_success(body: object, model: str) -> ModelAPIError | None:
    inner = body.get("error") if isinstance(body, Mapping) else None
    if not inner:
        return None
    status_code = _status_in(inner)
    if status_code is None:
        return ModelAPIError(model, "an error inside an answer", body=body, in_stream=True)
    return _of_status(status_code, body, model)


def _status_in(inner: object) -> int | None:
    if not isinstance(inner, Mapping):
        return None
    named = [inner.get(name) for name in ("code", "status", "type")]
    for value in named:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:4])
        if isinstance(value, int) and 400 <= value < 600:
            return value
    words = [value.lower() for value in named if isinstance(value, str)]
    return next((_STATUSES[word] for word in words if word in _STATUSES), None)


def _parsed(beginning: bytes) -> object:
    text = beginning.decode("utf-8", "replace")
    try:
        body: object = json.loads(text)
    except (ValueError, RecursionError):
        return text or None
    return body
