"""What Executor.run tells: every call, when it was queued, when it ran and in which lane, and what became of it."""

from __future__ import annotations

import concurrent.futures as cf
import sys
import threading
import time
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest

from fanout.errors import BadInput, Broken, RateLimited
from fanout.events import Usage
from fanout.executor import MOST_CHARACTERS, Executor, shorten
from fanout.executor_run import Recorded, Recording, run_of
from fanout.run import Call, Run
from fanout.spans import current_span

PATIENCE_S = 30.0


class Odd:
    """Nothing about it can be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> object:
        raise (RuntimeError if name == "__qualname__" else AttributeError)(name)


class Loud(str):
    """Text that is not quite text."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __getitem__(self, key: object) -> str:
        raise RuntimeError("no slice")


class Proxy:
    """Says that it is a text, as a Mock of one and a proxy of one do, and is none."""

    @property  # type: ignore[misc]  # a lie is the point
    def __class__(self) -> type:
        return str

    def __repr__(self) -> str:
        return "a proxy"


class Secretive:
    """Does not tell what it is."""

    @property  # type: ignore[misc]  # a failure is the point
    def __class__(self) -> type:
        raise LookupError("no class")

    def __repr__(self) -> str:
        return "a secret"


class Anonymous(type):
    """Its classes do not tell their name."""

    def __getattribute__(cls, name: str) -> Any:
        if name == "__name__":
            raise LookupError(name)
        return super().__getattribute__(name)


class Nameless(metaclass=Anonymous):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NamelessError(Exception, metaclass=Anonymous):
    pass


class Counted:
    """Tells how often it was asked what it looks like."""

    asked = 0

    def __repr__(self) -> str:
        Counted.asked += 1
        return "<a counted one>"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


def prompts(run: Run) -> list[str]:
    return [call.prompt for call in run.calls]


def phases_sum_to_wall_time(run: Run, call: Call) -> bool:
    phases = run.phases(call)
    joined = all(before.end_ns == after.start_ns for before, after in pairwise(phases))
    return joined and sum(phase.length_ns for phase in phases) == call.experienced_ns


def test_a_pool_that_was_given_nothing_has_no_run() -> None:
    with Executor(1) as pool, pytest.raises(BadInput, match="nothing has been submitted"):
        _ = pool.run


def test_each_submit_is_a_call_with_its_text_and_its_answer() -> None:
    with Executor(3) as pool:
        assert list(pool.map(str.upper, ["alpha", "beta"])) == ["ALPHA", "BETA"]
        pool.submit(sum, [1, 2]).result()
    run = pool.run
    assert prompts(run) == ["alpha", "beta", "[1, 2]"]
    assert [call.output for call in run.calls] == ["ALPHA", "BETA", "3"]
    assert {call.status for call in run.calls} == {"answered"}
    assert (run.state, run.stop_reason, run.max_workers) == ("ended", "finished", 3)


def test_the_model_names_the_function() -> None:
    with Executor(1) as pool:
        pool.submit(str.upper, "a").result()
        assert pool.run.batch.model == "python:str.upper"
        pool.submit(str.lower, "a").result()
    assert pool.run.batch.model == "python:several functions"


def test_phases_of_a_call_sum_to_its_wall_time() -> None:
    with Executor(2) as pool:
        list(pool.map(lambda n: time.sleep(0.001 * n), range(12)))
    run = pool.run
    assert all(phases_sum_to_wall_time(run, call) for call in run.calls)
    assert {phase.name for call in run.calls for phase in run.phases(call)} == {"workers", "in_flight", "client"}


def test_a_call_is_queued_when_it_was_submitted_not_when_the_run_began() -> None:
    with Executor(2) as pool:
        pool.submit(int).result()
        pool.submit(int).result()
    first, second = pool.run.calls
    assert second.queued_ns[0] >= first.ended_ns[0]


def test_no_two_calls_share_a_lane_at_one_time() -> None:
    with Executor(4) as pool:
        list(pool.map(lambda n: time.sleep(0.0005 * (n % 3)), range(100)))
    by_lane: dict[int, list[tuple[int, int]]] = {}
    for call in pool.run.calls:
        (attempt,) = call.attempts
        assert attempt.ended_ns is not None
        by_lane.setdefault(attempt.lane, []).append((attempt.started_ns, attempt.ended_ns))
    assert set(by_lane) <= set(range(4))
    for spans in by_lane.values():
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(spans)))


def test_what_goes_on_is_running_and_what_waits_is_queued() -> None:
    gate, began = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        assert gate.wait(PATIENCE_S)

    with Executor(1) as pool:
        pool.submit(hold)
        assert began.wait(PATIENCE_S)
        pool.submit(pow, 2, 2)
        run = pool.run
        gate.set()
    assert [call.status for call in run.calls] == ["running", "queued"]
    assert run.state == "running"
    assert [call.status for call in pool.run.calls] == ["answered", "answered"]


