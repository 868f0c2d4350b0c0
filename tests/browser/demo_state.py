"""What the chart's demo page shows: set by the test's control endpoint, read by the page's fragment."""

from __future__ import annotations

from typing import Any

from fanout.run import Run
from tests.runs import history, now_ns, snapshots

SHOWN: dict[str, Any] = {"options": {}, "at_s": None, "rows": None, "baseline": False, "mounted": True, "every": 0.1}
"""`options` of `history`; `at_s` the instant shown (None: the whole run)."""
_HISTORIES: dict[str, Any] = {}
_RUNS: dict[str, Run] = {}


def shown_run() -> Run:
    return _run(SHOWN["options"], SHOWN["at_s"])


def baseline_run() -> Run | None:
    if not SHOWN["baseline"]:
        return None
    return _run({**SHOWN["options"], "max_workers": 1, "run_id": "baseline"}, None)


def shown_now_ns() -> int | None:
    return None if SHOWN["at_s"] is None else now_ns(SHOWN["at_s"])


def _run(options: dict[str, Any], at_s: float | None) -> Run:
    name = repr(sorted(options.items()))
    if name not in _HISTORIES:
        _HISTORIES[name] = history(**options)
    key = f"{name} {at_s}"
    if key not in _RUNS:
        times = [1e9 if at_s is None else at_s]
        _RUNS[key] = next(snapshots(_HISTORIES[name], times))
    return _RUNS[key]
