"""The laws of a pace that responses tell: never idle while the provider has room, also where it gives one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from fanout.batch import Batch
from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.events import Usage
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport
from fanout.quota.turns import Turns
from tests.gates import WORDS, gate, said

WORKERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """What a batch came to."""

    took_ns: int
    """When its last call was sent."""
    refused: int
    others: int
    """What was said at last of somebody else, a minute."""


def jitters(most_ns: int) -> Iterator[int]:
    """How late each call arrives: as though at random, and always the same."""
    state = 7
    while True:
        state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        yield state % max(1, most_ns)


def paced(
    *, rpm: int, burst: int, latency_ms: int, count: int, jitter_ms: int = 0, share: float = 0.0, known: bool = False
) -> Paced:
    """Calls of one batch against a provider that tells what remained when each was admitted, and how long to wait.

    `share`: of its rate, what somebody else takes. `known`: the settings tell the limit and the burst.
    """
    made = gate(Limits(requests_per_minute=rpm, burst=burst) if known else Limits())
    theirs = Bucket(amount=round(rpm * (1 - share)), capacity=burst, at_ns=0)
    turns = Turns(Batch(prompts=["x"] * count, max_workers=WORKERS), run_id="run", gate=made, at_ns=0)
    late = jitters(jitter_ms * NS_PER_MS)
    waiting, flying = list(range(count)), list[tuple[int, int, bool, RateReport]]()
    at_ns = last_ns = refused = 0
    while waiting or flying:
        made.new_round()
        hold = turns.ask(waiting[0], at_ns) if waiting and len(flying) < WORKERS else None
        if waiting and len(flying) < WORKERS and hold is None:
            call = waiting.pop(0)
            turns.book(call, at_ns)
            arrives_ns = max(theirs.at_ns, at_ns + next(late))
            wait_ns = theirs.wait_ns(1, arrives_ns)
            if wait_ns:
                report = replace(said(0, limit=rpm), retry_after_s=wait_ns / NS_PER_S)
                flying.append((arrives_ns + 5 * NS_PER_MS, call, False, report))
            else:
                theirs.take(1, arrives_ns)
                last_ns = arrives_ns
                report = said(theirs.free(arrives_ns), limit=rpm)
                flying.append((arrives_ns + latency_ms * NS_PER_MS, call, True, report))
            continue
        until_ns = None if hold is None else hold.until_ns
        due_ns = min((each[0] for each in flying), default=until_ns)
        assert due_ns is not None
        if until_ns is not None and until_ns <= due_ns:
            at_ns = until_ns
            continue
        at_ns = due_ns
        done = min(flying)
        flying.remove(done)
        _, call, lets, report = done
        turns.observe(call, report, at_ns)
        if lets:
            turns.answered(call, Usage(input_tokens=1, output_tokens=1), None, at_ns)
        else:
            wait_s = report.retry_after_s
            assert wait_s is not None
            turns.refused(call, report, until_ns=at_ns + round(wait_s * NS_PER_S), at_ns=at_ns, words=WORDS)
            waiting.insert(0, call)
            refused += 1
    return Paced(took_ns=last_ns, refused=refused, others=made.meters.others_per_minute("requests", at_ns))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("latency_ms", [20, 200, 900, 2_500])
@pytest.mark.parametrize(("rpm", "burst"), [(60, 1), (60, 2), (60, 5), (120, 2), (600, 20)])
def test_a_late_reading_does_not_slow_the_pace(rpm: int, burst: int, latency_ms: int, known: bool) -> None:
    count = 60
    found = paced(rpm=rpm, burst=burst, latency_ms=latency_ms, count=count, known=known)
    lesson_ns = 0 if known else latency_ms * NS_PER_MS  # until the first response a few calls are all that is sent
    bound_ns = (count - burst) * NS_PER_MINUTE // rpm + lesson_ns
    assert found.took_ns <= 1.04 * bound_ns + 2 * NS_PER_MINUTE // rpm
    assert found.refused <= (0 if known else 8)
    assert found.others == 0


@pytest.mark.parametrize(("rpm", "burst"), [(60, 1), (60, 2), (120, 3), (300, 5)])
def test_where_calls_arrive_closer_than_they_left_the_pace_is_eased_and_not_given_up(rpm: int, burst: int) -> None:
    count = 120
    found = paced(rpm=rpm, burst=burst, latency_ms=300, count=count, jitter_ms=12, known=True)
    bound_ns = (count - burst) * NS_PER_MINUTE // rpm
    assert found.refused <= 5
    assert found.took_ns <= 1.1 * bound_ns
    assert found.others == 0


@pytest.mark.parametrize("burst", [2, 10])
def test_refusals_of_what_was_paced_tell_of_somebody_else(burst: int) -> None:
    found = paced(rpm=120, burst=burst, latency_ms=500, count=70, share=0.5)
    assert found.others == pytest.approx(60, rel=0.3)
