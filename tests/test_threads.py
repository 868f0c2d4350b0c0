"""What becomes of calls where the standard pool leaves their futures behind."""

from __future__ import annotations

import concurrent.futures as cf
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.threads import ThreadPool, _Prepare
from tests.hands import WAIT_S

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end in any case: a worker that waits for it would hold up the tests."""
    event = threading.Event()
    yield event
    event.set()


class Refusing:
    """An initializer that fails when the gate opens."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate

    def __call__(self) -> None:
        self.gate.wait(WAIT_S)
        raise OSError("no model")


def script(text: str) -> str:
    """What a Python of its own prints; it must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(text)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_calls_of_a_broken_pool_end_though_one_had_been_cancelled(gate: threading.Event) -> None:
    with ThreadPool(1, initializer=Refusing(gate)) as pool:
        futures = [pool.submit(int) for _ in range(4)]
        assert futures[1].cancel()
        gate.set()
        assert cf.wait(futures, WAIT_S).not_done == set()
    assert [future.cancelled() for future in futures] == [False, True, False, False]
    assert isinstance(futures[3].exception(), cf.BrokenExecutor)


def test_a_callback_may_use_a_pool_that_breaks(gate: threading.Event) -> None:
    told: list[BaseException] = []

    def again(_: cf.Future[int]) -> None:
        try:
            pool.submit(int)
        except cf.BrokenExecutor as exc:
            told.append(exc)

    pool = ThreadPool(1, initializer=Refusing(gate))
    futures = [pool.submit(int) for _ in range(2)]
    futures[0].add_done_callback(again)
    gate.set()
    assert cf.wait(futures, WAIT_S).not_done == set()
    pool.shutdown()
    assert len(told) == 1


def test_a_pool_that_is_forgotten_while_it_gets_ready_breaks_all_the_same(gate: threading.Event) -> None:
    pool = ThreadPool(1, initializer=Refusing(gate))
    futures = [pool.submit(int) for _ in range(3)]
    del pool
    gate.set()
    assert cf.wait(futures, WAIT_S).not_done == set()
    assert isinstance(futures[2].exception(), cf.BrokenExecutor)


def test_so_does_one_that_was_forgotten_before(gate: threading.Event) -> None:
    pool = ThreadPool(1)
    pool.submit(gate.wait, WAIT_S)
    waiting = pool.submit(int)
    opened = threading.Event()
    opened.set()
    prepare = _Prepare(weakref.ref(pool), Refusing(opened))
    prepare.work_queue = pool._work_queue
    (thread,) = pool._threads
    del pool
    assert prepare._pool() is None
    with pytest.raises(OSError, match="no model"):
        prepare()
    assert isinstance(waiting.exception(0), cf.BrokenExecutor)
    gate.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_a_pool_that_breaks_as_it_closes_ends_its_other_threads(gate: threading.Event) -> None:
    first = threading.Lock()
    breaks = threading.Event()

    def second_fails() -> None:
        if not first.acquire(blocking=False):
            breaks.wait(WAIT_S)
            raise OSError("no model")

    begun = threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(WAIT_S)

    pool = ThreadPool(2, initializer=second_fails)
    assert pool.submit(int).result(WAIT_S) == 0
    working = pool.submit(work)
    assert begun.wait(WAIT_S)  # what nobody has begun would fail with the pool
    pool.submit(int)
    well, failing = sorted(pool._threads, key=lambda thread: thread.name)
    pool.shutdown(wait=False)
    breaks.set()
    failing.join(WAIT_S)
    assert not working.done()
    gate.set()
    well.join(WAIT_S)
    assert not well.is_alive()


def test_the_next_shutdown_goes_on_where_an_exception_interrupted_the_last(gate: threading.Event) -> None:
    def interrupt(_: cf.Future[int]) -> None:
        raise KeyboardInterrupt

    pool = ThreadPool(1)
    running = pool.submit(gate.wait, WAIT_S)
    queued = [pool.submit(int) for _ in range(5)]
    queued[2].add_done_callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.shutdown(wait=False, cancel_futures=True)
    assert [future.done() for future in queued] == [True, True, True, False, False]
    pool.shutdown(wait=False)
    assert set(cf.as_completed(queued, WAIT_S)) == set(queued)
    gate.set()
    assert running.result(WAIT_S)


def test_without_another_thread_to_be_had_those_that_are_there_take_the_calls() -> None:
    assert (
        script("""
        import threading
        from fanout.threads import ThreadPool
        with ThreadPool(4) as pool:
            gate = threading.Event()
            pool.submit(gate.wait)
            threading.stack_size(2**46)  # of which no system has one
            futures = [pool.submit(pow, 2, n) for n in range(4)]
            gate.set()
            print([future.result() for future in futures], len(pool._threads))
    """)
        == "[1, 2, 4, 8] 1\n"
    )


def test_without_any_thread_a_call_is_refused_and_not_kept() -> None:
    assert (
        script("""
        import threading
        from fanout.threads import ThreadPool
        with ThreadPool(4) as pool:
            usual = threading.stack_size(2**46)  # of which no system has one
            try:
                pool.submit(print, "this was refused")
            except RuntimeError as exc:
                print(exc)
            threading.stack_size(usual)
            print(pool.submit(pow, 2, 3).result())
    """)
        == "can't start new thread\n8\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_in_a_forked_child_a_pool_is_an_empty_one() -> None:
    assert (
        script("""
        import os, threading
        from fanout.executor import Executor
        gate = threading.Event()
        pool = Executor(1, initializer=int)
        pool.submit(gate.wait)
        queued = pool.submit(print, "once", flush=True)
        pid = os.fork()
        if pid == 0:
            with pool:
                print(pool.submit(pow, 2, 5).result(), len(pool.run.calls), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        gate.set()
        queued.result()
        print(len(pool.run.calls))
    """)
        == "32 1\nonce\n2\n"
    )
