"""A quota bounds a run from below: by its rates as they were known, and never above what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.errors import RateLimited
from fanout.fold import fold
from fanout.run import Run
from fanout.tuning.bounds import Bound, bounds, estimate, remaining_s
from fanout.tuning.rates import Allowed, allowed, known_rates, least_s

LATER = RateLimited("later", status_code=429)


def at(at_s: float) -> int:
    return round(at_s * NS_PER_S)


def known(at_s: float, limit: ev.LimitName, value: int | None) -> ev.Event:
    return ev.LimitChanged(at_ns=at(at_s), limit=limit, old=None, new=value, reason="header")


def held(at_s: float, by: ev.Held | None) -> ev.Event:
    return ev.HoldChanged(at_ns=at(at_s), held_by=by)


def paced(
    sent_s: Sequence[float],
    *happened: ev.Event,
    latency_s: float = 0.5,
    tokens: tuple[int, int] = (10, 20),
    now_s: float | None = None,
    waiting: int = 0,
    **options: int | None,
) -> Run:
    """A run whose calls were sent at these instants, each answered `latency_s` later; `waiting` more come last."""
    n = len(sent_s) + waiting
    batch = Batch(prompts=["prompt"] * n, max_workers=512, **options)  # type: ignore[arg-type]  # whole numbers all
    usage = ev.Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    events: list[ev.Event] = list(happened)
    for call, begin_s in enumerate(sent_s):
        begin_ns, end_ns = at(begin_s), at(begin_s + latency_s)
        events += [
            ev.Started(at_ns=begin_ns, call=call, attempt=1, lane=call),
            ev.Sent(at_ns=begin_ns, call=call, attempt=1),
            ev.Succeeded(at_ns=end_ns, call=call, attempt=1, output="a", received_ns=end_ns, usage=usage),
        ]
    if now_s is None and not waiting:
        last_ns = max((event.at_ns for event in events), default=0)
        events.append(ev.StretchEnded(at_ns=last_ns, stretch=0, reason="finished"))
    opened = ev.RunOpened(at_ns=0, run_id="r", batch=batch, opened_at_s=0.0)
    began = ev.StretchBegan(at_ns=0, stretch=0, purpose="first", max_workers=512, calls=tuple(range(n)))
    told = sorted(events, key=lambda event: event.at_ns)
    return fold([opened, began, *(event for event in told if now_s is None or event.at_ns <= at(now_s))])


def seconds_of(run: Run, name: str) -> float:
    return next(bound.seconds for bound in bounds(run).bounds if bound.name == name)


def test_a_limit_that_nobody_knew_has_no_bound() -> None:
    run = paced([0, 1, 2])
    assert known_rates(run) == ()
    assert [bound.name for bound in bounds(run).bounds] == ["longest_call", "workers"]


def test_a_run_at_the_pace_of_its_request_limit_is_bound_by_it() -> None:
    run = paced([float(second) for second in range(11)], known(0, "requests", 60))
    found = bounds(run)
    assert found.bounds[2:] == (Bound(name="requests", seconds=10.0),)  # (11 - 1) / 1 a second
    assert (found.binds, found.wall_s) == ("requests", 10.5)


def test_the_burst_of_the_run_is_not_waited_for() -> None:
    run = paced([0, 0, 0, 0, 1, 2, 3], known(0, "requests", 60), burst=4)
    assert seconds_of(run, "requests") == 3.0


def test_a_burst_that_the_provider_let_through_is_not_taken_for_a_wait() -> None:
    run = paced([0.0] * 100, known(0, "requests", 60))
    assert seconds_of(run, "requests") == 0.0
    assert bounds(run).binds == "longest_call"


def test_what_was_sent_before_a_limit_was_known_was_allowed() -> None:
    run = paced([0.0] * 20 + [5.0, 6.0, 7.0, 8.0], known(4, "requests", 60))
    assert seconds_of(run, "requests") == 7.0  # from 4 s on at one a second, one at once


def test_a_rate_that_changed_is_added_up_over_time() -> None:
    sent_s = [*range(11), *(10.5 + 0.5 * place for place in range(10))]
    run = paced(sent_s, known(0, "requests", 60), known(10, "requests", 120), burst=1)
    assert seconds_of(run, "requests") == 15.0  # 10 in 10 s, the other 10 in 5 s


def test_what_the_run_asked_for_itself_counts_where_it_is_tighter() -> None:
    sent_s = [float(second) for second in range(11)]
    alone = paced(sent_s, requests_per_minute=60)
    with_account = paced(sent_s, known(3, "requests", 600), requests_per_minute=60)
    assert seconds_of(alone, "requests") == seconds_of(with_account, "requests") == 10.0


def test_tokens_bind_where_they_are_tighter_than_requests() -> None:
    sent_s = [2.0 * place for place in range(6)]
    run = paced(sent_s, known(0, "requests", 600), known(0, "tokens", 900), known(0, "output_tokens", 6000))
    assert bounds(run).binds == "tokens"
    assert seconds_of(run, "tokens") == 10.0  # 180 used; 30 at once, the rest at 15 a second


def test_stretches_are_bounded_one_by_one() -> None:
    first = [*range(4)]
    run = paced(first, known(0, "requests", 60))
    again = ev.StretchBegan(at_ns=at(100), stretch=1, purpose="retry", max_workers=512, calls=(0,))
    assert seconds_of(run, "requests") == 3.0
    events: list[ev.Event] = [
        ev.RunOpened(at_ns=0, run_id="r", batch=run.batch, opened_at_s=0.0),
        known(0, "requests", 60),
        ev.StretchBegan(at_ns=0, stretch=0, purpose="first", max_workers=512, calls=(0, 1, 2, 3)),
        *(ev.Cancelled(at_ns=at(1), call=call) for call in range(4)),
        ev.StretchEnded(at_ns=at(1), stretch=0, reason="stopped"),
        again,
        ev.StretchEnded(at_ns=at(101), stretch=1, reason="finished"),
    ]
    assert seconds_of(fold(events), "requests") == 0.0


STEPS = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens", "requests_per_day"]),
        st.none() | st.integers(1, 5_000),
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=30),
    STEPS,
    st.none() | st.integers(1, 600),
    st.none() | st.integers(1, 40),
    st.tuples(st.integers(0, 400), st.integers(0, 400)),
)
def test_no_run_beats_the_bounds_of_its_quota(
    sent_s: list[float],
    steps: list[tuple[float, ev.LimitName, int | None]],
    requests_per_minute: int | None,
    burst: int | None,
    tokens: tuple[int, int],
) -> None:
    run = paced(
        sorted(sent_s),
        *(known(*step) for step in steps),
        tokens=tokens,
        requests_per_minute=requests_per_minute,
        burst=burst,
    )
    found = bounds(run)
    assert all(0 <= bound.seconds <= max(sent_s) + 1e-9 for bound in found.bounds[2:])
    assert found.lower_s <= found.wall_s + 1e-9
    assert all(bound.seconds <= found.lower_s + 1e-9 for bound in found.bounds)


@given(st.integers(2, 40), st.integers(1, 600), st.integers(1, 10))
def test_calls_sent_as_early_as_a_bucket_lets_them_meet_its_bound(n: int, per_minute: int, burst: int) -> None:
    sent_s = [max(0.0, (place + 1 - burst) * 60 / per_minute) for place in range(n)]
    run = paced(sent_s, known(0, "requests", per_minute), burst=burst)
    assert seconds_of(run, "requests") == pytest.approx(sent_s[-1], abs=1e-6)


def test_the_tightest_limit_as_known_last_says_how_many_calls_are_allowed() -> None:
    run = paced([0, 1], known(0, "requests", 60), known(1, "requests", 120), known(1, "tokens", 9000))
    assert allowed(run) == Allowed(rate_per_s=2.0, by="requests")  # 9,000 tokens are 300 calls of 30
    tight = paced([0, 1], known(0, "requests", 600), known(1, "tokens", 1800))
    assert allowed(tight) == Allowed(rate_per_s=1.0, by="tokens")


def test_tokens_allow_nobody_knows_how_many_calls_before_an_answer_told_any() -> None:
    assert allowed(paced([0, 1], known(0, "tokens", 600), tokens=(0, 0))) is None
    assert allowed(paced([0, 1], known(0, "requests", 60), known(1, "requests", None))) is None


def test_what_waits_needs_its_time_at_the_rate_and_a_quota_that_holds_has_no_burst_left() -> None:
    free = paced([0, 1, 2], known(0, "requests", 60), waiting=11)
    assert least_s(free, 11, 3 * NS_PER_S) == 10.0
    holding = paced([0, 1, 2], known(0, "requests", 60), held(2, "requests"), waiting=11)
    assert least_s(holding, 11, 3 * NS_PER_S) == 11.0
    assert least_s(paced([0, 1, 2], waiting=11), 11, 3 * NS_PER_S) is None


def test_what_remains_is_at_least_what_the_quota_needs() -> None:
    run = paced([0, 1, 2, 3], known(0, "requests", 60), held(1, "requests"), waiting=60)
    assert remaining_s(run, at(4)) == 60.5  # the last one starts after 60 s and takes half a second
    assert remaining_s(paced([0, 1, 2, 3], waiting=60), at(4)) == 0.5


def test_an_estimate_under_a_request_rate_is_the_later_of_both() -> None:
    assert estimate(61, 8, [1.0], requests_per_minute=60) == 61.0
    assert estimate(61, 8, [1.0], requests_per_minute=60, burst=31) == 31.0
    assert estimate(61, 8, [1.0], requests_per_minute=60_000) == 8.0
    assert estimate(61, 8, [], requests_per_minute=60) is None


@given(
    st.integers(1, 300),
    st.integers(1, 64),
    st.lists(st.floats(0.01, 10), min_size=1, max_size=9),
    st.integers(1, 9999),
    st.none() | st.integers(1, 50),
)
def test_a_quota_never_makes_an_estimate_shorter(
    n: int, workers: int, latencies_s: list[float], per_minute: int, burst: int | None
) -> None:
    free = estimate(n, workers, latencies_s)
    held_back = estimate(n, workers, latencies_s, requests_per_minute=per_minute, burst=burst)
    assert free is not None
    assert held_back is not None
    assert held_back >= free
    assert held_back >= (n - (burst or max(1.0, per_minute / 60))) * 60 / per_minute


def test_nothing_starts_before_a_429s_time_whatever_the_rate_would_allow() -> None:
    run = paced([0, 1, 2], known(0, "requests", 60), held(2, "penalty"), waiting=11)
    last = run.calls[2]
    again = replace(last.attempts[-1], status="failed", error=LATER, ended_ns=2 * NS_PER_S, ready_ns=56 * NS_PER_S)
    waits = replace(last, status="backing_off", attempts=(again,))
    run = replace(run, calls=(*run.calls[:2], waits, *run.calls[3:]))
    assert least_s(run, 12, 3 * NS_PER_S) == 53.0
    assert least_s(run, 12, 50 * NS_PER_S) == 12.0, "once it is nearly over, the rate is what holds longer"
