"""What a process had started when it was killed is known, also where its last commit missed it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fanout.archive import export_run, import_run
from fanout.batch import Batch
from fanout.errors import ServerFailed
from fanout.events import (
    Cancelled,
    Failed,
    RunOpened,
    Sent,
    Started,
    StopAsked,
    StretchBegan,
    StretchEnded,
    StretchOpened,
)
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL
from fanout.run import Run
from fanout.store import starts, writer
from fanout.store.interrupted import closing
from tests.hands import WAIT_S, HandCaller
from tests.runs import history, make_run
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
    let_go(kept, monkeypatch)


def let_go(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run is closed: what its writer held back is dropped, so that its threads end at once."""
    monkeypatch.setattr(writer, "GATHER_S", 0.0)
    assert kept.store.flush(WAIT_S)


def failed_once(kept: Kept) -> LiveRun:
    """A run of which one prompt is answered and three failed, all of it stored."""
    live = kept.start(4, max_workers=4, retries=0)
    for place in range(4):
        sending = kept.sent(place)
        if sending.prompt == "prompt 0":
            sending.answer("kept")
        else:
            sending.fail(ServerFailed("The provider failed inside."))
    assert live.wait(WAIT_S)
    assert kept.store.flush(WAIT_S)
    return live


def of_another(url: str, run_id: str) -> Run:
    """The run as a process finds it that has come since."""
    with Kept(url) as other:
        run = other.library.find(LOCAL, run_id).run.snapshot()
        assert run.ended
        assert run.stop_reason == "interrupted"
        assert run == fold(other.stored(run_id))
        assert import_run(export_run(other.stored(run_id))) == other.stored(run_id)
        assert other.shelf.find(LOCAL, run_id).state == "ended"
        return run


def lost(run: Run) -> list[int]:
    return [call.index for call in run.calls if any(attempt.lost for attempt in call.attempts)]


@pytest.mark.parametrize("committed", ["nothing of it", "that it was asked for"])
def test_what_a_retry_had_sent_before_its_first_commit_may_be_billed_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch, committed: str
) -> None:
    kept = Kept(database_url)
    live = failed_once(kept)
    if committed == "nothing of it":
        monkeypatch.setattr(writer, "GATHER_S", 3600.0)
        live.max_workers = 2
        live.retry_failed()
    else:
        live.max_workers = 2
        kept.caller.warm.clear()
        live.retry_failed()
        assert kept.store.flush(WAIT_S)
        monkeypatch.setattr(writer, "GATHER_S", 3600.0)
        kept.caller.warm.set()
    again = {sending.prompt for sending in kept.caller.taken(6)[4:]}
    assert not any(type(event) is StretchBegan and event.stretch == 1 for event in kept.stored(live.run_id))
    opened = [event for event in kept.stored(live.run_id) if type(event) is StretchOpened]
    assert len(opened) == (1 if committed == "nothing of it" else 2)
    kept.die()
    run = of_another(database_url, live.run_id)
    assert {run.calls[index].prompt for index in lost(run)} == again
    assert [(each.number, each.purpose, each.reason) for each in run.stretches] == [
        (0, "first", "finished"),
        (1, "retry", "interrupted"),
    ]
    assert set(run.stretches[1].calls) == set(lost(run))
    (unsent,) = (call for call in run.calls[1:] if call.index not in lost(run))
    assert (unsent.status, unsent.error) == ("failed", ServerFailed("The provider failed inside."))
    assert (run.calls[0].status, run.calls[0].output) == ("answered", "kept")
    for index in lost(run):
        assert run.calls[index].attempts[-1].stretch == 1
        assert run.calls[index].attempts[-1].started_ns >= run.stretches[1].began_ns
    let_go(kept, monkeypatch)


def test_what_a_resumed_run_had_sent_before_its_first_commit_may_be_billed_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Kept(database_url)
    live = first.start(3, max_workers=1)
    first.sent(0)
    assert first.store.flush(WAIT_S)
    first.die()
    second = Kept(database_url)
    second.answered()  # its writer has committed a moment ago, and does not commit what follows
    monkeypatch.setattr(writer, "GATHER_S", 3600.0)
    second.library.resume(LOCAL, live.run_id)
    second.sent(0)
    assert not any(type(event) is StretchOpened and event.stretch == 1 for event in second.stored(live.run_id))
    second.die()
    run = of_another(database_url, live.run_id)
    assert [each.purpose for each in run.stretches] == ["first", "resume"]
    assert [len(call.attempts) for call in run.calls] == [2, 0, 0]
    assert [attempt.lost for attempt in run.calls[0].attempts] == [True, True]
    let_go(first, monkeypatch)
    let_go(second, monkeypatch)


