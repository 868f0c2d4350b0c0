"""Fanout: run a list of prompts side by side, see how the calls overlap, tune quota and latency.

    prompts -> batch -> schedule -> calls -> events -> run -> views

A map of the house, each room importing only from those above it:

    errors, clock          what can go wrong; time
    threads                the standard thread pool, with its ends mended
    sandbox.profile        how the simulated provider behaves, a value
    prompts, batch, events files and text -> prompts; what is to be run; what happened
    quota, retry           limits; a failure -> a verdict
    schedule               THE RULE: which call may start now. Pure
    run, fold, metrics     what a run is, how events make it, its numbers
    store, export          where events are kept; a run as CSV, JSON lines, Chrome trace
    providers, calls       the loop thread and the models; what one call does
    live, stretch, engine  THE HANDS: the thread pool, stop, retry
    executor, tuning       a concurrent.futures.Executor that records spans; bounds
    settings, library      what is configured; the engine and its store in one, for those who may see a run
    sandbox                a provider of our own on loopback

Importing this package imports no provider library; that waits until a model is used. Each name below is imported when
it is first used, so that a command that is interrupted as it starts ends without a traceback from half an import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import as_completed

    from fanout.batch import Batch
    from fanout.calls.completion import completion
    from fanout.engine import Engine
    from fanout.errors import BadInput, CallFailed, FanoutError
    from fanout.executor import Executor
    from fanout.library import Library
    from fanout.live import LiveRun
    from fanout.people import LOCAL
    from fanout.run import Result, Run
    from fanout.sandbox.profile import SandboxProfile
    from fanout.settings import read_settings

__all__ = [
    "LOCAL",
    "BadInput",
    "Batch",
    "CallFailed",
    "Engine",
    "Executor",
    "FanoutError",
    "Library",
    "LiveRun",
    "Result",
    "Run",
    "SandboxProfile",
    "as_completed",
    "completion",
    "read_settings",
]

_FROM = {
    "LOCAL": "fanout.people",
    "BadInput": "fanout.errors",
    "Batch": "fanout.batch",
    "CallFailed": "fanout.errors",
    "Engine": "fanout.engine",
    "Executor": "fanout.executor",
    "FanoutError": "fanout.errors",
    "Library": "fanout.library",
    "LiveRun": "fanout.live",
    "Result": "fanout.run",
    "Run": "fanout.run",
    "SandboxProfile": "fanout.sandbox.profile",
    "as_completed": "concurrent.futures",
    "completion": "fanout.calls.completion",
    "read_settings": "fanout.settings",
}
"""Where each promised name is."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """A promised name, at its first use. Raises AttributeError for any other."""
        if name not in _FROM:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_FROM[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
