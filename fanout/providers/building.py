"""The lock under which a first model is imported and built, and for which a fork waits.

Comes in: a thread that builds, or one that forks. Goes out: whole modules and a free lock in the forked child. A thread
that was in the middle is not there in a child: what it held would be held for ever, Python's own lock of the module
that it was importing too, and nothing can be done about that one afterwards.
"""

from __future__ import annotations

import concurrent.futures.thread
import logging
import os
import threading
from types import TracebackType

FORK_WAIT_S = 10.0
"""A fork waits no longer, as a build may wait for the network; the child then has a lock of its own, and the risk."""


class Building:
    """A lock to be held while a model is imported and built; again by the thread that has it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # protects the tables of `ready` against two first callers
        self._forking = threading.local()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Wait until nobody builds."""
        self._forking.waited = self._lock.acquire(timeout=FORK_WAIT_S)

    def after_fork(self) -> None:
        """In the parent: let others build."""
        if self._forking.waited:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """In the child: let go of it, or of the one whose owner is not here."""
        if self._forking.waited:
            self._lock.release()
        else:
            self._lock = threading.RLock()


building = Building()

# Both have hooks of the same kind. Imported while a fork waits here, they would release what they had never taken.
assert concurrent.futures.thread
assert logging

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=building.before_fork,
        after_in_parent=building.after_fork,
        after_in_child=building.after_fork_in_child,
    )
