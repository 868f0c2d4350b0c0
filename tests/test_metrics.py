"""The numbers of a run are the numbers of its events: seconds, counts, and None where something is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.errors import RateLimited
from fanout.fold import fold
from fanout.metrics import Spread, measure, percentile, speed_up
from fanout.run import Run
from tests.runs import make_run, now_ns

NO_USAGE = ev.Usage()
LIMITED = RateLimited("The provider answered 429.", status_code=429)


def ms(value: float) -> int:
    return round(value * NS_PER_MS)


def opened(n: int, *, workers: int = 2, model: str = "sandbox") -> list[ev.Event]:
    batch = Batch(prompts=[f"prompt {i}" for i in range(n)], max_workers=workers, model=model)
    return [ev.RunOpened(at_ns=0, run_id="r", batch=batch, opened_at_s=0.0)]


def began(n: int, *, at_ms: float = 0, stretch: int = 0, workers: int = 2) -> ev.Event:
    purpose: ev.Purpose = "retry" if stretch else "first"
    return ev.StretchBegan(
        at_ns=ms(at_ms), stretch=stretch, purpose=purpose, max_workers=workers, calls=tuple(range(n))
    )


def answered(
    call: int,
    start_ms: float,
    end_ms: float,
    *,
    attempt: int = 1,
    usage: ev.Usage = NO_USAGE,
    cost: float | None = None,
) -> list[ev.Event]:
    return [
        ev.Started(at_ns=ms(start_ms), call=call, attempt=attempt, lane=0),
        ev.Sent(at_ns=ms(start_ms), call=call, attempt=attempt),
        ev.Succeeded(
            at_ns=ms(end_ms),
            call=call,
            attempt=attempt,
            output="a",
            received_ns=ms(end_ms),
            usage=usage,
            cost_usd=cost,
        ),
    ]


def in_order(events: list[ev.Event]) -> list[ev.Event]:
    return events[:2] + sorted(events[2:], key=lambda event: event.at_ns)


def ended(at_ms: float, *, stretch: int = 0) -> ev.Event:
    return ev.StretchEnded(at_ns=ms(at_ms), stretch=stretch, reason="finished")


def side_by_side(*spans: tuple[float, float], workers: int = 2, model: str = "sandbox") -> Run:
    """An ended run with one answered call per (start, end) in ms."""
    events = [*opened(len(spans), workers=workers, model=model), began(len(spans), workers=workers)]
    for call, (start_ms, end_ms) in enumerate(spans):
        events += answered(call, start_ms, end_ms)
    return fold([*in_order(events), ended(max(end_ms for _, end_ms in spans))])


def test_nothing_is_known_before_anything_was_sent() -> None:
    metrics = measure(fold(opened(3)))
    assert (metrics.calls, metrics.queued, metrics.attempts, metrics.wall_s, metrics.service_s) == (3, 3, 0, 0.0, 0.0)
    unknown = (metrics.overlap, metrics.slowest, metrics.answered_per_s, metrics.input_tokens, metrics.cost_usd)
    assert unknown == (None, None, None, None, None)
    assert metrics.latency == metrics.experienced == metrics.first_token == Spread(p50_s=None, p95_s=None)
    assert metrics.worst_lag_s is None


def test_overlap_is_the_sum_of_service_times_over_the_wall_time() -> None:
    metrics = measure(side_by_side((0, 100), (0, 300)))
    assert (metrics.service_s, metrics.wall_s) == (0.4, 0.3)
    assert metrics.overlap == pytest.approx(4 / 3)
    assert metrics.answered_per_s == pytest.approx(2 / 0.3)
    assert metrics.slowest is not None
    assert (metrics.slowest.index, metrics.slowest.latency_s) == (1, 0.3)


def test_overlap_counts_what_is_in_flight_and_what_was_hung_up() -> None:
    started = [
        *opened(2),
        began(2),
        *(ev.Started(at_ns=0, call=call, attempt=1, lane=call) for call in (0, 1)),
        *(ev.Sent(at_ns=0, call=call, attempt=1) for call in (0, 1)),
    ]
    live = measure(fold(started), now_ns=ms(100))
    assert live.service_s == 0.0
    assert live.overlap == pytest.approx(2.0)
    hung_up = [ev.Cancelled(at_ns=ms(200), call=call, attempt=1) for call in (0, 1)]
    assert measure(fold([*started, *hung_up, ended(200)])).overlap == pytest.approx(2.0)


def test_every_call_is_counted_once() -> None:
    for at_s in (0.0, 0.5, 2.0, 5.0, 500.0):
        run = make_run(n=40, failing=0.2, retrying=0.3, at_s=at_s)
        m = measure(run)
        assert m.queued + m.running + m.answered + m.failed + m.cancelled + m.not_sent == m.calls == 40
        assert m.backing_off <= m.queued


def test_a_retry_is_an_attempt_more_and_a_second_stretch_is_no_retry() -> None:
    run = make_run(n=20, retrying=[3, 7], failing=[5], stretches=2)
    metrics = measure(run)
    assert (metrics.retries, metrics.retried_calls) == (2, 2)
    assert metrics.attempts == 20 + 2 + 1


def test_an_attempt_that_was_never_sent_uses_no_slot() -> None:
    events = [
        *opened(1),
        began(1),
        ev.Started(at_ns=ms(1), call=0, attempt=1, lane=0),
        ev.Failed(at_ns=ms(5), call=0, attempt=1, error=LIMITED, received_ns=ms(5)),
        ended(5),
    ]
    metrics = measure(fold(events))
    assert (metrics.attempts, metrics.failed, metrics.service_s, metrics.overlap) == (0, 1, 0.0, None)


def test_wall_time_counts_stretches_and_not_the_time_between() -> None:
    events = [*opened(1), began(1), *answered(0, 0, 100), ended(100)]
    events += [began(1, at_ms=5000, stretch=1), *answered(0, 5000, 5300, attempt=2), ended(5300, stretch=1)]
    metrics = measure(fold(events))
    assert metrics.wall_s == 0.4
    assert metrics.experienced.p50_s == 0.3


def test_what_goes_on_is_cut_at_now_and_counts_nothing_unfinished() -> None:
    events = [*opened(2), began(2), *answered(0, 0, 100), ev.Started(at_ns=ms(100), call=1, attempt=1, lane=0)]
    events += [ev.Sent(at_ns=ms(110), call=1, attempt=1)]
    run = fold(events)
    assert measure(run, now_ns=ms(250)).wall_s == 0.25
    assert measure(run).wall_s == 0.11  # the last stamp
    assert measure(run, now_ns=ms(250)).service_s == 0.1


def test_tokens_and_cost_are_sums_of_what_is_known() -> None:
    events = [*opened(3), began(3)]
    events += answered(0, 0, 10, usage=ev.Usage(input_tokens=5, output_tokens=None), cost=0.25)
    events += answered(1, 10, 20, usage=ev.Usage(input_tokens=7))
    events += answered(2, 20, 30, cost=0.5)
    metrics = measure(fold(events))
    assert (metrics.input_tokens, metrics.output_tokens) == (12, None)
    assert (metrics.cost_usd, metrics.cost_known_for) == (0.75, 2)


def test_the_time_to_the_first_token_counts_from_sending() -> None:
    events = [*opened(1), began(1), *answered(0, 10, 60)]
    events.insert(4, ev.FirstToken(at_ns=ms(30), call=0, attempt=1))
    assert measure(fold(events)).first_token == Spread(p50_s=0.02, p95_s=0.02)


def test_the_worst_lag_is_told() -> None:
    events = [*opened(1), began(1), ev.ClientLagged(at_ns=1, lag_ns=ms(30)), ev.ClientLagged(at_ns=2, lag_ns=ms(25))]
    assert measure(fold(events)).worst_lag_s == 0.03


@pytest.mark.parametrize(("n", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (40, 20, 38), (100, 50, 95)])
def test_percentiles_are_nearest_rank(n: int, p50: int, p95: int) -> None:
    numbers = list(range(1, n + 1))
    assert (percentile(numbers, 0.5), percentile(numbers, 0.95)) == (p50, p95)
    assert percentile([], 0.5) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 9), st.floats(0, 30))
def test_overlap_never_exceeds_the_workers(n: int, workers: int, seed: int, at_s: float) -> None:
    run = make_run(n=n, max_workers=workers, seed=seed, retrying=0.2, at_s=at_s)
    metrics = measure(run, now_ns=now_ns(at_s))
    assert metrics.overlap is None or metrics.overlap <= workers + 1e-9


ONE_BY_ONE = side_by_side((0, 100), (100, 400), workers=1)


def test_a_speed_up_is_the_wall_of_one_worker_over_this_wall() -> None:
    gained = speed_up(side_by_side((0, 100), (0, 250)), ONE_BY_ONE)
    assert gained is not None
    assert (gained.factor, gained.one_after_another_s, gained.judged_by) == (1.6, 0.4, "baseline")


@pytest.mark.parametrize(
    "baseline",
    [
        side_by_side((0, 100), (0, 300)),  # two workers
        side_by_side((0, 100), workers=1),  # other prompts
        side_by_side((0, 100), (100, 400), workers=1, model="openai:x"),
        fold([*opened(2, workers=1), began(2, workers=1), *answered(0, 0, 100)]),  # not ended
        fold(
            [
                *opened(2, workers=1),
                began(2, workers=1),
                *answered(0, 0, 100),
                ev.Started(at_ns=ms(100), call=1, attempt=1, lane=0),
                ev.Failed(at_ns=ms(101), call=1, attempt=1, error=LIMITED),
                ended(101),
            ]
        ),
    ],
)
def test_there_is_no_speed_up_against_something_else(baseline: Run) -> None:
    assert speed_up(side_by_side((0, 100), (0, 250)), baseline) is None


def test_a_run_with_one_worker_has_no_speed_up() -> None:
    assert speed_up(ONE_BY_ONE, ONE_BY_ONE) is None
    assert speed_up(ONE_BY_ONE) is None


def test_calls_alone_stand_for_the_others() -> None:
    run = side_by_side((0, 100), (100, 200), (200, 300), *[(300, 420)] * 5, workers=5)
    gained = speed_up(run)
    assert gained is not None
    assert (gained.judged_by, gained.calls_alone) == ("alone", 3)
    assert gained.one_after_another_s == pytest.approx(0.8)
    assert gained.factor == pytest.approx(0.8 / 0.42)


def test_fewer_than_three_calls_alone_say_nothing() -> None:
    assert speed_up(side_by_side((0, 100), (100, 200), *[(200, 320)] * 6)) is None


def test_calls_alone_that_differ_much_say_nothing() -> None:
    assert speed_up(side_by_side((0, 10), (10, 400), (400, 500), *[(500, 600)] * 5)) is None


def test_a_call_that_another_joined_was_not_alone() -> None:
    assert speed_up(side_by_side((0, 100), (90, 200), (200, 300), (300, 400), (400, 500), (450, 550))) is None


def test_a_run_that_goes_on_has_no_speed_up_yet() -> None:
    run = side_by_side((0, 100), (100, 200), (200, 300), (300, 400))
    assert speed_up(run) is not None
    assert speed_up(replace(run, state="running")) is None


def test_seconds_are_seconds() -> None:
    assert measure(make_run(n=4, latency_s=2.0, sigma=0.0)).latency.p50_s == pytest.approx(2.0)
    assert NS_PER_S == 1000 * NS_PER_MS
