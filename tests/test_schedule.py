"""The rule, driven by hand and by random histories on a virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.quota.ceiling import Hold, InFlightCeiling
from fanout.schedule import Schedule, Start, Wait


class EachSecond:
    """A limit for the tests: one start each 1,000 ns."""

    def __init__(self) -> None:
        self.free_ns = 0
        self.booked: list[int] = []

    def ask(self, call: int, at_ns: int) -> Hold | None:
        return None if at_ns >= self.free_ns else Hold(until_ns=self.free_ns, held_by="requests")

    def book(self, call: int, at_ns: int) -> None:
        assert at_ns >= self.free_ns
        self.free_ns = at_ns + 1_000
        self.booked.append(at_ns)

    def give_back(self, call: int, at_ns: int) -> None:
        pass


def schedule(count: int, *, max_workers: int = 2) -> Schedule:
    made = Schedule(max_workers=max_workers)
    made.add(range(count))
    return made


def starts(made: Schedule, at_ns: int) -> list[Start]:
    found = []
    while isinstance(answer := made.next(at_ns), Start):
        found.append(answer)
    return found


def test_calls_start_in_order_on_the_lowest_free_lane_up_to_max_workers() -> None:
    made = schedule(3)
    assert starts(made, 0) == [Start(call=0, attempt=1, lane=0), Start(call=1, attempt=1, lane=1)]
    assert made.next(0) == Wait(until_ns=None, held_by="workers")
    made.ended(0, at_ns=5)
    assert starts(made, 5) == [Start(call=2, attempt=1, lane=0)]
    assert repr(made) == "<Schedule 2 in flight of 2, 0 fresh, 0 backing off>"


def test_nothing_holds_an_empty_queue() -> None:
    made = schedule(1)
    starts(made, 0)
    assert made.next(0) == Wait(until_ns=None, held_by=None)


def test_a_call_that_backs_off_holds_no_worker_and_goes_before_fresh_ones() -> None:
    made = schedule(4, max_workers=1)
    starts(made, 0)
    made.again(0, at_ns=10, ready_ns=100)
    assert starts(made, 10) == [Start(call=1, attempt=1, lane=0)]
    made.ended(1, at_ns=100)
    assert starts(made, 100) == [Start(call=0, attempt=2, lane=0)]


def test_it_asks_again_when_the_first_backoff_ends() -> None:
    made = schedule(1)
    starts(made, 0)
    made.again(0, at_ns=10, ready_ns=100)
    assert made.next(99) == Wait(until_ns=100, held_by=None)
    assert made.next(100) == Start(call=0, attempt=2, lane=0)


def test_while_a_provider_is_doubted_only_calls_that_come_again_start() -> None:
    made = schedule(3, max_workers=2)
    starts(made, 0)
    made.again(0, at_ns=10, ready_ns=100)
    made.only_again = True
    assert made.next(10) == Wait(until_ns=100, held_by=None)
    assert [start.call for start in starts(made, 100)] == [0]
    made.ended(0, at_ns=110)
    made.only_again = False
    assert [start.call for start in starts(made, 110)] == [2]


def test_a_pause_wins_over_everything() -> None:
    made = schedule(2)
    made.pause()
    assert made.next(0) == Wait(until_ns=None, held_by="paused")
    made.continue_()
    assert len(starts(made, 0)) == 2


def test_a_limit_names_its_wait_and_every_start_books_it() -> None:
    limit = EachSecond()
    made = Schedule(max_workers=8, limits=(InFlightCeiling(8), limit))
    made.add(range(3))
    assert [start.call for start in starts(made, 0)] == [0]
    assert made.next(0) == Wait(until_ns=1_000, held_by="requests")
    assert [start.call for start in starts(made, 1_000)] == [1]
    assert limit.booked == [0, 1_000]


def test_two_schedules_share_a_ceiling() -> None:
    ceiling = InFlightCeiling(2)
    first, second = Schedule(max_workers=8, limits=(ceiling,)), Schedule(max_workers=8, limits=(ceiling,))
    first.add([0, 1])
    second.add([0])
    assert len(starts(first, 0)) == 2
    assert second.next(0) == Wait(until_ns=None, held_by="concurrency")
    first.ended(0, at_ns=1)
    assert len(starts(second, 1)) == 1
    assert repr(ceiling) == "<InFlightCeiling 2 of 2 in flight>"


def test_stop_gives_up_what_waits_and_leaves_what_is_in_flight() -> None:
    made = schedule(5, max_workers=2)
    starts(made, 0)
    made.again(1, at_ns=1, ready_ns=50)
    assert made.stop() == (1, 2, 3, 4)
    assert not made.done
    made.ended(0, at_ns=2)
    assert made.done


def test_attempts_go_on_counting_over_stretches() -> None:
    made = Schedule(max_workers=1, attempts={7: 3})
    made.add([7])
    assert made.next(0) == Start(call=7, attempt=4, lane=0)


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "again", "end", "workers", "pause", "continue", "time"]),
        st.integers(0, 50),
    ),
    max_size=80,
)


@given(count=st.integers(1, 30), workers=st.integers(1, 8), steps=STEPS)
def test_laws_on_random_histories(count: int, workers: int, steps: list[Step]) -> None:
    """In flight <= max_workers at every start; lanes never shared; each call ends exactly once; nothing is lost."""
    made = schedule(count, max_workers=workers)
    at_ns, flying, gone = 0, dict[int, int](), list[int]()
    for verb, number in [*steps, ("continue", 0)]:
        for start in starts(made, at_ns):
            assert start.lane not in flying.values()
            assert start.call not in flying
            flying[start.call] = start.lane
            assert len(flying) <= made.max_workers
        apply(made, verb, number, at_ns, flying, gone)
        at_ns += number if verb == "time" else 0
    drain(made, at_ns, flying, gone)
    assert sorted(gone) == list(range(count))


def apply(made: Schedule, verb: str, number: int, at_ns: int, flying: dict[int, int], gone: list[int]) -> None:
    if verb == "workers":
        made.max_workers = number % 8 + 1
    elif verb == "pause":
        made.pause()
    elif verb == "continue":
        made.continue_()
    elif flying and verb in ("answer", "again", "end"):
        call = sorted(flying)[number % len(flying)]
        del flying[call]
        if verb == "again":
            made.again(call, at_ns=at_ns, ready_ns=at_ns + number)
        else:
            made.ended(call, at_ns=at_ns)
            gone.append(call)


def drain(made: Schedule, at_ns: int, flying: dict[int, int], gone: list[int]) -> None:
    """Answer everything; whenever nothing flies, the schedule must say when to ask again."""
    while not made.done:
        for start in starts(made, at_ns):
            flying[start.call] = start.lane
        if flying:
            call, _ = flying.popitem()
            made.ended(call, at_ns=at_ns)
            gone.append(call)
            continue
        answer = made.next(at_ns)
        assert isinstance(answer, Wait)
        assert answer.until_ns is not None
        assert answer.until_ns > at_ns
        at_ns = answer.until_ns


@pytest.mark.parametrize("most", [1, 5])
@given(data=st.data())
def test_a_shared_ceiling_is_never_exceeded(most: int, data: st.DataObject) -> None:
    ceiling = InFlightCeiling(most)
    both = [Schedule(max_workers=4, limits=(ceiling,)) for _ in range(2)]
    flying: list[tuple[Schedule, int]] = []
    for made in both:
        made.add(range(10))
    while not all(made.done for made in both):
        for made in data.draw(st.permutations(both)):
            flying += [(made, start.call) for start in starts(made, 0)]
        assert ceiling.in_flight == len(flying) <= most
        made, call = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
        made.ended(call, at_ns=0)
