"""A run's page, through Streamlit's AppTest: its controls, table and detail; the form filled in again."""

from collections.abc import Iterator

import pytest

from dashboard import house, resume_form, watch
from fanout import Batch, Engine
from fanout.errors import ServerFailed
from fanout.people import LOCAL
from fanout.sandbox.profile import SandboxProfile
from fanout.stretch import workers_wanted
from tests.hands import HandCaller, WatchedStore
from tests.pages import HOSTILE, button_of, draw, house_by_hand, open_page, press, read


@pytest.fixture
def engine(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    with house_by_hand(caller, store) as opened:
        yield opened


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
    assert button_of(app, "retry_failed").proto.type == "primary"
    button_of(app, "retry_failed").click()
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
    retry = button_of(app, "retry_failed")
    retry.click()
    draw(app)
    opened = house.library().find(LOCAL, live.run_id)
    resume_form.go_on_with(opened)
    assert app.button(key="strip_stop") is not None
    assert len(live.snapshot().stretches) <= 2
    live.cancel()
    store.await_run(live, lambda run: run.ended)
    for _ in range(2):
        watch._start_baseline(house.library().find(LOCAL, live.run_id), live.snapshot())
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
    assert app.text_area(key="prompts_text").value == "a\nb\n---\nc"
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


def test_the_detail_of_a_prompt_that_was_not_sent_says_why_and_has_no_column_of_attempts(
    engine: Engine, caller: HandCaller, store: WatchedStore
) -> None:
    live = engine.start(Batch(prompts=["a", "b"], max_workers=1))
    caller.taken(1)
    live.cancel()
    store.await_run(live, lambda run: run.ended)
    app = open_page(run=live.run_id)
    assert sorted(app.dataframe[0].value["status"]) == ["cancelled", "not sent"]
    app.session_state["_opened"] = 1
    draw(app)
    said = read(app)
    assert "Prompt 2: not sent" in said
    assert "The run was stopped while this call was waiting for a worker." in said
    assert "Phase" in said
    assert "Attempt Phase" not in said
    app.session_state["_opened"] = 0
    draw(app)
    said = read(app)
    assert "Prompt 1: cancelled" in said
    assert "The run was stopped while this call was in flight." in said
    assert "Attempt Phase" in said


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
