"""A day's limit that the provider has said is used up: one call tries it, nobody is blocked, and it is shown."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.prospect_words import day_lines
from dashboard.quota_words import gauges
from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.engine import Engine
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.gates import view_of
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.sharers import Reservation
from fanout.quota.view import AccountView
from fanout.run import Run
from fanout.tuning.prospect import prospect
from tests.gates import ONE, WORDS, gate
from tests.hands import WAIT_S
from tests.hostile import Answer, Hostile, Received, chat, status

HOUR_NS = 3600 * NS_PER_S
BATCH = Batch(prompts=["a", "b", "c"])


def used_up(made: Gate, *, at_ns: int = 0, wait_ns: int | None = HOUR_NS) -> None:
    """One call alone, refused for the day."""
    booked = made.book("run", ONE, at_ns)
    made.used_up(booked, "requests_per_day", wait_ns=wait_ns, at_ns=at_ns, words=WORDS)
    made.settle(booked, Cost(), at_ns)


def asks(made: Gate, at_ns: int, run_id: str = "run") -> str | None:
    """What holds the next call of the run; None where it may start."""
    made.new_round()
    hold = made.ask(run_id, ONE, at_ns)
    return None if hold is None else hold.held_by


def view(made: Gate, at_ns: int) -> AccountView:
    return view_of(made, waiting={}, at_ns=at_ns)


def tried(made: Gate, at_ns: int) -> Reservation:
    assert asks(made, at_ns) is None
    return made.book("run", ONE, at_ns)


@given(at_ns=st.integers(1, 2 * HOUR_NS))
def test_one_call_tries_it_until_the_time_that_was_told_and_then_nothing_is_held(at_ns: int) -> None:
    made = gate(Limits(), "run", "other")
    used_up(made)
    tried(made, at_ns)
    held = "requests_per_day" if at_ns < HOUR_NS else None
    assert asks(made, at_ns) == held
    assert asks(made, at_ns, "other") == held


def test_the_others_follow_once_the_call_that_tried_it_is_answered() -> None:
    made = gate(Limits(requests_per_day=200))
    used_up(made)
    made.settle(tried(made, 5), ONE, 10, tokens=20)
    tried(made, 11)
    assert asks(made, 11) is None
    assert view(made, 11).spent == ()
    (limit,) = view(made, 11).limits
    assert (limit.free, limit.said_remaining) == (197, None)


def test_an_answer_to_a_call_that_was_sent_before_it_was_said_changes_nothing() -> None:
    made = gate()
    before = made.book("run", ONE, 0)
    used_up(made, at_ns=5)
    made.settle(before, ONE, 10, tokens=20)
    tried(made, 11)
    assert asks(made, 11) == "requests_per_day"


def test_a_call_that_tried_it_and_has_no_answer_leaves_it_to_the_next() -> None:
    made = gate()
    used_up(made)
    made.settle(tried(made, 5), Cost(), 10)
    tried(made, 11)
    assert asks(made, 11) == "requests_per_day"


def test_where_no_time_is_told_it_is_used_up_until_the_end_of_its_day() -> None:
    made = gate(Limits(day_zone="Asia/Tokyo"))  # 1970-01-01 00:00 UTC is 9 o'clock there
    used_up(made, wait_ns=None)
    (spent,) = view(made, 1).spent
    assert (spent.until_ns, spent.is_told) == (15 * HOUR_NS, False)


def answered(made: Gate, at_ns: int, *, left: int | None = None) -> None:
    """One call alone is answered; `left`: what its response says is left of 100 requests a day."""
    booked = tried(made, at_ns)
    if left is not None:
        reading = Reading(limit=100, remaining=left)
        made.observe(booked, RateReport(readings=(("requests_per_day", reading),)), at_ns)
    made.settle(booked, ONE, at_ns, tokens=20)


def test_a_day_that_responses_told_is_tried_once_a_stretch_because_it_may_roll() -> None:
    made = gate()
    answered(made, 0, left=0)
    assert asks(made, 1) == "requests_per_day"
    made.begin("run")
    answered(made, HOUR_NS, left=0)
    assert asks(made, HOUR_NS) == "requests_per_day"
    made.begin("run")
    answered(made, 2 * HOUR_NS, left=60)
    for _ in range(60):
        answered(made, 2 * HOUR_NS)
    assert asks(made, 2 * HOUR_NS) == "requests_per_day"


def test_a_try_that_is_answered_without_a_word_of_the_day_begins_it_anew() -> None:
    made = gate()
    answered(made, 0, left=0)
    made.begin("run")
    answered(made, HOUR_NS)
    assert asks(made, HOUR_NS) is None


def test_only_one_call_tries_it_and_nobody_does_where_the_settings_tell_the_limit() -> None:
    made = gate(Limits(), "run", "other")
    answered(made, 0, left=0)
    made.begin("run")
    tried(made, 1)
    assert asks(made, 1) == asks(made, 1, "other") == "requests_per_day"
    held = gate(Limits(requests_per_day=1))
    answered(held, 0)
    held.begin("run")
    assert asks(held, 1) == "requests_per_day"


def test_it_is_shown_as_used_up_whatever_was_counted_here() -> None:
    made = gate(Limits(requests_per_day=200))
    used_up(made)
    (limit,) = view(made, 60 * NS_PER_S).limits
    assert (limit.free, limit.said_remaining) == (0, 0)
    (drawn,) = gauges(view(made, 60 * NS_PER_S))
    assert (drawn.used, drawn.reserved) == (1.0, 0.0)
    assert drawn.words == "200 requests a day: used up for 59 min; provider said 0, 1 min ago"
    (limit,) = view(made, HOUR_NS).limits
    assert limit.free == 199  # the call that was refused may have counted


def test_the_form_says_so_before_anything_is_sent() -> None:
    made = gate()
    used_up(made)
    told = prospect(view(made, 60 * NS_PER_S), BATCH, BATCH.prompts)
    assert day_lines(told) == [
        "The provider said 1 min ago that the limit of requests a day is used up; it asked to wait another 59 min. "
        "One call is sent first, to see whether that still holds; the others follow once it is answered."
    ]


SPENT = "Rate limit reached on requests per day (RPD): Limit 200, Used 200. Please try again in 6h0m0s."


def test_a_second_run_sends_one_call_and_goes_on_once_that_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = threading.Event()

    def answer(request: Received) -> Answer:
        return chat("yes") if raised.is_set() else status(429, SPENT)

    with Hostile(answer) as server, Engine() as engine:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests-0001")
        batch = Batch(prompts=[str(n) for n in range(12)], model="openai-chat:tiny", max_workers=4, stream=False)

        def run() -> Run:
            live = engine.start(batch)
            assert live.wait(WAIT_S)
            return live.snapshot()

        assert run().stop_reason == "quota_exhausted"
        spent = engine.quota_for(batch).spent
        assert [(each.name, each.is_told) for each in spent] == [("requests_per_day", True)]
        sent = server.requests
        assert run().stop_reason == "quota_exhausted"
        assert server.requests == sent + 1
        raised.set()
        assert [call.output for call in run().calls] == ["yes"] * 12
        assert engine.quota_for(batch).spent == ()
