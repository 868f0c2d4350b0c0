"""Whether the store can be written: what its writer finds, and what somebody who looks at the writer finds.

Comes in: from the writer, that it asks the database and that it has an answer, or an error. Goes out: a sentence while
nothing can be written, and a word to whoever must know as soon as that is so. A database that says nothing keeps the
writer itself from saying anything: so another thread looks at it, a few times a second, and counts how often it found
the writer waiting for the same answer. It counts and reads no clock: a process that was suspended meanwhile has
waited for nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal

from fanout.store.silence import Silence

STALL_S = 5.0
"""How long an answer may take before nothing further is sent; one takes milliseconds."""
LOOK_S = 0.5

_LOG = logging.getLogger("fanout.store.writer")

Asked = Literal["write", "expire"]
"""`expire`: old runs are deleted, which may take a while. It holds calls only where something waits meanwhile."""


class Trouble:
    """One writer's. `asks`, `failed` and `is_over` come from the writer's thread, the rest from any."""

    def __init__(self, silence: Silence, *, waits: Callable[[], bool], tell: Callable[[], None]) -> None:
        """`waits`: whether something waits to be written. `tell`: called in the thread that looks, once it is so."""
        self.words: str | None = None
        self._silence = silence
        self._waits = waits
        self._tell = tell
        self._asked: Asked | None = None
        self._is_expiry = False  # whether `words` only say that old runs are being deleted
        self._number = 0  # of the question that the writer waits for, or of the last one
        self._seen = (0, 0)  # its number when it was looked at last, and how often it was found waiting
        # Protects the end of a question from whoever looks at it: nobody says of one that has ended that it hangs.
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="fanout-store-watch", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Trouble {self.words or 'none'}{', asked' if self._asked else ''}>"

    def asks(self, what: Asked = "write") -> None:
        """The database is asked something now."""
        self._number += 1
        self._asked = what

    def has_answer(self) -> None:
        """Of any kind."""
        with self._lock:
            self._asked = None
            if self._is_expiry:
                self._well()

    def failed(self, reason: str) -> None:
        """Nothing can be written, for this reason."""
        with self._lock:
            self._is_expiry = False
            self._say(reason)

    def is_over(self) -> None:
        """Something was written."""
        with self._lock:
            self._asked = None
            self._silence.is_over()
            self._well()

    def close(self) -> None:
        """Look no further."""
        self._closed.set()

    def _look_on(self) -> None:
        while not self._closed.wait(LOOK_S):
            if self._look():
                self._tell()

    def _look(self) -> bool:
        """Whether the writer was found to wait for too long, just now."""
        with self._lock:
            number, found = self._seen
            if self._asked is None or (self._asked == "expire" and not self._waits()):
                self._seen = (self._number, 0)
                return False
            self._seen = (self._number, found + 1 if number == self._number else 1)
            if self._seen[1] != round(STALL_S / LOOK_S):
                return False
            if self._asked == "expire":
                self._is_expiry = self.words is None
                self._say(f"old runs have been deleted for {STALL_S:g} s")
            else:
                self._silence.hangs = True
                self._say(f"no answer for {STALL_S:g} s")
            return True

    def _say(self, reason: str) -> None:
        words = f"The store cannot be written ({reason}). Nothing further is sent until it can."
        if self.words is None:
            _LOG.warning("%s", words)
        self.words = words

    def _well(self) -> None:
        if self.words is not None:
            _LOG.warning("The store can be written again: what waited for it goes on.")
        self.words, self._is_expiry = None, False
