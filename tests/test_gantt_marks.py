from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.gantt import wire
from dashboard.gantt.axis import axis_of
from dashboard.gantt.marks import BINS, EXACT_UP_TO, Marks, MarkTable, in_flight
from fanout.run import Run
from tests.runs import history, make_run, now_ns, snapshots


def marks_of(run: Run) -> Marks:
    return MarkTable(run).update(run)


def same(one: Marks, other: Marks) -> bool:
    for field in dataclasses.fields(Marks):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            if left.dtype != right.dtype or not np.array_equal(left, right, equal_nan=left.dtype.kind == "f"):
                return False
        elif field.name == "holds":
            if left.at_s.tolist() != right.at_s.tolist() or left.code.tolist() != right.code.tolist():
                return False
        elif field.name != "max_workers" and left != right:
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    max_workers=st.integers(1, 6),
    failing=st.sampled_from([0.0, 0.3, 1.0]),
    retrying=st.sampled_from([0.0, 0.4]),
    stop=st.sampled_from([None, 0.5, 2.0]),
    stretches=st.integers(1, 3),
    streamed=st.booleans(),
)
def test_what_is_kept_up_to_date_equals_what_is_encoded_anew(
    seed: int,
    n: int,
    max_workers: int,
    failing: float,
    retrying: float,
    stop: float | None,
    stretches: int,
    streamed: bool,
) -> None:
    told = history(
        n=n,
        seed=seed,
        max_workers=max_workers,
        failing=failing,
        retrying=retrying,
        stop_at_s=stop,
        stretches=stretches,
        streamed=streamed,
        gap_s=3.0,
    )
    length_s = (told[-1].at_ns - now_ns(0)) / 1e9
    times = sorted(random.Random(seed).uniform(-1, length_s + 1) for _ in range(6))
    table: MarkTable | None = None
    for run in snapshots(told, times):
        table = table or MarkTable(run)
        kept, anew = table.update(run), marks_of(run)
        assert same(kept, anew)
        for rows in (True, False):
            assert wire.encode(run, kept, rows=rows) == wire.encode(run, anew, rows=rows)


def test_only_calls_that_changed_are_encoded_again() -> None:
    before, after = snapshots(history(n=500, max_workers=4), [20.0, 20.5])
    changed = sum(a is not b for a, b in zip(before.calls, after.calls, strict=True))
    table = MarkTable(before)
    table.update(before)
    assert table.encoded == 500
    table.update(after)
    assert 0 < changed < 20
    assert table.encoded == 500 + changed


def test_an_older_snapshot_does_not_turn_the_table_back() -> None:
    before, after = snapshots(history(n=20), [1.0, 2.0])
    table = MarkTable(after)
    newest = table.update(after)
    assert table.update(before) is newest


def test_each_attempt_is_one_mark_with_its_status() -> None:
    run = make_run(n=30, failing=[3], retrying=[5, 6], stop_at_s=None)
    marks = marks_of(run)
    assert len(marks.call) == 32
    assert {name: marks.count(name) for name in ("answered", "failed", "retried", "running", "cancelled")} == {
        "answered": 29,
        "failed": 1,
        "retried": 2,
        "running": 0,
        "cancelled": 0,
    }
    (failed,) = (
        np.flatnonzero(marks.error == 2) if marks.errors[0].endswith("1 s.") else np.flatnonzero(marks.error == 1)
    )
    assert marks.call[failed] == 3


def test_marks_are_sorted_by_start_and_their_stamps_are_in_order() -> None:
    marks = marks_of(make_run(n=200, max_workers=16))
    assert (np.diff(marks.start_s) >= 0).all()
    stamps = np.stack([marks.start_s, marks.sent_s, marks.first_s, marks.received_s, marks.end_s])
    assert (np.diff(stamps, axis=0) >= 0).all()


def test_marks_of_a_lane_never_overlap() -> None:
    marks = marks_of(make_run(n=300, max_workers=7, retrying=0.2, failing=0.1))
    for lane in range(marks.lanes):
        here = marks.lane == lane
        assert (marks.start_s[here][1:] >= marks.end_s[here][:-1]).all()


def test_a_call_that_has_started_never_changes_its_row() -> None:
    rows: dict[int, int] = {}
    for run in snapshots(history(n=60, max_workers=5, retrying=0.3, stretches=2, failing=0.2), np.linspace(0, 90, 40)):
        marks = marks_of(run)
        for call in set(marks.call.tolist()):
            assert rows.setdefault(call, int(marks.row[call])) == marks.row[call]
    assert sorted(rows.values()) == list(range(60))


