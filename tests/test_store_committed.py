"""A run in a database: kept whole, shown only as far as it is kept, and never slowed by that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout.errors import CallFailed, KeyRefused, RateLimited, Rejected, ServerFailed
from fanout.fold import fold
from fanout.people import LOCAL
from fanout.quota.limits import Limits
from fanout.store.reading import StoredRun
from tests.hands import WAIT_S
from tests.stores import Kept, asked, blocked, eventually


def test_a_run_is_in_the_database_event_by_event(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(3, max_workers=2)
        kept.sent(0).answer("one")
        kept.sent(1).fail(Rejected("no", provider_words="not this", status_code=400))
        kept.sent(2).answer("three")
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        events = kept.stored(live.run_id)
        assert [event.kind for event in events[:3]] == ["run_opened", "stretch_opened", "stretch_began"]
        assert events[-1].kind == "stretch_ended"
        assert fold(events) == live.snapshot()
        row = kept.shelf.find(LOCAL, live.run_id)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        row = kept.shelf.find(LOCAL, live.run_id)
        assert (row.prompts, row.answered, row.failed, row.tokens) == (3, 2, 1, 8)
        assert (row.events, row.stop_reason) == (len(events), "finished")
        assert row.bytes == sum(len(data) for _, _, _, data in kept.chunks())


def test_events_are_numbered_from_nought_without_a_gap(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = kept.answered(5).run_id
        next_seq = 0
        for of_run, seq, events, _ in kept.chunks():
            assert (of_run, seq) == (run_id, next_seq)
            next_seq += events
        assert next_seq == len(kept.stored(run_id))


def test_sqlite_commits_are_on_the_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    from fanout.store.database import open_database, url_of

    folder = tmp_path_factory.mktemp("mode") / "new"
    database = open_database(url_of(folder))
    with database.write() as writer, database.read() as reader:
        for connection in (writer, reader):
            pragma = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
            }
            assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    database.close()
    assert (folder / "fanout.db").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_no_answer_is_shown_before_it_is_kept(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(2, max_workers=2)
        kept.sent(1)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            kept.sent_for(0).answer("one")
            eventually(lambda: live.record.now().calls[0].status == "answered")  # the engine goes on
            shown = live.snapshot()
            assert [call.status for call in shown.calls] == ["running", "running"]
            assert shown.calls[0].output is None
            assert not live.ended
            completed = live.as_completed()
            first = threading.Thread(target=lambda: got.append(next(completed)))
            got: list[object] = []
            first.start()
            assert asked(database_url, "SELECT count(*) FROM chunk WHERE data LIKE '%\"one\"%'") == [(0,)]
            assert got == []
        first.join(WAIT_S)
        assert [result.output for result in got] == ["one"]  # type: ignore[attr-defined]
        assert live.snapshot().calls[0].output == "one"
        kept.sent_for(1).answer("two")
        assert live.wait(WAIT_S)


def test_a_run_has_not_ended_before_its_end_is_kept(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            kept.sent(0).answer()
            eventually(lambda: live.record.now().ended)
            assert not live.wait(0.0)
            assert not live.ended
        assert live.wait(WAIT_S)


def test_what_its_owner_moved_reads_as_moved_before_it_is_committed(database_url: str) -> None:
    """A slider that read the committed value would jump back under the hand, and move the run with it."""
    with Kept(database_url, limits=Limits(max_weight=5)) as kept:
        live = kept.start(3)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            live.weight, live.max_workers = 3, 5
            assert (live.weight, live.max_workers) == (3, 5)
            assert (live.snapshot().weight, live.snapshot().max_workers) == (1, 2)
        assert kept.store.flush(WAIT_S)
        assert (live.snapshot().weight, live.snapshot().max_workers) == (3, 5)


def test_calls_go_on_while_the_database_is_blocked(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(40, max_workers=2)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            for place in range(39):  # each answer is followed by the next start: nobody waits for the database
                kept.sent(place).answer()
            kept.sent(39)
            assert all(call.status in ("running", "queued") for call in live.snapshot().calls)
        kept.sent(39).answer()
        assert live.wait(WAIT_S)
        assert fold(kept.stored(live.run_id)) == live.snapshot()


def test_starting_a_run_does_not_wait_for_the_database(database_url: str) -> None:
    from fanout.batch import Batch

    with Kept(database_url) as kept:
        with blocked(database_url):
            live = kept.library.start(Batch(prompts=["a"]))
            kept.sent(0).answer("yes")
            assert live.record.is_new
            assert kept.library.find(LOCAL, live.run_id).live is live  # its page opens all the same
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        assert [row[0] for row in asked(database_url, "SELECT action FROM audit")] == ["started"]


def test_the_list_says_that_a_run_has_ended_however_fast_it_was(database_url: str) -> None:
    with Kept(database_url) as kept:
        with blocked(database_url):  # so that all of it is one commit
            live = kept.start(1)
            kept.sent(0).answer("yes")
            eventually(lambda: live.record.now().ended)
        assert live.wait(WAIT_S)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        live.max_workers = 5
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).max_workers == 5)


def test_a_queue_that_grows_past_bounds_holds_the_calls_and_lets_them_go(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.MOST_WAITING", 20)
    with Kept(database_url) as kept:
        live = kept.start(60, max_workers=1)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        with blocked(database_url):
            place = 0
            while not kept.store.holds_calls:
                kept.sent(place).answer()
                place += 1
                eventually(lambda place=place: kept.caller.count > place or kept.store.holds_calls)  # type: ignore[misc]
            eventually(lambda: live.record.now().holds[-1].held_by == "store" or kept.caller.count > place)
            assert kept.store.trouble is None
            assert place < 40
        for later in range(kept.caller.count - 1, 60):
            kept.sent(later).answer()
        assert live.wait(WAIT_S)
        assert sum(call.status == "answered" for call in live.snapshot().calls) == 60


def test_what_another_process_reads_is_always_whole_commits(database_url: str) -> None:
    with Kept(database_url) as kept, Kept(database_url) as other:
        live = kept.start(30, max_workers=4)
        versions = []
        reading = StoredRun(other.store, live.run_id) if kept.store.flush(WAIT_S) else None
        assert reading is not None
        for place in range(30):
            kept.sent(place).answer(str(place))
            reading._looked_s = 0.0  # ask the database each time
            run = reading.snapshot()
            versions.append(run.version)
            assert run == fold(kept.stored(live.run_id)[: run.version])
        assert versions == sorted(versions)
        assert live.wait(WAIT_S)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ends."""

    output: str | None = None
    error: CallFailed | None = None


