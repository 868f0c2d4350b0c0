"""What the account said, as OpenAI spells it: rate-limit headers, and the words of a 429.

Comes in: an `Admission`. Goes out: headers and a body that say it honestly. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from fanout.sandbox.account import Admission, Refusal, Resource
from fanout.sandbox.asked import error_body
from fanout.sandbox.bucket import NS_PER_MS, NS_PER_S

_NAMES: Mapping[Resource, str] = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "requests_per_day": "requests per day (RPD)",
    "concurrency": "concurrent requests (concurrency)",
}
_TYPES: Mapping[Resource, str] = {
    "requests": "requests",
    "tokens": "tokens",
    "requests_per_day": "requests",
    "concurrency": "concurrency",
}


def limit_headers(admission: Admission) -> tuple[tuple[bytes, bytes], ...]:
    """How the limits a minute stand, and with a refusal when to come again, where that can be told."""
    headers: list[tuple[bytes, bytes]] = []
    for standing in admission.standings:
        name = standing.resource.encode()
        headers.append((b"x-ratelimit-limit-" + name, b"%d" % standing.limit))
        headers.append((b"x-ratelimit-remaining-" + name, b"%d" % standing.remaining))
        headers.append((b"x-ratelimit-reset-" + name, duration(standing.reset_ns).encode()))
    if admission.refusal is not None:
        headers.extend(_retry_headers(admission.refusal))
    return tuple(headers)


def _retry_headers(refusal: Refusal) -> tuple[tuple[bytes, bytes], ...]:
    """Rounded up, so that who waits as told is not refused again for a fraction."""
    if refusal.too_large:
        return ((b"x-should-retry", b"false"),)
    if refusal.wait_ns is None:
        return ()
    return (
        (b"retry-after", b"%d" % -(-refusal.wait_ns // NS_PER_S)),
        (b"retry-after-ms", b"%d" % -(-refusal.wait_ns // NS_PER_MS)),
    )


def refusal_body(refusal: Refusal, model: str, *, numbers: bool = True) -> bytes:
    """The body of a 429, which names the limit and, where `numbers`, says how much it is and when to come again."""
    limit = f"for {model} in the Fanout sandbox on {_NAMES[refusal.resource]}"
    if not numbers:
        size = "Request too large" if refusal.too_large else "Rate limit reached"
        return error_body(f"{size} {limit}.", kind=_TYPES[refusal.resource], code="rate_limit_exceeded")
    limit = f"{limit}: Limit {refusal.limit}"
    if refusal.too_large:
        message = (
            f"Request too large {limit}, Requested {refusal.requested}.{_at_once(refusal)}"
            " The input or output tokens must be reduced in order to run successfully."
        )
    else:
        message = (
            f"Rate limit reached {limit}, Used {refusal.used}, Requested {refusal.requested}.{_at_once(refusal)}"
            f" {_when(refusal)}"
        )
    return error_body(message, kind=_TYPES[refusal.resource], code="rate_limit_exceeded")


def _at_once(refusal: Refusal) -> str:
    """A sentence where more than the limit itself holds a request back; else its figures would contradict it."""
    if refusal.at_once == refusal.limit:
        return ""
    return f" No more than {refusal.at_once} {_TYPES[refusal.resource]} are given at once."


def _when(refusal: Refusal) -> str:
    if refusal.wait_ns is None:
        return "Please try again when one of your requests has ended."
    if refusal.resource == "requests_per_day":
        return f"Please try again in {duration(refusal.wait_ns)}."
    return f"Please try again in {refusal.wait_ns / 1e9:.3f}s."


def duration(ns: int) -> str:
    """A duration as OpenAI's headers spell it, rounded up to a millisecond: 0s, 120ms, 1.5s, 6m0s, 1h0m0s."""
    ms = -(-ns // NS_PER_MS)
    if 0 < ms < 1000:
        return f"{ms}ms"
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{ms:03}".rstrip("0").rstrip(".") if ms else str(seconds)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
