"""What was sent and not waited for is named before it is sent again, on the page and in the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard import note_words
from fanout import billed
from fanout import events as ev
from fanout.stored_commands import say_what_may_be_billed_twice
from tests.happened import cancelled, ms, run_of, started, stop, stopped
from tests.test_metrics import answered

UNSENT: list[ev.Event] = [ev.Started(at_ns=ms(10), call=3, attempt=1, lane=0)]
LOST: list[ev.Event] = [ev.Cancelled(at_ns=ms(20), call=4, attempt=1, lost=True)]
RUN = run_of(
    6,
    answered(0, 0, 10),
    started(1, 10),
    started(2, 10),
    UNSENT,
    started(4, 10),
    stop(15, "interrupted"),
    cancelled(5, at_ms=15),
    cancelled(1, 2, 3, at_ms=20, attempt=1),
    LOST,
    end=stopped(20, "interrupted"),
)
"""One answered, two hung up, one before it was sent, one lost with its process, one that never started."""


def test_what_was_hung_up_after_it_was_sent_may_be_billed_and_what_was_not_sent_may_not() -> None:
    assert billed.hung_up(RUN) == (1, 2)
    assert billed.lost(RUN) == (4,)


def test_the_page_names_both() -> None:
    assert note_words.billed_twice(RUN) == (
        "Prompt 5: in flight when the process ended, so possibly billed twice. "
        "Prompts 2, 3: hung up after being sent, so possibly billed, and twice once sent again."
    )
    assert note_words.billed_twice(run_of(1, answered(0, 0, 10))) is None


def test_the_terminal_names_those_that_are_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    say_what_may_be_billed_twice(RUN)
    assert capsys.readouterr().err.splitlines() == [
        "In flight when the process ended, so possibly billed twice: prompt 5.",
        "Hung up after being sent, so possibly billed twice: prompts 2, 3.",
    ]
    calls = (*RUN.calls[:2], replace(RUN.calls[2], status="answered"), *RUN.calls[3:])
    say_what_may_be_billed_twice(replace(RUN, calls=calls), another_list=True)
    assert capsys.readouterr().err.splitlines()[1] == (
        f"Hung up after being sent, so possibly billed twice: prompt 2 of the list of run {RUN.run_id}."
    )
