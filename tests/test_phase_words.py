"""Every phase of a call has words wherever phases are told: in the trace, on the page, and short in the chart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboard import figures
from fanout import events as ev
from fanout import export
from fanout.batch import Batch
from fanout.compare import _PHASES as PHASES
from fanout.export import chrome_trace
from fanout.fold import fold

HOLDS = tuple(phase for phase in PHASES if phase not in ("client", "first_token", "generating", "in_flight", "backoff"))


def test_no_table_of_words_misses_one() -> None:
    assert len(PHASES) == len(HOLDS) + 5
    assert set(export._PHASE_WORDS) == set(figures._PHASES) == set(PHASES)
    assert set(figures._SHORT) == set(HOLDS)


@pytest.mark.parametrize("hold", HOLDS)
def test_a_run_that_was_held_by_anything_is_a_trace(hold: Any) -> None:
    run = fold(
        [
            ev.RunOpened(at_ns=0, run_id="7f3a", batch=Batch(prompts=("a",)), opened_at_s=1.5e9),
            ev.StretchBegan(at_ns=1_000, stretch=0, purpose="first", max_workers=1, calls=(0,)),
            ev.HoldChanged(at_ns=1_000, held_by=hold),
            ev.HoldChanged(at_ns=9_000, held_by=None),
            ev.Started(at_ns=9_000, call=0, attempt=1, lane=0),
            ev.Cancelled(at_ns=10_000, call=0),
            ev.StretchEnded(at_ns=11_000, stretch=0, reason="stopped"),
        ]
    )
    names = [each["name"] for each in json.loads(chrome_trace(run))["traceEvents"] if each["ph"] == "b"]
    assert names == [export._PHASE_WORDS[hold]]
