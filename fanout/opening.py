"""The first event of a run: what is to be run, who asked for it, and which versions of what will send it."""

from __future__ import annotations

import functools
import platform
import secrets
import time
from collections.abc import Mapping
from importlib import metadata

from fanout.batch import Batch
from fanout.events import RunOpened
from fanout.people import Person
from fanout.providers.account import server_of

VERSION = "0.4"
"""Of Fanout."""

_LIBRARIES = ("pydantic-ai-slim", "openai", "anthropic", "google-genai", "httpx2")


@functools.cache
def versions() -> Mapping[str, str]:
    """By name. Read once: it looks at files."""
    found = {"fanout": VERSION, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def opening(batch: Batch, *, at_ns: int, by: Person, baseline_of: str | None) -> RunOpened:
    """The event of a new run, under an id that nobody guesses."""
    return RunOpened(
        at_ns=at_ns,
        run_id=secrets.token_hex(8),
        batch=batch,
        opened_at_s=time.time(),
        baseline_of=baseline_of,
        user_id=by.user_id,
        user_name=by.name,
        versions=versions(),
        server=server_of(batch.model),
    )
