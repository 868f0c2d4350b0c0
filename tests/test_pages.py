"""The pages' wiring, through Streamlit's AppTest; what only a browser shows is in tests/browser."""

import re
from collections.abc import Iterator

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import sandbox_form
from fanout import Batch, Engine
from fanout.sandbox.profile import SandboxProfile
from tests.hands import HandCaller, WatchedStore
from tests.pages import HOSTILE, draw, go_to, house_by_hand, labels, open_page, press, read


@pytest.fixture
def engine(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    with house_by_hand(caller, store) as opened:
        yield opened


def _prompts(app: AppTest, *prompts: str) -> AppTest:
    app.text_area(key="prompts_text").set_value("\n".join(prompts))
    return draw(app)


def _text(app: AppTest) -> str:
    return app.text_area(key="prompts_text").value or ""


@pytest.mark.usefixtures("engine")
def test_a_newcomer_finds_forty_prompts_the_sandbox_and_eight_workers() -> None:
    app = open_page()
    assert len(_text(app).splitlines()) == 40
    assert (app.selectbox(key="model").value, app.slider(key="max_workers").value) == ("sandbox", 8)
    assert "40 calls, 40 quota slots, 8 at a time" in read(app)
    assert [b.label for b in app.button if b.proto.type == "primary"] == ["Run"]


def test_run_starts_what_the_form_says_and_shows_it(engine: Engine, caller: HandCaller) -> None:
    app = _prompts(open_page(), "one", "two", "three")
    app.slider(key="max_workers").set_value(2)
    app.number_input(key="temperature").set_value(0.5)
    app.text_area(key="instructions").set_value("Be short.")
    draw(app)
    press(app, "Run")
    (live,) = engine.runs()
    assert live.batch == Batch(
        prompts=("one", "two", "three"),
        max_workers=2,
        temperature=0.5,
        instructions="Be short.",
        sandbox=SandboxProfile(),
    )
    assert app.query_params["run"] == live.run_id
    assert "Stop" in labels(app)
    assert {sending.prompt for sending in caller.taken(2)} == {"one", "two"}


def test_pressing_once_starts_one_run_however_often_the_page_is_drawn(engine: Engine) -> None:
    app = press(_prompts(open_page(), "one"), "Run")
    draw(app)
    draw(open_page(run=engine.runs()[0].run_id))
    assert len(engine.runs()) == 1


def test_what_cannot_be_run_is_a_sentence_and_the_form_stays(engine: Engine) -> None:
    app = _prompts(open_page(), "one")
    app.selectbox(key="model").set_value("wrong")
    press(draw(app), "Run")
    assert "There is no model of this name: choose another." in read(app)
    assert _text(app) == "one"
    assert engine.runs() == ()


def test_an_empty_list_is_refused_with_a_sentence(engine: Engine) -> None:
    app = press(_prompts(open_page(), " ", ""), "Run")
    assert "There are no prompts" in read(app)
    assert engine.runs() == ()


def test_many_calls_that_cost_money_are_asked_for_twice(engine: Engine) -> None:
    app = _prompts(open_page(), *(f"prompt {n}" for n in range(501)))
    app.selectbox(key="model").set_value("openai:x")
    press(draw(app), "Run")
    assert engine.runs() == ()
    assert "501 calls to openai:x" in read(app)
    press(app, "Send 501 calls")
    assert len(engine.runs()) == 1


def test_a_changed_form_is_asked_for_again(engine: Engine) -> None:
    app = _prompts(open_page(), *(f"prompt {n}" for n in range(501)))
    app.selectbox(key="model").set_value("openai:x")
    press(draw(app), "Run")
    app.slider(key="max_workers").set_value(32)
    assert "Run" in labels(draw(app))
    assert engine.runs() == ()


def test_many_calls_on_the_sandbox_are_sent_at_once(engine: Engine) -> None:
    press(_prompts(open_page(), *(f"prompt {n}" for n in range(501))), "Run")
    assert len(engine.runs()) == 1


def test_another_way_of_parting_reads_the_same_text_anew(engine: Engine) -> None:
    app = _prompts(open_page(), "one", "more of one", "---", "two")
    assert "4 prompts" in read(app)
    app.session_state["prompts_mode"] = "dashes"
    assert "2 prompts" in read(draw(app))


def test_the_table_takes_the_list_over_and_gives_it_back(engine: Engine) -> None:
    app = _prompts(open_page(), "one", "two", "two")
    app.button_group(key="prompts_source").set_value("Table")
    draw(app)
    assert "3 prompts, 1 of them a duplicate" in read(app)
    app.button_group(key="prompts_source").set_value("Text")
    draw(app)
    assert _text(app) == "one\ntwo\ntwo"


def test_a_file_becomes_the_list_and_a_bad_one_leaves_it(engine: Engine) -> None:
    app = _prompts(open_page(), "one", "two")
    app.button_group(key="prompts_source").set_value("File")
    draw(app)
    app.file_uploader(key="prompts_file").set_value(("list.csv", b"id,prompt\n1,from a file\n", "text/csv"))
    draw(app)
    assert "1 prompt; column “prompt”" in read(app)
    app.file_uploader(key="prompts_file").set_value(("list.csv", b"", "text/csv"))
    draw(app)
    assert "The list stays as it was: 1 prompt." in read(app)
    press(app, "Run")
    assert engine.runs()[0].batch.prompts == ("from a file",)


@pytest.mark.parametrize(
    "line", [b'{"text": "from a file", "id": 7}', b'{"messages": [{"role": "user", "content": "from a file"}]}']
)
def test_json_lines_with_one_text_need_no_field_named_prompt(engine: Engine, line: bytes) -> None:
    app = _prompts(open_page(), "one", "two")
    app.button_group(key="prompts_source").set_value("File")
    draw(app)
    app.file_uploader(key="prompts_file").set_value(("list.jsonl", line, "application/jsonl"))
    draw(app)
    press(app, "Run")
    assert engine.runs()[0].batch.prompts == ("from a file",)


def test_an_object_with_two_lists_has_them_offered_and_the_chosen_one_is_sent(engine: Engine) -> None:
    app = _prompts(open_page(), "one", "two")
    app.button_group(key="prompts_source").set_value("File")
    draw(app)
    content = b'{"question": ["asked"], "answer": ["answered"], "rows": [{"note": "noted"}]}'
    app.file_uploader(key="prompts_file").set_value(("lists.json", content, "application/json"))
    draw(app)
    [box] = [each for each in app.selectbox if each.label == "Column with the prompts"]
    assert (box.value, box.options) == ("question", ["question", "answer", "rows.note"])
    assert "1 prompt; column “question”" in read(app)
    box.set_value("rows.note")
    draw(app)
    press(app, "Run")
    assert engine.runs()[0].batch.prompts == ("noted",)


def test_two_sessions_have_two_forms(engine: Engine) -> None:
    mine, theirs = open_page(), open_page()
    _prompts(mine, "mine")
    mine.slider(key="max_workers").set_value(3)
    draw(mine)
    draw(theirs)
    assert len(_text(theirs).splitlines()) == 40
    assert theirs.slider(key="max_workers").value == 8


def test_an_unknown_run_gets_a_sentence_and_a_way_back(engine: Engine) -> None:
    app = open_page(run="0123456789abcdef")
    assert "This run is not known here." in read(app)
    assert [link.proto.label for link in app.get("page_link")] == ["To the form and the runs"]


def test_the_form_lists_the_runs_that_go_on_first(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    first = engine.start(Batch(prompts=["a"], name="first"))
    engine.start(Batch(prompts=["b"], name="second"))
    second_sending = next(s for s in caller.taken(2) if s.prompt == "b")
    second_sending.answer()
    store.await_run(engine.runs()[0], lambda run: run.ended)
    links = [link.proto for link in open_page().get("page_link")]
    assert ["first" in links[0].label, "second" in links[1].label] == [True, True]
    assert f"run={first.run_id}" in links[0].query_string


def test_how_long_the_list_is_is_said_alike_in_each_editor(engine: Engine) -> None:
    app = open_page()
    app.text_area(key="prompts_text").set_value("one\ntwo\nthree")
    for editor in ("Text", "Table", "File"):
        app.session_state["prompts_source"] = editor
        draw(app)
        assert re.search(r"\b3\s?prompts\. ", read(app)), editor


def test_names_are_shown_and_not_rendered(engine: Engine) -> None:
    engine.start(Batch(prompts=["a"], name=HOSTILE))
    label = open_page().get("page_link")[0].proto.label
    assert "![x](" not in label
    assert "\\!\\[x\\]\\(" in label


def test_a_sandbox_profile_holds_for_the_runs_of_this_session_from_now_on(engine: Engine) -> None:
    mine, theirs = open_page(), open_page()
    go_to(mine, "sandbox")
    next(n for n in mine.number_input if n.key == "sandbox_requests_per_minute_0").set_value(60)
    next(n for n in mine.number_input if n.key == "sandbox_error_rate_0").set_value(25.0)
    press(mine, "Apply")
    assert "Applied" in read(mine)
    mine.switch_page("app_pages/run.py")
    press(draw(mine), "Run")
    press(theirs, "Run")
    theirs_profile, my_profile = (live.batch.sandbox for live in engine.runs())
    assert my_profile == SandboxProfile(requests_per_minute=60, error_rate=0.25)
    assert theirs_profile == SandboxProfile()


def test_apply_counts_where_its_drawing_is_cut_off_before_it_comes_to_the_button(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page()
    go_to(app, "sandbox")
    app.number_input(key="sandbox_requests_per_minute_0").set_value(60)
    with monkeypatch.context() as cut:
        cut.setattr(sandbox_form, "_latency", lambda shown: st.stop())
        press(app, "Apply")
    go_to(app, "run")
    assert app.query_params["sandbox"] == SandboxProfile(requests_per_minute=60).encoded()
    go_to(app, "sandbox")
    assert app.number_input(key="sandbox_requests_per_minute_0").value == 60
    assert "Applied: the next run" in read(app)


def test_a_profile_stays_in_the_address_of_the_form_and_of_the_sandbox_through_a_reload(engine: Engine) -> None:
    app = open_page()
    go_to(app, "sandbox")
    assert "sandbox" not in app.query_params
    next(n for n in app.number_input if n.key == "sandbox_requests_per_minute_0").set_value(60)
    press(app, "Apply")
    held = SandboxProfile(requests_per_minute=60)
    assert app.query_params["sandbox"] == held.encoded()
    app.query_params.clear()
    go_to(app, "run")
    assert app.query_params["sandbox"] == held.encoded()

    reloaded = open_page(sandbox=held.encoded())
    go_to(reloaded, "sandbox")
    assert next(n for n in reloaded.number_input if n.label == "Requests a minute").value == 60
    go_to(reloaded, "run")
    press(reloaded, "Run")
    assert "sandbox" not in reloaded.query_params, "a run's address is its id alone"
    assert engine.runs()[-1].batch.sandbox == held

    go_to(reloaded, "sandbox")
    press(reloaded, "Back to the defaults")
    assert "sandbox" not in reloaded.query_params


@pytest.mark.parametrize("written", ["nonsense", "%%%", SandboxProfile(error_rate=1).encoded()[:-3], "x" * 5_000])
def test_an_address_that_holds_no_profile_changes_nothing_and_is_put_right(engine: Engine, written: str) -> None:
    app = open_page(sandbox=written)
    assert "sandbox" not in app.query_params
    press(app, "Run")
    assert engine.runs()[-1].batch.sandbox == SandboxProfile()


def test_a_profile_that_cannot_be_is_a_sentence(engine: Engine) -> None:
    app = open_page()
    go_to(app, "sandbox")
    for name in ("sandbox_error_rate_0", "sandbox_hang_rate_0"):
        next(n for n in app.number_input if n.key == name).set_value(60.0)
    app.run()
    words = "“Answered with a server error”, “Never answered” and “Ended half-way” are together more than 100 %"
    assert words in read(app)
    press(app, "Apply")
    assert words in read(app)
    assert app.query_params == {}, "the settings before hold"
