"""What stands beside a run's sentence, and on the button that sends the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.note_words import billed_twice, rest_button, rest_label
from fanout.events import Event, StopReason
from fanout.run import Run
from tests.happened import LIMIT, cancelled, failed, run_of, started, stop, stopped
from tests.runs import make_run
from tests.test_metrics import answered


def _ended(*happened: list[Event], n: int, reason: StopReason = "stopped") -> Run:
    return run_of(n, *happened, stop(1100, reason), end=stopped(1200, reason))


def test_what_was_never_sent_is_sent_and_not_sent_again() -> None:
    run = _ended(answered(0, 0, 1000), cancelled(1, 2, at_ms=1100), n=3)
    assert rest_label(run) == "Send the 2 that were not sent"
    assert rest_label(_ended(answered(0, 0, 1000), cancelled(1, at_ms=1100), n=2)) == "Send the 1 that was not sent"
    assert rest_button(run) == "This button"


def test_where_any_of_it_was_sent_it_is_a_retry() -> None:
    run = _ended(failed(0, 0, 1000, LIMIT), cancelled(1, 2, at_ms=1100), n=3)
    assert (rest_label(run), rest_button(run)) == ("Retry 3 unanswered", "Retry")
    cut = _ended([*started(0, 0), *cancelled(0, at_ms=1100, attempt=1)], n=1)
    assert rest_label(cut) == "Retry 1 unanswered"


@pytest.mark.parametrize("reason", ["interrupted", "saved"])
def test_what_a_process_or_a_file_left_is_resumed(reason: StopReason) -> None:
    run = replace(_ended(cancelled(0, at_ms=1100), n=1, reason=reason), stop_reason=reason)
    assert rest_label(run) == "Resume 1 unanswered"


def test_nothing_is_said_of_what_nobody_may_have_been_billed_for() -> None:
    assert billed_twice(make_run(n=3)) is None
