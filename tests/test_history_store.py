"""The list of runs as its page asks for it: words in any case of letters, names in order, the audit for admins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fanout.batch import Batch
from fanout.errors import NotAllowed
from fanout.events import RunOpened, StretchOpened
from fanout.library import Library
from fanout.people import LOCAL, Person
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from fanout.store import NoSuchRun
from fanout.store.shelf import Shelf, Wanted
from fanout.store.sql import SqlStore
from tests.runs import history

ANNA = Person(user_id="anna", name="Anna", role="member")
BEN = Person(user_id="ben", name="Ben", role="member")


@pytest.fixture
def library(database_url: str, tmp_path: Path) -> Iterator[Library]:
    with Library(Settings(data_dir=tmp_path, database_url=database_url), visibility="team") as opened:
        yield opened


def shelf_of(library: Library) -> Shelf:
    assert library.shelf is not None
    return library.shelf


def put(library: Library, name: str | None, *, owner: Person = ANNA, seed: int = 1) -> str:
    """A run of two prompts under this name."""
    opened, *rest = history(n=2, max_workers=2, seed=seed, run_id=f"run-of-{seed}")
    assert isinstance(opened, RunOpened)
    store = library.engine._store
    assert isinstance(store, SqlStore)
    return store.put_in((replace(opened, batch=replace(opened.batch, name=name)), *rest), owner)


def found(library: Library, words: str) -> list[str | None]:
    return [row.name for row in shelf_of(library).list(ANNA, Wanted(words=words)).rows]


def test_nobody_measures_anothers_speed_up_by_a_file_that_claims_it(library: Library) -> None:
    measured = put(library, "hers", seed=1)
    opened, *rest = history(n=2, max_workers=1, seed=2, run_id="claims-to")
    assert isinstance(opened, RunOpened)
    claim = (replace(opened, baseline_of=measured), *rest)
    store = library.engine._store
    assert isinstance(store, SqlStore)
    store.put_in(claim, BEN)
    assert library.baseline_of(ANNA, library.find(ANNA, measured)) is None
    own = store.put_in(claim, ANNA)
    baseline = library.baseline_of(ANNA, library.find(ANNA, measured))
    assert baseline is not None
    assert baseline.run_id == own


def test_a_file_of_a_run_that_went_on_under_another_model_is_listed_as_the_run_is(library: Library) -> None:
    opened, *rest = history(n=2, max_workers=2, run_id="went-on")
    assert isinstance(opened, RunOpened)
    ended_ns = rest[-1].at_ns
    went_on = (
        StretchOpened(at_ns=ended_ns + 1, stretch=1, changes={"model": "openai:second"}),
        StretchOpened(at_ns=ended_ns + 2, stretch=1, changes={"max_workers": 3}),
    )
    store = library.engine._store
    assert isinstance(store, SqlStore)
    row = library.find(ANNA, store.put_in((opened, *rest, *went_on), ANNA)).row
    assert (row.model, row.imported) == ("openai:second", True)
    assert library.find(ANNA, row.run_id).run.snapshot().batch.model == "openai:second"
    # Its answers are of two models: none of them is one that either would give.
    assert shelf_of(library).alike(ANNA, opened.batch, limit=9) == ()


def test_a_run_that_begins_shared_by_link_has_one(library: Library) -> None:
    live = library.start(Batch(prompts=["a"], sandbox=SandboxProfile(first_token_ms=0)), by=ANNA, visibility="link")
    live.wait(30)
    token = library.find(ANNA, live.run_id).row.link_token
    assert token
    assert library.find(BEN, live.run_id, token=token).row.owner_id == "anna"
    with pytest.raises(NoSuchRun):
        library.find(BEN, live.run_id)


def test_an_id_that_a_file_brings_is_kept_by_whoever_sees_all_runs_and_tells_nobody_else_what_there_is(
    library: Library,
) -> None:
    assert put(library, "hers", owner=replace(ANNA, role="admin"), seed=1) == "run-of-1"
    for seed in (1, 2):  # one of a run that he may not see, and one that never was
        assert put(library, "his", owner=BEN, seed=seed) not in ("run-of-1", "run-of-2")


def test_what_a_deleted_run_spent_and_who_did_what_is_not_taken_over_by_a_file_of_its_id(library: Library) -> None:
    run_id = put(library, "hers", seed=1)
    shelf_of(library).rename(ANNA, run_id, "still hers")
    assert put(library, "his", owner=BEN, seed=1) != run_id, "there is one of this id"
    library.delete(ANNA, run_id)
    assert put(library, "his", owner=BEN, seed=1) != run_id, "there was one"


def test_a_run_is_handed_on_under_the_name_it_has_now(library: Library) -> None:
    run_id = put(library, "before", seed=1)
    assert library.find(ANNA, run_id).named().batch.name == "before"
    shelf_of(library).rename(ANNA, run_id, "after")
    opened = library.find(ANNA, run_id)
    assert (opened.named().batch.name, opened.run.snapshot().batch.name) == ("after", "before")


def test_words_are_found_in_any_case_of_any_letters(library: Library) -> None:
    put(library, "ÜBERSETZUNG der Texte", seed=1)
    put(library, "100% of it", seed=2)
    nameless = put(library, None, seed=3)
    assert found(library, "übersetzung TEXTE") == ["ÜBERSETZUNG der Texte"]
    assert found(library, "Übersetzung nothing") == []
    assert found(library, "100%") == ["100% of it"]
    assert found(library, "%") == ["100% of it"]
    assert found(library, nameless) == [None]
    assert len(found(library, "anna SANDBOX")) == 3


def test_a_tag_is_found_beside_a_name(library: Library) -> None:
    run_id = put(library, "nightly")
    shelf_of(library).tag(ANNA, run_id, ("Baseline",))
    assert found(library, "night baseline") == ["nightly"]


def test_names_are_sorted_as_people_do_and_runs_without_one_come_last(library: Library) -> None:
    for seed, name in enumerate(("beta", None, "Alpha", "gamma")):
        put(library, name, seed=seed)
    for descending, names in ((False, ["Alpha", "beta", "gamma", None]), (True, ["gamma", "beta", "Alpha", None])):
        rows = shelf_of(library).list(ANNA, Wanted(sort="name", descending=descending)).rows
        assert [row.name for row in rows] == names


def test_admins_read_who_did_what_the_newest_first(library: Library) -> None:
    run_id = put(library, "one")
    shelf_of(library).rename(ANNA, run_id, "Übung")
    shelf_of(library).share(ANNA, run_id, "team")
    told = library.audited(LOCAL)
    assert [(line.user_name, line.action, line.words) for line in told.lines] == [
        ("Anna", "shared", "team"),
        ("Anna", "renamed", "Übung"),
    ]
    assert library.audited(LOCAL, words="übung renamed").count == 1
    assert [line.action for line in library.audited(LOCAL, offset=1, limit=1).lines] == ["renamed"]


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_nobody_else_reads_the_audit(library: Library, role: str) -> None:
    with pytest.raises(NotAllowed):
        library.audited(replace(ANNA, role=role))  # type: ignore[arg-type]  # one of the roles


def test_a_measurement_that_somebody_may_not_see_is_not_shown_beside_the_run(library: Library) -> None:
    run_id = put(library, "shared")
    live = library.start(Batch(prompts=["Reply: a"]), by=BEN, visibility="private", baseline_of=run_id)
    live.cancel()
    assert library.baseline_of(BEN, library.find(BEN, run_id)) is not None
    assert library.baseline_of(ANNA, library.find(ANNA, run_id)) is None


@pytest.mark.parametrize("stored", [True, False])
def test_whoever_sees_a_run_sees_what_its_owner_measured_of_it_and_what_is_withdrawn_is_of_both(
    library: Library, stored: bool
) -> None:
    run_id = put(library, "hers")
    if stored:
        opened, *rest = history(n=2, max_workers=1, seed=2, run_id="measures-it")
        assert isinstance(opened, RunOpened)
        store = library.engine._store
        assert isinstance(store, SqlStore)
        measuring = store.put_in((replace(opened, baseline_of=run_id), *rest), ANNA)
    else:
        live = library.start(Batch(prompts=["Reply: a"]), by=ANNA, visibility="team", baseline_of=run_id)
        live.cancel()
        assert live.wait(30)
        assert store_flushed(library)
        measuring = live.run_id
    shelf = shelf_of(library)
    assert shelf.find(BEN, measuring).visibility == "team"
    shelf.share(ANNA, run_id, "private")
    with pytest.raises(NoSuchRun):
        shelf.find(BEN, measuring)
    token = shelf.share(ANNA, run_id, "link").link_token
    with pytest.raises(NoSuchRun):
        shelf.find(BEN, measuring)
    found = library.baseline_of(BEN, library.find(BEN, run_id, token=token))
    assert found is not None, "the run's page is the same for everybody"
    assert found.run_id == measuring
    shelf.share(ANNA, run_id, "team")
    assert shelf.find(BEN, measuring).visibility == "team"


def store_flushed(library: Library) -> bool:
    store = library.engine._store
    assert isinstance(store, SqlStore)
    return store.flush(30)
