"""What an account's limits mean for a batch before anything is sent: never later than what a bucket then takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.prospect_words import cautions, day_lines, least_words
from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.engine import Engine
from fanout.errors import BadInput
from fanout.quota.estimate import Cost
from fanout.quota.gates import view_of
from fanout.quota.limits import Limits
from fanout.tuning.prospect import Prospect, prospect
from tests.gates import book_next, gate


def of(limits: Limits, count: int, *, length: int = 40, **asked: int) -> Prospect:
    batch = Batch(prompts=["x" * length] * count, **asked)  # type: ignore[arg-type]  # by name
    return prospect(view_of(gate(limits), waiting={}, at_ns=0), batch, batch.prompts)


@settings(max_examples=60, deadline=None)
@given(
    requests=st.integers(1, 2_000),
    tokens=st.none() | st.integers(100, 200_000),
    count=st.integers(1, 60),
    length=st.integers(1, 400),
)
def test_no_call_can_start_later_than_it_says_the_last_one_does_at_the_earliest(
    requests: int, tokens: int | None, count: int, length: int
) -> None:
    limits = Limits(requests_per_minute=requests, input_tokens_per_minute=tokens)
    told = of(limits, count, length=length)
    made, at_ns = gate(limits), 0
    for _ in range(count):
        _, at_ns = book_next(made, "run", Cost(input_tokens=8 + -(-length // 4)), at_ns)
    assert told.starts_s is not None
    assert told.starts_s <= at_ns / NS_PER_S + 1e-9


@pytest.mark.parametrize(
    ("limits", "asked", "said"),
    [
        (Limits(requests_per_minute=60), {}, "at least 1 min 39 s by the quota of requests a minute"),
        (Limits(requests_per_minute=60, burst=40), {}, "at least 1 min 1 s by the quota of requests a minute"),
        (Limits(input_tokens_per_minute=600), {}, "at least 2 min 58 s by the quota of input tokens a minute"),
        (Limits(), {"requests_per_minute": 60}, "at least 1 min 39 s by the quota of requests a minute"),
        (
            Limits(requests_per_minute=600),
            {"tokens_per_minute": 1_800},
            "at least 59 s by the quota of tokens a minute",
        ),
        (Limits(), {}, None),
        (Limits(output_tokens_per_minute=1), {}, None),  # what the answers have is not known
        (Limits(requests_per_minute=6_000), {}, None),  # all start at once
    ],
)
def test_before_a_models_first_run_the_limits_tell_how_long_it_takes_at_least(
    limits: Limits, asked: dict[str, int], said: str | None
) -> None:
    assert least_words(of(limits, 100, **asked)) == said


def test_a_day_that_does_not_hold_all_of_it_is_told_before_it_is_sent() -> None:
    assert day_lines(of(Limits(requests_per_day=200), 200)) == []
    assert day_lines(of(Limits(requests_per_day=200), 201)) == [
        "Of 200 requests a day 200 are left: the run stops after 200 calls, keeps the answers, and the rest can be "
        "sent the next day."
    ]
    told = of(Limits(requests_per_day=200), 201)
    assert told.today is not None
    assert day_lines(replace(told, today=replace(told.today, left=0))) == [
        "Of 200 requests a day nothing is left: none of these calls is sent before its day ends."
    ]
    assert day_lines(replace(told, today=replace(told.today, left=0, is_told=True))) == [
        "Of 200 requests a day nothing is left: one call is sent first, to see whether that still holds; the others "
        "follow once it is answered."
    ]


@pytest.mark.parametrize(
    ("model", "cap", "is_said"),
    [
        ("openai-chat:gpt-4o-mini", {"cap_usd": 1.0}, False),
        ("google-gla:gemini-2.5-flash", {"cap_usd": 1.0}, False),
        ("openai-chat:tiny", {"cap_usd": 1.0}, True),
        ("sandbox", {"cap_usd": 1.0}, True),
        ("openai-chat:tiny", {"cap_tokens": 1}, False),
    ],
)
def test_a_cap_in_dollars_that_nobody_can_count_is_told_before_anything_is_sent(
    model: str, cap: dict[str, float], is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    batch = Batch(prompts=["a"], model=model, **cap)  # type: ignore[arg-type]  # by name
    with Engine() as engine:
        said = cautions(batch, prospect(engine.quota_for(batch), batch, batch.prompts))
    assert [line.startswith(f"The price of {model} is not known") for line in said] == [True] * is_said


def test_looking_ahead_takes_no_account_into_use_and_refuses_what_the_settings_do() -> None:
    with Engine(limits_for=lambda _model: Limits(requests_per_minute=60, max_weight=2)) as engine:
        batch = Batch(prompts=["a"])
        assert [limit.number for limit in engine.quota_for(batch).limits] == [60]
        assert engine.quota() == ()
        for asks_too_much in ({"weight": 3}, {"requests_per_minute": 61}):
            with pytest.raises(BadInput, match=r"fanout\.toml"):
                engine.quota_for(Batch(prompts=["a"], **asks_too_much))  # type: ignore[arg-type]  # by name
        assert engine.quota_for(replace(batch, weight=2)).max_weight == 2
