"""The words by which events say what held something up, and why something was chosen."""

from __future__ import annotations

from typing import Literal

LimitName = Literal[
    "requests", "tokens", "input_tokens", "output_tokens", "requests_per_day", "tokens_per_day", "concurrency"
]
"""A limit of an account by the name of the wait that it causes; the first four are a minute's."""

Held = Literal[
    "workers",
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "requests_per_day",
    "tokens_per_day",
    "concurrency",
    "turn",
    "penalty",
    "cap",
    "paused",
    "store",
]
"""What holds the next call back: no free worker, a named quota, the ceiling on calls in flight, another run's turn at
a shared quota, a 429's penalty, a cap, a pause, a store that cannot be written."""

Purpose = Literal["first", "retry", "resume"]
"""Why a stretch began: the first sending, failed prompts sent again, going on after a process ended."""

StopReason = Literal[
    "finished",
    "stopped",
    "key_refused",
    "model_unknown",
    "quota_exhausted",
    "provider_down",
    "same_failure",
    "not_ready",
    "interrupted",
    "saved",
]
"""Why a stretch ended: all prompts ended; the user stopped it; a failure that every call would share; nothing but
faults of the provider in a row; the same refusal of every prompt; the model could not be made ready; the engine was
closed, or its process ended; it went on when it was saved to the file from which it was taken in."""

LimitReason = Literal["user", "auto", "run", "setting", "header", "learnt"]
"""Who moved a limit: the user; the automatic max_workers; what the run asked for; `fanout.toml`; a response's
headers; 429s."""

Cap = Literal["tokens", "usd"]
"""What a cap counts."""

CapOf = Literal["run", "user", "team"]
"""Whose cap: the run's own, for all its time; that of whoever started it and that of the team, for a day."""
