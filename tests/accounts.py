"""An account as it is shown: its limits and who shares it, each changed in what a test is about."""

from __future__ import annotations

from fanout.clock import NS_PER_S
from fanout.quota.view import AccountView, LimitView, Share

AT_NS = 10 * NS_PER_S


def limit(**changed: object) -> LimitView:
    values: dict[str, object] = {
        "name": "requests",
        "number": 60,
        "source": "header",
        "capacity": 60,
        "used": 16,
        "reserved": 3,
        "free": 41,
        "said_remaining": 40,
        "said_ns": 2_000_000_000,
    }
    return LimitView(**{**values, **changed})  # type: ignore[arg-type]


def account(**changed: object) -> AccountView:
    values: dict[str, object] = {
        "account": "api.example",
        "model": "openai:x",
        "at_ns": AT_NS,
        "preset": None,
        "limits": (),
        "shares": (),
        "refusals": (),
        "samples": (),
        "blocked_until_ns": None,
    }
    return AccountView(**{**values, **changed})  # type: ignore[arg-type]


def share(run_id: str, weight: int, *, waiting: int = 1) -> Share:
    return Share(run_id=run_id, weight=weight, waiting=waiting, in_flight=0, requests=1, tokens=1)
