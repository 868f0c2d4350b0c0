"""The pages' wiring, through Streamlit's AppTest; what only a browser shows is in tests/browser."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import house, resume_form, watch
from fanout import Batch, Engine
from fanout.calls import Caller
from fanout.clock import Clock
from fanout.errors import BadInput, ServerFailed
from fanout.people import LOCAL
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from fanout.stretch import workers_wanted
from tests.hands import HandCaller, WatchedStore
from tests.pages import HOSTILE, draw, go_to, labels, open_page, press, read


@pytest.fixture
def caller() -> HandCaller:
    return HandCaller()


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore()


@pytest.fixture
def engine(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    """An engine whose calls a test answers by hand; models named `wrong` are refused."""

    def caller_for(batch: Batch, _: Clock) -> Caller:
        if batch.model == "wrong":
            raise BadInput("there is no model of this name: choose another")
        return caller

    opened = Engine(caller_for=caller_for, store=store)
    house.open_house(
        Settings(grace_s=0, models=("openai:x", "wrong"), max_workers_ceiling=64), engine=opened, prepare=False
    )
    yield opened
    house.close_house()


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
    assert "there is no model of this name: choose another" in read(app)
    assert _text(app) == "one"
    assert engine.runs() == ()


def test_an_empty_list_is_refused_with_a_sentence(engine: Engine) -> None:
    app = press(_prompts(open_page(), " ", ""), "Run")
    assert "there are no prompts" in read(app)
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


def test_names_are_shown_and_not_rendered(engine: Engine) -> None:
    engine.start(Batch(prompts=["a"], name=HOSTILE))
    label = open_page().get("page_link")[0].proto.label
    assert "![x](" not in label
    assert "\\!\\[x\\]\\(" in label


def test_every_drawing_of_the_slider_says_where_it_stands(engine: Engine) -> None:
    """A browser that missed the first drawing shows what the next one says, and reports it as if it were moved."""
    live = engine.start(Batch(prompts=("one", "two"), max_workers=7))
    app = open_page(run=live.run_id)
    for _ in range(2):
        assert list(app.slider(key="strip_workers").proto.default) == [7]
        draw(app)
    assert live.max_workers == 7


def test_the_slider_of_a_run_moves_its_bound_and_shows_another_tabs_move(engine: Engine) -> None:
    live = engine.start(Batch(prompts=["a", "b"], max_workers=1))
    app = open_page(run=live.run_id)
    app.slider(key="strip_workers").set_value(5)
    draw(app)
    assert live.max_workers == 5
    live.max_workers = 9
    assert draw(app).slider(key="strip_workers").value == 9
    assert live.max_workers == 9


def test_the_slider_of_an_automatic_run_stays_where_the_user_put_it(
    engine: Engine, caller: HandCaller, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.stretch.AUTO_EVERY_NS", 0)
    batch = Batch(prompts=["a"] * 9, max_workers=8, auto_workers=True, requests_per_minute=60_000, burst=100)
    live = engine.start(batch)
    for place in range(3):
        caller.taken(place + 1)[place].answer()
    run = store.await_run(live, lambda run: run.max_workers < 8)
    app = open_page(run=live.run_id)
    assert app.slider(key="strip_workers").value == 8
    assert f"auto, up to 8: {run.max_workers} now" in read(app)
    app.slider(key="strip_workers").set_value(run.max_workers)
    draw(app)
    assert workers_wanted(live.snapshot()) == run.max_workers


def test_pause_continue_and_stop_reach_the_run(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["a", "b"], max_workers=1))
    caller.taken(1)
    app = open_page(run=live.run_id)
    app.button(key="strip_pause").click()
    draw(app)
    assert store.await_run(live, lambda run: run.state == "paused")
    assert app.button(key="strip_continue").label == "Continue"
    app.button(key="strip_continue").click()
    draw(app)
    assert live.snapshot().state == "running"
    app.button(key="strip_stop").click()
    draw(app)
    store.await_run(live, lambda run: run.ended)
    assert {call.status for call in live.snapshot().calls} == {"cancelled"}


def test_retry_sends_only_what_failed(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["good", "bad"], retries=0))
    by_prompt = {sending.prompt: sending for sending in caller.taken(2)}
    by_prompt["good"].answer()
    by_prompt["bad"].fail(ServerFailed("The provider failed inside."))
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    assert app.button(key="retry_failed").proto.type == "primary"
    app.button(key="retry_failed").click()
    draw(app)
    assert caller.taken(3)[-1].prompt == "bad"


def test_measuring_the_speed_up_says_its_price_first(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["a", "b"], max_workers=2))
    for sending in caller.taken(2):
        sending.answer()
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    app.button(key="measure_speed_up").click()
    draw(app)
    assert "2 more quota slots" in read(app)
    assert len(engine.runs()) == 1
    app.button(key="measure_confirm").click()
    draw(app)
    baseline = engine.runs()[0]
    assert (baseline.batch.max_workers, baseline.snapshot().baseline_of) == (1, live.run_id)
    assert "One after another" in read(draw(app))


def test_a_click_that_is_delivered_twice_acts_once(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["a", "b", "c"], max_workers=2, retries=0))
    for sending in caller.taken(2):
        sending.fail(ServerFailed("The provider failed inside."))
    live.cancel()
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    retry = app.button(key="retry_failed")
    retry.click()
    draw(app)
    opened = house.library().find(LOCAL, live.run_id)
    resume_form.go_on_with(opened)
    assert app.button(key="strip_stop") is not None
    assert len(live.snapshot().stretches) <= 2
    live.cancel()
    store.await_run(live, lambda run: run.ended)
    for _ in range(2):
        watch._start_baseline(live.snapshot())
    assert [each.snapshot().baseline_of for each in engine.runs()] == [live.run_id, None]


def test_edit_and_run_again_brings_the_form_back_filled_in(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    batch = Batch(
        prompts=["a\nb", "c"],
        model="sandbox",
        max_workers=3,
        instructions="Be short.",
        temperature=1.5,
        timeout_s=7.0,
        retries=1,
        stream=False,
        name="mine",
        auto_workers=True,
        requests_per_minute=6_000,
        tokens_per_minute=90_000,
        burst=2,
        weight=1,
        cap_tokens=50_000,
        cap_usd=1.0,
        sandbox=SandboxProfile(seed=5),
    )
    live = engine.start(batch)
    live.cancel()
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    app.button(key="edit_again").click()
    draw(app)
    assert _text(app) == "a\nb\n---\nc"
    press(app, "Run")
    assert engine.runs()[0].batch == batch


def test_the_table_shows_answers_as_they_arrived_or_as_they_were_given(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    live = engine.start(Batch(prompts=["a", "b"], max_workers=2))
    by_prompt = {sending.prompt: sending for sending in caller.taken(2)}
    by_prompt["b"].answer("B")
    store.await_run(live, lambda run: run.calls[1].status == "answered")
    by_prompt["a"].answer("A")
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    assert app.dataframe[0].value["answer"].tolist() == ["B", "A"]
    app.button_group(key="order").set_value("input")
    assert draw(app).dataframe[0].value["answer"].tolist() == ["A", "B"]
    app.text_input(key="text_filter").set_value("B")
    assert draw(app).dataframe[0].value["answer"].tolist() == ["B"]


def test_the_detail_shows_texts_as_text_and_stays_until_closed(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    live = engine.start(Batch(prompts=[HOSTILE], max_workers=1))
    caller.taken(1)[0].answer(HOSTILE)
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    app.session_state["_opened"] = 0
    draw(app)
    assert [code.value for code in app.code if code.value == HOSTILE] == [HOSTILE, HOSTILE]
    assert not [text for text in app.markdown if "evil" in text.value]
    assert "evil.example" not in read(app)
    draw(app)
    app.button(key="close_detail").click()
    draw(app)
    assert HOSTILE not in [code.value for code in app.code]


def test_sandbox_answers_are_named_as_simulated_wherever_they_are_shown(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    live = engine.start(Batch(prompts=["a"]))
    caller.taken(1)[0].answer("x")
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    app.session_state["_opened"] = 0
    draw(app)
    assert "Simulated" in read(app)
    assert "Answer, simulated by the sandbox" in read(app)
    assert "answer (simulated)" in app.dataframe[0].proto.columns


def test_a_sandbox_profile_holds_for_the_runs_of_this_session_from_now_on(engine: Engine) -> None:
    mine, theirs = open_page(), open_page()
    go_to(mine, "sandbox")
    next(n for n in mine.number_input if n.key == "sandbox_rpm_0").set_value(60)
    next(n for n in mine.number_input if n.key == "sandbox_errors_0").set_value(25.0)
    press(mine, "Apply")
    assert "Applied" in read(mine)
    mine.switch_page("app_pages/run.py")
    press(draw(mine), "Run")
    press(theirs, "Run")
    theirs_profile, my_profile = (live.batch.sandbox for live in engine.runs())
    assert my_profile == SandboxProfile(requests_per_minute=60, error_rate=0.25)
    assert theirs_profile == SandboxProfile()


def test_a_profile_that_cannot_be_is_a_sentence(engine: Engine) -> None:
    app = open_page()
    go_to(app, "sandbox")
    for name in ("sandbox_errors_0", "sandbox_hangs_0"):
        next(n for n in app.number_input if n.key == name).set_value(60.0)
    press(app, "Apply")
    assert "together exceed 1" in read(app)
