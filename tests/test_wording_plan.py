"""What a list of prompts and its settings will come to, in words, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dashboard import wording
from fanout.batch import Batch
from fanout.tuning.prospect import Prospect
from tests.happened import LIMIT, cancelled, failed, run_of, started
from tests.test_metrics import answered


@dataclass(frozen=True, kw_only=True)
class Expected:
    calls: int = 0
    reused: int = 0
    shared: int = 0
    wall_s: float | None = None
    cost_usd: float | None = None
    quota: Prospect = Prospect()


@pytest.mark.parametrize(
    ("calls", "workers", "expected", "sentence"),
    [
        (
            40,
            8,
            Expected(calls=40, wall_s=6.03, cost_usd=0.004),
            "40 calls, 40 quota slots, 8 at a time, about 6 s, about $0.004.",
        ),
        (40, 8, Expected(calls=40), "40 calls, 40 quota slots, 8 at a time."),
        (40, 1, Expected(calls=40), "40 calls, 40 quota slots, one after another."),
        (5, 8, Expected(calls=5), "5 calls, 5 quota slots, all at once."),
        (1, 8, Expected(calls=1, wall_s=0.84), "1 call, 1 quota slot, about 840 ms."),
        (
            10_000,
            64,
            Expected(calls=10_000, wall_s=3840.0),
            "10,000 calls, 10,000 quota slots, 64 at a time, about 1 h 4 min.",
        ),
        (
            40,
            8,
            Expected(calls=28, reused=12),
            "28 calls, 28 quota slots, 8 at a time. 12 prompts have answers already, taken without a call.",
        ),
        (
            2,
            8,
            Expected(calls=1, reused=1),
            "1 call, 1 quota slot. 1 prompt has an answer already, taken without a call.",
        ),
        (
            40,
            8,
            Expected(calls=39, shared=1),
            "39 calls, 39 quota slots, 8 at a time. 1 prompt shares the call of an identical one.",
        ),
        (40, 8, Expected(calls=0, reused=40), "No call: 40 prompts have answers already."),
    ],
)
def test_the_plan(calls: int, workers: int, expected: Expected, sentence: str) -> None:
    assert wording.plan_sentence(Batch(prompts=["p"] * calls, max_workers=workers), expected) == sentence


def test_the_question_before_money_is_spent() -> None:
    batch = Batch(prompts=["p"] * 501, model="openai:x")
    assert wording.cost_question(batch, Expected(calls=501, cost_usd=1.5)) == (
        "This sends 501 calls to openai:x and costs about $1.50. Send them?"
    )
    assert "an unknown amount" in wording.cost_question(batch, Expected(calls=501))


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([], "No prompts yet."),
        (["a"], "1 prompt."),
        (["a", "b", "a"], "3 prompts, 1 of them a duplicate."),
        (["a"] * 4, "4 prompts, 3 of them duplicates."),
    ],
)
def test_the_list(prompts: list[str], sentence: str) -> None:
    assert wording.list_sentence(prompts) == sentence


def test_counts() -> None:
    run = run_of(9, answered(0, 0, 9), failed(1, 0, 9, LIMIT), started(2, 9), cancelled(3, at_ms=9))
    assert wording.counts_sentence(run) == "1 failed, 1 of 9 answered, 1 in flight, 5 queued, 1 not sent"
