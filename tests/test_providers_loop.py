"""The loop thread: coroutines from any thread, cancelled from any thread, wound up in order."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from fanout.providers import loop as loops
from fanout.providers.loop import LoopThread, close_shared_loop, shared_loop, worst_lag_ns

WAIT_S = 20.0


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


async def thread_name() -> str:
    return threading.current_thread().name


async def raising() -> None:
    raise KeyError("of the coroutine")


class Endless:
    """A coroutine that says when it runs and when it was hung up on."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.hung_up = threading.Event()

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise


def test_coroutines_of_every_thread_run_on_the_one_loop_thread(loop: LoopThread) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: loop.run(thread_name()), range(64)))
    assert names == {"fanout-loop"}


def test_an_exception_comes_through_the_future(loop: LoopThread) -> None:
    with pytest.raises(KeyError, match="of the coroutine"):
        loop.submit(raising()).result(WAIT_S)


def test_cancel_resolves_the_future_at_once_and_ends_the_task(loop: LoopThread) -> None:
    endless = Endless()
    future = loop.submit(endless.run())
    assert endless.began.wait(WAIT_S)
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)
    assert endless.hung_up.wait(WAIT_S)
    assert future.cancel(), "a second cancel is as good as the first"


def test_cancel_before_the_start_runs_nothing(loop: LoopThread) -> None:
    blocks, held = threading.Event(), threading.Event()
    ran: list[str] = []

    async def hold() -> None:
        blocks.set()
        held.wait(WAIT_S)  # blocks the loop, so that the next coroutine cannot have started

    async def late() -> None:
        ran.append("late")

    first = loop.submit(hold())
    assert blocks.wait(WAIT_S)
    second = loop.submit(late())
    assert second.cancel()
    held.set()
    first.result(WAIT_S)
    loop.run(thread_name())
    assert ran == []


def test_a_finished_future_cannot_be_cancelled(loop: LoopThread) -> None:
    future = loop.submit(thread_name())
    future.result(WAIT_S)
    assert not future.cancel()


def test_as_completed_and_wait_see_a_cancelled_future(loop: LoopThread) -> None:
    endless = Endless()
    future = loop.submit(endless.run())
    future.cancel()
    assert list(concurrent.futures.as_completed([future], timeout=WAIT_S)) == [future]


def test_a_task_that_cancels_itself_cancels_its_future(loop: LoopThread) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(concurrent.futures.CancelledError):
        loop.submit(give_up()).result(WAIT_S)


def test_close_cancels_what_runs_awaits_the_closers_and_leaves_no_resource() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop = LoopThread()
        endless, order = Endless(), list[str]()

        async def closer(name: str) -> None:
            await asyncio.sleep(0)
            order.append(name)

        loop.at_close(lambda: closer("first made"))
        loop.at_close(lambda: closer("last made"))
        future = loop.submit(endless.run())
        assert endless.began.wait(WAIT_S)
        loop.close()
        loop.close()
        assert future.cancelled()
        assert endless.hung_up.is_set()
        assert order == ["last made", "first made"]
        del loop
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_one_closer_that_fails_does_not_keep_the_others_from_closing() -> None:
    loop, closed = LoopThread(), threading.Event()

    async def failing() -> None:
        raise OSError("already gone")

    async def fine() -> None:
        closed.set()

    loop.at_close(fine)
    loop.at_close(failing)
    loop.close()
    assert closed.is_set()


def test_a_closed_loop_takes_nothing_more_and_a_new_shared_one_takes_its_place() -> None:
    first = shared_loop()
    assert shared_loop() is first
    close_shared_loop()
    with pytest.raises(RuntimeError, match="closed"):
        first.submit(thread_name())
    second = shared_loop()
    assert second is not first
    assert second.run(thread_name()) == "fanout-loop"


def test_a_stall_of_the_loop_shows_as_lag_while_it_lasts_and_once_after(loop: LoopThread) -> None:
    release, stalled = threading.Event(), threading.Event()
    endless = Endless()
    loop.submit(endless.run())
    assert endless.began.wait(WAIT_S)

    async def stall() -> None:
        stalled.set()
        release.wait(WAIT_S)

    future = loop.submit(stall())
    assert stalled.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    seen_ns = 0
    while seen_ns <= 0 and time.monotonic() < deadline:
        seen_ns = loop.worst_lag_ns()  # grows on while the loop hangs
    assert seen_ns > 0
    release.set()
    future.result(WAIT_S)


def test_an_idle_loop_sets_no_timer(loop: LoopThread) -> None:
    loop.run(thread_name())
    deadline = time.monotonic() + WAIT_S
    while loop._due_ns is not None and time.monotonic() < deadline:
        pass
    assert loop._due_ns is None


def test_the_process_has_no_lag_where_no_loop_runs() -> None:
    close_shared_loop()
    assert worst_lag_ns() == 0
    assert loops._shared is None


def test_repr_says_how_much_is_under_way(loop: LoopThread) -> None:
    endless = Endless()
    loop.submit(endless.run())
    assert endless.began.wait(WAIT_S)
    assert repr(loop) == "<LoopThread open, 1 under way>"
