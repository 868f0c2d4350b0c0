"""Two runs held against each other: prompts by what they say, answers letter by letter, phases to the nanosecond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import seconds
from fanout.compare import Comparison, Pair, Setting, compare
from fanout.fold import fold
from fanout.metrics import measure, wall_ns
from fanout.run import Run, Step, Stretch
from fanout.sandbox.profile import SandboxProfile
from tests.runs import history, make_run

HOLDS: tuple[ev.Held | None, ...] = ("workers", "requests", "tokens", "penalty", "turn", None)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs over few prompts, some of them doubled, held by several things, whole or as they stood at some moment."""
    events = history(
        prompts=draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9)),
        max_workers=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 99)),
        streamed=draw(st.booleans()),
        failing=draw(st.floats(0, 1)),
        retrying=draw(st.floats(0, 1)),
        holds=draw(st.lists(st.tuples(st.floats(0, 6), st.sampled_from(HOLDS)), max_size=8)),
        stop_at_s=draw(st.none() | st.floats(0, 4)),
        stretches=draw(st.integers(1, 3)),
    )
    return fold(events[: draw(st.integers(1, len(events)))])


def said(*outputs: str | None, prompts: Sequence[str] | None = None, **batch: Any) -> Run:
    """A run that answered so, None for a failure; a second a call."""
    texts = prompts or [f"p{index}" for index in range(len(outputs))]
    failing = [at for at, output in enumerate(outputs) if output is None]
    history_of = list(history(prompts=texts, failing=failing, max_workers=batch.get("max_workers", 8)))
    opened = history_of[0]
    assert isinstance(opened, ev.RunOpened)
    history_of[0] = replace(opened, batch=replace(opened.batch, **batch))
    for place, event in enumerate(history_of):
        if isinstance(event, ev.Succeeded):
            history_of[place] = replace(event, output=outputs[event.call] or "")
    return fold(history_of)


def went_on(run: Run, changes: dict[str, Any]) -> Run:
    """The same run after another stretch under these settings, in which nothing was answered."""
    batch = run.batch.changed(changes)
    end_ns = max(stretch.ended_ns or 0 for stretch in run.stretches)
    stretch = Stretch(
        number=len(run.stretches),
        purpose="retry",
        began_ns=end_ns,
        ended_ns=end_ns,
        max_workers=batch.max_workers,
        calls=(),
        batch=batch,
    )
    step = Step(at_ns=end_ns, value=batch.max_workers)
    return replace(run, batch=batch, stretches=(*run.stretches, stretch), limits=(*run.limits, step))


def differ(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, object, object]]:
    found = compare(said("x", **one), said("x", **other)).settings
    return [(each.name, each.a, each.b) for each in found]


# --- laws ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(runs(), runs())
def test_every_prompt_is_in_one_pair_or_left_over(a: Run, b: Run) -> None:
    found = compare(a, b)
    assert sorted([pair.a.index for pair in found.pairs] + [call.index for call in found.only_a]) == [
        *range(len(a.calls))
    ]
    assert sorted([pair.b.index for pair in found.pairs] + [call.index for call in found.only_b]) == [
        *range(len(b.calls))
    ]
    assert all(pair.a.prompt == pair.b.prompt for pair in found.pairs)
    common = Counter(a.batch.prompts) & Counter(b.batch.prompts)
    assert Counter(pair.a.prompt for pair in found.pairs) == common
    assert not {call.prompt for call in found.only_a} & {call.prompt for call in found.only_b}


@settings(deadline=None)
@given(runs(), runs())
def test_the_kth_occurrence_goes_with_the_kth(a: Run, b: Run) -> None:
    for prompt in set(a.batch.prompts):
        of_it = [pair for pair in compare(a, b).pairs if pair.a.prompt == prompt]
        for side in ("a", "b"):
            places = [getattr(pair, side).index for pair in of_it]
            assert places == sorted(places)


@settings(deadline=None)
@given(runs(), runs())
def test_the_other_way_round_says_the_same(a: Run, b: Run) -> None:
    there, back = compare(a, b), compare(b, a)
    assert (there.a, there.b) == (back.b, back.a)
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    assert there.settings == tuple(replace(each, a=each.b, b=each.a) for each in back.settings)
    assert there.phases == tuple(replace(each, a_ns=each.b_ns, b_ns=each.a_ns) for each in back.phases)
    slower = {(pair.a.index, pair.b.index): pair.slower_ns for pair in there.pairs}
    for pair in back.pairs:
        one = slower[pair.b.index, pair.a.index]
        assert pair.slower_ns == (None if one is None else -one)


@settings(deadline=None)
@given(runs())
def test_a_run_is_like_itself(run: Run) -> None:
    found = compare(run, run)
    assert found.settings == ()
    assert found.same_prompts
    assert found.count("same", "neither") == len(run.calls)
    assert all(each.a_ns == each.b_ns for each in found.phases)
    assert {pair.slower_ns for pair in found.pairs} <= {0, None}


@settings(deadline=None)
@given(runs(), runs())
def test_totals_of_phases_are_the_sums_of_all_calls_phases(a: Run, b: Run) -> None:
    sums: dict[str, list[int]] = {}
    for side, run in enumerate((a, b)):
        for call in run.calls:
            for phase in run.phases(call):
                sums.setdefault(phase.name, [0, 0])[side] += phase.length_ns
    assert {each.name: [each.a_ns, each.b_ns] for each in compare(a, b).phases} == sums


