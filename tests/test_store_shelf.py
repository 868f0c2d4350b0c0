"""The list of stored runs: who sees what, what words find, in which order; names, tags, sharing, and the audit."""

from __future__ import annotations

from typing import Any

import pytest

from fanout.archive import export_run, import_run
from fanout.batch import Batch
from fanout.errors import BadInput, NotAllowed
from fanout.fold import fold
from fanout.people import LOCAL, Person, Visibility
from fanout.store import NoSuchRun
from fanout.store.shelf import Wanted
from tests.hands import WAIT_S
from tests.stores import Kept, asked, eventually

ADMIN = Person(user_id="admin", name="Ada", role="admin")
ANNA = Person(user_id="anna", name="Anna")
BEN = Person(user_id="ben", name="Ben")
VERA = Person(user_id="vera", name="Vera", role="viewer")


def run_of(kept: Kept, by: Person, visibility: Visibility = "private", *, count: int = 1, **settings: Any) -> str:
    """The id of a run of this person's that has ended."""
    prompts = [f"prompt {number}" for number in range(count)]
    live = kept.library.start(Batch(prompts=prompts, **settings), by=by, visibility=visibility)
    for place in range(count):
        kept.sent(place).answer("yes")
    assert live.wait(WAIT_S)
    eventually(lambda: kept.store.flush(WAIT_S) and kept.shelf.find(ADMIN, live.run_id).state == "ended")
    return live.run_id


def ids(kept: Kept, person: Person, **wanted: Any) -> list[str]:
    return [row.run_id for row in kept.shelf.list(person, Wanted(**wanted)).rows]


def test_everybody_sees_their_own_what_the_team_shares_and_admins_all(database_url: str) -> None:
    with Kept(database_url) as kept:
        private, team, link = (run_of(kept, ANNA, each) for each in ("private", "team", "link"))
        assert set(ids(kept, ANNA)) == set(ids(kept, ADMIN)) == {private, team, link}
        assert ids(kept, BEN) == ids(kept, VERA) == [team]
        assert kept.shelf.find(BEN, team).owner_name == "Anna"
        for person in (BEN, VERA):
            for run_id in (private, link):
                with pytest.raises(NoSuchRun):
                    kept.shelf.find(person, run_id)
        assert kept.shelf.named(BEN, team[:6]) == team
        with pytest.raises(NoSuchRun):
            kept.shelf.named(BEN, private[:6])


def test_a_run_that_one_may_not_see_is_answered_like_one_that_never_was(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA)
        never = "0" * len(run_id)
        asks: list[Any] = [
            lambda run_id: kept.library.find(BEN, run_id),
            lambda run_id: kept.library.find(BEN, run_id, token="guess"),
            lambda run_id: kept.library.events(BEN, run_id),
            lambda run_id: kept.library.resume(BEN, run_id),
            lambda run_id: kept.library.stop(BEN, run_id),
            lambda run_id: kept.library.delete(BEN, run_id),
            lambda run_id: kept.library.start(Batch(prompts=["x"]), by=BEN, carry_from=run_id),
            lambda run_id: kept.shelf.rename(BEN, run_id, "mine"),
            lambda run_id: kept.shelf.tag(BEN, run_id, ("mine",)),
            lambda run_id: kept.shelf.share(BEN, run_id, "team"),
        ]
        for ask in asks:
            said = []
            for each in (run_id, never):
                with pytest.raises(NoSuchRun) as refused:
                    ask(each)
                said.append((type(refused.value), str(refused.value)))
            assert said[0] == said[1]
        assert kept.shelf.find(ANNA, run_id).name is None


@pytest.mark.parametrize("run_id", ["", "\x00", "\ud800", "' OR 1=1 --", "%", "x" * 100_000, "../../etc/passwd"])
def test_an_id_from_a_link_may_be_any_text(database_url: str, run_id: str) -> None:
    with Kept(database_url) as kept:
        run_of(kept, ANNA)
        for ask in (kept.library.find, kept.shelf.find, kept.shelf.named):
            with pytest.raises(NoSuchRun):
                ask(ADMIN, run_id)


