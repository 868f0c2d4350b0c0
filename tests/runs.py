"""Synthetic runs through real events: what a page, a chart or a report is tested with.

Comes in: how many calls, how many workers, and what goes wrong. Goes out: the events a run of that kind would have
recorded (`history`), a `Run` folded from them (`make_run`), or the same run at successive instants (`snapshots`,
where unchanged calls stay the identical object). Everything is drawn from a seed: same arguments, same run.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fanout import events as ev
from fanout.batch import Batch
from fanout.clock import nanoseconds
from fanout.errors import CallFailed, RateLimited, ServerFailed
from fanout.fold import Fold, fold
from fanout.run import Run

OPENED_NS = 5_000_000_000
"""When a synthetic run is opened, on its own clock; its first stretch begins 20 ms later."""
BEGAN_NS = OPENED_NS + 20_000_000
SUBJECTS = ("battery", "screen", "keyboard", "delivery", "refund", "colour", "sound", "camera", "price", "manual")


def prompts_for(n: int) -> tuple[str, ...]:
    """`n` prompts that share a beginning, as those of a batch do."""
    return tuple(f"Classify the sentiment of review {i}: the {SUBJECTS[i % 10]} was not as expected" for i in range(n))


@dataclass(kw_only=True)
class _Pool:
    """A pool of workers on a simulated clock: the part of the engine that a history needs."""

    events: list[ev.Event]
    rng: random.Random
    limit: int
    latency_s: float
    sigma: float
    streamed: bool
    failing: Collection[int]
    retrying: Collection[int]
    paused: bool = False
    stopped: bool = False
    clock_ns: int = 0
    serial: int = 0
    backing_off: int = 0
    queue: list[int] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    in_flight: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    retried: set[int] = field(default_factory=set)
    agenda: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)

    def later(self, at_ns: int, do: Callable[[], None]) -> None:
        self.serial += 1
        heapq.heappush(self.agenda, (at_ns, self.serial, do))

    def note(self, event: ev.Event) -> None:
        self.events.append(event)

    def dispatch(self) -> None:
        while self.queue and not self.paused and not self.stopped and len(self.in_flight) < self.limit:
            call = self.queue.pop(0)
            lane = min(set(range(len(self.in_flight) + 1)) - set(self.in_flight.values()))
            number = self.attempts[call] = self.attempts.get(call, 0) + 1
            self.in_flight[call] = lane
            self.note(ev.Started(at_ns=self.clock_ns, call=call, attempt=number, lane=lane))
            self._schedule(call, number)

    def _schedule(self, call: int, number: int) -> None:
        service_ns = nanoseconds(self.latency_s * math.exp(self.rng.gauss(0, self.sigma)))
        sent_ns = self.clock_ns + 400_000
        first_ns = sent_ns + round(service_ns * self.rng.uniform(0.15, 0.5))
        received_ns = sent_ns + service_ns
        fails = call in self.failing or (call in self.retrying and call not in self.retried)

        def live() -> bool:
            return self.attempts[call] == number and call in self.in_flight

        def sent() -> None:
            if live():
                self.note(ev.Sent(at_ns=self.clock_ns, call=call, attempt=number))

        def first() -> None:
            if live():
                self.note(ev.FirstToken(at_ns=self.clock_ns, call=call, attempt=number))

        def end() -> None:
            if live():
                self._end(call, number, received_ns, fails=fails)

        self.later(sent_ns, sent)
        if self.streamed and not fails:
            self.later(first_ns, first)
        self.later(received_ns + 200_000, end)

    def _end(self, call: int, number: int, received_ns: int, *, fails: bool) -> None:
        del self.in_flight[call]
        at_ns = self.clock_ns
        if not fails:
            usage = ev.Usage(input_tokens=12 + call % 7, output_tokens=20 + call % 50)
            self.note(
                ev.Succeeded(
                    at_ns=at_ns,
                    call=call,
                    attempt=number,
                    output=f"negative {call}",
                    received_ns=received_ns,
                    usage=usage,
                )
            )
        elif call in self.retrying and call not in self.retried:
            self.retried.add(call)
            self.backing_off += 1
            ready_ns = at_ns + nanoseconds(self.latency_s * 0.6)
            self.note(
                ev.Retrying(
                    at_ns=at_ns,
                    call=call,
                    attempt=number,
                    error=_refusal(),
                    received_ns=received_ns,
                    ready_ns=ready_ns,
                    reason="retry_after",
                )
            )
            self.later(ready_ns, lambda: self._again(call))
        else:
            self.note(ev.Failed(at_ns=at_ns, call=call, attempt=number, error=_failure(call), received_ns=received_ns))
        self.dispatch()

    def _again(self, call: int) -> None:
        if not self.stopped:
            self.backing_off -= 1
            self.queue.insert(0, call)
            self.dispatch()

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.note(ev.HoldChanged(at_ns=self.clock_ns, held_by="paused" if paused else "workers"))
        self.dispatch()

    def hold(self, held_by: ev.Held | None) -> None:
        self.note(ev.HoldChanged(at_ns=self.clock_ns, held_by=held_by))

    def set_limit(self, new: int, reason: ev.LimitReason = "user", why: str | None = None) -> None:
        old, self.limit = self.limit, new
        self.note(ev.LimitChanged(at_ns=self.clock_ns, limit="max_workers", old=old, new=new, reason=reason, why=why))
        self.dispatch()

    def stop(self, calls: Collection[int]) -> None:
        self.stopped = True
        self.note(ev.StopAsked(at_ns=self.clock_ns, reason="stopped"))
        for call in sorted(self.in_flight):
            self.note(ev.Cancelled(at_ns=self.clock_ns, call=call, attempt=self.attempts[call]))
        ended = {e.call for e in self.events if isinstance(e, ev.Succeeded | ev.Failed | ev.Cancelled)}
        for call in sorted(set(calls) - ended):
            self.note(ev.Cancelled(at_ns=self.clock_ns, call=call))
        self.in_flight.clear()
        self.queue.clear()

    def play(self) -> None:
        while self.agenda and (self.queue or self.in_flight or self.backing_off) and not self.stopped:
            self.clock_ns, _, do = heapq.heappop(self.agenda)
            do()
        self.agenda.clear()


def _refusal() -> CallFailed:
    return RateLimited("The provider answered 429: wait 1 s.", status_code=429, retry_after_s=1.0)


def _failure(call: int) -> CallFailed:
    return ServerFailed(
        f"The provider answered 500 {'(overloaded)' if call % 2 else ''}".strip() + ".", status_code=500
    )


def history(
    *,
    n: int = 40,
    max_workers: int = 8,
    seed: int = 1,
    latency_s: float = 1.0,
    sigma: float = 0.5,
    streamed: bool = True,
    failing: Collection[int] | float = (),
    retrying: Collection[int] | float = (),
    limits: Sequence[tuple[float, int]] = (),
    pauses: Sequence[tuple[float, float]] = (),
    holds: Sequence[tuple[float, ev.Held | None]] = (),
    stop_at_s: float | None = None,
    stretches: int = 1,
    gap_s: float = 60.0,
    prompts: Sequence[str] | None = None,
    run_id: str | None = None,
    baseline_of: str | None = None,
) -> tuple[ev.Event, ...]:
    """The events of a whole run, in order.

    `failing` and `retrying` are call indexes, or the share of all calls (a retried call fails once, backs off and is
    answered unless it is failing too). `limits` are (seconds, max_workers), `pauses` (from, to) and `holds` (seconds,
    what from then on is said to hold the queue; nothing is held by it), all in the first stretch. Each further stretch
    begins `gap_s` after the one before and sends what failed or was cancelled again, half of it with success.
    """
    rng = random.Random(seed)
    texts = tuple(prompts) if prompts is not None else prompts_for(n)
    n = len(texts)
    bad = _chosen(failing, n, rng)
    batch = Batch(prompts=texts, max_workers=max_workers, stream=streamed)
    name = run_id or f"run-{seed}-{n}-{max_workers}"
    events: list[ev.Event] = [
        ev.RunOpened(at_ns=OPENED_NS, run_id=name, batch=batch, opened_at_s=1.8e9, baseline_of=baseline_of)
    ]
    pool = _Pool(
        events=events,
        rng=rng,
        limit=max_workers,
        latency_s=latency_s,
        sigma=sigma,
        streamed=streamed,
        failing=bad,
        retrying=_chosen(retrying, n, rng),
        clock_ns=BEGAN_NS,
    )
    calls: tuple[int, ...] = tuple(range(n))
    for number in range(stretches):
        purpose: ev.Purpose = "retry" if number else "first"
        began_ns = pool.clock_ns
        pool.note(ev.StretchBegan(at_ns=began_ns, stretch=number, purpose=purpose, max_workers=pool.limit, calls=calls))
        pool.queue, pool.stopped = list(calls), False
        if number == 0:
            _plan(pool, limits=limits, pauses=pauses, holds=holds, stop_at_s=stop_at_s, calls=calls)
        pool.dispatch()
        pool.play()
        reason: ev.StopReason = "stopped" if pool.stopped else "finished"
        pool.note(ev.StretchEnded(at_ns=pool.clock_ns, stretch=number, reason=reason))
        calls = _unanswered(events, n)
        if not calls:
            break
        pool.failing = calls[::2]
        pool.backing_off = 0
        pool.clock_ns += nanoseconds(gap_s)
    return tuple(events)


def _plan(
    pool: _Pool,
    *,
    limits: Sequence[tuple[float, int]],
    pauses: Sequence[tuple[float, float]],
    holds: Sequence[tuple[float, ev.Held | None]],
    stop_at_s: float | None,
    calls: Collection[int],
) -> None:
    for at_s, value in limits:
        pool.later(BEGAN_NS + nanoseconds(at_s), lambda value=value: pool.set_limit(value))  # type: ignore[misc]
    for from_s, to_s in pauses:
        pool.later(BEGAN_NS + nanoseconds(from_s), lambda: pool.pause(True))
        pool.later(BEGAN_NS + nanoseconds(to_s), lambda: pool.pause(False))
    for at_s, held_by in holds:
        pool.later(BEGAN_NS + nanoseconds(at_s), lambda held_by=held_by: pool.hold(held_by))  # type: ignore[misc]
    if stop_at_s is not None:
        pool.later(BEGAN_NS + nanoseconds(stop_at_s), lambda: pool.stop(calls))


def _chosen(which: Collection[int] | float, n: int, rng: random.Random) -> frozenset[int]:
    if isinstance(which, int | float):
        return frozenset(rng.sample(range(n), round(which * n)))
    return frozenset(which)


def _unanswered(events: Iterable[ev.Event], n: int) -> tuple[int, ...]:
    answered = {event.call for event in events if isinstance(event, ev.Succeeded)}
    return tuple(index for index in range(n) if index not in answered)


def make_run(events: Sequence[ev.Event] | None = None, *, at_s: float | None = None, **options: object) -> Run:
    """A run of `history(**options)`, or of the events given; whole, or as it stood `at_s` after it began.

    Times count from the first stretch's beginning on the run's own clock (gaps between stretches included).
    """
    told = history(**options) if events is None else events  # type: ignore[arg-type]  # the options of history
    return fold(told if at_s is None else until(told, at_s))


def until(events: Sequence[ev.Event], at_s: float) -> Sequence[ev.Event]:
    """The events up to `at_s` after the first stretch began; at least the RunOpened."""
    last_ns = now_ns(at_s)
    return events[: max(1, bisect_right(events, last_ns, key=lambda event: event.at_ns))]


def now_ns(at_s: float) -> int:
    """The run's clock, `at_s` after the first stretch began."""
    return BEGAN_NS + nanoseconds(at_s)


def snapshots(events: Sequence[ev.Event], times_s: Iterable[float]) -> Iterator[Run]:
    """The one run at these instants, one after another; a call that did not change is the identical object."""
    state: Fold | None = None
    taken = 0
    for at_s in times_s:
        upto = len(until(events, at_s))
        for event in events[taken:upto]:
            if state is None:
                assert isinstance(event, ev.RunOpened)
                state = Fold(event)
            else:
                state.add(event)
        taken = max(taken, upto)
        assert state is not None
        yield state.run()
