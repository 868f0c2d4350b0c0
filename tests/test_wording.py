"""The sentence of a run in every state, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard import wording
from dashboard.reasons import why_not_answered
from fanout import events as ev
from fanout.errors import CallFailed, KeyRefused, QuotaExhausted, ServerFailed, TimedOut
from fanout.fold import fold
from tests.happened import LIMIT, cancelled, failed, ms, run_of, said, started, stop, stopped
from tests.runs import make_run
from tests.test_metrics import answered, began, ended, opened, side_by_side

# While it goes on


def test_opening() -> None:
    run = fold(opened(40))
    assert said(run) == "Getting the model ready: 40 prompts wait, the clock has not started."
    assert wording.run_state(run) == "Getting ready"


def test_opening_again() -> None:
    run = replace(make_run(n=4, failing=[1]), state="opening")
    assert said(run) == "Getting the model ready to send again; the clock stands."


def test_running_before_the_first_answer() -> None:
    run = run_of(40, *(started(call, 0) for call in range(8)))
    assert said(run, 500) == "0 of 40 answered, 8 in flight."
    assert wording.run_state(run) == "Running"


def test_running_says_what_is_left() -> None:
    run = run_of(6, answered(0, 0, 1000), answered(1, 0, 1000), started(2, 1000), started(3, 1000))
    assert said(run, 1200) == "2 of 6 answered, 2 in flight, about 1.8 s to go."


def test_running_promises_no_time_while_the_store_holds_it() -> None:
    held: list[ev.Event] = [ev.HoldChanged(at_ns=ms(1100), held_by="store")]
    run = run_of(6, answered(0, 0, 1000), answered(1, 0, 1000), started(2, 1000), started(3, 1000), held)
    assert said(run, 1200) == "2 of 6 answered, 2 in flight, waiting for the store, which could not be written."


def _again(call: int, ready_ms: float, by: ev.Held | None) -> list[ev.Event]:
    """Sent at 100 ms, refused at 150; what holds the next call from then on."""
    retrying = ev.Retrying(
        at_ns=ms(150), call=call, attempt=1, error=LIMIT, ready_ns=ms(ready_ms), reason="retry_after"
    )
    return [*started(call, 100), retrying, ev.HoldChanged(at_ns=ms(150), held_by=by)]


@pytest.mark.parametrize("by", ["penalty", None])
def test_what_is_left_counts_from_the_end_of_the_wait_after_a_429(by: ev.Held | None) -> None:
    """Also where all that is left backs off, so that nothing is held."""
    left = [answered(call, 0, 75) for call in range(5 if by is None else 3)]
    run = run_of(6, *left, _again(5, 40_150, by))
    backing_off = "0 in flight, 1 backing off, about 40 s to go"
    waits = ", waiting after a 429" if by else ""
    assert said(run, 150).startswith(f"{len(left)} of 6 answered, {backing_off}{waits}.")
    assert "about 10 s to go" in said(run, 30_150)


def test_a_pace_that_is_over_is_no_promise_during_a_hold() -> None:
    """Its limits are known, and the quota's sentence promises no earlier end than the wait has."""
    quota: list[ev.Event] = [ev.LimitChanged(at_ns=ms(0), limit="requests", old=None, new=6000, reason="header")]
    run = run_of(6, quota, *(answered(call, 0, 75) for call in range(3)), _again(5, 40_150, "penalty"))
    assert "allows the end in 40 s at the earliest; at the present pace 40 s." in said(run, 150)


@pytest.mark.parametrize("by", ["requests_per_day", "tokens_per_day", "penalty"])
def test_running_promises_no_time_while_a_hold_has_no_end_that_the_run_knows(by: ev.Held) -> None:
    """The 429 is another run's here: none of this run's calls was refused."""
    quota: list[ev.Event] = [ev.LimitChanged(at_ns=ms(0), limit="requests", old=None, new=6000, reason="header")]
    held: list[ev.Event] = [ev.HoldChanged(at_ns=ms(150), held_by=by)]
    sentence = said(run_of(6, quota, *(answered(call, 0, 75) for call in range(3)), held), 90_000)
    assert "to go" not in sentence
    assert "pace" not in sentence
    assert sentence.startswith("3 of 6 answered, 0 in flight, waiting ")


