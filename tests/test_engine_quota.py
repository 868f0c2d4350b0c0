"""The engine and quota, over calls that are finished by hand: what stops a run, what pauses it, who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import Clock
from fanout.engine import Engine
from fanout.errors import BadInput, CallFailed, RateLimited, Rejected, ServerFailed
from fanout.live import LiveRun
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.retry import BEYOND_EVERY_NS, BUDGET_AT_FIRST, RetryBudget, Streak
from tests.hands import WAIT_S, HandCaller, WatchedStore


class Bench:
    """An engine whose settings allow what the test says."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.jitter = 0.0
        self.caller = HandCaller()
        self.store = WatchedStore()
        self.engine = Engine(
            caller_for=self._caller, jitter=lambda: self.jitter, store=self.store, limits_for=lambda _: self.limits
        )

    def start(self, count: int = 3, **settings: int | float | bool) -> LiveRun:
        prompts = [f"prompt {number}" for number in range(count)]
        return self.engine.start(Batch(prompts=prompts, **settings))  # type: ignore[arg-type]  # by name

    def _caller(self, batch: Batch, clock: Clock) -> HandCaller:
        return self.caller


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.engine:
        yield bench


def fail_all(bench: Bench, error: Callable[[int], CallFailed], live: LiveRun) -> int:
    """Fail whatever is sent until the run ends; how many were sent."""
    place = 0
    while not live.ended:
        if bench.caller.count > place:
            bench.caller.taken(place + 1)[place].fail(error(place))
            place += 1
        else:
            live.wait(0.001)
    return place


def test_a_provider_that_is_down_stops_the_run_and_keeps_what_was_answered(bench: Bench) -> None:
    live = bench.start(200, max_workers=4, retries=0)
    kept = bench.caller.taken_for("prompt 0")
    kept.answer("kept")
    place = 0
    while not live.ended:
        sent = bench.caller.taken(place + 1)[place] if bench.caller.count > place else None
        if sent is None:
            live.wait(0.001)
            continue
        if sent is not kept:
            sent.fail(ServerFailed("inside", status_code=500))
        place += 1
    run = live.snapshot()
    assert run.stop_reason == "provider_down"
    assert place < 30
    assert run.calls[0].output == "kept"
    assert run.calls[-1].status == "not_sent"
    assert live.retry_failed() == 199


def test_a_short_outage_costs_no_prompt_and_few_attempts(bench: Bench) -> None:
    bench.jitter = 1.0  # half a second at first, so that the outage is over when the first calls come again
    live = bench.start(200, max_workers=8, retries=2)
    for place in range(27):  # the twentieth fault, and the seven that were in flight with it
        bench.caller.taken(place + 1)[place].fail(ServerFailed("inside", status_code=500))
    place = 27
    while not live.ended:
        if bench.caller.count > place:
            bench.caller.taken(place + 1)[place].answer()
            place += 1
        else:
            live.wait(0.001)
    run = live.snapshot()
    assert [call.status for call in run.calls] == ["answered"] * 200
    assert place == 227


def test_while_the_provider_may_be_down_nothing_new_is_sent(bench: Bench) -> None:
    live = bench.start(1_000, max_workers=8, retries=2)
    place = fail_all(bench, lambda _: ServerFailed("inside", status_code=500), live)
    run = live.snapshot()
    assert run.stop_reason == "provider_down"
    assert sum(call.attempts != () for call in run.calls) <= 28
    assert sum(call.status == "failed" for call in run.calls) >= 5
    assert place < 100


def test_the_same_refusal_of_every_prompt_stops_the_run(bench: Bench) -> None:
    live = bench.start(100, max_workers=2)
    sent = fail_all(bench, lambda _: Rejected("no", status_code=400, provider_words="temperature: too high"), live)
    assert live.snapshot().stop_reason == "same_failure"
    assert sent < 10


def test_refusals_of_their_own_do_not_stop_the_run(bench: Bench) -> None:
    live = bench.start(12, max_workers=2)
    sent = fail_all(bench, lambda n: Rejected("no", status_code=400, provider_words=f"prompt {n} is too long"), live)
    assert (live.snapshot().stop_reason, sent) == ("finished", 12)