def test_before_anything_has_started_rows_lie_in_sending_order() -> None:
    assert marks_of(make_run(n=9, at_s=-1)).row.tolist() == list(range(9))


def test_idle_time_between_stretches_is_cut_out() -> None:
    run = make_run(n=20, failing=[2, 3], stretches=2, gap_s=600.0)
    axis = axis_of(run)
    first, second = run.stretches
    assert first.ended_ns is not None
    assert second.ended_ns is not None
    assert axis.seconds(second.began_ns) == axis.seconds(first.ended_ns)
    assert axis.seconds(first.ended_ns + 5) == axis.seconds(first.ended_ns)
    marks = marks_of(run)
    worked_ns = sum((s.ended_ns or 0) - s.began_ns for s in run.stretches)
    assert marks.last_s == pytest.approx(worked_ns / 1e9)
    assert [round(b.idle_s) for b in marks.breaks] == [600]


def test_in_flight_never_passes_max_workers_and_ends_at_zero() -> None:
    steps = in_flight(marks_of(make_run(n=100, max_workers=6, retrying=0.2)))
    assert steps.value.max() == 6
    assert steps.value.min() == 0
    assert steps.value[-1] == 0
    assert (np.diff(steps.at_s) > 0).all()


def test_above_the_exact_limit_bins_keep_the_maximum() -> None:
    marks = marks_of(make_run(n=EXACT_UP_TO + 100, max_workers=40))
    steps = in_flight(marks)
    assert len(steps.at_s) == BINS
    assert steps.value.max() == 40
    middle = marks.last_s / 2
    there = int(np.count_nonzero((marks.start_s <= middle) & (marks.end_s > middle)))
    assert steps.value[np.searchsorted(steps.at_s, middle, "right") - 1] >= there


def test_a_slider_move_is_a_step_of_max_workers() -> None:
    marks = marks_of(make_run(n=60, max_workers=4, limits=[(2.0, 12)]))
    assert marks.max_workers.value.tolist() == [4, 12]
    assert marks.max_workers.at_s.tolist() == [0.0, 2.0]
    assert marks.lanes == 12


def test_a_run_that_has_not_begun_has_no_marks() -> None:
    marks = marks_of(make_run(n=5, at_s=-1))
    assert (len(marks.call), marks.lanes, marks.last_s, marks.breaks) == (0, 8, 0.0, ())
    assert in_flight(marks).value.tolist() == [0]


def test_what_a_dead_process_left_open_is_shut_with_its_stretch() -> None:
    run = make_run(n=20, at_s=1.5)
    shut = dataclasses.replace(
        run,
        version=run.version + 1,
        state="ended",
        stretches=(dataclasses.replace(run.stretches[0], ended_ns=now_ns(1.5), reason="interrupted"),),
    )
    marks = marks_of(shut)
    assert not np.isnan(marks.end_s).any()
    assert not np.isnan(marks.wait_to_s).any()
    assert marks.count("running") == 0
    assert marks.count("cancelled") == 8


def test_waits_are_what_is_left_between_the_attempts() -> None:
    run = make_run(n=12, max_workers=2, retrying=[0])
    marks = marks_of(run)
    mine = marks.wait_call == 0
    assert marks.wait_kind[mine].tolist()[0] == 1
    first, second = np.flatnonzero(marks.call == 0)
    assert marks.wait_from_s[mine][0] == marks.end_s[first]
    assert marks.wait_to_s[mine][-1] == marks.start_s[second]


def test_waits_and_attempts_make_up_a_call_s_whole_life() -> None:
    run = make_run(n=30, max_workers=3, retrying=0.3, failing=0.2)
    marks = marks_of(run)
    for call in run.calls:
        waited = (marks.wait_to_s - marks.wait_from_s)[marks.wait_call == call.index].sum()
        worked = (marks.end_s - marks.start_s)[marks.call == call.index].sum()
        assert call.experienced_ns is not None
        assert waited + worked == pytest.approx(call.experienced_ns / 1e9)


def test_a_hand_over_is_no_notch_and_a_free_worker_is_seen() -> None:
    marks = marks_of(make_run(n=3, max_workers=1, seed=1))
    start_s = np.array([0.0, 1.001, 3.0])
    end_s = np.array([1.0, 2.0, 4.0])
    moved = dataclasses.replace(marks, start_s=start_s, end_s=end_s, lane=np.zeros(3, marks.lane.dtype))
    steps = in_flight(moved)
    found = dict(zip(steps.at_s.tolist(), steps.value.tolist(), strict=True))
    assert found == {0.0: 1, 1.001: 1, 2.0: 0, 3.0: 1, 4.0: 0}
