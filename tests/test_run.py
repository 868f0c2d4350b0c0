"""A run is the fold of its events; a call's phases are exclusive and sum to its wall time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import BadInput, RateLimited, ServerFailed
from fanout.fold import Fold, fold, folded
from fanout.retry import Again, verdict
from fanout.run import ENDED, Call, Run, result_of
from fanout.schedule import Schedule, Start
from fanout.store.rows import standing, summarize
from tests.runs import history

MS = 1_000_000


def opened(count: int = 2, *, max_workers: int = 2) -> ev.RunOpened:
    batch = Batch(prompts=[f"p{n}" for n in range(count)], max_workers=max_workers)
    return ev.RunOpened(at_ns=0, run_id="r", batch=batch, opened_at_s=1.0)


def began(at_ns: int, count: int = 2, *, stretch: int = 0) -> ev.StretchBegan:
    return ev.StretchBegan(at_ns=at_ns, stretch=stretch, purpose="first", max_workers=2, calls=tuple(range(count)))


def phases(run: Run, index: int, *, now_ns: int | None = None) -> list[tuple[str, int, int]]:
    return [(p.name, p.start_ns, p.end_ns) for p in run.phases(run.calls[index], now_ns=now_ns)]


def test_a_streamed_call_is_cut_at_each_stamp() -> None:
    run = fold(
        [
            opened(1),
            began(10, 1),
            ev.Started(at_ns=12, call=0, attempt=1, lane=0),
            ev.Sent(at_ns=15, call=0, attempt=1),
            ev.FirstToken(at_ns=40, call=0, attempt=1),
            ev.Succeeded(at_ns=95, call=0, attempt=1, output="x", received_ns=90),
            ev.StretchEnded(at_ns=95, stretch=0, reason="finished"),
        ]
    )
    assert phases(run, 0) == [
        ("workers", 10, 12),
        ("client", 12, 15),
        ("first_token", 15, 40),
        ("generating", 40, 90),
        ("client", 90, 95),
    ]
    call = run.calls[0]
    assert (call.latency_ns, call.first_token_ns, call.experienced_ns) == (75, 25, 85)
    assert (run.state, run.stop_reason) == ("ended", "finished")


def test_a_retried_call_backs_off_then_waits_for_what_held_the_queue() -> None:
    run = fold(
        [
            opened(1),
            began(0, 1),
            ev.Started(at_ns=0, call=0, attempt=1, lane=0),
            ev.Sent(at_ns=0, call=0, attempt=1),
            ev.Retrying(
                at_ns=20,
                call=0,
                attempt=1,
                error=RateLimited("later"),
                received_ns=20,
                ready_ns=50,
                reason="backoff",
            ),
            ev.HoldChanged(at_ns=30, held_by="penalty"),
            ev.HoldChanged(at_ns=60, held_by="paused"),
            ev.HoldChanged(at_ns=70, held_by=None),
            ev.Started(at_ns=80, call=0, attempt=2, lane=1),
        ]
    )
    assert phases(run, 0, now_ns=100) == [
        ("in_flight", 0, 20),
        ("backoff", 20, 50),
        ("penalty", 50, 60),
        ("paused", 60, 70),
        ("workers", 70, 80),
        ("client", 80, 100),
    ]


def test_stretches_do_not_count_the_time_between() -> None:
    run = fold(
        [
            opened(1),
            began(0, 1),
            ev.Started(at_ns=0, call=0, attempt=1, lane=0),
            ev.Failed(at_ns=10, call=0, attempt=1, error=ServerFailed("x")),
            ev.StretchEnded(at_ns=10, stretch=0, reason="finished"),
            ev.StretchOpened(at_ns=900, stretch=1),
            began(1_000, 1, stretch=1),
            ev.Started(at_ns=1_005, call=0, attempt=2, lane=0),
            ev.Succeeded(at_ns=1_010, call=0, attempt=2, output="x"),
            ev.StretchEnded(at_ns=1_010, stretch=1, reason="finished"),
        ]
    )
    assert sum(end - start for _, start, end in phases(run, 0)) == 20
    assert [attempt.stretch for attempt in run.calls[0].attempts] == [0, 1]
    assert result_of(run.calls[0]).attempts == 2


def test_snapshots_share_every_call_that_did_not_change() -> None:
    folding = Fold(opened(3))
    folding.add(began(0, 3))
    before = folding.run()
    assert folding.run() is before
    folding.add(ev.Started(at_ns=1, call=1, attempt=1, lane=0))
    after = folding.run()
    assert [a is b for a, b in zip(before.calls, after.calls, strict=True)] == [True, False, True]
    assert after.version == before.version + 1


def test_a_result_exists_only_of_a_call_that_ended() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        result_of(Call(index=0, prompt="p"))


def test_a_run_begins_with_its_opening() -> None:
    with pytest.raises(ValueError, match="first event"):
        fold([began(0)])
    with pytest.raises(ValueError, match="opened once"):
        fold([opened(), opened()])


def test_an_event_of_a_newer_fanout_is_refused_and_of_an_unknown_kind_too() -> None:
    values = ev.as_json(began(0))
    with pytest.raises(BadInput, match="newer Fanout"):
        ev.from_json({**values, "version": 99})
    with pytest.raises(BadInput, match="unknown kind"):
        ev.from_json({"kind": "what", "version": 1})
    assert ev.from_json({**values, "later_field": 1}) == began(0)


HISTORY = st.lists(
    st.tuples(st.sampled_from(["answer", "fail", "token", "pause", "continue", "workers"]), st.integers(0, 30)),
    max_size=60,
)


@given(count=st.integers(1, 8), history=HISTORY)
def test_phases_are_exclusive_and_sum_to_the_wall_time(count: int, history: list[tuple[str, int]]) -> None:
    """Over random histories of the real schedule: contiguous, ordered, and summing up, live and ended."""
    events = simulate(count, history)
    run = fold(events)
    now_ns = max(event.at_ns for event in events) + 5
    assert fold(ev.from_json(ev.as_json(event)) for event in events) == run
    for call in run.calls:
        found = run.phases(call, now_ns=now_ns)
        end_ns = call.ended_ns[-1] if call.status in ENDED else now_ns
        assert sum(phase.length_ns for phase in found) == end_ns - call.queued_ns[0]
        assert all(a.end_ns == b.start_ns for a, b in pairwise(found))
        assert all(phase.length_ns > 0 for phase in found)


def simulate(count: int, history: list[tuple[str, int]]) -> list[ev.Event]:
    """What an engine would record, on a clock that each step moves."""
    schedule = Schedule(max_workers=2)
    schedule.add(range(count))
    events: list[ev.Event] = [opened(count), began(0, count)]
    flying: dict[int, int] = {}
    held: ev.Held | None = None
    at_ns = 0
    for verb, number in history:
        at_ns += number
        while isinstance(answer := schedule.next(at_ns), Start):
            flying[answer.call] = answer.attempt
            events.append(ev.Started(at_ns=at_ns, call=answer.call, attempt=answer.attempt, lane=answer.lane))
            events.append(ev.Sent(at_ns=at_ns + number % 3, call=answer.call, attempt=answer.attempt))
        if answer.held_by != held:
            held = answer.held_by
            events.append(ev.HoldChanged(at_ns=at_ns, held_by=held))
        at_ns += number % 7
        events += step(schedule, verb, number, at_ns, flying)
    return events


def step(schedule: Schedule, verb: str, number: int, at_ns: int, flying: dict[int, int]) -> list[ev.Event]:
    if verb == "pause":
        schedule.pause()
    elif verb == "continue":
        schedule.continue_()
    elif verb == "workers":
        schedule.max_workers = number % 4 + 1
    elif flying:
        call = sorted(flying)[number % len(flying)]
        attempt = flying[call]
        if verb == "token":
            return [ev.FirstToken(at_ns=at_ns, call=call, attempt=attempt)]
        del flying[call]
        return ended(schedule, verb, call, attempt, at_ns)
    return []


def ended(schedule: Schedule, verb: str, call: int, attempt: int, at_ns: int) -> list[ev.Event]:
    received_ns = max(0, at_ns - 1)
    if verb == "answer":
        schedule.ended(call, at_ns=at_ns)
        return [ev.Succeeded(at_ns=at_ns, call=call, attempt=attempt, output="x", received_ns=received_ns)]
    error = ServerFailed("x")
    decided = verdict(error, at_ns=at_ns, counted=attempt, retries=3, jitter=1e-8)
    if isinstance(decided, Again):
        schedule.again(call, at_ns=at_ns, ready_ns=decided.ready_ns)
        return [
            ev.Retrying(
                at_ns=at_ns,
                call=call,
                attempt=attempt,
                error=error,
                received_ns=received_ns,
                ready_ns=decided.ready_ns,
                reason="backoff",
            )
        ]
    schedule.ended(call, at_ns=at_ns)
    return [ev.Failed(at_ns=at_ns, call=call, attempt=attempt, error=error, received_ns=received_ns)]


def _left(*happened: ev.Event) -> Call:
    """A call of a run that was stopped after this happened to it."""
    return fold([opened(1), began(10, 1), *happened, ev.StretchEnded(at_ns=90, stretch=0, reason="stopped")]).calls[0]


@pytest.mark.parametrize("end", [ev.Cancelled(at_ns=60, call=0), ev.NotSent(at_ns=60, call=0, reason="key_refused")])
def test_what_failed_before_and_was_not_sent_again_by_a_stretch_that_was_stopped_says_what_it_failed_of(
    end: ev.Event,
) -> None:
    before = [opened(1), began(10, 1), *_failed_once(20)]
    first = ev.StretchEnded(at_ns=40, stretch=0, reason="finished")
    again = [
        ev.StretchBegan(at_ns=55, stretch=1, purpose="retry", max_workers=1, calls=(0,)),
    ]
    stopped = ev.StretchEnded(at_ns=70, stretch=1, reason="stopped")
    failed_once = fold([*before, first]).calls[0]
    (call,) = fold([*before, first, *again, end, stopped]).calls
    assert (call.status, call.fate, call.error) == ("failed", "failed", failed_once.error)
    assert call.attempts == failed_once.attempts
    assert (failed_once.is_not_sent_again, call.is_not_sent_again) == (False, True)


def _failed_once(at_ns: int) -> list[ev.Event]:
    return [
        ev.Started(at_ns=at_ns, call=0, attempt=1, lane=0),
        ev.Sent(at_ns=at_ns, call=0, attempt=1),
        ev.Failed(at_ns=at_ns + 5, call=0, attempt=1, error=ServerFailed("500."), received_ns=at_ns + 5),
    ]


def test_a_cancelled_call_of_which_nothing_was_sent_was_not_sent() -> None:
    start, sent = ev.Started(at_ns=20, call=0, attempt=1, lane=0), ev.Sent(at_ns=25, call=0, attempt=1)
    cut = ev.Cancelled(at_ns=30, call=0, attempt=1)
    assert _left(ev.Cancelled(at_ns=30, call=0)).fate == "not_sent"
    assert _left(start, cut).fate == "not_sent"
    assert _left(start, sent, cut).fate == "cancelled"
    lost = _left(start, ev.Cancelled(at_ns=30, call=0, attempt=1, lost=True))
    assert lost.fate == "cancelled"  # nobody knows whether it was sent
    retried = ev.Retrying(
        at_ns=28, call=0, attempt=1, error=ServerFailed("500."), received_ns=28, ready_ns=60, reason="backoff"
    )
    assert _left(start, sent, retried, ev.Cancelled(at_ns=30, call=0)).fate == "cancelled"
    assert _left(ev.NotSent(at_ns=30, call=0, reason="key_refused")).fate == "not_sent"


@pytest.mark.parametrize("stretches", [1, 3])
def test_a_run_in_numbers_is_the_same_whether_it_is_folded_or_looked_through(stretches: int) -> None:
    events = history(n=30, failing=range(0, 30, 2), retrying=0.3, stretches=stretches, stop_at_s=2.0)
    assert isinstance(events[0], ev.RunOpened)
    fold_ = Fold(events[0])
    for event in events[1:]:
        fold_.add(event)
        if fold_.goes_on:
            assert standing(fold_) == summarize(fold_.run())
            assert standing(fold_.copy()) == standing(fold_)
    assert fold_.tally.answered > 0
    assert fold_.tally.tokens > 0


def test_a_fold_that_was_copied_goes_on_by_itself() -> None:
    events = history(n=6, failing=[1])
    first = folded(events[:-4])
    before, other = first.run(), first.copy()
    for event in events[-4:]:
        other.add(event)
    assert first.run() is before
    assert other.run() == fold(events)
    assert (first.tally.answered, other.tally.answered) == (summarize(before).answered, summarize(other.run()).answered)