def test_running_says_what_is_wrong_first() -> None:
    run = run_of(6, failed(0, 0, 1000, LIMIT), started(2, 1000))
    assert said(run, 1200) == (
        "1 failed: the provider answered 429 (60 requests a minute). 0 of 6 answered, 1 in flight."
    )


def test_running_with_calls_that_back_off() -> None:
    retrying = ev.Retrying(at_ns=ms(10), call=0, attempt=1, error=LIMIT, ready_ns=ms(900), reason="retry_after")
    run = run_of(2, [*started(0, 0), retrying], started(1, 0))
    assert said(run, 20) == "0 of 2 answered, 1 in flight, 1 backing off."


def test_paused() -> None:
    run = run_of(6, answered(0, 0, 1000), started(1, 0), [ev.HoldChanged(at_ns=ms(1100), held_by="paused")])
    assert said(run, 1200) == "Paused: 1 of 6 answered, 1 in flight, 4 queued."
    assert wording.run_state(run) == "Paused"


def test_stopping() -> None:
    run = run_of(3, answered(0, 0, 1000), started(1, 0), stop(1100, "stopped"), cancelled(2, at_ms=1100))
    assert said(run, 1200) == "Stopping: 1 of 3 answered, 1 in flight."
    assert wording.run_state(run) == "Stopping"


# Ended, and all is well


def test_one_prompt() -> None:
    assert said(side_by_side((0, 1234))) == "1 prompt in 1.2 s."
    assert wording.run_state(side_by_side((0, 1234))) == "Done"


def test_the_slowest_call_was_the_limit() -> None:
    run = side_by_side((0, 5800), *[(0, 1000)] * 9, (1000, 6100), workers=10)
    assert said(run) == (
        "11 prompts in 6.1 s. The slowest call took 5.8 s: more workers would not help. "
        "Latencies add up to 20 s (overlap 3.3)."
    )