OUTCOMES = st.one_of(
    st.builds(Outcome, output=st.text(st.characters(exclude_categories=()), max_size=12)),
    st.builds(
        Outcome,
        error=st.sampled_from(
            (
                Rejected("no"),
                ServerFailed("down", status_code=500),
                KeyRefused("no key"),
                CallFailed("odd", provider_words="\x00\ud800"),
            )
        ),
    ),
)


@given(
    prompts=st.lists(st.sampled_from(("a", "b", "c", "d")), min_size=1, max_size=6),
    max_workers=st.integers(1, 4),
    outcomes=st.lists(OUTCOMES, min_size=1, max_size=12),
    identical_once=st.booleans(),
    retries=st.integers(0, 1),
    stops_after=st.none() | st.integers(0, 8),
    again=st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_run_made_of_its_stored_events_equals_the_one_that_was_live(
    fresh_url: Callable[[], str],
    prompts: list[str],
    max_workers: int,
    outcomes: list[Outcome],
    identical_once: bool,
    retries: int,
    stops_after: int | None,
    again: bool,
) -> None:
    url = getattr(test_a_run_made_of_its_stored_events_equals_the_one_that_was_live, fresh_url.__qualname__, None)
    if url is None:  # one database for all examples
        url = fresh_url()
        setattr(test_a_run_made_of_its_stored_events_equals_the_one_that_was_live, fresh_url.__qualname__, url)
    with Kept(url) as kept:
        live = kept.start(prompts=prompts, max_workers=max_workers, identical_once=identical_once, retries=retries)
        place = _drive(kept, live, outcomes, stops_after, 0)
        if again:
            live.retry_failed()
            _drive(kept, live, [Outcome(output="again")], None, place)
        assert kept.store.flush(WAIT_S)
        events = kept.stored(live.run_id)
        shown = live.snapshot()
        assert fold(events) == shown
        assert events == live.events()
        assert all(call.status == "answered" for call in shown.calls) or not again
        assert StoredRun(kept.store, live.run_id).snapshot() == shown


def _drive(kept: Kept, live: object, outcomes: list[Outcome], stops_after: int | None, place: int) -> int:
    """Finish attempts in the order they were sent, each with the next outcome; the last one is for all that follow."""
    from fanout.live import LiveRun

    assert isinstance(live, LiveRun)
    first = place
    while not live.record.now().ended:
        if stops_after is not None and place - first == stops_after:
            live.cancel()
            break
        eventually(lambda place=place: kept.caller.count > place or live.record.now().ended)  # type: ignore[misc]
        if kept.caller.count > place:
            outcome = outcomes[min(place - first, len(outcomes) - 1)] if place - first < 20 else Outcome(output="late")
            if outcome.error is not None:
                kept.sent(place).fail(outcome.error)
            else:
                kept.sent(place).answer(outcome.output or "")
            place += 1
    assert live.wait(WAIT_S)
    return kept.caller.count


def test_a_stamp_rides_with_the_next_commit_or_goes_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    from fanout.store.database import url_of

    url = url_of(tmp_path_factory.mktemp("rides"))
    with Kept(url) as kept:
        live = kept.start(1, stream=True)
        sending = kept.sent(0)
        assert kept.store.flush(WAIT_S)
        sending.first_token()
        eventually(lambda: live.snapshot().calls[0].attempts[0].first_token_ns is not None)
        sending.answer()
        assert live.wait(WAIT_S)


def test_a_run_that_waited_out_a_429_is_the_same_when_read_back(database_url: str) -> None:
    """By itself: a 429 is waited out in real time, which the law above has none of."""
    with Kept(database_url) as kept:
        live = kept.start(1, retries=1)
        kept.sent(0).fail(RateLimited("wait", retry_after_s=0.0))
        kept.sent(1).answer("yes")
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        run = live.snapshot()
        assert [attempt.status for attempt in run.calls[0].attempts] == ["retried", "answered"]
        assert fold(kept.stored(live.run_id)) == run
