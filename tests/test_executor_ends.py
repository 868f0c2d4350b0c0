"""What is left of a call, of a pool and of a program when they have ended."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pytest

from fanout.executor import Executor
from tests.hands import WAIT_S

ROOT = Path(__file__).resolve().parent.parent


class Value:
    """Something that can be weakly referred to."""

    def method(self) -> Value:
        return Value()

    def failing(self) -> None:
        raise LookupError("gone")


def test_nothing_of_a_call_is_kept_when_it_has_ended() -> None:
    with Executor(1) as pool:
        value = Value()
        gone: list[weakref.ref[object]] = [weakref.ref(value)]
        future = pool.submit(value.method)
        other = pool.submit(lambda argument: None, value)
        gone.append(weakref.ref(future.result()))
        gone.append(weakref.ref(future))
        other.result()
        pool.submit(int).result()  # the worker has let go of the call before
        del value, future, other
        assert pool.run.calls[1].output == "None"
        assert [ref() for ref in gone] == [None, None, None]


def test_an_exception_that_is_kept_keeps_no_argument_alive() -> None:
    def fail(**_: object) -> None:
        raise LookupError("kept")

    value = Value()
    gone = weakref.ref(value)
    with Executor(1) as pool:
        error = pool.submit(fail, value=value).exception()
    del value
    frames = []
    trace = error.__traceback__ if error else None
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    ours = [frame for frame in frames if frame.f_code.co_name == "_recorded"]
    assert len(ours) == 1
    assert set(ours[0].f_locals) <= {"result", "returned_ns"}
    del frames, ours, trace, error
    gc.collect()
    assert gone() is None


def test_a_failed_future_dies_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        with Executor(1) as pool:
            future = pool.submit(Value().failing)
            gone = weakref.ref(future)
            assert isinstance(future.exception(), LookupError)
            pool.submit(int).result()
            del future
            assert gone() is None
    finally:
        gc.enable()


def test_a_pool_that_is_forgotten_ends_its_threads() -> None:
    pool = Executor(2)
    answers = pool.map(abs, range(-5, 5))
    threads = list(pool._threads)
    del pool
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert list(answers) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def script(text: str) -> str:
    """What a Python of its own prints; it must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_calls_that_are_queued_at_the_end_of_the_program_still_run() -> None:
    assert (
        script("""
        from fanout.executor import Executor
        import time
        pool = Executor(1)
        pool.submit(time.sleep, 0.05)
        pool.submit(print, "apple")
    """)
        == "apple\n"
    )


def test_a_model_is_still_asked_by_calls_that_are_queued_at_the_end_of_the_program() -> None:
    said = script("""
        import fanout
        call = fanout.completion("sandbox")
        pool = fanout.Executor(2)
        for n in range(4):
            pool.submit(lambda n: print(call(f"Reply: {n}"), flush=True), n)
    """)
    assert sorted(said.split()) == ["0", "1", "2", "3"]


def test_nothing_can_be_submitted_while_the_program_ends() -> None:
    assert (
        script("""
        import atexit
        from fanout.executor import Executor
        @atexit.register
        def late():
            try:
                pool.submit(id, None)
            except RuntimeError as exc:
                print(exc)
        pool = Executor(1)
        pool.submit(id, 42).result()
    """)
        == "cannot schedule new futures after shutdown\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_pool_works_in_a_forked_child() -> None:
    assert (
        script("""
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from fanout.executor import Executor
        pool = Executor(1)
        pool.submit(id, 42).result()
        pid = os.fork()
        if pid == 0:
            with Executor(1) as child:
                print(child.submit(pow, 2, 5).result(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    """)
        == "32\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("middle", ["fanout.providers.ready", "pydantic_ai.models.openai"])
def test_a_fork_while_another_thread_makes_the_first_model_leaves_the_child_able_to_ask(middle: str) -> None:
    assert (
        script(f"""
        import os, signal, sys, threading
        import fanout

        middle, forking = threading.Event(), threading.Event()

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == {middle!r} and not middle.is_set():
                    middle.set()
                    forking.wait(20)

        sys.meta_path.insert(0, Finder())
        other = threading.Thread(target=lambda: fanout.completion("sandbox")("Reply: alpha"))
        other.start()
        assert middle.wait(20)
        os.register_at_fork(before=forking.set)  # the last one registered is called first
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            print(fanout.completion("sandbox")("Reply: beta"), flush=True)
            raise SystemExit(0)
        assert os.waitpid(pid, 0)[1] == 0
        other.join()
        print(fanout.completion("sandbox")("Reply: gamma"))
    """)
        == "beta\ngamma\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_another_thread_warms_a_model_up_leaves_it_to_the_child() -> None:
    assert (
        script("""
        import os, signal, threading
        from fanout.batch import Batch
        from fanout.calls.completion import Completion
        from fanout.sandbox.process import SandboxProcess

        completion, middle, forking = Completion(Batch(prompts=["a"])), threading.Event(), threading.Event()
        address = SandboxProcess.base_url

        def slowly(self, profile):
            middle.set()
            forking.wait(20)
            return address(self, profile)

        SandboxProcess.base_url = slowly
        threading.Thread(target=completion.warm_up, daemon=True).start()
        assert middle.wait(20)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            forking.set()
            completion.warm_up()
            print(completion, flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        forking.set()
    """)
        == "<Completion sandbox warm>\n0\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_asks_its_models_too_and_leaves_the_parents_alone() -> None:
    assert (
        script("""
        import os
        import fanout
        from fanout.sandbox.process import shared_sandbox
        call = fanout.completion("sandbox")
        print(call("Reply: alpha"), flush=True)
        url = shared_sandbox().url
        pid = os.fork()
        if pid == 0:
            print(call("Reply: beta"), shared_sandbox().url == url, flush=True)
            raise SystemExit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(call("Reply: gamma"), shared_sandbox().url == url)
    """)
        == "alpha\nbeta True\ngamma True\n"
    )
