"""Keys struck out of what providers say: out of errors by value and by shape, out of answers by value alone.

Comes in: text of a provider's, and the values that went out with the request. Goes out: the text without them. An
answer may speak of keys, and show what looks like one: only the very values that its request carried are no part of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

STRUCK = "[key]"
SHORTEST_KEY = 8
"""Shorter values are no keys, and striking them out would make nonsense of sentences."""
STAND_INS = frozenset({"no-key-needed", "sk-no-key-required", "not-needed", "lm-studio", "placeholder"})
"""Sent to servers that want no key; ours is the first. They are words, and stay in answers."""
_SECRET_HEADERS = frozenset(
    {b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key", b"proxy-authorization", b"cf-aig-authorization"}
)


def sent_with(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The secrets among a request's raw headers, each without its scheme (`Bearer`)."""
    found = (value for name, value in headers if name.lower() in _SECRET_HEADERS)
    return tuple(value.decode("latin-1").rpartition(" ")[2] for value in found)


def masked(text: str, secrets: Iterable[str]) -> str:
    """An answer's `text` with each of `secrets` struck out where it stands in it."""
    for secret in secrets:
        if secret in text and len(secret) >= SHORTEST_KEY and secret not in STAND_INS:
            text = text.replace(secret, STRUCK)
    return text


def redacted(text: str, *secrets: str | None) -> str:
    """An error's `text` with `secrets`, the keys of the environment and anything shaped like a key struck out."""
    for known in (*secrets, *_environment_keys()):
        if known and len(known) >= SHORTEST_KEY:
            text = text.replace(known, STRUCK)
        elif known:  # a stand-in for a server that wants none: inside words it would make nonsense of sentences
            text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", STRUCK, text)
    return _KEY_SHAPES.sub(STRUCK, text)


_KEY_SHAPES = re.compile(
    r"\b(?:sk|gsk|xai|pplx)[-_][A-Za-z0-9_*.\-]{8,}"  # OpenAI, Anthropic, OpenRouter, Groq, xAI, Perplexity
    r"|\bhf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|\bAIza[A-Za-z0-9_\-]{20,}"  # Google
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=\-]{8,}"
    r"|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"  # user and password in a URL
)
_KEY_VARIABLES = re.compile(r"_(?:API_)?(?:KEY|TOKEN|SECRET)$")


def _environment_keys() -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_KEY and _KEY_VARIABLES.search(name):
            yield value
