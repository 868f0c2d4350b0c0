"""The engine over calls that are finished by hand: what starts, what ends, what stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fanout import events as ev
from fanout.clock import MonotonicClock
from fanout.errors import BadInput, CallFailed, KeyRefused, RateLimited, Rejected, ServerFailed
from fanout.fold import fold
from fanout.quota.report import RateReport, Reading
from tests.engines import Bench, statuses
from tests.hands import WAIT_S

PLENTY = RateReport(readings=(("requests", Reading(limit=600_000, remaining=599_000)),))
"""A 429 whose headers tell the limit, so that it is not guessed lower."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.engine:
        yield bench


def test_no_more_than_max_workers_are_in_flight(bench: Bench) -> None:
    live = bench.start(5, max_workers=2)
    assert len(bench.caller.taken(2)) == 2
    assert repr(live).endswith("2 in flight, 3 queued>")
    bench.caller.taken(2)[0].answer()
    assert len(bench.caller.taken(3)) == 3
    for place in range(1, 5):
        bench.caller.taken(place + 1)[place].answer()
    assert live.wait(WAIT_S)
    assert repr(live).endswith("ended>")


def test_results_come_in_completion_order_and_in_input_order(bench: Bench) -> None:
    live = bench.start(3, max_workers=3)
    sent = {sending.prompt: sending for sending in bench.caller.taken(3)}
    completed = live.as_completed()
    for place in (2, 0, 1):
        sent[f"prompt {place}"].answer(f"answer {place}")
        assert next(completed).output == f"answer {place}"
    assert list(completed) == []
    assert [result.output for result in live.results()] == ["answer 0", "answer 1", "answer 2"]
    assert [result.index for result in live.as_completed()] == [2, 0, 1]


def test_one_failure_leaves_the_others(bench: Bench) -> None:
    live = bench.start(3, max_workers=3)
    sent = {sending.prompt: sending for sending in bench.caller.taken(3)}
    sent["prompt 1"].fail(Rejected("refused", status_code=400))
    sent["prompt 0"].answer()
    sent["prompt 2"].answer()
    results = live.results()
    assert [result.status for result in results] == ["answered", "failed", "answered"]
    assert results[1].error == Rejected("refused", status_code=400)
    assert results[1].attempts == 1


def test_a_transient_failure_is_sent_again_and_each_attempt_is_a_span(bench: Bench) -> None:
    live = bench.start(1)
    bench.caller.taken(1)[0].fail(ServerFailed("inside", status_code=500))
    bench.caller.taken(2)[1].answer("at last")
    (result,) = live.results()
    assert (result.status, result.output, result.attempts) == ("answered", "at last", 2)
    assert [a.status for a in live.snapshot().calls[0].attempts] == ["retried", "answered"]


def test_retries_are_the_further_attempts(bench: Bench) -> None:
    live = bench.start(1, retries=2)
    for number in range(3):
        bench.caller.taken(number + 1)[number].fail(ServerFailed("inside"))
    (result,) = live.results()
    assert (result.status, result.attempts, bench.caller.count) == ("failed", 3, 3)


def test_a_429_while_the_run_gets_on_is_never_a_lost_prompt(bench: Bench) -> None:
    live = bench.start(6, max_workers=1, retries=1)
    sent = 0
    for _ in range(5):  # every prompt is refused once more than `retries` would allow, in between others are answered
        refused = bench.caller.taken(sent + 1)[sent]
        refused.fail(RateLimited("later", status_code=429), report=PLENTY)
        bench.caller.taken(sent + 2)[sent + 1].answer()
        sent += 2
    bench.caller.taken(sent + 1)[sent].answer()
    assert [result.status for result in live.results()] == ["answered"] * 6


def test_a_provider_that_only_refuses_ends_the_run(bench: Bench) -> None:
    live = bench.start(1, retries=2)
    for number in range(3):
        bench.caller.taken(number + 1)[number].fail(RateLimited("later", status_code=429), report=PLENTY)
    assert [result.status for result in live.results()] == ["failed"]


def test_a_refused_key_stops_the_run_at_its_first_answer(bench: Bench) -> None:
    live = bench.start(10_000, max_workers=2)
    first, second = bench.caller.taken(2)
    first.fail(KeyRefused("the key is wrong", status_code=401))
    second.fail(KeyRefused("the key is wrong", status_code=401))
    assert live.wait(WAIT_S)
    run = live.snapshot()
    assert (run.stop_reason, str(run.stop_error)) == ("key_refused", "the key is wrong")
    assert bench.caller.count == 2
    assert sorted({call.status for call in run.calls}) == ["failed", "not_sent"]
    assert sum(call.status == "not_sent" for call in run.calls) == 9_998


def test_cancel_hangs_up_and_keeps_what_was_answered(bench: Bench) -> None:
    live = bench.start(5, max_workers=2)
    first, second = bench.caller.taken(2)
    first.answer("paid for")
    third = bench.caller.taken(3)[2]
    live.cancel()
    assert live.wait(WAIT_S)
    assert sorted(statuses(live)) == ["answered", "cancelled", "cancelled", "cancelled", "cancelled"]
    assert second.cancelled
    assert third.cancelled
    assert bench.caller.count == 3
    assert live.snapshot().stop_reason == "stopped"
    live.cancel()  # a second stop changes nothing
    assert live.snapshot().stretches[-1].reason == "stopped"


