"""Fanout: run a list of prompts side by side, see how the calls overlap, tune quota and latency.

    prompts -> batch -> schedule -> calls -> events -> run -> views

A map of the house, each room importing only from those above it:

    errors, clock          what can go wrong; time
    sandbox.profile        how the simulated provider behaves, a value
    prompts, batch, events files and text -> prompts; what is to be run; what happened
    quota, retry           limits; a failure -> a verdict
    schedule               THE RULE: which call may start now. Pure
    run, fold, metrics     what a run is, how events make it, its numbers
    store, export          where events are kept; a run as CSV, JSON lines, Chrome trace
    providers, calls       the loop thread and the models; what one call does
    live, stretch, engine  THE HANDS: the thread pool, stop, retry
    executor, tuning       a concurrent.futures.Executor that records spans; bounds
    sandbox                a provider of our own on loopback

Importing this package imports no provider library; that waits until a model is used.
"""

from __future__ import annotations

from concurrent.futures import as_completed

from fanout.batch import Batch
from fanout.calls.completion import completion
from fanout.engine import Engine
from fanout.errors import BadInput, CallFailed, FanoutError
from fanout.executor import Executor
from fanout.live import LiveRun
from fanout.run import Result, Run
from fanout.sandbox.profile import SandboxProfile

__all__ = [
    "BadInput",
    "Batch",
    "CallFailed",
    "Engine",
    "Executor",
    "FanoutError",
    "LiveRun",
    "Result",
    "Run",
    "SandboxProfile",
    "as_completed",
    "completion",
]
