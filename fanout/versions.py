"""Which versions made a run: of this program, of Python, and of the libraries that send the calls."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from importlib import metadata

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
