"""Who drives a run: one process at a time, the others read it and ask; who has died is found out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fanout.errors import BadInput
from fanout.fold import fold
from fanout.people import LOCAL
from fanout.run import Run
from fanout.store import NoSuchRun
from fanout.store.database import open_database
from fanout.store.reading import StoredRun
from fanout.store.shelf import Wanted
from fanout.store.sql import SqlStore
from tests.hands import WAIT_S
from tests.stores import Kept, asked, eventually, say

ROOT = Path(__file__).parent.parent


def left_behind(url: str, *, answered: int = 1, count: int = 4) -> str:
    """A run whose process was killed with two calls in flight; gives its id."""
    kept = Kept(url)
    live = kept.start(count, max_workers=2)
    for place in range(answered):
        kept.sent_for(place).answer(f"answer {place}")
    kept.sent(answered + 1)
    eventually(lambda: kept.store.flush(WAIT_S) and live.snapshot().calls[answered + 1].status == "running")
    kept.die()
    return live.run_id


def statuses(run: Run) -> list[str]:
    return [call.status for call in run.calls]


def test_a_run_whose_process_died_is_closed_by_who_finds_it(database_url: str) -> None:
    run_id = left_behind(database_url)
    with Kept(database_url) as other:
        (row,) = other.shelf.list(LOCAL, Wanted(show="interrupted")).rows
        assert (row.run_id, row.state, row.goes_on) == (run_id, "interrupted", False)
        run = other.library.find(LOCAL, run_id).run.snapshot()
        assert run.ended
        assert run.stop_reason == "interrupted"
        assert statuses(run) == ["answered", "cancelled", "cancelled", "cancelled"]
        assert [any(a.lost for a in call.attempts) for call in run.calls] == [False, True, True, False]
        assert run == fold(other.stored(run_id))
        row = other.shelf.find(LOCAL, run_id)
        assert (row.state, row.stop_reason, row.answered) == ("ended", "interrupted", 1)
        assert [each.run_id for each in other.shelf.list(LOCAL, Wanted(show="interrupted")).rows] == [run_id]


def test_a_run_is_closed_once_however_many_find_it_at_once(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    run_id = left_behind(url)
    with Kept(url) as one, Kept(url) as two:
        both = threading.Barrier(2)

        def settle(kept: Kept) -> None:
            both.wait()
            kept.store.settle(run_id)

        threads = [threading.Thread(target=settle, args=(kept,)) for kept in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        kinds = [event.kind for event in one.stored(run_id)]
        assert kinds.count("stretch_ended") == 1
        assert fold(one.stored(run_id)).ended


def test_a_run_that_died_before_it_began_can_be_gone_on_with(database_url: str) -> None:
    kept = Kept(database_url)
    kept._caller = _never_warm  # type: ignore[method-assign, assignment]
    kept.engine._caller_for = _never_warm  # type: ignore[assignment]
    live = kept.start(2)
    assert kept.store.flush(WAIT_S)
    kept.die()
    with Kept(database_url) as other:
        again = other.engine.resume(live.run_id)
        for place in range(2):
            other.sent(place).answer("late")
        assert again.wait(WAIT_S)
        assert statuses(again.snapshot()) == ["answered", "answered"]
    _COLD.set()


_COLD = threading.Event()


def _never_warm(*_: object) -> object:
    from tests.hands import HandCaller

    caller = HandCaller()
    caller.warm = _COLD
    return caller


def test_a_run_that_goes_on_elsewhere_is_not_taken_over(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        live = kept.start(2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with pytest.raises(BadInput, match="still goes on in another process"):
            other.library.resume(LOCAL, live.run_id)
        with pytest.raises(BadInput, match="still goes on: stop it first"):
            other.library.delete(LOCAL, live.run_id)
        other.store.settle(live.run_id)
        assert not StoredRun(other.store, live.run_id).ended
        for place in range(2):
            kept.sent(place).answer("yes")
        assert live.wait(WAIT_S)
        assert live.snapshot().stop_reason == "finished"


def test_a_run_is_read_while_another_process_drives_it(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        live = kept.start(3, max_workers=1)
        kept.sent(0).answer("one")
        kept.sent(1)
        eventually(lambda: kept.store.flush(WAIT_S) and live.snapshot().calls[0].status == "answered")
        opened = other.library.find(LOCAL, live.run_id)
        assert opened.live is None
        assert isinstance(opened.run, StoredRun)
        assert opened.run.snapshot().calls[0].output == "one"
        assert not opened.run.ended
        assert opened.run.now_ns() >= opened.run.snapshot().calls[0].ended_ns[-1]
        kept.sent(1).answer("two")
        eventually(lambda: opened.run.snapshot().calls[1].output == "two")
        kept.sent(2).answer("three")
        eventually(lambda: opened.run.ended)
        assert opened.run.snapshot() == fold(kept.stored(live.run_id))
        assert opened.run.snapshot() is opened.run.snapshot()


def test_a_run_that_another_process_drives_stops_when_it_is_asked_to(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.BEAT_S", 0.05)
    with Kept(database_url) as kept, Kept(database_url) as other:
        live = kept.start(4)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        other.library.stop(LOCAL, live.run_id)
        assert live.wait(WAIT_S)
        assert live.snapshot().stop_reason == "stopped"
        assert set(statuses(live.snapshot())) == {"cancelled"}
        assert live.retry_failed() == 4  # the stop was for that stretch alone
        for place in range(2, 6):
            kept.sent(place).answer("yes")
        assert live.wait(WAIT_S)
        assert live.snapshot().stop_reason == "finished"


@pytest.mark.parametrize("order", ["first then second", "second then first"])
def test_of_two_that_claim_an_ended_run_exactly_one_goes_on(database_url: str, order: str) -> None:
    run_id = left_behind(database_url)
    with Kept(database_url) as one, Kept(database_url) as two:
        claims = [one.store.claim(run_id), two.store.claim(run_id)]  # both saw it ended
        if order == "second then first":
            claims.reverse()
        won = 0
        for claim in claims:
            try:
                claim.journal.reopen()
                won += 1
            except BadInput as exc:
                assert "another process has gone on with this run" in str(exc)  # noqa: PT017
        assert won == 1


def test_of_many_that_resume_at_once_exactly_one_does(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    run_id = left_behind(url)
    with Kept(url) as one, Kept(url) as two, Kept(url) as three:
        together = threading.Barrier(3)
        won: list[Kept] = []
        lost: list[str] = []

        def claim(kept: Kept) -> None:
            together.wait()
            try:
                kept.library.resume(LOCAL, run_id)
                won.append(kept)
            except BadInput as exc:
                lost.append(str(exc))

        threads = [threading.Thread(target=claim, args=(kept,)) for kept in (one, two, three)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert (len(won), len(lost)) == (1, 2), lost
        (winner,) = won
        for place in range(3):
            winner.sent(place).answer("again")
        live = winner.engine.find(run_id)
        assert live is not None
        assert live.wait(WAIT_S)
        assert statuses(fold(winner.stored(run_id))) == ["answered"] * 4
        for kept in {one, two, three} - {winner}:
            found = kept.library.find(LOCAL, run_id)
            assert found.live is None
            eventually(lambda found=found: statuses(found.run.snapshot()) == ["answered"] * 4)  # type: ignore[misc]


def test_two_who_resume_in_one_process_get_one_run(database_url: str) -> None:
    run_id = left_behind(database_url)
    with Kept(database_url) as kept:
        together = threading.Barrier(2)
        told: list[object] = []

        def resume() -> None:
            together.wait()
            try:
                told.append(kept.library.resume(LOCAL, run_id))
            except BadInput as exc:
                told.append(str(exc))

        threads = [threading.Thread(target=resume) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        found = kept.engine.find(run_id)
        assert found is not None
        assert [each is found or "still goes on" in str(each) for each in told] == [True, True]
        assert not found.ended
        callers = [caller for caller in kept.callers if caller.count]
        eventually(lambda: any(caller.count == 2 for caller in kept.callers))
        (caller,) = [caller for caller in kept.callers if caller.count] or callers
        for place in range(3):
            caller.taken(place + 1)[place].answer("once")
        assert found.wait(WAIT_S)
        assert sum(caller.count for caller in kept.callers) == 3


def test_a_run_of_a_store_that_was_closed_is_nobodys(database_url: str) -> None:
    with Kept(database_url) as kept:
        kept.answered()
        assert len(asked(database_url, "SELECT 1 FROM process")) == 1
    assert asked(database_url, "SELECT 1 FROM process") == []


def test_a_process_whose_row_was_cleared_away_while_it_drove_nothing_is_not_taken_for_dead(database_url: str) -> None:
    with Kept(database_url) as idle:
        say(database_url, "DELETE FROM process")
        live = idle.start(1)
        idle.sent(0)
        assert idle.store.flush(WAIT_S)
        with Kept(database_url) as other:
            other.store.settle(live.run_id)
            assert not StoredRun(other.store, live.run_id).ended
        idle.sent(0).answer("yes")
        assert live.wait(WAIT_S)
        assert live.snapshot().stop_reason == "finished"


def test_a_process_of_another_machine_lives_while_it_beats(database_url: str) -> None:
    kept = Kept(database_url)
    live = kept.start(2)
    kept.sent(1)
    assert kept.store.flush(WAIT_S)
    with Kept(database_url) as other:
        say(
            database_url,
            f"UPDATE process SET host = 'another machine' WHERE process_id = '{kept.store.process.process_id}'",
        )
        other.store.settle(live.run_id)
        assert other.shelf.find(LOCAL, live.run_id).goes_on
        kept.store._writer._beat_due_s = None  # it is silent from here on
        say(database_url, "UPDATE process SET beat_at = beat_at - 16 WHERE host = 'another machine'")
        eventually(lambda: other.shelf.find(LOCAL, live.run_id).state == "interrupted" or _silence(database_url))
        other.store.settle(live.run_id)
        assert fold(other.stored(live.run_id)).stop_reason == "interrupted"
    kept._dead = True
    kept.engine.close()
    kept.store.close()


def _silence(url: str) -> bool:
    say(url, "UPDATE process SET beat_at = beat_at - 16 WHERE host = 'another machine'")
    return False


def test_a_process_that_is_stopped_by_a_signal_keeps_its_runs_and_one_that_is_killed_does_not(
    fresh_url: Callable[[], str],
) -> None:
    url = fresh_url()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store_child", url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        store = SqlStore(open_database(url))
        os.kill(child.pid, signal.SIGSTOP)
        store.settle(run_id)
        with pytest.raises(BadInput, match="still goes on"):
            store.claim(run_id)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(WAIT_S)
        store.settle(run_id)
        run = fold(store.events(run_id))
        assert run.stop_reason == "interrupted"
        assert [call.attempts[0].lost for call in run.calls] == [True]
        store.close()
    finally:
        child.kill()
        child.wait(WAIT_S)
        assert child.stdout is not None
        child.stdout.close()


def test_no_run_of_that_id_is_said_so(database_url: str) -> None:
    with Kept(database_url) as kept:
        for ask in (kept.store.claim, kept.engine.resume, lambda run_id: StoredRun(kept.store, run_id)):
            with pytest.raises(NoSuchRun, match="no such run"):
                ask("nothing")
        kept.store.settle("nothing")
        assert kept.store.events("nothing") == ()
