"""The page of all runs: what is found, sorted and paged; what can be done with what is selected, and by whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import house, pages, session_history
from dashboard.history import actions
from dashboard.rows import facts
from fanout.archive import export_run
from fanout.batch import Batch
from fanout.events import RunOpened
from fanout.fold import fold
from fanout.metrics import last_stamp_ns
from fanout.people import LOCAL, Person
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from fanout.store import NoSuchRun
from fanout.store.interrupted import closing
from fanout.store.rows import RunRow
from fanout.store.shelf import Shelf, Wanted
from fanout.store.sql import SqlStore
from tests.hands import WAIT_S
from tests.pages import ANNA, BEN, HOSTILE, ComeIn, draw, entrance, go_to, labels, open_page, press, read
from tests.runs import history, until

VERA = Person(user_id="vera", name="Vera", role="viewer")
SLOW = SandboxProfile(hang_rate=1.0)
Pick = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def opened_house(tmp_path: Path) -> Iterator[None]:
    house.open_house(Settings(data_dir=tmp_path), prepare=False, visibility="team")
    yield
    house.close_house()


def _shelf() -> Shelf:
    shelf = house.library().shelf
    assert shelf is not None
    return shelf


def _put(name: str | None, *, owner: Person = LOCAL, seed: int = 1, n: int = 2, failing: float = 0.0) -> str:
    """A run that is stored."""
    opened, *rest = history(n=n, max_workers=2, seed=seed, failing=failing, run_id=f"{seed:016x}")
    assert isinstance(opened, RunOpened)
    batch = replace(opened.batch, name=name)
    store = house.engine()._store
    assert isinstance(store, SqlStore)
    return store.put_in((replace(opened, batch=batch, opened_at_s=1.8e9 + seed), *rest), owner)


def _row(run_id: str) -> RunRow:
    return _shelf().find(LOCAL, run_id)


def _open() -> AppTest:
    return go_to(open_page(), "runs")


def _table(app: AppTest) -> dict[str, Any]:
    """What the browser draws the table from."""
    (found,) = [each.proto for each in app.get("bidi_component") if each.proto.component_name == "fanout_history"]
    return dict(json.loads(found.json))


def _titles(app: AppTest) -> list[str]:
    return [row["title"] for row in _table(app)["rows"]]


@pytest.fixture
def pick(monkeypatch: pytest.MonkeyPatch) -> Pick:
    """Select runs as the table does: AppTest cannot press in a component."""
    chosen: set[str] = set()

    def choose(app: AppTest, *run_ids: str) -> AppTest:
        chosen.clear()
        chosen.update(run_ids)
        return draw(app)

    monkeypatch.setattr(session_history, "picked", lambda rows: tuple(row for row in rows if row.run_id in chosen))
    return choose


@pytest.fixture
def come_in(monkeypatch: pytest.MonkeyPatch) -> ComeIn:
    return entrance(monkeypatch)


def test_a_newcomer_is_told_that_there_is_no_run_and_where_to_start_one() -> None:
    app = _open()
    assert "No run yet." in read(app)
    assert "Every run is kept here" in read(app)
    assert [link.proto.label for link in app.get("page_link")] == ["Start one"]


def test_every_run_is_a_row() -> None:
    _put("first", seed=1)
    _put(None, seed=2, n=40, failing=0.1)
    found = _table(_open())
    heads = [column["head"] for column in found["columns"]]
    newest = dict(zip(heads, found["rows"][0]["cells"], strict=True))
    assert [newest[head] for head in ("Name", "State", "Prompts", "Answered", "Failed")] == [
        "00000000",
        "Ended",
        "40",
        "36",
        "4",
    ]
    assert "Who" not in heads
    assert found["rows"][0]["whys"][heads.index("Cost")] == "The sandbox costs nothing"


def test_the_address_says_which_runs_in_which_order() -> None:
    for seed, name in enumerate(("Beta", "alpha", "gamma ray")):
        _put(name, seed=seed + 1, n=seed + 1)
    app = _open()
    assert _titles(app) == ["gamma ray", "alpha", "Beta"]
    app.text_input(key="history_words").set_value("a")
    app.query_params["sort"] = "name"
    assert _titles(draw(app)) == ["alpha", "Beta", "gamma ray"]
    assert app.query_params["q"] == "a"
    app.text_input(key="history_words").set_value("ray")
    assert _titles(draw(app)) == ["gamma ray"]
    app.query_params["q"] = "beta"
    assert _titles(draw(app)) == ["Beta"]
    assert app.text_input(key="history_words").value == "beta"
    head = next(column for column in _table(app)["columns"] if column["key"] == "name")
    assert (head["sorted"], head["next"]) == ("ascending", "-name")


@pytest.mark.parametrize(
    ("name", "value"), [("sort", "link_token"), ("sort", "--name"), ("show", "x"), ("page", "-1"), ("page", "9" * 30)]
)
def test_an_address_that_says_nonsense_shows_the_first_page(name: str, value: str) -> None:
    _put("one")
    app = _open()
    app.query_params[name] = value
    assert _titles(draw(app)) == ["one"]


def test_a_page_behind_the_end_is_the_last_one() -> None:
    _put("one")
    app = _open()
    app.query_params["page"] = "7"
    assert _titles(draw(app)) == ["one"]
    assert "page" not in app.query_params


def test_nothing_found_says_so_and_leads_back() -> None:
    _put("one")
    app = _open()
    app.text_input(key="history_words").set_value("nowhere")
    app.button_group(key="history_show").set_value("failures")
    assert "No run is found by “nowhere” under “With failures”." in read(draw(app))
    press(app, "Show all runs")
    assert _titles(app) == ["one"]
    assert (app.text_input(key="history_words").value, app.query_params) == ("", {})


def test_only_the_page_that_is_shown_is_read() -> None:
    for seed in range(60):
        _put(f"run {seed}", seed=seed)
    app = _open()
    assert len(_titles(app)) == session_history.ROWS
    assert "1 to 50 of 60 runs" in read(app)
    app.query_params["page"] = "2"
    assert _titles(draw(app)) == [f"run {seed}" for seed in range(9, -1, -1)]


def test_one_run_is_named_and_tagged(pick: Pick) -> None:
    run_id = _put("before")
    app = pick(_open(), run_id)
    app.text_input(key="naming_name_1").set_value("after")
    app.multiselect(key="naming_tags_1").set_value(["new", HOSTILE[:40]])
    press(app, "Save")
    assert (_row(run_id).name, set(_row(run_id).tags)) == ("after", {"new", HOSTILE[:40]})
    assert _titles(app) == ["after"]


def test_a_tag_that_cannot_be_says_why(pick: Pick) -> None:
    run_id = _put("one")
    app = pick(_open(), run_id)
    app.multiselect(key="naming_tags_1").set_value(["x" * 51])
    press(app, "Save")
    assert "A tag may have 50 characters, this one has 51" in read(app)
    assert _row(run_id).tags == ()


def test_several_are_tagged_together(pick: Pick) -> None:
    runs = [_put("one", seed=1), _put("two", seed=2)]
    _shelf().tag(LOCAL, runs[0], ("old", "kept"))
    app = pick(_open(), *runs)
    app.multiselect(key="tagging_add").set_value(["new"])
    app.multiselect(key="tagging_remove").set_value(["old"])
    press(app, "Save on 2 runs")
    assert [set(_row(run_id).tags) for run_id in runs] == [{"kept", "new"}, {"new"}]


def test_two_are_compared_the_older_one_as_a(pick: Pick) -> None:
    older, newer = _put("older", seed=1), _put("newer", seed=2)
    app = pick(_open(), newer, older)
    link = next(link.proto for link in app.get("page_link") if link.proto.label == "Compare them")
    assert link.query_string == f"a={older}&b={newer}"


def test_runs_are_deleted_at_the_second_press(pick: Pick) -> None:
    runs = [_put("one", seed=1), _put("two", seed=2), _put("kept", seed=3)]
    app = pick(_open(), *runs[:2])
    press(app, "Delete 2")
    assert "Delete these 2 runs? 4 prompts, every answer and the timeline will be gone for everybody" in read(app)
    assert len(_titles(app)) == 3
    press(app, "Keep them")
    press(app, "Delete 2")
    press(app, "Delete 2 runs")
    assert _titles(app) == ["kept"]
    for run_id in runs[:2]:
        with pytest.raises(NoSuchRun):
            _row(run_id)


def test_a_press_that_is_delivered_twice_deletes_once_and_complains_of_nothing(pick: Pick) -> None:
    run_id = _put("one")
    rows = (_row(run_id),)
    pick(_open(), run_id)
    actions._delete(rows)
    actions._delete(rows)
    assert session_history.told() is None


def test_a_run_that_goes_on_is_not_deleted(pick: Pick) -> None:
    live = house.library().start(Batch(prompts=["Reply: a"] * 3, max_workers=1, name="going", sandbox=SLOW))
    try:
        house.engine()._store.flush(10)  # type: ignore[union-attr,unused-ignore]
        app = pick(_open(), live.run_id)
        assert _table(app)["rows"][0]["tone"] == "going"
        press(app, "Delete")
        assert "“going” still goes on: open it and stop it first." in read(app)
        assert "Delete it" not in labels(app)
    finally:
        live.cancel()


def test_others_runs_are_for_looking(pick: Pick, come_in: ComeIn) -> None:
    run_id = _put("hers", owner=ANNA)
    come_in(BEN)
    app = pick(_open(), run_id)
    assert "“hers” is Anna's: you can look at it, and duplicate it." in read(app)
    assert {"Delete", "Save"}.isdisjoint(labels(app))
    assert "Duplicate" in labels(app)
    actions._delete((_row(run_id),))
    assert _row(run_id).name == "hers"


def test_a_viewer_looks_and_compares_only(pick: Pick, come_in: ComeIn) -> None:
    run_id = _put("hers", owner=ANNA)
    come_in(VERA)
    app = pick(_open(), run_id)
    assert {"Delete", "Save", "Duplicate"}.isdisjoint(labels(app))
    assert "“hers” is Anna's: you can look at it." in read(app)
    assert not app.get("file_uploader")
    assert "Compare with another run" in [link.proto.label for link in app.get("page_link")]


def test_nobody_sees_what_is_anothers_alone(come_in: ComeIn) -> None:
    run_id = _put("hers", owner=ANNA)
    _shelf().share(ANNA, run_id, "link")
    come_in(BEN)
    assert "No run yet." in read(_open())
    come_in(ANNA)
    found = _table(_open())
    assert [row["title"] for row in found["rows"]] == ["hers"]
    token = _shelf().find(ANNA, run_id).link_token
    assert token
    assert token not in json.dumps(found)


def test_duplicating_fills_the_form_in(pick: Pick) -> None:
    run_id = _put("again")
    app = pick(_open(), run_id)
    press(app, "Duplicate")
    assert app.text_input(key="run_name").value == "again"
    assert len((app.text_area(key="prompts_text").value or "").splitlines()) == 2


def test_a_run_file_is_taken_in_once_and_opens() -> None:
    events = history(n=3, max_workers=2, run_id="elsewhere")
    app = _open()
    # Named as whoever exported it liked: `export RUN mine.txt --format run`.
    app.file_uploader(key="import_file_0").set_value(("mine.txt", export_run(events).encode(), "text/plain"))
    draw(app)
    assert app.query_params["run"] == "elsewhere"
    assert "3 prompts" in read(app)
    draw(app)
    assert house.library().newest(LOCAL, 10)[0].run_id == "elsewhere"
    assert len(house.library().newest(LOCAL, 10)) == 1
    (row,) = _table(_open())["rows"]
    assert row["note"] == "imported"
    assert "imported · " in facts(house.library().newest(LOCAL, 1)[0], zone=None)


def test_a_file_of_a_run_that_went_on_says_so_and_of_one_whose_process_ended_that() -> None:
    told = history(n=6, max_workers=2, run_id="0a1b2c3d4e5f6078")
    saved = until(told, 1.0)
    going = fold(saved)
    flying = [str(call.index + 1) for call in going.calls if call.status == "running"]
    assert len(flying) == 2
    run_id = house.library().put_in(LOCAL, export_run(saved))
    page = read(open_page(run=run_id))
    assert "The file was saved after " in page
    assert ", while the run went on: " in page
    assert "; 2 in flight then, " in page
    assert f"Prompts {', '.join(flying)}: in flight when the file was saved; whoever saved it may have" in page
    assert "process ended" not in page
    (row,) = _table(_open())["rows"]
    assert (row["cells"][1], row["tone"]) == ("Saved half-way", "caution")
    assert house.library().list(LOCAL, Wanted(show="interrupted")).count == 1
    killed = (*saved, *closing(going, at_ns=last_stamp_ns(going)))
    page = read(open_page(run=house.library().put_in(LOCAL, export_run(killed))))
    assert "Interrupted after " in page
    assert "in flight when the process ended, so possibly billed twice." in page


def test_an_admin_reads_whose_run_it_is_and_what_may_be_done_with_it(come_in: ComeIn) -> None:
    run_id = _put("hers", owner=ANNA)
    _shelf().share(ANNA, run_id, "team")
    said = {}
    for person in (ANNA, BEN, VERA, replace(BEN, role="admin")):
        come_in(person)
        said[person.user_id, person.role] = read(open_page(run=run_id))
    assert "This run is" not in said[ANNA.user_id, ANNA.role]
    assert "This run is Anna's: you can look at it, and duplicate it." in said[BEN.user_id, BEN.role]
    assert "This run is Anna's: you can look at it." in said[VERA.user_id, VERA.role]
    assert "This run is Anna's: as an admin you may do with it what its owner may." in said[BEN.user_id, "admin"]
    come_in(replace(BEN, role="admin"))
    assert "Only Anna and admins" in next(each for each in open_page(run=run_id).radio if "sees" in each.label).options


NO_RUN = (
    "Nothing was imported. This is not a run file: expected what “Run file” on a run's page, or `export --format run`, "
    "saves"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "This file is empty"),
        (b"\xff\xfe", f"{NO_RUN}; expected UTF-8"),
        (b"PK\x03\x04", f"{NO_RUN}; line 1: expected a JSON object"),
        (b"index,prompt\r\n0,<b>a</b>\r\n", f"{NO_RUN}; line 1: expected a JSON object, got 'index,prompt'."),
        (b'{"index": 0, "prompt": "a"}\n', f"{NO_RUN}; line 1: expected the header of a run file"),
    ],
)
@pytest.mark.parametrize("name", ["run.jsonl", "report.html", "no-ending"])
def test_any_other_file_says_what_is_wrong_and_changes_nothing(name: str, content: bytes, said: str) -> None:
    app = _open()
    app.file_uploader(key="import_file_0").set_value((name, content, "application/octet-stream"))
    assert said in read(draw(app))
    assert "run" not in app.query_params
    assert house.library().newest(LOCAL, 10) == ()


def test_the_name_and_the_tags_stand_over_the_run_for_all_and_are_changed_by_some(come_in: ComeIn) -> None:
    run_id = _put(HOSTILE, owner=ANNA)
    _shelf().tag(ANNA, run_id, ("**tag**",))
    for person, may in ((ANNA, True), (BEN, False)):
        come_in(person)
        app = open_page(run=run_id)
        body = next(each.proto.body for each in app.get("html") if "<h1" in each.proto.body)
        assert "<img" not in body
        assert "**tag**" in body
        assert ("Save" in labels(app)) is may
    come_in(ANNA)
    app = open_page(run=run_id)
    app.text_input(key="naming_name_1").set_value("plain")
    press(app, "Save")
    assert _row(run_id).name == "plain"


BOSS = Person(user_id="boss", name="Boss", role="admin")


def test_admins_of_a_team_read_who_did_what(come_in: ComeIn) -> None:
    run_id = _put("one", owner=ANNA)
    _shelf().rename(ANNA, run_id, HOSTILE)
    come_in(BOSS)
    app = go_to(open_page(), "audit")
    said = next(each.proto.body for each in app.get("html") if "<table" in each.proto.body)
    assert "renamed" in said
    assert "&lt;img" in said
    assert "<img" not in said
    link = f'<a href="/?run={run_id}" target="_self">{run_id}</a>'
    assert link in said
    assert "Times are in the server's zone, " in read(app)
    house.library().delete(BOSS, run_id)
    gone = next(each.proto.body for each in draw(app).get("html") if "<table" in each.proto.body)
    assert f">{run_id}</td>" in gone
    assert "<a " not in gone
    app.text_input(key="audit_words").set_value("imported")
    assert "Nothing is found." in read(draw(app))


@pytest.mark.parametrize("person", [ANNA, VERA])
def test_nobody_else_is_shown_the_audit(person: Person, come_in: ComeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    _shelf().rename(ANNA, _put("one", owner=ANNA), "a secret name")
    come_in(person)
    with_all = pages.all_pages
    monkeypatch.setattr(
        pages, "all_pages", lambda *, with_audit: with_all(with_audit=True)
    )  # it was left in by mistake
    app = go_to(open_page(), "audit")
    said = read(app)
    assert "There is no such page here." in said
    assert "a secret name" not in said


def test_who_sits_at_the_machine_alone_has_no_audit() -> None:
    app = open_page()
    with pytest.raises(Exception, match="audit"):
        app.switch_page("app_pages/audit.py").run()


def test_a_run_that_the_store_holds_says_so_in_every_list_as_on_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    live = house.library().start(Batch(prompts=["a"], sandbox=SLOW), by=LOCAL)
    assert house.engine()._store.flush(WAIT_S)
    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "trouble", "The store cannot be written (no space left on device).")
        page = open_page(run=live.run_id)
        assert "Waiting for the store" in read(page)
        (row,) = _table(go_to(page, "runs"))["rows"]
        assert ("Waiting for the store, 0 of 1" in row["cells"], row["tone"]) == (True, "caution")
        form = open_page()
        assert [link for link in form.get("page_link") if "Waiting for the store" in link.proto.label]
    (row,) = _table(_open())["rows"]
    assert (row["cells"][1].partition(",")[0] in ("Getting ready", "Running"), row["tone"]) == (True, "going")
    live.cancel()
    assert live.wait(WAIT_S)
