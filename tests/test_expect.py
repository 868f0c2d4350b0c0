"""What a batch is expected to take, by the newest run of its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from dashboard.expect import expected
from fanout.batch import Batch
from fanout.events import LimitReason
from fanout.live import LiveRun
from fanout.run import QuotaStep, Run
from tests.runs import make_run


@dataclass(frozen=True)
class _Ended:
    """A run that has ended, as `expected` looks at it."""

    run: Run

    @property
    def batch(self) -> Batch:
        return self.run.batch

    def snapshot(self) -> Run:
        return self.run


@pytest.mark.parametrize(("reason", "holds"), [("run", False), ("setting", True), ("header", True), ("learnt", True)])
def test_a_rate_that_a_run_asked_for_itself_is_not_the_next_ones(reason: LimitReason, holds: bool) -> None:
    run = make_run(n=12, max_workers=4)
    batch = replace(run.batch, prompts=[f"prompt {number}" for number in range(24)])
    free = expected(batch, [cast(LiveRun, _Ended(run))]).wall_s
    paced = replace(run, quota=(QuotaStep(at_ns=0, limit="requests", value=6, reason=reason),))
    found = expected(batch, [cast(LiveRun, _Ended(paced))]).wall_s
    assert free is not None
    assert found is not None
    assert (found > 60) is holds
    assert (found == free) is not holds
