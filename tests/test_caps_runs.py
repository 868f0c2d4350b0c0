"""Runs that meet a day's cap: they pause and lose nothing, say which, and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fanout import events as ev
from fanout.batch import Batch
from fanout.engine import Engine
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL, Person
from fanout.quota.caps import Caps, DayCap
from fanout.run import Run
from fanout.store.ledger import Ledger
from tests.hands import WAIT_S, HandCaller, WatchedStore

DAY_S = 86_400.0
ANNA = Person(user_id="a", name="Anna", email="anna@example.com")
BEN = Person(user_id="b", name="Ben", email="ben@example.com")


class Bench:
    def __init__(self, caps: Caps, *, left_s: float) -> None:
        """The day ends in so many seconds, by a wall clock that goes on."""
        began_s = time.monotonic()
        self.ledger = Ledger(caps, wall_s=lambda: DAY_S - left_s + time.monotonic() - began_s)
        self.store = WatchedStore()
        self.callers: list[HandCaller] = []
        self.engine = Engine(caller_for=self._caller, store=self.store, ledger=self.ledger, jitter=lambda: 0.0)

    def start(self, count: int = 4, *, by: Person = ANNA, max_workers: int = 1, **settings: float) -> LiveRun:
        prompts = [f"prompt {number}" for number in range(count)]
        return self.engine.start(Batch(prompts=prompts, max_workers=max_workers, **settings), by=by)  # type: ignore[arg-type]  # by name

    def _caller(self, batch: Batch, clock: object) -> HandCaller:
        self.callers.append(HandCaller())
        return self.callers[-1]

    def capped(self, live: LiveRun) -> Run:
        return self.store.await_run(live, lambda run: run.cap is not None and run.state == "paused")


@contextmanager
def bench(caps: Caps, *, left_s: float = 3_600.0) -> Iterator[Bench]:
    made = Bench(caps, left_s=left_s)
    with made.engine:
        yield made


def each(**cap: float) -> Caps:
    return Caps(each_user=DayCap(**cap))  # type: ignore[arg-type]  # by name


def test_a_run_pauses_at_its_owners_cap_and_says_so() -> None:
    with bench(each(usd_a_day=1.0)) as made:
        live = made.start()
        for place in range(2):
            made.callers[0].taken(place + 1)[place].answer(cost_usd=0.5)
        run = made.capped(live)
        assert run.cap is not None
        assert (run.cap.of, run.cap.cap, run.cap.used, run.cap.allowed) == ("user", "usd", 1.0, 1.0)
        assert [call.status for call in run.calls] == ["answered", "answered", "queued", "queued"]
        live.continue_()  # which raises nothing
        assert made.callers[0].count == 2
        live.cancel()
        assert live.wait(WAIT_S)
        assert [call.status for call in live.snapshot().calls][2:] == ["cancelled", "cancelled"]


def test_a_run_whose_next_call_is_larger_than_the_cap_says_by_how_much() -> None:
    with bench(each(tokens_a_day=3)) as made:
        run = made.capped(made.start())
        assert run.cap is not None
        assert (run.cap.of, run.cap.used, run.cap.allowed) == ("user", 0, 3)
        assert run.cap.expected is not None
        assert run.cap.expected > 3


def test_what_is_in_flight_ends_and_nothing_further_starts() -> None:
    with bench(each(tokens_a_day=300)) as made:
        live = made.start(8, max_workers=3, max_output_tokens=100)  # each is expected to use 111
        sent = made.callers[0].taken(2)
        held = made.store.await_run(live, lambda run: bool(run.holds) and run.holds[-1].held_by == "cap")
        assert held.cap is None  # what is in flight may use less
        assert made.callers[0].count == 2
        for each_sent in sent:
            each_sent.answer(output_tokens=197)
        run = made.capped(live)
        assert run.cap is not None
        assert (run.cap.used, made.callers[0].count) == (400, 2)


def test_the_team_pauses_everybody_and_one_users_cap_nobody_else() -> None:
    caps = Caps(team=DayCap(tokens_a_day=1_000), each_user=DayCap(tokens_a_day=700))
    with bench(caps) as made:
        annas = made.start(by=ANNA)
        made.callers[0].taken(1)[0].answer(output_tokens=697)
        assert made.capped(annas).cap is not None
        bens = made.start(by=BEN)
        made.callers[1].taken(1)[0].answer(output_tokens=300)
        capped = made.capped(bens).cap
        assert capped is not None
        assert (capped.of, capped.used, capped.allowed) == ("team", 1_003, 1_000)


def test_it_goes_on_by_itself_on_the_new_day() -> None:
    with bench(each(tokens_a_day=300), left_s=0.5) as made:
        live = made.start(2)
        made.callers[0].taken(1)[0].answer(output_tokens=297)
        made.capped(live)
        made.callers[0].taken(2)[1].answer()
        assert live.wait(WAIT_S)
        run = live.snapshot()
        assert run.cap is None
        told = [event for event in live.events() if isinstance(event, ev.CapReached | ev.CapRaised)]
        assert [(event.kind, event.of, event.allowed) for event in told] == [
            ("cap_reached", "user", 300),
            ("cap_raised", "user", 300),
        ]
        assert fold(live.events()) == run


def test_the_runs_own_cap_is_asked_first_and_the_days_cap_after_it() -> None:
    with bench(each(tokens_a_day=600)) as made:
        live = made.start(cap_tokens=300)
        made.callers[0].taken(1)[0].answer(output_tokens=297)
        assert made.capped(live).cap.of == "run"  # type: ignore[union-attr]  # it is there
        live.continue_()
        made.callers[0].taken(2)[1].answer(output_tokens=297)
        assert made.store.await_run(live, lambda run: run.cap is not None and run.cap.allowed == 600).cap
        live.continue_()
        paused = made.store.await_run(live, lambda run: run.cap is not None and run.cap.of == "user")
        assert paused.state == "paused"


def test_a_pause_by_hand_at_a_days_cap_can_be_ended_by_hand() -> None:
    with bench(each(tokens_a_day=300), left_s=1.0) as made:
        live = made.start(2)
        made.callers[0].taken(1)[0].answer(output_tokens=297)
        made.capped(live)
        live.pause()
        made.store.await_run(live, lambda run: run.holds[-1].held_by == "paused")
        live.continue_()
        made.callers[0].taken(2)[1].answer()
        assert live.wait(WAIT_S)


def test_a_refused_or_cancelled_attempt_gives_back_what_was_expected_of_it() -> None:
    with bench(each(tokens_a_day=10_000)) as made:
        live = made.start(3, max_workers=3)
        made.callers[0].taken(3)
        assert made.ledger.of_user(ANNA).in_flight.tokens > 0
        live.cancel()
        assert live.wait(WAIT_S)
        today = made.ledger.of_user(ANNA)
        assert (today.in_flight.tokens, today.used.tokens) == (0, 0)


def test_a_price_that_nobody_knows_counts_no_dollars() -> None:
    with bench(each(usd_a_day=0.01)) as made:
        live = made.start(2)
        for place in range(2):
            made.callers[0].taken(place + 1)[place].answer()
        assert live.wait(WAIT_S)


def test_a_new_stretch_says_again_what_holds_it() -> None:
    with bench(each(tokens_a_day=300)) as made:
        live = made.start(2, by=LOCAL)
        made.callers[0].taken(1)[0].answer(output_tokens=297)
        made.capped(live)
        live.cancel()
        assert live.wait(WAIT_S)
        assert live.retry_failed() == 1
        run = made.store.await_run(live, lambda run: len(run.stretches) == 2 and run.state == "paused")
        assert run.cap is not None
        assert sum(isinstance(event, ev.CapReached) for event in live.events()) == 2


@pytest.mark.parametrize("of", ["user", "team"])
def test_the_story_is_read_back_from_a_file(of: ev.CapOf) -> None:
    for event in (
        ev.CapReached(at_ns=1, cap="usd", used=5.0, allowed=5.0, of=of),
        ev.CapRaised(at_ns=2, cap="usd", allowed=5.0, of=of),
    ):
        assert ev.from_json(ev.as_json(event)) == event
        old = {name: value for name, value in ev.as_json(event).items() if name != "of"}
        assert ev.from_json(old).of == "run"  # type: ignore[union-attr]  # one of these
