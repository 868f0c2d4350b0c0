"""The laws of one quota that several processes share through a file, on instants that are given."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.batch import Batch
from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.engine import Engine
from fanout.quota.bucket import NS_PER_MINUTE, Bucket
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost
from fanout.quota.limits import Limits
from fanout.quota.report import RateReport, Reading
from fanout.quota.rows import LEASE_GRACE_NS, Row
from fanout.quota.shared import TRY_AGAIN_NS, SharedGates
from tests.gates import ACCOUNT, ONE, most_within
from tests.hands import HandCaller
from tests.processes import TIMEOUT_NS, Process, processes

DAY_NS = 24 * 3600 * NS_PER_S


@settings(max_examples=40, deadline=None)
@given(
    per_minute=st.integers(60, 2_000),
    burst=st.integers(1, 8),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2 * NS_PER_S)), min_size=1, max_size=80),
    window_s=st.integers(1, 60),
)
def test_processes_together_stay_in_the_burst_and_the_rate(
    per_minute: int, burst: int, steps: list[tuple[int, int]], window_s: int
) -> None:
    with processes(3, Limits(requests_per_minute=per_minute, burst=burst)) as made:
        at_ns, taken = 0, list[tuple[int, int]]()
        for place, pause_ns in steps:
            at_ns += pause_ns
            for _ in range(burst + 1):
                started = made[place].try_start(at_ns)
                if isinstance(started, Hold):
                    break
                taken.append((at_ns, 1))
    window_ns = window_s * NS_PER_S
    assert most_within(window_ns, taken) <= burst + per_minute * window_ns // NS_PER_MINUTE + 1


@settings(max_examples=30, deadline=None)
@given(used=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 400), st.integers(0, NS_PER_S)), max_size=25))
def test_what_processes_settle_is_all_that_was_taken(used: list[tuple[int, int, int]]) -> None:
    with processes(2, Limits(tokens_per_minute=60_000)) as made:
        alone, at_ns = Bucket(amount=60_000, capacity=1_000, at_ns=0), 0
        for place, tokens, pause_ns in used:
            at_ns += pause_ns
            with made[place].file:
                booked = made[place].gate.book(made[place].run_id, Cost(output_tokens=200), at_ns)
            alone.take(200, at_ns)
            made[place].settle(booked, Cost(output_tokens=tokens), at_ns)
            (alone.take if tokens > 200 else alone.give)(abs(tokens - 200), at_ns)
        for one in made:
            assert one.view(at_ns).limits[0].free == max(0, alone.free(at_ns))


def starts_of(made: tuple[Process, ...], *, until_ns: int, from_ns: int = 0) -> dict[str, list[int]]:
    """Every process asks when its hold said, and only then; its calls end at once."""
    wakes, starts = [from_ns] * len(made), {one.run_id: list[int]() for one in made}
    asked = 0
    while (at_ns := min(wakes)) < until_ns:
        place = wakes.index(at_ns)
        started = made[place].try_start(at_ns)
        asked += 1
        if isinstance(started, Hold):
            assert started.until_ns is not None
            assert started.until_ns > at_ns
            wakes[place] = started.until_ns
        else:
            made[place].settle(started, ONE, at_ns)
            starts[made[place].run_id].append(at_ns)
    assert asked <= sum(map(len, starts.values())) + len(made) * until_ns // (9 * NS_PER_MS)  # no busy loop
    return starts


@pytest.mark.parametrize("per_minute", [60, 600, 6_000])
def test_greedy_processes_split_evenly_and_waste_nothing(per_minute: int) -> None:
    with processes(2, Limits(requests_per_minute=per_minute, burst=max(1, per_minute // 60))) as made:
        counts = [len(each) for each in starts_of(made, until_ns=20 * NS_PER_S).values()]
    assert abs(counts[0] - counts[1]) <= max(1, sum(counts) // 20)
    assert per_minute * 20 // 60 - 1 <= sum(counts) <= per_minute * 21 // 60 + 1


def test_weights_hold_across_processes() -> None:
    with processes(2, Limits(requests_per_minute=600, burst=1, max_weight=3), weights=(3, 1)) as made:
        large, small = (len(each) for each in starts_of(made, until_ns=40 * NS_PER_S).values())
    assert 2.7 * small <= large <= 3.3 * small


def test_a_weight_that_moves_holds_across_processes() -> None:
    with processes(2, Limits(requests_per_minute=600, burst=1, max_weight=3)) as made:
        starts_of(made, until_ns=10 * NS_PER_S)
        with made[0].file:
            made[0].gate.move_weight("run 0", 3, 10 * NS_PER_S)
        starts = starts_of(made, from_ns=10 * NS_PER_S, until_ns=50 * NS_PER_S)
    moved, steady = len(starts["run 0"]), len(starts["run 1"])
    assert 2.7 * steady <= moved <= 3.3 * steady


def test_who_comes_to_a_busy_account_gets_its_turn_at_once() -> None:
    with processes(2, Limits(requests_per_minute=60, burst=1)) as (large, small):
        starts_of((large,), until_ns=30 * NS_PER_S)
        starts = starts_of((large, small), until_ns=40 * NS_PER_S)
    assert len(starts["run 1"]) >= 4


def test_a_run_that_went_away_holds_nobody_back_for_long() -> None:
    with processes(2, Limits(requests_per_minute=600, burst=1)) as (gone, stays):
        stays.start(0)
        assert isinstance(gone.try_start(0), Hold)  # and never asks again
        starts = starts_of((stays,), until_ns=5 * NS_PER_S)["run 1"]
    assert starts[0] <= NS_PER_S
    assert len(starts) >= 40


def test_places_in_flight_are_shared_and_a_crash_frees_them() -> None:
    with processes(2, Limits(max_in_flight=2)) as (crashes, stays):
        crashes.start(0)
        first = stays.start(0)
        held = stays.try_start(1)
        assert isinstance(held, Hold)
        assert held.held_by == "concurrency"
        assert held.until_ns is not None
        stays.settle(first, ONE, 2)
        stays.start(2)
        assert isinstance(stays.try_start(3), Hold)
        crashes.file.close()
        assert isinstance(stays.try_start(TIMEOUT_NS + LEASE_GRACE_NS - 1), Hold)
        stays.start(TIMEOUT_NS + LEASE_GRACE_NS)


def test_a_429_holds_every_process() -> None:
    with processes(2, Limits()) as (refused, other):
        booked = refused.start(0)
        with refused.file:
            refused.gate.refused(booked, RateReport(), until_ns=NS_PER_S, at_ns=1, words=("why", "remedy"))
        assert other.try_start(2) == Hold(until_ns=NS_PER_S, held_by="penalty")


def test_what_one_process_learns_every_process_knows_and_tells() -> None:
    with processes(2, Limits()) as (taught, other):
        other.start(0)
        booked = taught.start(1)
        report = RateReport(readings=(("requests", Reading(limit=600, remaining=5)),))
        with taught.file:
            taught.gate.observe(booked, report, 2)
        limit = other.view(3).limits[0]
        assert (limit.name, limit.number, limit.source, limit.reserved) == ("requests", 600, "header", 1)
        assert [(change.name, change.new) for change in other.gate.changes()] == [("requests", 600)]


def test_each_process_holds_to_its_own_settings_on_one_level() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quota.sqlite"
        large = Process(path, Limits(requests_per_minute=600, burst=8), run_id="large")
        small = Process(path, Limits(requests_per_minute=60, burst=3), run_id="small")
        for _ in range(6):
            large.start(0)
        small.start(0)
        limits = [one.view(0).limits[0] for one in (large, small)]
        assert [(limit.number, limit.capacity, limit.free) for limit in limits] == [(600, 8, 1), (60, 3, 1)]
        large.file.close()
        small.file.close()


def test_after_a_reboot_nothing_has_grown_back_and_the_day_goes_on(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=60, burst=2, requests_per_day=5)
    before = Process(tmp_path / "q", limits, run_id="before")
    booted_ns = DAY_NS // 4  # since when the clock counts again, by the wall
    for _ in range(2):
        before.start(booted_ns)
    before.file.close()
    after = Process(tmp_path / "q", limits, run_id="after", wall_offset_ns=booted_ns)
    assert after.try_start(0) == Hold(until_ns=NS_PER_S, held_by="requests")
    assert [limit.free for limit in after.view(0).limits] == [0, 3]
    assert after.view(DAY_NS).limits[1].free == 5
    after.file.close()


def test_a_file_that_is_none_of_ours_leaves_the_process_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "q").write_bytes(b"garbage " * 1000)
    one = Process(tmp_path / "q", Limits(requests_per_minute=60, burst=2), run_id="run")
    one.start(0)
    one.start(0)
    assert isinstance(one.try_start(0), Hold)
    assert one.view(0).shared_file is False
    assert len(caplog.messages) == 1
    assert "goes on alone" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": 1e999}', "[" * 100_000])
def test_a_row_that_cannot_be_read_is_begun_anew(tmp_path: Path, text: str) -> None:
    one = Process(tmp_path / "q", Limits(requests_per_minute=60, burst=2), run_id="run")
    one.start(0)
    _write(tmp_path / "q", text)
    one.start(1)
    assert isinstance(one.try_start(2), Hold)
    assert one.view(3).shared_file is True
    Row.from_json(_read(tmp_path / "q"))
    one.file.close()


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=60, burst=2)
    one = Process(tmp_path / "q", limits, run_id="one")
    one.start(0)
    for path in tmp_path.iterdir():
        path.unlink()
    one.start(NS_PER_S)
    other = Process(tmp_path / "q", limits, run_id="other")
    assert other.view(NS_PER_S).limits[0].free == 1
    one.file.close()
    other.file.close()


def test_what_was_taken_while_the_file_was_locked_is_taken_off_it_later(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=60, burst=5)
    one, other = (Process(tmp_path / "q", limits, run_id=name) for name in ("one", "other"))
    one.start(0)
    keeper = sqlite3.connect(tmp_path / "q", isolation_level=None)
    keeper.execute("BEGIN IMMEDIATE")
    one.start(0)
    assert one.view(0).shared_file is False
    keeper.execute("ROLLBACK")
    keeper.close()
    other.start(0)
    back_ns = TRY_AGAIN_NS  # 5 - 3 taken + 1 grown back
    assert one.view(back_ns).limits[0].free == 3
    assert one.view(back_ns).shared_file is True
    one.file.close()
    other.file.close()


def test_an_engine_shares_what_its_runs_take(tmp_path: Path) -> None:
    caller = HandCaller()
    with Engine(
        caller_for=lambda batch, clock: caller,
        limits_for=lambda _: Limits(requests_per_day=10),
        account_for=lambda _: ACCOUNT,
        quota_file=tmp_path / "q",
    ) as engine:
        live = engine.start(Batch(prompts=["one", "two"]))
        for sent in caller.taken(2):
            sent.answer()
        live.results()
        (view,) = engine.quota()
        assert (view.shared_file, view.limits[0].free) == (True, 8)
    row = Row.from_json(_read(tmp_path / "q"))
    assert (row.limits["requests_per_day"].level, row.leases, list(row.runs)) == (2, {}, [live.run_id])


def test_a_calls_end_and_the_next_ones_start_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, caller = list[SharedGates](), HandCaller()
    commit = SharedGates._commit

    def counted(file: SharedGates) -> None:
        commits.append(file)
        commit(file)

    monkeypatch.setattr(SharedGates, "_commit", counted)
    with Engine(
        caller_for=lambda batch, clock: caller,
        account_for=lambda _: ACCOUNT,
        quota_file=tmp_path / "q",
    ) as engine:
        live = engine.start(Batch(prompts=["prompt"] * 20, max_workers=1))
        for place in range(20):
            caller.taken(place + 1)[place].answer()
        live.results()
    assert 20 <= len(commits) <= 26  # one a call, and those of the start and the end


def _read(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("SELECT state FROM gates_2").fetchone()[0])
    finally:
        connection.close()


def _write(path: Path, text: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE gates_2 SET state = ?", (text,))
    connection.close()