def test_an_exception_is_a_failed_call_with_class_and_message() -> None:
    with Executor(1) as pool:
        pool.submit(int, "x")
    (call,) = pool.run.calls
    assert call.status == "failed"
    assert call.error == Broken("ValueError: invalid literal for int() with base 10: 'x'")


def test_a_failure_of_our_tree_stays_what_it_is_without_its_frames() -> None:
    limited = RateLimited("the provider answered 429", status_code=429, retry_after_s=2.0)

    def fail() -> None:
        raise limited

    with Executor(1) as pool:
        pool.submit(fail)
    error = pool.run.calls[0].error
    assert error == limited
    assert error is not None
    assert error.__traceback__ is None


def test_a_failure_that_was_never_sent_uses_no_slot() -> None:
    def fail() -> None:
        raise RateLimited("not now", was_sent=False)

    with Executor(1) as pool:
        pool.submit(fail)
    assert pool.run.calls[0].attempts[0].sent_ns is None


def test_calls_given_up_before_they_began_are_cancelled_without_an_attempt() -> None:
    gate, began = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        assert gate.wait(PATIENCE_S)

    pool = Executor(1)
    pool.submit(hold)
    assert began.wait(PATIENCE_S)
    pool.submit(pow, 2, 2).cancel()
    pool.submit(pow, 2, 3)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()
    run = pool.run
    assert [call.status for call in run.calls] == ["answered", "cancelled", "cancelled"]
    assert [len(call.attempts) for call in run.calls] == [1, 0, 0]
    assert (run.state, run.stop_reason) == ("ended", "stopped")
    assert phases_sum_to_wall_time(run, run.calls[1])


def test_a_function_that_was_cancelled_inside_is_a_cancelled_call() -> None:
    def fail() -> None:
        raise cf.CancelledError

    with Executor(1) as pool:
        pool.submit(fail)
    assert pool.run.calls[0].status == "cancelled"
    assert pool.run.calls[0].attempts[0].status == "cancelled"


def test_calls_of_a_broken_pool_were_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError

    with Executor(1, initializer=fail) as pool:
        assert isinstance(pool.submit(int).exception(PATIENCE_S), cf.BrokenExecutor)
    run = pool.run
    assert run.calls[0].status == "not_sent"
    assert (run.state, run.stop_reason) == ("ended", "not_ready")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", "''"),
        ("  \n ", "'  \\n '"),
        (Loud("loud"), "loud"),
        pytest.param(10**5000, "<int that cannot be shown>", id="too many digits"),
        (None, "None"),
        ({"role": "user"}, "{'role': 'user'}"),
    ],
)
def test_any_argument_has_a_text_that_a_batch_takes(value: object, text: str) -> None:
    with Executor(1) as pool:
        pool.submit(id, value).result()
    assert prompts(pool.run) == [text]


def test_a_call_without_arguments_is_named_by_its_function_one_with_keywords_by_the_first() -> None:
    with Executor(1) as pool:
        pool.submit(dict).result()
        pool.submit(dict, prompt="hello", n=2).result()
    assert prompts(pool.run) == ["dict()", "hello"]


def test_long_texts_are_cut_and_nothing_odd_breaks_a_call() -> None:
    with Executor(1) as pool:
        assert len(pool.submit(str, "x" * 100_000).result()) == 100_000
        assert isinstance(pool.submit(Odd).result(), Odd)
        pool.submit(Odd()).exception()  # type: ignore[arg-type]
        pool.submit(lambda: (_ for _ in ()).throw(Mute())).exception()
    run = pool.run
    assert len(run.calls[0].prompt) == len(run.calls[0].output or "") == MOST_CHARACTERS
    assert (run.calls[1].output or "").startswith("<Odd instance at ")
    assert run.calls[2].prompt == "Odd()"
    assert run.calls[3].error == Broken("Mute: (its message cannot be shown)")


def returned(value: object) -> object:
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(Proxy(), "a proxy", id="proxy"),
        pytest.param(Mock(spec=str, __repr__=lambda _: "a mock"), "a mock", id="mock"),
        pytest.param(Secretive(), "a secret", id="secretive"),
        pytest.param(Nameless(), "<Nameless that cannot be shown>", id="nameless"),
    ],
)
def test_no_answer_is_lost_to_a_value_that_says_it_is_something_else(value: object, text: str) -> None:
    with Executor(1) as pool:
        assert pool.submit(returned, value).result() is value
    call = pool.run.calls[0]
    assert call.prompt.startswith(text)
    assert (call.output or "").startswith(text)


def test_a_function_whose_name_is_no_text_is_named_by_its_class() -> None:
    class Named:
        def __init__(self) -> None:
            self.__dict__["__qualname__"] = Proxy()

        def __call__(self) -> int:
            return 1

    with Executor(1) as pool:
        assert pool.submit(Named()).result() == 1
    assert prompts(pool.run) == ["Named()"]


