"""Why a call has no answer, in words: what ended the run, and what the call was at when it did."""

from __future__ import annotations

import pytest

from dashboard.reasons import failures, why_not_answered
from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import CallFailed, KeyRefused, QuotaExhausted, Rejected, ServerFailed
from fanout.fold import fold
from fanout.run import Run
from tests.happened import cancelled, failed, ms, run_of, started, stop, stopped

HOSTILE = "<b>no</b>"


def held(at_ms: float, held_by: ev.Held) -> list[ev.Event]:
    return [ev.HoldChanged(at_ns=ms(at_ms), held_by=held_by)]


def why(run: Run, call: int) -> str | None:
    return why_not_answered(run, run.calls[call])


@pytest.mark.parametrize(
    ("held_by", "words"),
    [
        ("workers", "The run was stopped while this call was waiting for a worker."),
        ("requests_per_day", "The run was stopped while this call was waiting for the day's request quota."),
        ("cap", "The run was stopped while this call was waiting at a cap."),
        ("paused", "The run was stopped while it was paused."),
        ("store", "The run was stopped while this call was waiting for the store, which could not be written."),
    ],
)
def test_of_a_stop_by_hand_it_is_what_the_call_waited_for(held_by: ev.Held, words: str) -> None:
    end = stopped(900, "stopped")
    run = run_of(1, held(100, held_by), stop(900, "stopped"), cancelled(0, at_ms=900), end=end)
    assert why(run, 0) == words


def test_a_cap_of_a_day_is_named_as_one() -> None:
    reached = ev.CapReached(at_ns=ms(100), cap="usd", used=5, allowed=5, of="team")
    end = stopped(900, "stopped")
    run = run_of(1, [reached], held(100, "cap"), stop(900, "stopped"), cancelled(0, at_ms=900), end=end)
    assert why(run, 0) == "The run was stopped while this call was waiting at the day's cap."


def test_what_was_in_flight_says_so_and_a_process_that_ended_is_not_called_a_stop() -> None:
    gone = [ev.Cancelled(at_ns=ms(900), call=0, attempt=1, lost=True), *cancelled(1, at_ms=900)]
    run = run_of(2, started(0, 100), stop(900, "interrupted"), gone, end=stopped(900, "interrupted"))
    assert why(run, 0) == "The process ended while this call was in flight."
    assert why(run, 1) == "The process ended while this call was waiting for a worker."


@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        (
            "key_refused",
            KeyRefused("The provider answered 401: it does not accept the key."),
            "The run stopped before its turn came, because it would have been refused too: "
            "the provider answered 401: it does not accept the key.",
        ),
        (
            "quota_exhausted",
            QuotaExhausted("The day's quota is used up."),
            "The run stopped before its turn came, because it would have been refused too: the day's quota is used up.",
        ),
        (
            "provider_down",
            ServerFailed("The provider answered 500. Send it again."),
            "The run stopped before its turn came, because the provider answered with nothing but faults: "
            "the provider answered 500.",
        ),
        (
            "same_failure",
            Rejected(f"The provider refuses {HOSTILE}."),
            "The run stopped before its turn came, because the prompts before it were refused: "
            f"the provider refuses {HOSTILE}.",
        ),
        ("not_ready", None, "The model could not be made ready."),
    ],
)
def test_of_a_run_that_stopped_by_itself_it_is_what_stopped_it(
    reason: ev.StopReason, error: CallFailed | None, words: str
) -> None:
    gone: list[ev.Event] = [ev.NotSent(at_ns=ms(9), call=0, reason=reason)]
    assert why(run_of(1, stop(9, reason, error), gone, end=stopped(9, reason)), 0) == words


def test_a_prompt_that_shares_a_call_without_an_answer_names_it() -> None:
    batch = Batch(prompts=["same", "other", "same"], identical_once=True)
    error = ServerFailed("The provider answered 500.")
    run = fold(
        [
            ev.RunOpened(at_ns=0, run_id="r", batch=batch, opened_at_s=0.0),
            ev.StretchBegan(at_ns=0, stretch=0, purpose="first", max_workers=2, calls=(0, 1, 2)),
            *started(0, 1),
            ev.Failed(at_ns=ms(5), call=0, attempt=1, error=error, received_ns=ms(5)),
            ev.NotSent(at_ns=ms(5), call=2, reason="same_failure"),
            *started(1, 1),
            ev.Succeeded(at_ns=ms(6), call=1, attempt=1, output="x", received_ns=ms(6)),
            stopped(6, "finished"),
        ]
    )
    assert why(run, 2) == "It shares the call of prompt 1, which has no answer."
    assert why(run, 0) is None
    assert why(run, 1) is None


def test_nothing_is_said_while_the_run_goes_on() -> None:
    run = run_of(2, stop(10, "stopped"), cancelled(1, at_ms=10))
    assert why(run, 1) is None


def test_the_advice_for_one_call_is_not_given_for_all_of_them() -> None:
    error = ServerFailed("The provider answered 500: it failed inside. Send it again.", status_code=500)
    run = run_of(2, failed(0, 0, 9, error), failed(1, 0, 9, error), end=stopped(9, "finished"))
    assert failures(run) == ["All 2 failed: the provider answered 500: it failed inside."]
    kept = Rejected("The provider refuses the temperature. Lower it.")
    assert failures(run_of(1, failed(0, 0, 9, kept))) == ["1 failed: the provider refuses the temperature. Lower it."]
