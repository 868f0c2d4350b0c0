"""`fanout.Executor`: the standard library's thread pool, and afterwards (or meanwhile) the picture of what it did.

Comes in: any function. Goes out: standard futures, and `Executor.run`, a `Run` of what happened so far. Threads,
queues and futures are `ThreadPool`'s, which is the standard one mended; this file wraps each function to stamp when it
began and ended.

Recording takes no lock and keeps no argument, no result and no future: a call leaves numbers and two short texts.
`executor_run` makes a `Run` of them.
"""

from __future__ import annotations

import reprlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, ParamSpec, TypeVar, cast
from uuid import uuid4

from fanout import spans
from fanout.errors import BadInput, Broken, CallFailed
from fanout.executor_run import Recorded, Recording, run_of
from fanout.run import Run
from fanout.threads import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

MOST_CALLS_KEPT = 100_000
"""Calls a pool remembers; past it the oldest are forgotten, so that a pool may live as long as its program."""

MOST_CHARACTERS = 2_000
"""Of a call's prompt, and of its output, as the picture tells them."""


class Executor(ThreadPool):
    """A `ThreadPoolExecutor` that records spans: change one import and get the picture.

    Takes the same arguments and keeps the same promises; CPython's own tests of it pass. `run` is more, and so is what
    `ThreadPool` mends. What differs from the standard pool, on purpose:
    - `submit` asks the first argument for its `repr` once, in the caller's thread, and the worker asks the result once,
      before the future has it: they are the call's row. A text is cut instead. A `repr` that raises costs nothing but
      the row's words; one that takes long takes that long, and one that waits for a lock waits: give such an object in
      second place, or return something else.
    - An exception's traceback has one frame more, which holds no argument.
    - A pool keeps two texts of at most 2,000 characters and its stamps of each of its last 100,000 calls.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)
        self._recorded: deque[Recorded] = deque(maxlen=MOST_CALLS_KEPT)
        self._function: str | None = None
        self._stopped_ns: int | None = None
        self._run_id = uuid4().hex
        # Wall time minus monotonic time: RunOpened tells both of one instant.
        self._wall_offset_s = time.time() - time.monotonic()
        self._name = thread_name_prefix or None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the standard one: a future of `fn(*args, **kwargs)`; RuntimeError after `shutdown`."""
        span = Recorded(_prompt(fn, args, kwargs), time.monotonic_ns())
        future = super().submit(_recorded, span, fn, args, kwargs)
        self._recorded.append(span)
        name = _name(fn)
        if name != self._function:
            self._function = name if self._function is None else "several functions"
        future.add_done_callback(span.never_began)
        return future

    @property
    def run(self) -> Run:
        """What happened so far. One stretch, from the first submit to the last end; goes on while a call does.

        A call's prompt is the text of its first argument, its output the text of its result, each cut to 2,000
        characters. Raises BadInput before the first submit: there is no run without a call.
        """
        if not self._recorded:
            raise BadInput("nothing has been submitted to this pool yet: there is no run to show")
        return run_of(
            Recording(
                cut_ns=time.monotonic_ns(),  # before the calls are read: see run_of
                calls=tuple(self._recorded.copy()),
                run_id=self._run_id,
                name=self._name,
                function=self._function,
                max_workers=max(1, int(self._max_workers)),
                wall_offset_s=self._wall_offset_s,
                stopped_ns=self._stopped_ns,
            )
        )

    def _gives_up(self) -> None:
        if self._stopped_ns is None:
            self._stopped_ns = time.monotonic_ns()

    def _forked(self) -> None:
        super()._forked()
        self._recorded = deque(maxlen=MOST_CALLS_KEPT)
        self._function = self._stopped_ns = None
        self._run_id = uuid4().hex


def _recorded(span: Recorded, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """`fn(*args, **kwargs)` in a worker, stamped."""
    token = spans.enter(span)
    span.started_ns = time.monotonic_ns()
    try:
        result = fn(*args, **kwargs)
    except BaseException as exc:
        _record_failure(span, exc, time.monotonic_ns())
        raise
    else:
        returned_ns = time.monotonic_ns()
        span.end("answered", returned_ns, output=shorten(result))
        return result
    finally:
        spans.leave(token)
        # The traceback of an exception keeps this frame; it must not keep the arguments alive too.
        del fn, args, kwargs, token, span


def _record_failure(span: Recorded, exc: BaseException, raised_ns: int) -> None:
    if _is(exc, CancelledError):
        span.end("cancelled", raised_ns)
    else:
        span.end("failed", raised_ns, error=_failure(exc))


def _failure(exc: BaseException) -> CallFailed:
    """What a call's row says of an exception: a failure of our tree as it is, any other one as Broken."""
    try:
        if isinstance(exc, CallFailed):
            return exc.bare()
        words = shorten(str(exc))
    except Exception:  # a broken __str__ of theirs must not become a failure of ours
        words = "(its message cannot be shown)"
    name = _class_name(exc)
    return Broken(f"{name}: {words}" if words.strip() else name)


def _prompt(fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The call's text in its row: of its first argument, else of its first keyword's value, else the function."""
    if not args and not kwargs:
        return f"{_name(fn)}()"
    text = shorten(args[0] if args else next(iter(kwargs.values())))
    return text if text.strip() else shorten(repr(text))


def _name(fn: object) -> str:
    try:
        name = getattr(fn, "__qualname__", None)
    except Exception:  # an attribute of theirs that fails is no reason to refuse the call
        name = None
    text = shorten(name) if _is(name, str) else ""
    return text if text.strip() else _class_name(fn)


def _class_name(value: object) -> str:
    """Read past the class's own class, which may say anything of it, or fail."""
    return shorten(type.__dict__["__name__"].__get__(type(value)))


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    """Whether it really is one. `isinstance` believes what an object says of itself: a Mock, or a proxy of a text."""
    return issubclass(type(value), kind)


class _Repr(reprlib.Repr):
    """Of a value of many parts no more of them than fill a row, however the parts are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxother = MOST_CHARACTERS
        self._written = 0

    def repr1(self, x: Any, level: int) -> str:
        if self._written > MOST_CHARACTERS:
            return "..."
        text = super().repr1(x, level)
        self._written += len(text)
        return text


_PLAIN = frozenset({int, float, bool, type(None)})


def shorten(value: object) -> str:
    """An exact str of at most 2,000 characters that keeps nothing of the value: text itself, else the repr; both cut.

    Never fails: a value whose repr raises is named by its class.
    """
    try:
        if _is(value, str):
            # str's own slicing, whatever a subclass makes of slicing and of __str__.
            return str.__getitem__(cast(str, value), slice(MOST_CHARACTERS))
        if type(value) in _PLAIN:
            return repr(value)[:MOST_CHARACTERS]
        if _is(value, (bytes, bytearray)):
            # the repr of a whole recording would be four times its size
            value = bytes(cast(bytes, value)[:MOST_CHARACTERS])
        return str.__getitem__(_Repr().repr(value), slice(MOST_CHARACTERS))
    except Exception:  # theirs, not ours: a picture is no reason to break a call
        return f"<{_class_name(value)} that cannot be shown>"
