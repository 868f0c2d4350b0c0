"""Who may see a run that this process drives, where its row is not written yet or cannot be read."""

from __future__ import annotations

import pytest

from fanout.batch import Batch
from fanout.live import LiveRun
from fanout.people import LOCAL as ADMIN
from fanout.people import Person, Visibility
from fanout.store import NoSuchRun
from fanout.store.database import StoreLost
from tests.hands import WAIT_S
from tests.stores import Kept, blocked

ANNA = Person(user_id="anna", name="Anna", role="member")
BEN = Person(user_id="ben", name="Ben", role="member")


def test_who_may_see_a_run_holds_before_it_is_written_and_while_the_store_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kept(database_url, usual_visibility="team") as kept:
        started: dict[Visibility, LiveRun] = {}
        chosen: tuple[Visibility, ...] = ("private", "link", "team")
        with blocked(database_url):
            for visibility in chosen:
                started[visibility] = kept.library.start(Batch(prompts=["a"]), by=ANNA, visibility=visibility)
            assert [live.record.is_new for live in started.values()] == [True] * 3
            for visibility, live in started.items():
                assert kept.library.find(ANNA, live.run_id).row.visibility == visibility
                assert kept.library.find(ADMIN, live.run_id).live is live
            assert [_finds(kept, BEN, started[each]) for each in chosen] == [False, False, True]
        assert kept.store.flush(WAIT_S)
        assert [_finds(kept, BEN, started[each]) for each in chosen] == [False, False, True]

        def lost(*_: object, **__: object) -> None:
            raise StoreLost("the store cannot be read: gone")

        kept.shelf.share(ANNA, started["team"].run_id, "private")
        monkeypatch.setattr(kept.shelf, "find", lost)
        assert kept.library.find(ANNA, started["team"].run_id).live is started["team"]
        for run_id in (started["team"].run_id, "another"):
            with pytest.raises(StoreLost, match="cannot be read: gone"):
                kept.library.find(BEN, run_id)
        kept.engine.close()


def _finds(kept: Kept, person: Person, live: LiveRun) -> bool:
    try:
        return kept.library.find(person, live.run_id).live is live
    except NoSuchRun:
        return False