def test_a_retry_that_had_sent_nothing_leaves_its_run_as_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(database_url)
    live = failed_once(kept)
    before = live.snapshot()
    monkeypatch.setattr(writer, "GATHER_S", 3600.0)
    kept.caller.warm.clear()
    live.retry_failed()
    kept.die()
    with Kept(database_url) as other:
        assert other.library.find(LOCAL, live.run_id).run.snapshot() == before
        assert other.shelf.find(LOCAL, live.run_id).state == "ended"
    kept.caller.warm.set()
    let_go(kept, monkeypatch)


def test_a_first_stretch_that_was_only_asked_for_names_what_it_had_sent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, cold = Kept(database_url), HandCaller()
    cold.warm.clear()
    monkeypatch.setattr(kept.engine, "_caller_for", lambda *_: cold)
    live = kept.start(3, max_workers=2)
    assert kept.store.flush(WAIT_S)
    monkeypatch.setattr(writer, "GATHER_S", 3600.0)
    cold.warm.set()
    sent = {sending.prompt for sending in cold.taken(2)}
    assert not any(type(event) is StretchBegan for event in kept.stored(live.run_id))
    kept.die()
    run = of_another(database_url, live.run_id)
    assert {run.calls[index].prompt for index in lost(run)} == sent
    assert [call.status for call in run.calls] == ["cancelled"] * 3
    let_go(kept, monkeypatch)


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


def failed_and_ended() -> Run:
    """Two stretches' worth of time: all three prompts failed at 10, the run ended at 11."""
    opened = RunOpened(at_ns=0, run_id="r", batch=Batch(prompts=["a", "b", "c"]), opened_at_s=1.0)
    began = StretchBegan(at_ns=1, stretch=0, purpose="first", max_workers=3, calls=(0, 1, 2))
    failed = [Failed(at_ns=10, call=call, attempt=1, error=ServerFailed("no")) for call in range(3)]
    starts = [started(call, at_ns=2) for call in range(3)]
    return fold([opened, began, *starts, *failed, StretchEnded(at_ns=11, stretch=0, reason="finished")])


def test_of_an_ended_run_only_what_started_again_since_is_in_a_stretch_of_its_own() -> None:
    run = failed_and_ended()
    stale = [started(0, at_ns=2), started(0, attempt=2, at_ns=9), started(9, attempt=2, at_ns=20)]
    assert closing(run, at_ns=99, started=stale) == ()
    events = closing(run, at_ns=5, started=[*stale, started(2, attempt=2, at_ns=20), started(1, attempt=2, at_ns=15)])
    assert events == (
        StretchOpened(at_ns=15, stretch=1),
        StretchBegan(at_ns=15, stretch=1, purpose="retry", max_workers=3, calls=(1, 2)),
        started(2, attempt=2, at_ns=20),
        started(1, attempt=2, at_ns=15),
        StopAsked(at_ns=20, reason="interrupted"),
        Cancelled(at_ns=20, call=1, attempt=2, lost=True),
        Cancelled(at_ns=20, call=2, attempt=2, lost=True),
        StretchEnded(at_ns=20, stretch=1, reason="interrupted"),
    )


def test_a_stretch_that_goes_on_in_the_store_is_closed_before_the_one_that_only_the_file_knows() -> None:
    told_of = history(n=6, max_workers=2, failing={0})
    events = told_of[: 1 + next(place for place, event in enumerate(told_of) if type(event) is Failed)]
    run = fold(events)
    assert run.calls[0].status == "failed"
    waiting = next(call.index for call in run.calls if call.status == "queued")
    late_ns = run.opened_ns + 10**12
    told = [started(waiting, at_ns=late_ns), started(0, attempt=2, at_ns=late_ns + 5)]
    after = fold([*events, *closing(run, at_ns=0, started=told)])
    assert [each.reason for each in after.stretches] == ["interrupted", "interrupted"]
    assert [attempt.lost for attempt in after.calls[0].attempts] == [False, True]
    assert after.calls[waiting].attempts[0].lost
    assert after.ended


def test_the_line_is_written_by_the_systems_own_call_and_its_errors_are_ours(tmp_path: Path) -> None:
    place = tmp_path / "lines"
    file = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    assert starts._write(file, b"one\n") == 4
    assert starts._write(file, "zwei \u00fc\n".encode()) == 8
    os.close(file)
    assert place.read_text(encoding="utf-8") == "one\nzwei \u00fc\n"
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        starts._write(file, b"late")
    assert caught.value.errno == errno.EBADF
