"""What waits are called: the timeline of holds, and the moves of max_workers, as the chart tells them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dashboard.gantt import wire
from dashboard.gantt.axis import axis_of
from dashboard.gantt.figure import gantt
from dashboard.gantt.holds import HELD, MOST_HOLDS, NOTHING, Holds, HoldTable, held_in
from dashboard.gantt.marks import MarkTable
from fanout import events as ev
from fanout.run import Run
from tests.runs import history, make_run, now_ns, snapshots

NAMES = some.sampled_from(HELD) | some.none()


def holds_of(run: Run) -> Holds:
    return MarkTable(run).update(run).holds


@settings(max_examples=60, deadline=None)
@given(
    holds=some.lists(some.tuples(some.floats(0.0, 6.0), NAMES), max_size=12),
    seed=some.integers(0, 1000),
    stretches=some.integers(1, 2),
)
def test_a_wait_is_named_as_the_run_s_phases_name_it(
    holds: list[tuple[float, ev.Held | None]], seed: int, stretches: int
) -> None:
    run = make_run(n=12, max_workers=2, seed=seed, holds=sorted(holds, key=lambda each: each[0]), stretches=stretches)
    axis, held = axis_of(run), holds_of(run)
    for call in run.calls:
        told: dict[str, float] = {}
        for phase in run.phases(call):
            if phase.name in HELD:
                place = axis.seconds(phase.start_ns), axis.seconds(phase.end_ns)
                for name, length_s in held_in(held, *place).items():
                    told[name] = told.get(name, 0.0) + length_s
        expected: dict[str, float] = {}
        for phase in run.phases(call):
            if phase.name in HELD:
                expected[phase.name] = expected.get(phase.name, 0.0) + phase.length_ns / 1e9
        assert told == pytest.approx(expected, abs=1e-6)


def test_a_wait_s_parts_add_up_to_it_in_their_order() -> None:
    held = holds_of(make_run(n=12, max_workers=2, holds=[(1.0, "requests"), (1.5, "workers"), (2.0, "requests")]))
    parts = held_in(held, 0.5, 3.0)
    assert list(parts) == ["workers", "requests"]
    assert parts == pytest.approx({"workers": 1.0, "requests": 1.5})
    assert held_in(held, 1.2, 1.2) == {}


def test_before_anything_held_workers_did() -> None:
    assert held_in(holds_of(make_run(n=4, max_workers=1)), 0.0, 1.0) == {"workers": 1.0}


def test_holds_are_converted_once_each() -> None:
    told = history(n=40, max_workers=2, holds=[(float(at), "requests" if at % 2 else None) for at in range(10)])
    table: HoldTable | None = None
    for run in snapshots(told, [1.5, 4.5, 9.5]):
        table = table or HoldTable()
        kept = table.update(run, axis_of(run), last_s=9.5)
        anew = HoldTable().update(run, axis_of(run), last_s=9.5)
        assert kept.at_s.tolist() == anew.at_s.tolist()
        assert kept.code.tolist() == anew.code.tolist()


def test_very_many_holds_become_bins_that_keep_what_held_longest() -> None:
    flicker: list[tuple[float, ev.Held | None]] = []
    for step in range(2 * MOST_HOLDS):
        flicker += [(step / 1000, "requests"), (step / 1000 + 0.0009, "workers")]
    run = make_run(n=60, max_workers=2, holds=[*flicker, (5.0, "paused"), (6.0, "tokens")])
    held = holds_of(run)
    assert len(held.at_s) <= MOST_HOLDS
    parts = held_in(held, 0.0, 7.0)
    assert parts["requests"] > 3.5
    assert parts["paused"] == pytest.approx(1.0, abs=0.05)
    assert sum(parts.values()) == pytest.approx(7.0)


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "lanes"])
def test_both_views_send_the_timeline_its_words_and_its_looks(rows: bool) -> None:
    run = make_run(n=40, holds=[(1.0, "requests"), (2.0, None), (3.0, "paused")], run_id="held")
    header, columns = wire.unpack(wire.payload(run, rows=rows))
    assert columns["hold_at"].tolist() == [1.0, 2.0, 3.0]
    told = [tuple(header[of][code] for of in ("held", "held_short", "held_looks")) for code in columns["hold"]]
    assert told == [
        ("waiting for the request quota", "request quota", "quota"),
        ("waiting for a worker", "", ""),
        ("paused", "paused", "paused"),
    ]
    assert header["held"][0] == "waiting for a worker"


def test_a_time_in_which_nothing_was_held_counts_as_waiting_for_a_worker() -> None:
    held = holds_of(make_run(n=12, max_workers=2, holds=[(1.0, "requests"), (2.0, None)]))
    assert held.code.tolist()[-1] == NOTHING
    assert held_in(held, 1.5, 3.0) == pytest.approx({"requests": 0.5, "workers": 1.0})


def test_every_move_of_max_workers_says_from_what_to_what_and_by_whom() -> None:
    told = history(n=60, max_workers=4, limits=[(2.0, 12)], run_id="moves")
    auto = ev.LimitChanged(
        at_ns=told[-1].at_ns, limit="max_workers", old=12, new=9, reason="auto", why="The rate keeps 9 busy."
    )
    header, _ = wire.unpack(wire.payload(make_run([*told[:-1], auto, told[-1]]), rows=False))
    assert [(move["words"], move["why"]) for move in header["moves"]] == [
        ("4 to 12, by hand", ""),
        ("12 to 9, by the automatic max_workers", "The rate keeps 9 busy."),
    ]
    assert header["moves"][0]["at_s"] == 2.0


def test_the_plain_figure_names_waits_and_moves_on_hover() -> None:
    run = make_run(n=12, max_workers=2, limits=[(2.0, 3)], holds=[(0.0, "requests")])
    figure = gantt(run, rows=True)
    waits = next(trace for trace in figure.data if trace.name == "waiting for quota")
    assert all(text.startswith("waiting for the request quota") for text in waits.customdata)
    line = next(trace for trace in figure.data if trace.name == "max_workers")
    assert "2 to 3, by hand." in line.customdata[1]


def test_a_live_wait_ends_now() -> None:
    run = make_run(n=12, max_workers=2, at_s=1.0, holds=[(0.4, "turn")])
    figure = gantt(run, rows=True, now_ns=now_ns(1.0))
    waits = next(trace for trace in figure.data if trace.name == "waiting for quota")
    assert "waiting for its turn: another run shares this account 600 ms" in waits.customdata[-1]
    assert np.isfinite(waits.x).all()
