"""What the terminal says of a start: where the dashboard answers, or in one sentence why it does not.

Comes in: Streamlit's options, or the reason. Goes out: a line. Streamlit's own greeting is off: it comes before anybody
knows whether the start is allowed, and asks another server for this machine's address.
"""

from __future__ import annotations

import logging

REFUSED = "Fanout did not start: "
_LAST_WORDS = "Application startup failed. Exiting."
"""What uvicorn adds of itself."""
_WILDCARDS = ("", "0.0.0.0", "::")


def refused(why: Exception) -> SystemExit:
    """What ends the start."""
    return SystemExit(f"{REFUSED}{why}")


def answers_at(address: object, port: object, *, base: str, https: bool, origin: str | None = None) -> str:
    """Where the dashboard answers, as a line: `base` is the path that it is served below.

    `origin`: the scheme, host and port under which people log in, and must open it.
    """
    if origin is not None:
        return f"Fanout answers at {origin}{base}"
    host = "" if address is None else str(address)
    everywhere = host in _WILDCARDS
    name = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    where = f"{'https' if https else 'http'}://{name}:{port}{base}"
    return f"Fanout answers at {where}{', and at every address of this machine' if everywhere else ''}"


def say(line: str) -> None:
    """Into the terminal, at once."""
    print(line, flush=True)


class RefusalsAreSentences(logging.Filter):
    """The server that holds the application logs a refused start with its traceback: the sentence is all there is."""

    def __init__(self) -> None:
        super().__init__()
        self._was_refused = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes: that of a refusal as its sentence."""
        said = record.getMessage()
        if f"SystemExit: {REFUSED}" in said:
            self._was_refused = True
            record.msg, record.args, record.exc_info = said[said.rindex(REFUSED) :].strip(), (), None
            return True
        return not (self._was_refused and said == _LAST_WORDS)


def refuse_in_a_sentence() -> None:
    """From now on."""
    logging.getLogger("uvicorn.error").addFilter(RefusalsAreSentences())
