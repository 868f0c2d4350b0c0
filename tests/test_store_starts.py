"""What a process had started when it was killed is known, also where its last commit missed it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanout.events import Sent, Started
from fanout.fold import fold
from fanout.people import LOCAL
from fanout.store import starts, writer
from fanout.store.interrupted import closing
from tests.hands import WAIT_S
from tests.runs import make_run
from tests.stores import Kept, eventually, folder_of


def started(call: int, *, attempt: int = 1, at_ns: int = 5) -> Started:
    return Started(at_ns=at_ns, call=call, attempt=attempt, lane=0)


def test_a_call_that_started_after_the_last_commit_may_be_billed_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(database_url)
    live = kept.start(4, max_workers=2)
    kept.sent(1)
    assert kept.store.flush(WAIT_S)
    monkeypatch.setattr(writer, "GATHER_S", 3600.0)  # nothing further is committed
    kept.sent(0).answer("paid for")
    assert kept.sent(2).prompt == "prompt 2"
    assert all(type(event) is not Started or event.call != 2 for event in kept.stored(live.run_id))
    kept.die()
    with Kept(database_url) as other:
        run = other.library.find(LOCAL, live.run_id).run.snapshot()
        assert run.ended
        assert [any(a.lost for a in call.attempts) for call in run.calls] == [True, True, True, False]
        assert run == fold(other.stored(live.run_id))
        (attempt,) = run.calls[2].attempts
        assert attempt.started_ns >= run.stretches[0].began_ns


def test_a_process_that_ends_in_order_leaves_no_file_and_one_that_died_until_its_runs_are_closed(
    database_url: str,
) -> None:
    kept = Kept(database_url)
    folder = folder_of(kept.database) or Path(str(kept.database.path)).parent
    of_kept = starts.file_of(folder, kept.store.process.process_id)
    live = kept.start(2)
    kept.sent(0)
    assert kept.store.flush(WAIT_S)
    assert of_kept.stat().st_mode & 0o777 == 0o600
    kept.die()
    with Kept(database_url) as other:
        assert other.library.find(LOCAL, live.run_id).run.snapshot().ended
        other.answered()
        of_other = starts.file_of(folder, other.store.process.process_id)
        assert of_other.exists()
        assert of_kept.exists()
    assert not of_other.exists()
    with Kept(database_url):  # starts, and clears away who is dead and drives nothing
        assert not of_kept.exists()


def test_the_file_is_emptied_once_all_that_it_names_is_committed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "MOST_BYTES", 0)
    with Kept(database_url) as kept:
        folder = folder_of(kept.database) or Path(str(kept.database.path)).parent
        live = kept.answered(5)
        eventually(lambda: starts.left_by(folder, kept.store.process.process_id, live.run_id) == [])


def test_a_file_that_cannot_be_written_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    noted = starts.Starts(tmp_path / "file", "p")
    noted.note("run", [started(0)], shift_ns=0)
    noted.all_committed()
    noted.close()
    assert starts.left_by(tmp_path / "file", "p", "run") == []


def test_a_line_that_was_cut_off_and_garbage_are_no_starts(tmp_path: Path) -> None:
    noted = starts.Starts(tmp_path, "p")
    noted.note("mine", [started(1), Sent(at_ns=6, call=1, attempt=1), started(2, at_ns=105)], shift_ns=100)
    noted.note("other", [started(3)], shift_ns=0)
    with starts.file_of(tmp_path, "p").open("ab") as file:
        file.write(b"\xff\xfe nonsense\nmine 7 four 1 0\nmine 8")
    assert starts.left_by(tmp_path, "p", "mine") == [started(1, at_ns=-95), started(2, at_ns=5)]
    assert starts.left_by(tmp_path, "nobody", "mine") == []


def test_only_what_waits_is_taken_to_have_started() -> None:
    run = make_run(n=6, max_workers=2, at_s=0.5)
    known = [call.index for call in run.calls if call.status != "queued"]
    waiting = [call.index for call in run.calls if call.status == "queued"]
    told = [started(known[0]), started(waiting[0]), started(waiting[0], attempt=2), started(99), started(-1)]
    events = closing(run, at_ns=0, started=told)
    assert [event for event in events if type(event) is Started] == [started(waiting[0], attempt=1)]
    assert not [event for event in closing(run, at_ns=0) if type(event) is Started]