def test_an_exception_of_a_class_that_hides_its_name_is_still_the_one_that_was_raised() -> None:
    def fail() -> None:
        raise NamelessError("mine")

    with Executor(1) as pool:
        assert type(pool.submit(fail).exception()) is NamelessError
    assert pool.run.calls[0].error == Broken("NamelessError: mine")


def test_of_a_value_of_many_parts_no_more_are_asked_than_fill_a_row() -> None:
    Counted.asked = 0
    text = shorten([[[Counted() for _ in range(20)] for _ in range(20)] for _ in range(20)])
    assert text.startswith("[[[<a counted one>, <a counted one>")
    assert 1 <= Counted.asked <= MOST_CHARACTERS


@pytest.mark.parametrize("value", ["x" * 10**6, b"\0" * 10**6, list(range(10**6)), "\ud800"])
def test_shorten_never_grows(value: object) -> None:
    assert len(shorten(value)) <= MOST_CHARACTERS


def test_a_function_that_stamps_its_span_shows_its_phases() -> None:
    def ask(prompt: str) -> str:
        span = current_span()
        span.on_sent(time.monotonic_ns())
        span.on_first_token(time.monotonic_ns())
        span.received(time.monotonic_ns(), usage=Usage(input_tokens=3, output_tokens=5), cost_usd=0.25)
        span.received(time.monotonic_ns(), usage=Usage(input_tokens=4), cost_usd=0.25)
        return prompt

    with Executor(1) as pool:
        pool.submit(ask, "hi").result()
    run = pool.run
    (call,) = run.calls
    names = [phase.name for phase in run.phases(call)]
    assert names == ["workers", "client", "first_token", "generating", "client"]
    assert (call.usage, call.cost_usd) == (Usage(input_tokens=7, output_tokens=5), 0.5)
    assert phases_sum_to_wall_time(run, call)


def test_a_stamp_from_outside_the_call_is_not_believed() -> None:
    def ask(_: str) -> None:
        current_span().on_sent(1)
        current_span().on_first_token(time.monotonic_ns() + 10**12)

    with Executor(1) as pool:
        pool.submit(ask, "hi").result()
    (attempt,) = pool.run.calls[0].attempts
    assert attempt.sent_ns == attempt.started_ns
    assert attempt.first_token_ns is None


def test_a_span_ends_with_its_call_and_outside_there_is_none_to_break() -> None:
    with Executor(1) as pool:
        inside = pool.submit(current_span).result()
    assert isinstance(inside, Recorded)
    outside = current_span()
    assert outside is not inside
    outside.on_sent(1)
    outside.on_first_token(2)
    outside.received(3)


def test_calls_of_no_length_at_one_instant_get_a_lane_each_in_turn() -> None:
    calls = []
    for _ in range(3):
        call = Recorded("p", 5)
        call.started_ns = 5
        call.returned_ns = call.ended_ns = 5
        call.outcome, call.output = "answered", "a"
        calls.append(call)
    run = run_of(
        Recording(
            cut_ns=9,
            calls=tuple(calls),
            run_id="r",
            name=None,
            function="f",
            max_workers=1,
            wall_offset_s=0.0,
            stopped_ns=None,
        )
    )
    assert run.ended
    assert [call.status for call in run.calls] == ["answered"] * 3


def test_what_was_stamped_after_the_cut_has_not_happened() -> None:
    call = Recorded("p", 1)
    call.started_ns, call.sent_ns, call.first_token_ns = 2, 3, 8
    call.returned_ns, call.ended_ns, call.outcome, call.output = 9, 10, "answered", "a"
    run = run_of(
        Recording(
            cut_ns=7,
            calls=(call,),
            run_id="r",
            name=None,
            function="f",
            max_workers=1,
            wall_offset_s=0.0,
            stopped_ns=None,
        )
    )
    assert run.calls[0].status == "running"
    assert run.calls[0].attempts[0].first_token_ns is None


def test_the_run_can_be_read_while_many_threads_work() -> None:
    most = 0
    with Executor(8) as pool:
        futures = [pool.submit(pow, 2, n % 50) for n in range(400)]
        while not all(future.done() for future in futures):
            run = pool.run
            most = max(most, sum(call.status == "running" for call in run.calls))
            assert all(attempt.lane < 8 for call in run.calls for attempt in call.attempts)
    assert most <= 8
    assert {call.status for call in pool.run.calls} == {"answered"}


def test_more_workers_than_a_batch_takes_are_told_by_the_stretch() -> None:
    with Executor(600) as pool:
        pool.submit(int).result()
    assert pool.run.max_workers == 600


def test_a_call_leaves_a_few_hundred_bytes() -> None:
    call = Recorded("p", time.monotonic_ns())
    call.started_ns = time.monotonic_ns()
    call.end("answered", time.monotonic_ns(), output="a")
    numbers = [getattr(call, name) for name in Recorded.__slots__ if name.endswith("_ns")]
    assert sys.getsizeof(call) + sum(sys.getsizeof(number) for number in numbers) < 500
