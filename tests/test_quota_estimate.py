"""What a call is expected to use: by its text at first, by the batch's own answers afterwards."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.events import Usage
from fanout.quota.estimate import (
    CHARACTERS_A_TOKEN,
    FIRST_OUTPUT_TOKENS,
    OVERHEAD_TOKENS,
    PERCENTILE,
    REMEMBERED,
    Cost,
    Estimate,
    Percentile,
)
from fanout.quota.limits import RATES, Charge


def estimate(*, instructions: str | None = None, most: int | None = None, charge: Charge = "used") -> Estimate:
    return Estimate(instructions=instructions, max_output_tokens=most, charge=charge)


@given(prompt=st.text(max_size=200), instructions=st.none() | st.text(max_size=200), most=st.none() | st.integers(1))
def test_before_the_first_answer_it_goes_by_characters_and_max_tokens(
    prompt: str, instructions: str | None, most: int | None
) -> None:
    cost = estimate(instructions=instructions, most=most).of(prompt)
    least = OVERHEAD_TOKENS + (len(prompt) + len(instructions or "")) / CHARACTERS_A_TOKEN
    assert least - 1 < cost.input_tokens < least + 1
    assert cost.output_tokens == (FIRST_OUTPUT_TOKENS if most is None else most)


@given(values=st.lists(st.integers(0, 10_000), min_size=1, max_size=2 * REMEMBERED))
def test_the_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int]) -> None:
    percentile = Percentile()
    for value in values:
        percentile.add(value)
    last = values[-REMEMBERED:]
    found = percentile.value()
    assert found in last
    assert found is not None
    assert sum(value <= found for value in last) >= PERCENTILE * len(last)
    assert sum(value < found for value in last) < PERCENTILE * len(last)


@given(outputs=st.lists(st.integers(0, 4_000), min_size=1, max_size=50), tokens_each=st.integers(1, 60))
def test_after_answers_it_goes_by_a_high_percentile_of_them(outputs: list[int], tokens_each: int) -> None:
    made = estimate(most=100_000)
    for output in outputs:
        made.learn("a prompt", Usage(input_tokens=tokens_each, output_tokens=output))
    cost = made.of("a prompt")
    assert cost.output_tokens == sorted(outputs)[ceil(PERCENTILE * len(outputs)) - 1]
    assert tokens_each <= cost.input_tokens <= tokens_each + 1


def test_where_the_most_is_charged_the_most_is_reserved_and_kept() -> None:
    made = estimate(most=500, charge="max_tokens")
    made.learn("a prompt", Usage(input_tokens=9, output_tokens=3))
    reserved = made.of("a prompt")
    assert reserved.output_tokens == 500
    settled = made.settled(reserved, Usage(input_tokens=9, output_tokens=3))
    assert (settled.input_tokens, settled.output_tokens) == (9, 500)


@pytest.mark.parametrize("told", [Usage(), Usage(input_tokens=3), Usage(output_tokens=4), Usage(output_tokens=0)])
def test_what_the_provider_did_not_tell_stays_as_it_was_reserved(told: Usage) -> None:
    settled = estimate().settled(Cost(input_tokens=10, output_tokens=20), told)
    assert settled.input_tokens == (10 if told.input_tokens is None else told.input_tokens)
    assert settled.output_tokens == (20 if told.output_tokens is None else told.output_tokens)


def test_every_limit_takes_its_own_part_of_a_cost() -> None:
    cost = Cost(input_tokens=10, output_tokens=20)
    found = {name: cost.of(name) for name in RATES}
    assert tuple(found.values()) == (1, 30, 10, 20, 1, 30)
    assert cost.of("concurrency") == 0