def test_a_link_opens_one_run_to_who_has_it_until_it_is_withdrawn(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id, other = run_of(kept, ANNA), run_of(kept, ANNA)
        token = kept.shelf.share(ANNA, run_id, "link").link_token
        assert token is not None
        assert kept.library.find(BEN, run_id, token=token).may_drive is False
        assert ids(kept, BEN) == []
        for wrong in (token[:-1], token + "x", "", "\x00", "\ud800", "ключ", token.upper()):
            with pytest.raises(NoSuchRun):
                kept.library.find(BEN, run_id, token=wrong)
        with pytest.raises(NoSuchRun):
            kept.library.find(BEN, other, token=token)
        for may_not in (kept.library.resume, kept.library.stop):
            with pytest.raises(BadInput, match="no such run"):
                may_not(BEN, run_id)
        again = kept.shelf.share(ANNA, run_id, "link").link_token
        assert again != token
        with pytest.raises(NoSuchRun):
            kept.library.find(BEN, run_id, token=token)
        assert kept.shelf.share(ANNA, run_id, "private").link_token is None
        with pytest.raises(NoSuchRun):
            kept.library.find(BEN, run_id, token=again)


def test_who_sees_a_run_may_not_yet_change_it(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA, "team")
        for person in (BEN, VERA):
            assert not kept.library.find(person, run_id).may_drive
            for change in (
                lambda p: kept.shelf.rename(p, run_id, "mine"),
                lambda p: kept.shelf.tag(p, run_id, ("mine",)),
                lambda p: kept.shelf.share(p, run_id, "private"),
                lambda p: kept.library.delete(p, run_id),
                lambda p: kept.library.resume(p, run_id),
                lambda p: kept.library.stop(p, run_id),
            ):
                with pytest.raises(NotAllowed, match="only the run's owner or an admin"):
                    change(person)
        kept.shelf.rename(ADMIN, run_id, "an admin may")
        assert kept.shelf.find(BEN, run_id).name == "an admin may"
        with pytest.raises(NotAllowed, match="viewers read runs and start none"):
            kept.library.start(Batch(prompts=["x"]), by=VERA)


def test_words_find_names_models_owners_tags_and_ids_in_any_case(database_url: str) -> None:
    with Kept(database_url) as kept:
        first = run_of(kept, ANNA, "team", name="Élan of Spring", model="openai-chat:Big")
        second = run_of(kept, BEN, "team", name="100% sure_thing \\ done")
        kept.shelf.tag(BEN, second, ("Ärger", "blue"))
        finds = {
            "élan": [first],
            "ÉLAN spring": [first],
            "spring élan": [first],
            "BIG": [first],
            "anna": [first],
            "ben": [second],
            "ärger": [second],
            "ÄRGER BLUE": [second],
            "100%": [second],
            "e_t": [second],
            "\\": [second],
            "%": [second],
            "_": [second],
            "é_an": [],
            "s%g": [],
            "élan blue": [],
            first[:5]: [first],
            "": [second, first],
            " \t ": [second, first],
        }
        for words, expected in finds.items():
            assert ids(kept, ADMIN, words=words) == expected, words


@pytest.mark.parametrize(
    "words",
    ["\x00", "\ud800", "'; DROP TABLE run; --", "%s %(x)s :x ?", "x" * 200_000, "a " * 5_000, "\\" * 500, "%" * 500],
    ids=["NUL", "surrogate", "SQL", "parameters", "one long word", "many words", "backslashes", "percents"],
)
def test_a_search_may_be_any_text(database_url: str, words: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA)
        assert ids(kept, ANNA, words=words) in ([], [run_id])
        assert ids(kept, ANNA) == [run_id]


def test_filters(database_url: str) -> None:
    with Kept(database_url) as kept:
        ended = run_of(kept, ANNA, "team")
        failed = kept.start(1, retries=0)
        from fanout.errors import Rejected

        kept.sent(0).fail(Rejected("no"))
        assert failed.wait(WAIT_S)
        eventually(lambda: kept.store.flush(WAIT_S) and kept.shelf.find(ADMIN, failed.run_id).failed == 1)
        going = kept.library.start(Batch(prompts=["x"]), by=BEN)
        kept.sent(0)
        assert kept.store.flush(WAIT_S)
        assert ids(kept, ADMIN, show="going") == [going.run_id]
        assert set(ids(kept, ADMIN, show="ended")) == {ended, failed.run_id}
        assert ids(kept, ADMIN, show="failures") == [failed.run_id]
        assert ids(kept, ADMIN, show="interrupted") == []
        assert ids(kept, BEN, show="mine") == [going.run_id]
        assert ids(kept, BEN, show="all") == [going.run_id, ended]
        assert ids(kept, ADMIN, show="mine") == []
        assert ids(kept, BEN, show="going", words="nothing") == []


def test_orders_and_pages_are_whole_and_nothing_comes_twice(database_url: str) -> None:
    with Kept(database_url) as kept:
        made = [run_of(kept, ANNA, count=1 + n % 3, name=None if n % 2 else f"name {n}") for n in range(7)]
        for sort in ("opened_at", "name", "model", "prompts", "wall_s", "cost_usd", "overlap", "owner_name"):
            for descending in (True, False):
                pages = [
                    kept.shelf.list(ANNA, Wanted(sort=sort, descending=descending, offset=offset, limit=3))
                    for offset in (0, 3, 6, 9)
                ]
                assert [page.count for page in pages] == [7] * 4
                rows = [row for page in pages for row in page.rows]
                assert sorted(row.run_id for row in rows) == sorted(made)
                known = [value for row in rows if (value := getattr(row, sort)) is not None]
                assert known == sorted(known, reverse=descending)
                unknown = [getattr(row, sort) is None for row in rows]
                assert unknown == sorted(unknown)  # what is not known comes last
        assert ids(kept, ANNA) == made[::-1]


def test_a_run_file_bears_the_name_that_the_run_has_and_its_tags_and_no_name_of_before(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA, name="secret plan")
        kept.shelf.rename(ANNA, run_id, "weekly report")
        kept.shelf.tag(ANNA, run_id, ("blue", "weekly"))
        token = kept.shelf.share(ANNA, run_id, "link").link_token
        found = kept.library.find(BEN, run_id, token=token)
        file = export_run(kept.library.events(BEN, run_id, token=token), tags=found.row.tags)
        assert "secret plan" not in file
        assert fold(import_run(file)) == found.named()
        taken = kept.library.find(BEN, kept.library.put_in(BEN, file)).row
        assert (taken.name, taken.tags, taken.owner_id) == ("weekly report", ("blue", "weekly"), BEN.user_id)
        kept.shelf.rename(ANNA, run_id, "")
        assert fold(kept.library.events(ANNA, run_id)).batch.name is None


def test_a_run_file_with_tags_that_no_run_may_have_is_refused_and_nothing_is_stored(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA)
        events = kept.library.events(ANNA, run_id)
        with pytest.raises(BadInput, match="a tag may have 50 characters"):
            kept.library.put_in(ANNA, export_run(events, tags=["x" * 51]))
        with pytest.raises(BadInput, match="a run may have 20 tags"):
            kept.library.put_in(ANNA, export_run(events, tags=list(map(str, range(21)))))
        assert ids(kept, ANNA) == [run_id]


def test_a_run_that_is_gone_on_with_after_its_process_bears_the_name_it_has(database_url: str) -> None:
    with Kept(database_url) as first:
        live = first.start(2, max_workers=1, name="before")
        first.sent(0).answer("yes")
        first.sent(1)
        assert first.store.flush(WAIT_S)
        first.shelf.rename(LOCAL, live.run_id, "after")
    with Kept(database_url) as later:
        again = later.library.resume(LOCAL, live.run_id)
        later.sent(0).answer("yes")
        assert again.wait(WAIT_S)
        assert again.snapshot().batch.name == "after"
        assert fold(later.library.events(LOCAL, live.run_id)).batch == again.snapshot().batch


def test_names_and_tags_are_cleaned_bounded_and_may_be_any_text(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA, name="first")
        kept.shelf.rename(ANNA, run_id, "  <b>'; DROP TABLE run; --\x00\ud800 ")
        assert kept.shelf.find(ANNA, run_id).name == "<b>'; DROP TABLE run; --\ufffd"
        kept.shelf.rename(ANNA, run_id, " ")
        assert kept.shelf.find(ANNA, run_id).name is None
        kept.shelf.tag(ANNA, run_id, (" b ", "a", "b", "", " ", "\x00", "x\x00y"))
        assert kept.shelf.find(ANNA, run_id).tags == ("a", "b", "xy")
        assert kept.shelf.list(ANNA).rows[0].tags == ("a", "b", "xy")
        kept.shelf.tag(ANNA, run_id, ())
        assert kept.shelf.find(ANNA, run_id).tags == ()
        with pytest.raises(BadInput, match="may have 200 characters, this one has 201"):
            kept.shelf.rename(ANNA, run_id, "x" * 201)
        with pytest.raises(BadInput, match="may have 50 characters"):
            kept.shelf.tag(ANNA, run_id, ("x" * 51,))
        with pytest.raises(BadInput, match="may have 20 tags, these are 21"):
            kept.shelf.tag(ANNA, run_id, tuple(map(str, range(21))))


def test_an_id_may_be_given_by_its_beginning_unless_two_begin_so(database_url: str) -> None:
    with Kept(database_url) as kept:
        made = [run_of(kept, ANNA) for _ in range(2)]
        for run_id in made:
            assert kept.shelf.named(ANNA, run_id) == run_id
        common = next(n for n in range(17) if made[0][:n] != made[1][:n]) - 1
        assert kept.shelf.named(ANNA, made[0][: common + 1]) == made[0]
        if common:
            with pytest.raises(BadInput, match="several runs begin with"):
                kept.shelf.named(ANNA, made[0][:common])
        for nothing in ("", "%", "_" * 16, "zz"):
            with pytest.raises(NoSuchRun):
                kept.shelf.named(ANNA, nothing)


def test_who_did_what_is_written_down(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = run_of(kept, ANNA)
        kept.shelf.rename(ANNA, run_id, "hers")
        kept.shelf.tag(ANNA, run_id, ("a", "b"))
        kept.shelf.share(ADMIN, run_id, "team")
        kept.library.stop(ANNA, run_id)
        kept.library.resume(ANNA, run_id, changes={"retries": 1, "timeout_s": 9})
        assert kept.store.flush(WAIT_S)
        done = {
            ("admin", "Ada", "shared", "team"),
            ("anna", "Anna", "resumed", "retries, timeout_s"),
            ("anna", "Anna", "started", "1 prompt, sandbox"),
            ("anna", "Anna", "stopped", None),
        }
        query = "SELECT user_id, user_name, action, words FROM audit"
        named = {("anna", "Anna", "renamed", "hers"), ("anna", "Anna", "tagged", "a, b")}
        assert {tuple(line) for line in asked(database_url, query)} == done | named
        kept.library.delete(ANNA, run_id)
        nameless = {("anna", "Anna", action, None) for action in ("renamed", "tagged", "deleted")}
        assert {tuple(line) for line in asked(database_url, query)} == done | nameless
        assert {row[0] for row in asked(database_url, "SELECT run_id FROM audit")} == {run_id}
