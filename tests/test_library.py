"""The library between an engine and its store, at the instants that lie between the two."""

from __future__ import annotations

from typing import Any

import pytest

from fanout.people import LOCAL
from fanout.store import NoSuchRun
from tests.hands import WAIT_S
from tests.stores import Kept


def test_a_run_that_is_committed_while_it_is_looked_for_is_found(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kept(database_url) as kept:
        live = kept.start(2)
        find, looks = kept.shelf.find, []

        def before_the_commit(*asked: Any, **how: Any) -> Any:
            looks.append(asked)
            if len(looks) == 1:  # the look missed the row, and by the time it says so the row is there
                assert kept.store.flush(WAIT_S)
                raise NoSuchRun("no such run")
            return find(*asked, **how)

        monkeypatch.setattr(kept.shelf, "find", before_the_commit)
        assert kept.library.find(LOCAL, live.run_id).live is live


def test_a_run_that_was_deleted_is_found_no_longer_though_it_is_in_memory(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.answered(1)
        kept.shelf.delete(LOCAL, live.run_id)
        with pytest.raises(NoSuchRun):
            kept.library.find(LOCAL, live.run_id)
