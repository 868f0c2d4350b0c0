"""A command that drives a run: what stands around it from its first call to its last word.

Comes in: settings, how to start the run. Goes out: the run, followed to its end, its last words on standard error, the
exit code. Ctrl+C, SIGTERM and a terminal that is closed end it in order. What is printed of it is `fanout.terminal`'s.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fanout.library import Library
from fanout.live import LiveRun
from fanout.settings import Settings
from fanout.streams import results_out
from fanout.wiring import engine_of

Order = Literal["input", "completion"]
"""In which results are printed."""


def opened(settings: Settings, *, quota_file: Path | None = None, stores: bool = True) -> Library:
    """The library that the settings name, or one that keeps nothing."""
    if stores:
        return Library(settings, quota_file=quota_file)
    return Library(settings, engine=engine_of(settings, store=None, quota_file=quota_file))


@contextlib.contextmanager
def in_order(library: Library) -> Iterator[Library]:
    """Until the command has ended: Ctrl+C, SIGTERM and SIGHUP end its run in order, then the wait for a lost store."""
    with _a_kill_is_an_interrupt():
        try:
            yield library
        finally:
            try:
                library.close()
            except KeyboardInterrupt:
                print("The store is waited for no longer.", file=sys.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A run that was followed to its end."""

    live: LiveRun | None
    """None where it was interrupted before it began."""
    code: int
    is_stored: bool
    """Whether it was to be."""
    is_printed: bool
    """Whether all that came of it could be printed."""


def follow_to_end(library: Library, start: Callable[[], LiveRun], *, order: Order, as_json: bool) -> Followed:
    """Start the run and follow it to its end."""
    from fanout.terminal import INTERRUPTED, NOT_PRINTED, SOME_FAILED, follow  # late: --help does not wait for rich

    live, code = None, INTERRUPTED
    out, is_stored = results_out(), library.shelf is not None
    with contextlib.suppress(KeyboardInterrupt):  # before the first call or after the last
        live = start()
        grace_s = library.settings.grace_s
        code = follow(live, order=order, as_json=as_json, out=out, grace_s=grace_s, is_stored=is_stored)
    is_printed = code != NOT_PRINTED
    return Followed(live=live, code=code if is_printed else SOME_FAILED, is_stored=is_stored, is_printed=is_printed)


def with_last_words(followed: Followed) -> int:
    """Say, once the store is closed, what it does not have, and what shows and what sends the rest; the exit code."""
    from fanout.terminal import answers_not_stored, not_stored, sends_the_rest

    live = followed.live
    if live is None:
        return followed.code
    if followed.is_stored and (count := answers_not_stored(live)):
        again = f"Resuming asks for {'it' if count == 1 else 'them'} again."
        print(f"{not_stored(count)}, and nowhere else: keep these lines. {again}", file=sys.stderr)
    if live.record.is_new:
        print("Nothing of this run could be stored: it has to be started again.", file=sys.stderr)
        return followed.code
    if followed.is_stored and not followed.is_printed:
        print(f"What is stored is shown by: python -m fanout show {live.run_id}", file=sys.stderr)
    if any(call.status != "answered" for call in live.snapshot().calls):
        rest = sends_the_rest(live.snapshot(), is_stored=followed.is_stored)
        if rest is not None:
            print(rest, file=sys.stderr)
    return followed.code


@contextlib.contextmanager
def _a_kill_is_an_interrupt() -> Iterator[None]:
    """Within it, SIGTERM and a terminal that is closed end the run in order, as Ctrl+C does, and none can be lost."""
    from fanout.terminal import asked_to_end, user_asks_to_end

    def interrupt(_signal: int, _frame: object) -> None:
        user_asks_to_end()

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    for which in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):  # Windows has no SIGHUP
        if signal.getsignal(which) is not signal.SIG_IGN:  # ignored: `nohup`, or a shell's background
            before.setdefault(which, signal.signal(which, interrupt))
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        asked_to_end.clear()