def test_a_days_limit_that_is_used_up_stops_the_run_and_names_itself(bench: Bench) -> None:
    far_from_midnight = "UTC" if 3 <= datetime.now(UTC).hour < 21 else "Asia/Tokyo"
    bench.limits = Limits(requests_per_day=2, day_zone=far_from_midnight)
    live = bench.start(5, max_workers=1)
    for place in range(2):
        bench.caller.taken(place + 1)[place].answer()
    assert live.wait(WAIT_S)
    run = live.snapshot()
    assert run.stop_reason == "quota_exhausted"
    assert "2 requests a day" in str(run.stop_error)
    assert [call.status for call in run.calls] == ["answered", "answered", "not_sent", "not_sent", "not_sent"]


def test_a_cap_pauses_loses_nothing_in_flight_and_goes_on(bench: Bench) -> None:
    live = bench.start(4, max_workers=1, cap_tokens=300)
    bench.caller.taken(1)[0].answer(output_tokens=250)
    paused = bench.store.await_run(live, lambda run: run.cap is not None)
    assert paused.state == "paused"
    assert paused.cap is not None
    assert (paused.cap.cap, paused.cap.used, paused.cap.allowed) == ("tokens", 253, 300)
    assert bench.caller.count == 1
    live.continue_()
    for place in range(1, 4):
        bench.caller.taken(place + 1)[place].answer(output_tokens=1)
    assert [result.status for result in live.results()] == ["answered"] * 4
    assert live.snapshot().cap is None


def test_a_run_may_not_ask_for_more_than_the_settings_allow(bench: Bench) -> None:
    bench.limits = Limits(requests_per_minute=60)
    with pytest.raises(BadInput, match="requests_per_minute must be at most 60"):
        bench.start(requests_per_minute=61)
    assert bench.engine.runs() == ()


def test_a_wait_for_quota_holds_no_worker_and_names_its_limit(bench: Bench) -> None:
    bench.limits = Limits(requests_per_minute=60, burst=1)
    live = bench.start(2, max_workers=2)
    bench.caller.taken(1)[0].answer()
    run = bench.store.await_run(live, lambda run: run.holds[-1].held_by == "requests")
    assert [len(call.attempts) for call in run.calls] == [1, 0]
    bench.caller.taken(2)[1].answer()
    live.results()
    phases = live.snapshot().phases(live.snapshot().calls[1])
    assert "requests" in {phase.name for phase in phases}


def test_what_a_response_teaches_is_written_into_the_run(bench: Bench) -> None:
    live = bench.start(2, max_workers=1)
    report = RateReport(readings=(("requests", Reading(limit=600, remaining=599)),))
    bench.caller.taken(1)[0].fail(RateLimited("later", status_code=429), report=report)
    run = bench.store.await_run(live, lambda run: bool(run.quota))
    (step,) = run.quota
    assert (step.limit, step.value, step.reason) == ("requests", 600, "header")
    live.cancel()


def test_a_429_is_explained_with_the_knob_that_would_have_avoided_it(bench: Bench) -> None:
    live = bench.start(2, max_workers=1, retries=0)
    bench.caller.taken(1)[0].fail(RateLimited("later", status_code=429))
    bench.caller.taken(2)[1].answer()
    live.results()
    view = live.quota()
    assert view is not None
    (refusal,) = view.refusals
    assert refusal.run_id == live.run_id
    assert refusal.why
    assert "requests" in refusal.remedy
    assert bench.engine.quota() == (view,) or bench.engine.quota()[0].refusals == view.refusals


def test_auto_sizes_the_workers_by_rate_and_latency_below_the_ceiling(bench: Bench) -> None:
    bench.limits = Limits(requests_per_minute=600, burst=100)
    live = bench.start(30, max_workers=16, auto_workers=True)
    for place in range(30):
        bench.caller.taken(place + 1)[place].answer()
    live.results()
    auto = [step for step in live.snapshot().limits if step.reason == "auto"]
    assert auto
    assert all(1 <= step.value < 16 for step in auto)
    assert auto[0].why


def test_a_streak_counts_calls_and_ends_with_an_answer() -> None:
    streak = Streak()
    fault = ServerFailed("inside")
    for place in range(60):  # four calls may have a fault of their own
        assert streak.failed(place % 4, fault, given_up=True) is None
    assert not streak.doubted
    assert streak.failed(4, fault, given_up=True) == "provider_down"
    streak.answered()
    assert not streak.doubted
    assert streak.failed(4, fault, given_up=True) is None