@settings(deadline=None)
@given(runs(), runs())
def test_numbers_are_those_of_the_runs_themselves(a: Run, b: Run) -> None:
    found = compare(a, b)
    for side, run in ((found.a, a), (found.b, b)):
        assert side.metrics == measure(run)
        assert side.metrics.wall_s == seconds(wall_ns(run))
        assert len(side.latencies_ns) == side.metrics.answered
        p95 = side.latency_ns(0.95)
        assert side.metrics.latency.p95_s == (None if p95 is None else seconds(p95))


# --- answers ------------------------------------------------------------------------------------------------------


def test_answers_are_the_same_changed_or_only_on_one_side() -> None:
    found = compare(said("x", "x", "x", None, None), said("x", "X", None, "x", None))
    assert [pair.answers for pair in found.pairs] == ["same", "changed", "only_a", "only_b", "neither"]
    assert found.count("same", "changed") == 2


def test_doubled_prompts_are_matched_in_order_wherever_they_stand() -> None:
    a = said("1", "2", "3", prompts=["p", "q", "p"])
    b = said("1", "3", "9", "2", prompts=["p", "p", "p", "q"])
    found = compare(a, b)
    assert [(pair.a.index, pair.b.index, pair.answers) for pair in found.pairs] == [
        (0, 0, "same"),
        (1, 3, "same"),
        (2, 1, "same"),
    ]
    assert [call.index for call in found.only_b] == [2]
    assert not found.same_prompts


def test_a_pair_tells_what_b_took_more_and_none_where_one_did_not_answer() -> None:
    a, b = make_run(n=4, seed=1, failing=[3]), make_run(n=4, seed=2)
    pairs = compare(a, b).pairs
    for pair in pairs[:3]:
        assert pair.slower_ns == (pair.b.latency_ns or 0) - (pair.a.latency_ns or 0)
        assert (pair.more_tokens, pair.dearer_usd) == (0, None)
    assert (pairs[3].slower_ns, pairs[3].more_tokens) == (None, None)
    priced = Pair(a=replace(pairs[0].a, cost_usd=1.0), b=replace(pairs[0].b, cost_usd=1.25), answers="same")
    assert priced.dearer_usd == 0.25


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_that_differ_come_in_the_order_of_a_batch() -> None:
    assert differ({"temperature": 0.5, "name": "one", "retries": 0}, {"retries": 1, "instructions": "Be short."}) == [
        ("instructions", None, "Be short."),
        ("temperature", 0.5, None),
        ("retries", 0, 1),
        ("name", "one", None),
    ]


def test_every_field_of_a_batch_but_the_prompts_can_differ() -> None:
    base = {"model": "sandbox", "sandbox": SandboxProfile(seed=1)}
    other = {
        "model": "openai:x",
        "max_workers": 3,
        "instructions": "i",
        "temperature": 1.0,
        "max_output_tokens": 5,
        "timeout_s": 1.0,
        "retries": 9,
        "stream": False,
        "name": "n",
        "auto_workers": True,
        "requests_per_minute": 1,
        "tokens_per_minute": 1,
        "burst": 1,
        "weight": 2,
        "cap_tokens": 1,
        "cap_usd": 1.0,
        "reuse_answers": True,
        "identical_once": True,
        "sandbox": None,
    }
    assert set(other) == set(Batch.__dataclass_fields__) - {"prompts"}
    named = {name.split(".")[0] for name, _, _ in differ(base, other)}
    assert named == set(other)


def test_the_sandbox_is_told_apart_field_by_field_and_no_profile_is_the_default_one() -> None:
    assert differ({}, {"sandbox": SandboxProfile()}) == []
    assert differ({}, {"sandbox": SandboxProfile(seed=7, error_rate=0.5)}) == [
        ("sandbox.seed", 1, 7),
        ("sandbox.error_rate", 0.0, 0.5),
    ]


def test_max_workers_is_every_value_it_had() -> None:
    found = compare(make_run(n=30), make_run(n=30, limits=[(0.5, 12), (1.0, 3)])).settings
    assert found == (Setting(name="max_workers", a=(8,), b=(8, 12, 3)),)


def test_a_run_that_went_on_under_other_settings_has_all_it_had() -> None:
    on = went_on(said("x", None), {"retries": 5, "max_workers": 3})
    assert compare(said("x", None), on).settings == (
        Setting(name="max_workers", a=(8,), b=(8, 3)),
        Setting(name="retries", a=2, b=(2, 5)),
    )


# --- at scale -----------------------------------------------------------------------------------------------------


def test_a_wait_through_many_holds_is_not_cut_call_by_call() -> None:
    holds: list[tuple[float, ev.Held | None]] = [(at / 1_000, HOLDS[at % len(HOLDS)]) for at in range(4_000)]
    run = make_run(n=3_000, max_workers=4, sigma=0.0, latency_s=0.01, holds=holds)
    found: Comparison = compare(run, run)  # 12 million pieces, were they cut: it would not end within the timeout
    assert sum(each.a_ns for each in found.phases) == sum(call.ended_ns[-1] - call.queued_ns[0] for call in run.calls)
