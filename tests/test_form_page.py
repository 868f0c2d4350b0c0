"""The form, through Streamlit's AppTest: links that fill it, answers that are there already, who sees the run."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import house, session_address
from fanout.batch import Batch
from fanout.people import LOCAL, Person, Visibility
from fanout.quota.caps import Amount, Caps
from fanout.run import Run
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from fanout.store.ledger import NOTHING
from tests.pages import ANNA, BEN, ComeIn, draw, entrance, go_to, open_page, press, read

QUICK = SandboxProfile(first_token_ms=0, token_ms=0)
WAIT_S = 30


@pytest.fixture(autouse=True)
def opened_house(tmp_path: Path) -> Iterator[None]:
    house.open_house(Settings(data_dir=tmp_path, max_workers_ceiling=64), prepare=False, visibility="team")
    yield
    house.close_house()


@pytest.fixture
def come_in(monkeypatch: pytest.MonkeyPatch) -> ComeIn:
    return entrance(monkeypatch)


def _prompts(app: AppTest) -> list[str]:
    return str(app.text_area(key="prompts_text").value).splitlines()


def _answered(*prompts: str, by: Person = LOCAL, **settings: Any) -> Run:
    """A run that has ended."""
    live = house.library().start(Batch(prompts=prompts, sandbox=QUICK, **settings), by=by)
    assert live.wait(WAIT_S)
    return live.snapshot()


def _query(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


# A link fills it


def test_a_link_sets_what_it_names_and_leaves_the_list_alone() -> None:
    app = open_page(form="new", max_workers="12", temperature="0.5", instructions="Be short.")
    assert app.slider(key="max_workers").value == 12
    assert app.number_input(key="temperature").value == 0.5
    assert app.text_area(key="instructions").value == "Be short."
    assert len(_prompts(app)) == 40
    assert "From a link: max_workers, Instructions and Temperature; the rest as at first." in read(app)
    assert "Nothing is sent before you press Run." in read(app)
    assert dict(app.query_params) == {}, "what is typed from now on stays"
    app.slider(key="max_workers").set_value(3)
    assert draw(app).slider(key="max_workers").value == 3


def test_a_link_to_a_run_brings_its_prompts_and_settings_and_what_it_names_instead() -> None:
    run = _answered("alpha", "beta", temperature=0.5, retries=4)
    app = open_page(form=run.run_id, max_workers="12", temperature="")
    assert _prompts(app) == ["alpha", "beta"]
    assert app.slider(key="max_workers").value == 12
    assert app.number_input(key="temperature").value is None
    assert app.number_input(key="retries").value == 4
    said = f"2 prompts and the settings of run {run.run_id[:8]}, with max_workers and Temperature as the link says"
    assert said in read(app)
    press(app, "Run")
    assert "From a link" not in read(press(app, "Edit and run again"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"form": "new", "max_workers": "0", "retries": "9"}, "max_workers must be from 1 to 512, got 0"),
        ({"form": "new", "retries": "<b>"}, "retries must be a whole number, got '&lt;b&gt;'"),
        ({"form": "0123456789abcdef", "retries": "9"}, "the run that it names is not known here"),
        ({"form": "../../etc", "retries": "9"}, "the run that it names is not known here"),
    ],
)
def test_a_wrong_link_says_why_and_changes_nothing(query: dict[str, str], says: str) -> None:
    app = open_page(**query)
    assert says in read(app)
    assert "The link was not followed, and the form is as it was" in read(app)
    assert (app.slider(key="max_workers").value, app.number_input(key="retries").value) == (8, 2)
    assert dict(app.query_params) == {}


def test_a_link_that_asks_for_more_workers_than_there_are_gets_those_and_says_so() -> None:
    app = open_page(form="new", max_workers="500")
    assert app.slider(key="max_workers").value == 64
    assert "It asks for max_workers 500; here at most 64 can be had." in read(app)


def test_a_link_to_a_run_that_is_somebody_elses_alone_is_as_one_to_none(come_in: ComeIn) -> None:
    live = house.library().start(Batch(prompts=["secret"], sandbox=QUICK), by=ANNA, visibility="private")
    assert live.wait(WAIT_S)
    come_in(BEN)
    refused = read(open_page(form=live.run_id))
    assert refused == read(open_page(form="0" * 16))
    assert "secret" not in refused


def test_the_forms_own_link_fills_another_form_like_it() -> None:
    app = open_page()
    app.slider(key="max_workers").set_value(12)
    app.toggle(key="identical_once").set_value(True)
    query = _query(draw(app).code[0].value)
    assert query == {"form": "new", "max_workers": "12", "identical_once": "yes"}
    assert "not the prompts" in read(app)
    other = open_page(**query)
    assert (other.slider(key="max_workers").value, other.toggle(key="identical_once").value) == (12, True)


def test_the_link_of_a_form_that_came_from_a_run_takes_the_prompts_along_while_they_are_the_same() -> None:
    run = _answered("alpha", "beta", temperature=0.5)
    app = press(open_page(run=run.run_id), "Edit and run again")
    app.slider(key="max_workers").set_value(12)
    assert _query(draw(app).code[0].value) == {"form": run.run_id, "max_workers": "12"}
    app.text_area(key="prompts_text").set_value("gamma")
    assert _query(draw(app).code[0].value)["form"] == "new"


def test_the_link_beside_a_run_opens_the_form_with_it() -> None:
    run = _answered("alpha", "beta")
    links = [code.value for code in open_page(run=run.run_id).code]
    assert [_query(link) for link in links[:2]] == [{"run": run.run_id}, {"form": run.run_id}]


# The list goes from one editor to the next


def test_what_comes_with_the_press_that_opens_another_editor_is_in_the_list() -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("one\n\ntwo\nthree")
    app.button_group(key="prompts_mode").set_value("paragraph")
    app.button_group(key="prompts_source").set_value("Table")
    draw(app)
    assert "2 calls" in read(app)
    app.button_group(key="prompts_source").set_value("Text")
    draw(app)
    assert app.text_area(key="prompts_text").value == "one\n---\ntwo\nthree"


# Answers that are there already


def test_answers_that_are_there_are_counted_before_taken_on_run_and_named_on_their_rows() -> None:
    run = _answered("alpha", "beta")
    app = open_page(form=run.run_id)
    app.text_area(key="prompts_text").set_value("beta\ngamma\nalpha")
    app.toggle(key="reuse_answers").set_value(True)
    assert "2 prompts have answers already, taken without a call." in read(draw(app))
    assert "1 call, 1 quota slot" in read(app)
    press(app, "Run")
    live = house.engine().find(app.query_params["run"])
    assert live is not None
    assert live.wait(WAIT_S)
    origins = [call.origin and (call.origin.run_id, call.origin.call) for call in live.snapshot().calls]
    assert origins == [(run.run_id, 1), None, (run.run_id, 0)]
    app = open_page(run=live.run_id)
    named = [value for value in app.dataframe[0].value["origin"] if isinstance(value, str)]
    assert len(named) == 2
    assert all(value.startswith(f"from run {run.run_id[:8]}, ") for value in named)


def test_an_edited_list_goes_on_from_its_run_and_sends_what_has_no_answer() -> None:
    run = _answered("alpha", "beta", "alpha")
    app = press(open_page(run=run.run_id), "Edit and run again")
    app.text_area(key="prompts_text").set_value("gamma\nalpha\nbeta\nalpha\nalpha")
    app.toggle(key="carry_answers").set_value(True)
    app.slider(key="max_workers").set_value(3)
    assert "2 calls, 2 quota slots" in read(draw(app))
    assert "3 prompts have answers already, taken without a call." in read(app)
    press(app, "Run")
    live = house.engine().find(app.query_params["run"])
    assert live is not None
    assert live.wait(WAIT_S)
    origins = [call.origin and (call.origin.run_id, call.origin.call) for call in live.snapshot().calls]
    assert origins == [None, (run.run_id, 0), (run.run_id, 1), (run.run_id, 2), None], "duplicates stay apart"
    app = press(open_page(), "Run")
    assert "carry_answers" not in [toggle.key for toggle in open_page().toggle], "there is no run to go on from"


def test_identical_prompts_are_one_call_where_that_is_asked() -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("alpha\nbeta\nalpha\nalpha")
    assert "4 calls, 4 quota slots" in read(draw(app))
    app.toggle(key="identical_once").set_value(True)
    assert "2 calls, 2 quota slots" in read(draw(app))
    assert "2 prompts share the call of an identical one." in read(app)


# A browser that begins its fields anew


def test_a_box_begins_with_what_the_form_has_also_where_the_browser_was_not_told_of_it() -> None:
    app = open_page(form="new", model="openai-chat:mine", stream="yes", identical_once="yes")
    model, stream = draw(app).selectbox(key="model").proto, app.selectbox(key="stream").proto
    assert (model.options[model.default], stream.options[stream.default]) == ("openai-chat:mine", "Always")
    assert app.toggle(key="identical_once").proto.default is True


# Run is pressed


@pytest.mark.parametrize(
    ("number", "ago_s", "runs"),
    [(0, 0.0, 1), (1, 0.0, 0), (0, session_address.PRESS_HOLDS_S, 0)],
    ids=["at once", "on an earlier page", "long ago"],
)
def test_a_press_whose_drawing_was_cut_off_is_found_by_the_next(number: int, ago_s: float, runs: int) -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("one")
    app.session_state["_run_pressed"] = (number, time.monotonic() - ago_s)
    draw(app)
    assert len(house.engine().runs()) == runs
    draw(app)
    assert len(house.engine().runs()) == runs


# Who sees it


def test_who_sees_the_run_is_chosen_before_it_starts(come_in: ComeIn) -> None:
    come_in(ANNA)
    app = open_page()
    choice = app.selectbox(key="run_visibility")
    assert choice.value == "team", "as usual here"
    choice.set_value("private")
    press(draw(app), "Run")
    run_id = app.query_params["run"]
    assert house.library().find(ANNA, run_id).row.visibility == "private"
    come_in(BEN)
    assert "This run is not known here." in read(open_page(run=run_id))


@pytest.mark.parametrize(
    ("visibility", "hers", "his"), [("team", "team", "team"), ("link", "link", "private"), ("private", "private", None)]
)
def test_a_form_that_a_run_fills_is_seen_by_whom_sees_that_run(
    come_in: ComeIn, visibility: Visibility, hers: Visibility, his: Visibility | None
) -> None:
    come_in(ANNA)
    run_id = _answered("a", by=ANNA).run_id
    shelf = house.library().shelf
    assert shelf is not None
    token = shelf.share(ANNA, run_id, visibility).link_token
    assert open_page(form=run_id).selectbox(key="run_visibility").value == hers
    again = press(open_page(run=run_id), "Edit and run again")
    assert again.selectbox(key="run_visibility").value == hers
    if his is not None:
        come_in(BEN)
        query = {"form": run_id} if token is None else {"form": run_id, "link": token}
        assert open_page(**query).selectbox(key="run_visibility").value == his


def test_answers_of_a_run_that_was_withdrawn_are_not_kept_and_the_form_says_so(come_in: ComeIn) -> None:
    run_id = _answered("a", "b", by=ANNA).run_id
    shelf = house.library().shelf
    assert shelf is not None
    shelf.share(ANNA, run_id, "team")
    come_in(BEN)
    app = open_page(form=run_id)
    app.toggle(key="carry_answers").set_value(True)
    assert "2 prompts have answers already" in read(draw(app))
    shelf.share(ANNA, run_id, "private")
    said = read(press(app, "Run"))
    assert f"Run {run_id[:8]} is not known here any more: it was deleted, or is shared with you no longer." in said
    assert "2 calls, 2 quota slots" in said
    assert not [toggle for toggle in app.toggle if toggle.key == "carry_answers"]
    assert len(house.engine().runs()) == 1
    press(app, "Run")
    assert len(house.engine().runs()) == 2


def test_without_a_login_there_is_nobody_to_keep_it_from() -> None:
    assert "run_visibility" not in [choice.key for choice in open_page().selectbox]


# What is wrong with it


def test_a_number_out_of_its_range_says_so_before_run_is_pressed() -> None:
    app = open_page()
    app.number_input(key="retries").set_value(-5)
    assert "retries must be from 0 to 20, got -5" in read(draw(app))
    press(app, "Run")
    assert not house.engine().runs()
    app.number_input(key="retries").set_value(2)
    assert "must be from" not in read(draw(app))


def test_an_empty_list_is_no_error_before_run_is_pressed() -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("")
    assert "There are no prompts" not in read(draw(app))
    assert "There are no prompts" in read(press(app, "Run"))


def test_the_form_says_before_run_is_pressed_that_the_day_s_cap_is_reached(tmp_path: Path) -> None:
    house.close_house()
    caps = Caps.from_tables({"each_user": {"tokens_a_day": 20}})
    house.open_house(Settings(data_dir=tmp_path / "capped", caps=caps), prepare=False, visibility="team")
    app = open_page()
    assert "cap of today" not in read(app)
    ledger = house.library()._ledger
    assert ledger is not None
    ledger.move(LOCAL.user_id, in_flight=NOTHING, used=Amount(tokens=21))
    said = "Your cap of today is reached: 21 of 20 tokens used."
    assert said in read(draw(app))
    assert said in read(press(app, "Run"))
    assert house.engine().runs() == ()


def test_who_came_by_a_link_compares_by_it_also_after_a_reload(come_in: ComeIn) -> None:
    run_id = _answered("a", by=ANNA).run_id
    shelf = house.library().shelf
    assert shelf is not None
    token = shelf.share(ANNA, run_id, "link").link_token
    assert token is not None
    come_in(BEN)
    linked = [link.proto.query_string for link in open_page(run=run_id, link=token).get("page_link")]
    assert f"b={run_id}&link_b={token}" in linked
    assert "This run is not known here." in read(go_to(open_page(), "compare", b=run_id))
    app = go_to(open_page(), "compare", b=run_id, link_b=token)
    assert app.selectbox(key="compare_b").value == run_id
    press(app, "Swap")
    assert (app.query_params["a"], app.query_params["link_a"]) == (run_id, token)
    assert "link_b" not in app.query_params
    assert app.selectbox(key="compare_a").value == run_id


def test_a_name_that_stands_in_the_closed_half_of_the_form_is_said_beside_run() -> None:
    app = open_page()
    assert "It will be named" not in read(app)
    app.text_input(key="run_name").set_value("weekly *eval*")
    assert "It will be named “weekly *eval*”." in read(draw(app))
