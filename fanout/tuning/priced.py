"""Whether a cap in dollars can be counted: what holds a run whose answers have no price. Pure.

Comes in: a `Run` and the cap that it paused or stopped at. Goes out: yes or no; the words are each surface's own.
"""

from __future__ import annotations

from fanout.run import CapState, Run


def is_unpriced(run: Run, cap: CapState) -> bool:
    """Whether its own cap in dollars holds it because an answer of its present model has no price."""
    return cap.of == "run" and cap.cap == "usd" and has_unpriced(run, run.batch.model)


def has_unpriced(run: Run, model: str) -> bool:
    """Whether an answer that this model gave to the run has no price: the next one will have none either."""
    asked = [call for call in run.calls if call.status == "answered" and call.origin is None]
    return any(call.cost_usd is None and call.model in (None, model) for call in asked)