def test_the_workers_were_the_limit() -> None:
    run = side_by_side(*((1000.0 * (n // 8), 1000.0 * (n // 8) + 1000) for n in range(48)), workers=8)
    assert said(run) == (
        "48 prompts in 6 s. 8 workers were busy nearly all the time: 16 would take about 3 s if the provider keeps its "
        "pace. Latencies add up to 48 s (overlap 8)."
    )


def test_more_workers_are_not_promised_where_the_provider_had_enough() -> None:
    retrying = ev.Retrying(
        at_ns=ms(1000), call=0, attempt=1, error=LIMIT, received_ns=ms(1000), ready_ns=ms(1000), reason="retry_after"
    )
    rest = (answered(n, 1000.0 * (n + 1), 1000.0 * (n + 2)) for n in range(1, 8))
    first = [*started(0, 0), retrying, *answered(0, 1000, 2000, attempt=2)]
    run = run_of(8, first, *rest, workers=1, end=ended(9000))
    assert said(run) == "8 prompts in 9 s. 1 call was retried: 9 quota slots used. Latencies add up to 9 s (overlap 1)."


def test_nothing_is_said_of_a_limit_that_was_not_met() -> None:
    run = side_by_side((0, 1000), (1500, 2500), (3000, 4000), workers=1)
    assert said(run).startswith("3 prompts in 4 s. Latencies add up to 3 s (overlap 0.75).")


def test_workers_are_not_spoken_of_once_the_slider_moved() -> None:
    run = make_run(n=48, latency_s=1.0, sigma=0.0, max_workers=4, limits=[(2.0, 8)])
    assert "workers" not in said(run)


def test_calls_alone_tell_what_one_after_another_would_take() -> None:
    run = side_by_side((0, 1000), (1000, 2000), (2000, 3000), *[(3000, 4200)] * 5, workers=5)
    assert said(run) == (
        "8 prompts in 4.2 s. Latencies add up to 9 s (overlap 2.1). By the 3 calls that were in flight alone, "
        "one after another would take about 8 s: 1.9 times as long."
    )


def test_retried_calls_cost_slots() -> None:
    run = make_run(n=20, retrying=[3, 7], latency_s=1.0, sigma=0.0, max_workers=20)
    assert said(run).startswith(
        "20 prompts in 2.6 s. 2 calls were retried: 22 quota slots used. "
        "The slowest call took 2.6 s, its retries included: more workers would not help."
    )


def test_several_stretches() -> None:
    events = [*opened(2), began(2), *answered(0, 0, 1000), *failed(1, 0, 1000, LIMIT), ended(1000)]
    again = ev.StretchBegan(at_ns=ms(9000), stretch=1, purpose="retry", max_workers=2, calls=(1,))
    run = fold([*events, again, *answered(1, 9000, 10_000, attempt=2), ended(10_000, stretch=1)])
    assert said(run) == "2 prompts in 2 s over 2 stretches. Latencies add up to 3 s (overlap 1.5)."


def test_a_late_machine_says_so_where_it_changes_a_figure() -> None:
    run = run_of(1, answered(0, 0, 1000), [ev.ClientLagged(at_ns=ms(5), lag_ns=ms(285))], end=ended(1000))
    assert said(run) == (
        "1 prompt in 1 s. This machine was the bottleneck at times: it looked up to 280 ms late, which the latencies "
        "include."
    )
    little = run_of(1, answered(0, 0, 1000), [ev.ClientLagged(at_ns=ms(5), lag_ns=ms(85))], end=ended(1000))
    assert said(little) == "1 prompt in 1 s."


# Ended, and something is wrong


def test_some_failed_alike() -> None:
    run = run_of(
        4,
        answered(0, 0, 1000),
        answered(1, 0, 2000),
        failed(2, 2000, 2100, LIMIT),
        failed(3, 2000, 2100, LIMIT),
        end=ended(2100),
    )
    assert said(run) == (
        "2 failed: the provider answered 429 (60 requests a minute). 2 of 4 prompts answered in 2.1 s. "
        "The slowest call took 2 s: more workers would not help. Latencies add up to 3.2 s (overlap 1.5)."
    )
    assert wording.run_state(run) == "Ended"


def test_causes_are_grouped_the_most_frequent_first() -> None:
    broke = [ServerFailed(f"The provider answered 500: number {n}.", status_code=500) for n in range(2)]
    errors = [
        TimedOut("No complete answer within 60 s."),
        *broke,
        LIMIT,
        LIMIT,
        LIMIT,
        KeyRefused("x."),
        CallFailed("y."),
    ]
    run = run_of(9, answered(8, 0, 10), *(failed(n, 0, 10, error) for n, error in enumerate(errors)), end=ended(10))
    assert said(run).startswith(
        "3 failed: the provider answered 429 (60 requests a minute). 2 failed: the provider failed inside (500). "
        "1 failed: no complete answer within 60 s. 2 failed for other reasons. 1 of 9 prompts answered in 10 ms."
    )


def test_all_failed() -> None:
    run = run_of(3, *(failed(n, 0, 1000, LIMIT) for n in range(3)), end=ended(1000))
    assert said(run) == (
        "All 3 failed: the provider answered 429 (60 requests a minute). None of 3 prompts was answered in 1 s."
    )


def test_the_only_one_failed() -> None:
    run = run_of(1, failed(0, 0, 1000, LIMIT), end=ended(1000))
    assert said(run) == "1 failed: the provider answered 429 (60 requests a minute)."


def test_stopped_by_hand() -> None:
    run = run_of(
        4,
        answered(0, 0, 1000),
        started(1, 0),
        stop(1500, "stopped"),
        cancelled(1, at_ms=1500, attempt=1),
        cancelled(2, 3, at_ms=1500),
        end=stopped(1500, "stopped"),
    )
    assert said(run) == "Stopped after 1.5 s: 1 of 4 answered; 1 cancelled, 2 not sent."
    assert wording.run_state(run) == "Stopped"


def test_stopped_before_anything_was_sent() -> None:
    run = run_of(2, stop(10, "stopped"), cancelled(0, 1, at_ms=10), end=stopped(10, "stopped"))
    assert said(run) == "Stopped after 10 ms: 0 of 2 answered; 2 not sent."


def test_a_retry_that_was_stopped_says_how_many_it_did_not_send_again() -> None:
    error = ServerFailed("The provider answered 500.")
    again = ev.StretchBegan(at_ns=ms(20), stretch=1, purpose="retry", max_workers=1, calls=(1, 2))
    run = run_of(
        3,
        answered(0, 0, 10),
        failed(1, 0, 10, error),
        failed(2, 0, 10, error),
        [stopped(10, "finished"), again],
        started(1, 20, attempt=2),
        stop(30, "stopped"),
        cancelled(1, at_ms=30, attempt=2),
        cancelled(2, at_ms=30),
        end=ev.StretchEnded(at_ns=ms(30), stretch=1, reason="stopped"),
    )
    assert said(run) == (
        "1 failed: the provider answered 500. Stopped after 20 ms: 1 of 3 answered; 1 cancelled, 1 not sent again."
    )
    why = why_not_answered(run, run.calls[2])
    assert why == "It was not sent again. The run was stopped while this call was waiting for a worker."


def test_interrupted() -> None:
    run = run_of(2, answered(0, 0, 10), cancelled(1, at_ms=10), end=stopped(10, "interrupted"))
    assert said(run) == "Interrupted after 10 ms: 1 of 2 answered; 1 not sent."
    assert wording.run_state(run) == "Interrupted"


def not_sent(*calls: int, at_ms: float, reason: ev.StopReason) -> list[ev.Event]:
    return [ev.NotSent(at_ns=ms(at_ms), call=call, reason=reason) for call in calls]


def test_stopped_by_a_refused_key() -> None:
    error = KeyRefused("The provider answered 401: it does not accept the key. Check OPENAI_API_KEY.", status_code=401)
    run = run_of(
        10_000,
        failed(0, 0, 300, error),
        stop(300, "key_refused", error),
        not_sent(*range(1, 10_000), at_ms=300, reason="key_refused"),
        end=stopped(300, "key_refused"),
    )
    assert said(run) == (
        "Stopped at the first answer: the provider answered 401: it does not accept the key. Check OPENAI_API_KEY. "
        "9,999 prompts were not sent."
    )
    assert wording.run_state(run) == "Stopped"


def test_stopped_when_the_credit_ran_out_on_the_way() -> None:
    error = QuotaExhausted("The account has no credit left.")
    run = run_of(
        3,
        answered(0, 0, 100),
        failed(1, 100, 300, error),
        stop(300, "quota_exhausted", error),
        not_sent(2, at_ms=300, reason="quota_exhausted"),
        end=stopped(300, "quota_exhausted"),
    )
    assert said(run) == "Stopped: the account has no credit left. 1 of 3 prompts answered. 1 prompt was not sent."


def test_a_model_that_could_not_be_made_ready() -> None:
    error = CallFailed("The sandbox did not start.")
    run = run_of(
        2,
        stop(0, "not_ready", error),
        not_sent(0, 1, at_ms=0, reason="not_ready"),
        end=stopped(0, "not_ready"),
    )
    assert said(run) == "The model could not be made ready: the sandbox did not start. 2 prompts were not sent."
    assert wording.run_state(run) == "Not started"


# Beside a run with one worker


def test_the_measured_speed_up() -> None:
    one_by_one = side_by_side((0, 18_000), (18_000, 38_000), workers=1)
    run = side_by_side((0, 6100), (0, 6100))
    assert wording.speed_up_sentence(run, one_by_one) == "One after another they took 38 s: 6.2 times faster."


def test_side_by_side_can_be_slower() -> None:
    one_by_one = side_by_side((0, 100), (100, 200), workers=1)
    run = side_by_side((0, 400), (0, 400))
    assert wording.speed_up_sentence(run, one_by_one) == (
        "One after another they took 200 ms: side by side was 2 times slower."
    )


def test_what_does_not_compare_is_not_compared() -> None:
    assert wording.speed_up_sentence(side_by_side((0, 9)), side_by_side((0, 9), (0, 9))) == (
        "The run with one worker does not compare: it must answer the same prompts as this one."
    )


def test_measuring_says_what_it_costs() -> None:
    assert wording.speed_up_question(side_by_side((0, 1000), (0, 2000))) == (
        "This sends the same 2 prompts once more, one after another: 2 more quota slots, about 3 s."
    )