def test_an_answer_that_arrives_with_the_stop_is_kept(bench: Bench) -> None:
    live = bench.start(1)
    (sending,) = bench.caller.taken(1)
    sending.answer("just in time")
    live.cancel()
    assert [result.output for result in live.results()] == ["just in time"]


def test_a_slider_moved_up_starts_more_at_once_and_down_kills_nothing(bench: Bench) -> None:
    live = bench.start(8, max_workers=1)
    bench.caller.taken(1)
    live.max_workers = 4
    sent = bench.caller.taken(4)
    live.max_workers = 1
    for sending in sent[:3]:
        sending.answer()
    assert live.wait(0) is False
    assert bench.caller.count == 4
    assert not sent[3].cancelled
    sent[3].answer()
    for place in range(4, 8):
        bench.caller.taken(place + 1)[place].answer()
    assert live.wait(WAIT_S)
    assert [step.value for step in live.snapshot().limits] == [1, 4, 1]


@pytest.mark.parametrize("workers", [0, -1, 10_000_000, 2.5, True, float("nan"), "8", None])
def test_a_bad_max_workers_changes_nothing(bench: Bench, workers: object) -> None:
    live = bench.start(2, max_workers=1)
    with pytest.raises(BadInput, match="max_workers must be"):
        live.max_workers = workers  # type: ignore[assignment]
    assert live.max_workers == 1


def test_a_pause_starts_nothing_and_continue_goes_on(bench: Bench) -> None:
    live = bench.start(2, max_workers=1)
    (first,) = bench.caller.taken(1)
    live.pause()
    assert live.snapshot().state == "paused"
    first.answer()
    assert next(live.as_completed()).index == 0
    assert bench.caller.count == 1
    live.continue_()
    bench.caller.taken(2)[1].answer()
    assert [result.status for result in live.results()] == ["answered", "answered"]
    run = live.snapshot()
    assert "paused" in {phase.name for phase in run.phases(run.calls[1])}


def test_retry_failed_sends_only_what_was_not_answered_as_a_new_stretch(bench: Bench) -> None:
    live = bench.start(3, max_workers=3, retries=0)
    sent = {sending.prompt: sending for sending in bench.caller.taken(3)}
    sent["prompt 0"].answer("kept")
    sent["prompt 1"].fail(ServerFailed("inside"))
    with pytest.raises(BadInput, match="still goes on"):
        live.retry_failed()
    sent["prompt 2"].fail(ServerFailed("inside"))
    assert live.wait(WAIT_S)
    assert live.retry_failed() == 2
    assert not live.ended
    again = bench.caller.taken(5)[3:]
    assert sorted(sending.prompt for sending in again) == ["prompt 1", "prompt 2"]
    for sending in again:
        sending.answer("second time")
    assert [result.output for result in live.results()] == ["kept", "second time", "second time"]
    run = live.snapshot()
    assert [stretch.purpose for stretch in run.stretches] == ["first", "retry"]
    assert [len(call.attempts) for call in run.calls] == [1, 2, 2]
    assert live.retry_failed() == 0


def test_a_run_is_the_fold_of_its_stored_events(bench: Bench) -> None:
    live = bench.start(2)
    first, second = bench.caller.taken(2)
    first.first_token()
    first.answer()
    second.fail(Rejected("no"))
    assert live.wait(WAIT_S)
    events = bench.store.events(live.run_id)
    assert fold(events) == live.snapshot()
    assert fold(ev.from_json(ev.as_json(event)) for event in events) == live.snapshot()


def test_a_model_that_cannot_be_made_ready_sends_nothing_and_says_why(bench: Bench) -> None:
    bench.warm_up_error = BadInput("the sandbox does not answer: start it")
    live = bench.start(3)
    assert [result.status for result in live.results()] == ["not_sent"] * 3
    run = live.snapshot()
    assert (run.stop_reason, str(run.stop_error)) == ("not_ready", "the sandbox does not answer: start it")
    assert bench.caller.count == 0


def test_a_run_stopped_while_it_warms_up_sends_nothing(bench: Bench) -> None:
    bench.hold_warm_up = True
    live = bench.start(3)
    assert live.snapshot().state == "opening"
    live.cancel()
    assert live.wait(WAIT_S)
    assert statuses(live) == ["cancelled"] * 3
    bench.caller.warm.set()
    bench.engine.close()
    assert bench.caller.count == 0


def test_a_bug_in_a_caller_is_that_calls_failure(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    live = bench.start(2)
    first, second = bench.caller.taken(2)
    first._reply.set_exception(ZeroDivisionError("ours"))
    second.answer()
    assert sorted(str(result.error) for result in live.results()) == ["None", "ZeroDivisionError: ours"]
    assert "raised instead of replying" in caplog.text


def test_an_unknown_failure_class_is_still_a_failure(bench: Bench) -> None:
    live = bench.start(1)
    bench.caller.taken(1)[0].fail(CallFailed("something else"))
    assert [str(result.error) for result in live.results()] == ["something else"]
    assert MonotonicClock().now_ns() > live.snapshot().opened_ns
