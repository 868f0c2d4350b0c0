"""fanout.Executor keeps the whole contract of concurrent.futures.Executor, without its hang."""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import sys
import threading
from collections.abc import Iterator

import pytest

from fanout.executor import Executor

PATIENCE_S = 30.0
"""Only ever means failure."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def busy(pool: Executor, gate: threading.Event) -> cf.Future[bool]:
    """A call that holds a worker until the gate opens; returns once it does."""
    began = threading.Event()

    def hold() -> bool:
        began.set()
        return gate.wait(PATIENCE_S)

    future = pool.submit(hold)
    assert began.wait(PATIENCE_S)
    return future


def test_it_is_a_thread_pool_executor() -> None:
    assert issubclass(Executor, cf.ThreadPoolExecutor)


def test_submit_gives_a_standard_future_of_what_the_function_returns() -> None:
    with Executor(2) as pool:
        future = pool.submit(pow, 3, 4)
    assert type(future) is cf.Future
    assert future.result() == 81


def test_arguments_named_like_our_own_reach_the_function() -> None:
    with Executor(1) as pool:
        future = pool.submit(dict, fn=1, self=2, span=3, args=4, kwargs=5)
    assert future.result() == {"fn": 1, "self": 2, "span": 3, "args": 4, "kwargs": 5}


def test_submit_without_a_function_is_a_type_error() -> None:
    with Executor(1) as pool:
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            pool.submit(fn=print)  # type: ignore[call-arg]


def test_a_thing_that_cannot_be_called_fails_in_its_future() -> None:
    with Executor(1) as pool:
        future = pool.submit(5)  # type: ignore[arg-type, var-annotated]
    assert isinstance(future.exception(), TypeError)


def test_an_exception_comes_out_of_its_future_as_it_was_raised() -> None:
    raised = KeyError("mine")

    def fail() -> None:
        raise raised

    with Executor(1) as pool:
        future = pool.submit(fail)
    assert future.exception() is raised


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), cf.CancelledError()])
def test_what_is_not_an_exception_comes_out_too_and_the_worker_lives(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with Executor(1) as pool:
        assert pool.submit(fail).exception() is error
        assert pool.submit(pow, 2, 2).result() == 4
        assert len(pool._threads) == 1


def test_one_failure_leaves_the_others() -> None:
    with Executor(3) as pool:
        futures = [pool.submit(divmod, 10, n) for n in (1, 0, 2)]
    assert [future.exception() is None for future in futures] == [True, False, True]


def test_map_keeps_the_input_order_whatever_ends_first() -> None:
    second_ended = threading.Event()

    def call(n: int) -> int:
        if n == 1:
            second_ended.set()
        else:
            assert second_ended.wait(PATIENCE_S)
        return n

    with Executor(2) as pool:
        assert list(pool.map(call, [0, 1], chunksize=7)) == [0, 1]


def test_map_raises_where_the_failed_call_stands() -> None:
    with Executor(2) as pool:
        answers = pool.map(divmod, [1, 1, 1], [1, 0, 1])
        assert next(answers) == (1, 0)
        with pytest.raises(ZeroDivisionError):
            next(answers)


def test_map_gives_up_after_its_timeout(gate: threading.Event) -> None:
    with Executor(1) as pool:
        answers = pool.map(lambda _: gate.wait(PATIENCE_S), [1, 2], timeout=0)
        with pytest.raises(TimeoutError):
            next(answers)
        gate.set()


def test_map_submits_all_without_being_iterated() -> None:
    seen: list[int] = []
    with Executor(2) as pool:
        pool.map(seen.append, range(8))
    assert sorted(seen) == list(range(8))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="map takes buffersize from Python 3.14 on")
def test_map_takes_no_more_than_its_buffer() -> None:
    taken = itertools.count()
    with Executor(2) as pool:
        answers = pool.map(int, (next(taken) for _ in range(100)), buffersize=3)  # type: ignore[call-arg, unused-ignore]
        assert next(answers) == 0
        assert next(taken) == 4
        answers.close()  # type: ignore[attr-defined]


def test_as_completed_gives_futures_as_they_end(gate: threading.Event) -> None:
    with Executor(2) as pool:
        slow = busy(pool, gate)
        quick = pool.submit(pow, 2, 2)
        both: list[cf.Future[object]] = [slow, quick]  # type: ignore[list-item]
        coming = cf.as_completed(both, timeout=PATIENCE_S)
        assert next(coming) is quick
        gate.set()
        assert next(coming) is slow


def test_a_queued_call_can_be_cancelled_and_a_running_one_cannot(gate: threading.Event) -> None:
    with Executor(1) as pool:
        running, queued = busy(pool, gate), pool.submit(pow, 2, 2)
        assert queued.cancel()
        assert not running.cancel()
        gate.set()
        assert running.result(PATIENCE_S)
        assert cf.wait([queued], timeout=PATIENCE_S).not_done == set()
    assert queued.cancelled()


def test_callbacks_get_the_future_in_the_order_they_were_added() -> None:
    seen: list[object] = []
    with Executor(1) as pool:
        future = pool.submit(pow, 2, 2)
        future.add_done_callback(seen.append)
        future.add_done_callback(lambda future: seen.append(future.result()))
    assert seen == [future, 4]


@pytest.mark.parametrize("wait", [True, False])
def test_every_future_comes_out_after_shutdown_cancels_the_queued_ones(wait: bool, gate: threading.Event) -> None:
    pool = Executor(2)
    futures = [busy(pool, gate), busy(pool, gate), *(pool.submit(pow, 2, n) for n in range(20))]
    assert futures[5].cancel()  # one that its owner gave up before hangs the standard pool as well
    coming = cf.as_completed(futures, timeout=PATIENCE_S)
    opener = threading.Timer(0, gate.set)
    if wait:
        opener.start()
    pool.shutdown(wait=wait, cancel_futures=True)
    gate.set()
    assert set(coming) == set(futures)
    assert cf.wait(futures, timeout=PATIENCE_S).not_done == set()
    assert all(future.cancelled() for future in futures[2:]) or wait


def test_a_waiter_that_came_before_the_shutdown_wakes_up(gate: threading.Event) -> None:
    pool = Executor(1)
    running = busy(pool, gate)
    queued = [pool.submit(pow, 2, n) for n in range(5)]
    coming = cf.as_completed(queued, timeout=PATIENCE_S)
    pool.shutdown(wait=False, cancel_futures=True)
    assert set(coming) == set(queued)  # while the only worker is still busy
    gate.set()
    assert running.result(PATIENCE_S)


def test_a_callback_may_use_the_pool_while_it_cancels(gate: threading.Event) -> None:
    pool = Executor(1)
    busy(pool, gate)
    refused: list[BaseException] = []

    def again(_: cf.Future[int]) -> None:
        try:
            pool.submit(pow, 2, 2)
        except RuntimeError as exc:
            refused.append(exc)

    pool.submit(pow, 2, 3).add_done_callback(again)
    pool.shutdown(wait=False, cancel_futures=True)
    assert len(refused) == 1


def test_shutdown_can_be_said_twice_and_lets_queued_calls_end() -> None:
    pool = Executor(1)
    futures = [pool.submit(pow, 2, n) for n in range(10)]
    pool.shutdown(wait=False)
    pool.shutdown()
    assert [future.result(0) for future in futures] == [2**n for n in range(10)]
    assert not any(thread.is_alive() for thread in pool._threads)


def test_nothing_can_be_submitted_after_shutdown() -> None:
    pool = Executor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(pow, 2, 2)


def test_the_initializer_runs_once_in_each_worker() -> None:
    seen: list[str] = []
    with Executor(1, initializer=seen.append, initargs=("ready",)) as pool:
        list(pool.map(int, range(5)))
    assert seen == ["ready"]


def test_a_failing_initializer_breaks_the_pool(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    def fail() -> None:
        gate.wait(PATIENCE_S)
        raise OSError("no model")

    pool = Executor(1, initializer=fail)
    futures = [pool.submit(pow, 2, n) for n in range(3)]
    gate.set()
    for future in futures:
        with pytest.raises(cf.thread.BrokenThreadPool):
            future.result(PATIENCE_S)
    with pytest.raises(cf.thread.BrokenThreadPool):
        pool.submit(pow, 2, 2)
    pool.shutdown()


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        Executor(workers)


def test_an_initializer_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError):
        Executor(initializer=5)  # type: ignore[arg-type]


def test_the_default_number_of_workers_is_the_standard_one() -> None:
    with Executor() as ours, cf.ThreadPoolExecutor() as standard:
        assert ours._max_workers == standard._max_workers


def test_threads_start_when_they_are_needed_and_idle_ones_are_used_again() -> None:
    with Executor(4) as pool:
        assert len(pool._threads) == 0
        for n in range(8):
            pool.submit(pow, 2, n).result()
            # A worker says that it is idle just after its future has ended.
            assert pool._idle_semaphore.acquire(timeout=PATIENCE_S)
            pool._idle_semaphore.release()
        assert len(pool._threads) == 1


def test_threads_carry_the_given_name() -> None:
    with Executor(1, thread_name_prefix="lane") as pool:
        assert pool.submit(lambda: threading.current_thread().name).result() == "lane_0"


def test_threads_carry_the_standard_name_by_default() -> None:
    with Executor(1) as pool:
        name = pool.submit(lambda: threading.current_thread().name).result()
    assert name.startswith("ThreadPoolExecutor-")
    assert name.endswith("_0")


def test_no_more_calls_run_at_once_than_there_are_workers() -> None:
    lock = threading.Lock()
    now = most = 0

    def call(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1

    with Executor(3) as pool:
        list(pool.map(call, range(300)))
    assert 1 <= most <= 3


def test_a_worker_may_submit_to_its_own_pool() -> None:
    with Executor(2) as pool:
        assert pool.submit(lambda: pool.submit(pow, 2, 5).result(PATIENCE_S)).result(PATIENCE_S) == 32