def test_the_retry_budget_lets_the_first_go_at_once_and_spaces_the_rest() -> None:
    budget = RetryBudget()
    assert [budget.ready_ns(5) for _ in range(BUDGET_AT_FIRST)] == [5] * BUDGET_AT_FIRST
    beyond = [budget.ready_ns(5) for _ in range(3)]
    assert [later - earlier for earlier, later in pairwise(beyond)] == [BEYOND_EVERY_NS] * 2
    for _ in range(5):
        budget.answered()
    assert budget.ready_ns(7) == 7


def test_events_of_quota_survive_json() -> None:
    happened: tuple[ev.Event, ...] = (
        ev.LimitChanged(at_ns=1, limit="requests", old=None, new=600, reason="header", why="it said so"),
        ev.CapReached(at_ns=2, cap="tokens", used=10, allowed=9),
        ev.CapRaised(at_ns=3, cap="usd", allowed=2.5),
    )
    assert tuple(ev.from_json(ev.as_json(event)) for event in happened) == happened


def test_a_run_shows_its_own_limits_beside_the_accounts(bench: Bench) -> None:
    bench.limits = Limits(requests_per_minute=6_000)
    live = bench.start(2, requests_per_minute=60, burst=2)
    beside = bench.start(1)
    bench.caller.taken(3)
    mine, others, whole = live.quota(), beside.quota(), bench.engine.quota()[0]
    assert mine is not None
    assert others is not None
    assert [(limit.number, limit.source, limit.reserved) for limit in mine.own] == [(60, "run", 2)]
    assert [(limit.number, limit.source) for limit in mine.limits] == [(6_000, "setting")]
    assert (others.own, whole.own) == ((), ())
    for sent in bench.caller.taken(3):
        sent.answer()


def test_a_weight_is_moved_while_the_run_goes_on_and_kept_in_it(bench: Bench) -> None:
    bench.limits = Limits(requests_per_minute=600, burst=4, max_weight=3)
    live = bench.start(2, max_workers=1)
    live.weight = 3
    live.weight = 3
    view = live.quota()
    assert view is not None
    assert (view.max_weight, [share.weight for share in view.shares]) == (3, [3])
    moved = [event for event in bench.store.events(live.run_id) if isinstance(event, ev.WeightChanged)]
    assert [(event.old, event.new, event.reason) for event in moved] == [(1, 3, "user")]
    assert ev.from_json(ev.as_json(moved[0])) == moved[0]
    assert [step.value for step in live.snapshot().weights] == [1, 3]
    for place in range(2):
        bench.caller.taken(place + 1)[place].answer()
    assert live.wait(WAIT_S)
    live.weight = 2  # for its retries
    assert live.weight == 2


@pytest.mark.parametrize("weight", [0, -1, 4, 101, 1.5, True, "2", None])
def test_a_bad_weight_changes_nothing_and_says_what_is_allowed(bench: Bench, weight: object) -> None:
    bench.limits = Limits(max_weight=3)
    live = bench.start(1)
    with pytest.raises(BadInput, match=r"weight must be (at most 3|.*from 1 to 100)"):
        live.weight = weight  # type: ignore[assignment]
    assert live.weight == 1
    bench.caller.taken(1)[0].answer()


def test_where_the_settings_allow_no_weight_it_stays_one(bench: Bench) -> None:
    live = bench.start(1)
    with pytest.raises(
        BadInput, match=r"weight must be 1 for sandbox, got 2: more needs a max_weight for it in fanout\.toml"
    ):
        live.weight = 2
    bench.caller.taken(1)[0].answer()
    assert live.wait(WAIT_S)


@pytest.mark.parametrize("number", [1, 2, 600])
def test_a_run_is_told_the_limit_as_the_settings_say_it_and_not_its_pace(bench: Bench, number: int) -> None:
    bench.limits = Limits(requests_per_minute=number, never_exceed=True)
    live = bench.start(1)
    bench.caller.taken(1)[0].answer()
    assert live.wait(WAIT_S)
    assert [step.value for step in live.snapshot().quota] == [number]
    view = live.quota()
    assert view is not None
    assert [limit.number for limit in view.limits] == [number]
