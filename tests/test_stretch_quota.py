"""One stretch by hand on a clock that stands still: caps, a day's end, and when many failures end a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from fanout import events as ev
from fanout.batch import Batch
from fanout.calls import Reply
from fanout.clock import NS_PER_S, VirtualClock
from fanout.errors import CallFailed, ConnectionFailed, QuotaExhausted, RateLimited, Rejected, ServerFailed
from fanout.live import Hands, LiveRun, Record
from fanout.quota.account import Account
from fanout.quota.gates import Gates
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport
from fanout.quota.turns import Turns
from fanout.retry import CALLS_IN_A_ROW, FAULTS_IN_A_ROW, SAME_REFUSALS
from fanout.run import Run
from fanout.schedule import Schedule, Start
from fanout.store import MemoryStore
from fanout.stretch import WAITS_FOR_MIDNIGHT_NS, Asked, OpenStretch
from tests.hands import HandCaller

HOUR_NS = 3_600 * NS_PER_S
DAY_NS = 24 * HOUR_NS


@dataclass(slots=True, kw_only=True)
class Hand:
    """A stretch, its store and its clock."""

    stretch: OpenStretch
    store: MemoryStore
    clock: VirtualClock

    @property
    def run(self) -> Run:
        return self.stretch.live.snapshot()

    def start(self) -> Start | None:
        self.stretch.turns.gate.new_round()
        return self.stretch.next(self.clock.now_ns())

    def started(self) -> Start:
        start = self.start()
        assert start is not None
        return start

    def answer(self, start: Start, *, tokens: int = 1, cost_usd: float | None = None) -> None:
        at_ns, usage = self.clock.now_ns(), ev.Usage(input_tokens=1, output_tokens=tokens - 1)
        reply = Reply(received_ns=at_ns, output="yes", usage=usage, cost_usd=cost_usd)
        self.stretch.ended(start, reply, at_ns)

    def fail(self, start: Start, error: CallFailed, *, report: RateReport = RateReport()) -> None:  # noqa: B008
        at_ns = self.clock.now_ns()
        self.stretch.ended(start, Reply(received_ns=at_ns, error=error, report=report), at_ns)

    def told(self, kind: type[ev.Event]) -> list[ev.Event]:
        return [event for event in self.store.events("run") if isinstance(event, kind)]


def hand(limits: Limits = Limits(), *, count: int = 4, wall_offset_ns: int = 0, **of: float) -> Hand:  # noqa: B008
    clock, store = VirtualClock(), MemoryStore()
    batch = Batch(prompts=[f"prompt {place}" for place in range(count)], **of)  # type: ignore[arg-type]  # by name
    opened = ev.RunOpened(at_ns=0, run_id="run", batch=batch, opened_at_s=0.0)
    record = Record(opened, store.open(opened), immediate=True)
    live = LiveRun(record, hands=cast(Hands, None), store=store, clock=clock)
    gate = Gates(wall_offset_ns=wall_offset_ns).at(Account(account="a", model="m", provider="p"), limits, 0)
    turns = Turns(batch, run_id="run", gate=gate, at_ns=0)
    stretch = OpenStretch(
        live=live,
        caller=HandCaller(),
        schedule=Schedule(max_workers=batch.max_workers, limits=(turns,)),
        turns=turns,
        calls=tuple(range(count)),
        asked=Asked(purpose="first"),
        jitter=lambda: 0.0,
    )
    stretch.begin(0)
    return Hand(stretch=stretch, store=store, clock=clock)


def test_a_days_limit_that_ends_within_a_minute_is_waited_for() -> None:
    made = hand(Limits(requests_per_day=1), wall_offset_ns=DAY_NS - WAITS_FOR_MIDNIGHT_NS)
    made.answer(made.started())
    assert made.start() is None
    assert (made.stretch.stop_reason, made.stretch.wake_ns) == (None, WAITS_FOR_MIDNIGHT_NS)
    assert made.run.holds[-1].held_by == "requests_per_day"
    made.clock.advance_to(WAITS_FOR_MIDNIGHT_NS)
    assert made.start() is not None


@pytest.mark.parametrize(
    ("limits", "name"),
    [(Limits(requests_per_day=1), "1 requests a day"), (Limits(tokens_per_day=300), "300 tokens a day")],
)
def test_a_days_limit_that_ends_later_stops_the_run_and_is_named(limits: Limits, name: str) -> None:
    made = hand(limits, wall_offset_ns=DAY_NS - WAITS_FOR_MIDNIGHT_NS - 1)
    made.answer(made.started(), tokens=250)
    assert made.start() is None
    assert made.stretch.stop_reason == "quota_exhausted"
    assert [call.status for call in made.run.calls] == ["answered", "not_sent", "not_sent", "not_sent"]
    assert name in str(made.run.stop_error)


def test_a_days_limit_is_used_up_only_once_nothing_in_flight_can_give_any_of_it_back() -> None:
    made = hand(Limits(tokens_per_day=600), max_workers=4)
    first, second = made.started(), made.started()  # each may use 267
    assert made.start() is None
    assert made.stretch.stop_reason is None
    for each in (first, second):
        made.answer(each, tokens=20)
    assert made.start() is not None


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 24), ("America/Los_Angeles", 8), ("Asia/Tokyo", 15)])
def test_a_days_end_is_told_in_its_zone(zone: str, hours: int) -> None:
    made = hand(Limits(requests_per_day=1, day_zone=zone))  # 1970-01-01 00:00 UTC
    made.answer(made.started())
    made.start()
    assert f"{hours} h 0 min (midnight, {zone})" in str(made.run.stop_error)


def test_a_429_of_the_day_is_noted_with_its_account_and_holds_nobody_else() -> None:
    made = hand(max_workers=4)
    first, second = made.started(), made.started()
    used_up = QuotaExhausted("the day's requests are used up", status_code=429, retry_after_s=86_400.0)
    for each in (first, second):
        made.fail(each, used_up, report=RateReport(retry_after_s=86_400.0, exhausted="requests_per_day"))
    gate = made.stretch.turns.gate
    (noted,) = gate.refusals
    assert (noted.limit, noted.count, noted.wait_s) == ("requests_per_day", 2, None)
    assert noted.why == "The limit of requests a day was used up, and it was not known before."
    assert "requests_per_day" in noted.remedy
    assert (gate.blocked_until_ns, gate.meters.amount("requests")) == (None, None)
    assert made.stretch.stop_reason == "quota_exhausted"


def test_an_account_without_credit_is_noted_as_that_and_as_no_limit() -> None:
    made = hand(Limits(requests_per_minute=60, burst=1))
    made.fail(made.started(), QuotaExhausted("no credit", status_code=429))
    (noted,) = made.stretch.turns.gate.refusals
    assert noted.limit is None
    assert noted.why.startswith("The account has no credit left")


def test_a_cap_is_reached_once_loses_nothing_in_flight_and_allows_as_much_again() -> None:
    made = hand(cap_tokens=600, max_workers=4)
    first, second = made.started(), made.started()
    assert made.start() is None  # a third might exceed it
    assert made.run.holds[-1].held_by == "cap"
    assert made.told(ev.CapReached) == []
    for each in (first, second):
        made.answer(each, tokens=290)
    for _ in range(3):
        assert made.start() is None
    assert made.told(ev.CapReached) == [ev.CapReached(at_ns=0, cap="tokens", used=580, allowed=600, expected=290)]
    assert [call.status for call in made.run.calls[:2]] == ["answered", "answered"]
    made.stretch.raise_cap(0)
    assert made.told(ev.CapRaised) == [ev.CapRaised(at_ns=0, cap="tokens", allowed=1_180)]
    assert made.start() is not None


def test_going_on_after_a_cap_below_one_call_allows_what_the_pause_said_that_it_needs() -> None:
    made = hand(cap_tokens=200)
    assert made.start() is None
    (reached,) = made.told(ev.CapReached)
    assert made.run.cap is not None
    expected = made.run.cap.expected
    assert expected is not None
    assert expected > 200
    assert reached == ev.CapReached(at_ns=0, cap="tokens", used=0, allowed=200, expected=expected)
    made.stretch.raise_cap(0)
    assert made.told(ev.CapRaised) == [ev.CapRaised(at_ns=0, cap="tokens", allowed=expected)]
    assert made.start() is not None


def test_a_cap_in_dollars_without_a_price_pauses_and_goes_on_when_told() -> None:
    made = hand(cap_usd=1.0, max_workers=1)
    made.answer(made.started(), cost_usd=None)
    assert made.start() is None
    (reached,) = made.told(ev.CapReached)
    assert isinstance(reached, ev.CapReached)
    assert (reached.cap, made.run.state) == ("usd", "paused")
    made.stretch.raise_cap(0)
    made.answer(made.started(), cost_usd=None)
    assert made.start() is not None  # it has been told: it does not ask again


def test_going_on_after_a_pause_by_hand_raises_no_cap() -> None:
    made = hand(cap_tokens=1_000)
    made.answer(made.started(), tokens=10)
    made.stretch.schedule.pause()
    made.stretch.schedule.continue_()
    made.stretch.raise_cap(0)
    assert made.told(ev.CapRaised) == []


@pytest.mark.parametrize("end", ["cancelled", "not sent"])
def test_what_did_not_reach_the_provider_gives_everything_back(end: str) -> None:
    made = hand(Limits(requests_per_minute=60, tokens_per_minute=60_000, burst=2))
    start = made.started()
    if end == "cancelled":
        made.stretch.ended(start, None, 0)
    else:
        made.fail(start, ConnectionFailed("no way there", was_sent=False))
    meters = made.stretch.turns.gate.meters
    assert {name: (known.reserved, known.meter.free(0)) for name, known in meters} == {
        "requests": (0, 2),
        "tokens": (0, 1_000),
    }


def test_twenty_faults_without_an_answer_stop_the_run() -> None:
    made = hand(count=40, retries=0)
    reasons = []
    for _ in range(FAULTS_IN_A_ROW):
        made.fail(made.started(), ServerFailed("inside", status_code=500))
        reasons.append(made.stretch.stop_reason)
    assert reasons == [None] * (FAULTS_IN_A_ROW - 1) + ["provider_down"]
    assert [call.status for call in made.run.calls].count("not_sent") == 40 - FAULTS_IN_A_ROW


def test_faults_with_answers_between_them_stop_nothing() -> None:
    made = hand(count=100, retries=0)
    for place in range(100):
        start = made.started()
        if place % CALLS_IN_A_ROW == 0:
            made.answer(start)
        else:
            made.fail(start, ServerFailed("inside", status_code=500))
    assert made.stretch.stop_reason is None
    assert made.stretch.schedule.done


def test_five_calls_refused_alike_stop_the_run_and_five_refused_each_in_its_way_do_not() -> None:
    alike, apart = hand(count=10), hand(count=10)
    for place in range(SAME_REFUSALS):
        alike.fail(alike.started(), Rejected("no", status_code=400, provider_words="unknown field"))
        apart.fail(apart.started(), Rejected("no", status_code=400, provider_words=f"prompt {place} is too long"))
    assert (alike.stretch.stop_reason, apart.stretch.stop_reason) == ("same_failure", None)


def test_a_429_holds_fresh_calls_until_its_time() -> None:
    made = hand(max_workers=1)
    made.fail(made.started(), RateLimited("later", status_code=429, retry_after_s=3.0))
    assert made.start() is None
    assert made.stretch.wake_ns == 3 * NS_PER_S
    assert made.run.holds[-1].held_by == "penalty"
    made.clock.advance_to(3 * NS_PER_S)
    assert made.started().call == 0  # who was refused goes first
