"""How an ended run goes on, through Streamlit's AppTest: under its own settings or others, for those who may."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import door, house, inputs, resume_form, starting
from fanout import Batch, Engine
from fanout.errors import NotAllowed, ServerFailed
from fanout.live import LiveRun
from fanout.people import LOCAL, Person
from fanout.quota.limits import Limits
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from tests.hands import HandCaller, WatchedStore
from tests.pages import button_of

MAIN = str(Path(__file__).parent.parent / "dashboard" / "main.py")
STAY = {"prompts_source", "prompts_mode", "instructions", "temperature", "max_output_tokens"}
"""What of the form a run with answers does not go on with another of."""
ELSEWHERE = {"run_name", "weight", "max_workers", "reuse_answers"}
"""Named and moved in other places; and answers are looked for when a run starts."""
Stopped = Callable[..., LiveRun]


@pytest.fixture
def caller() -> HandCaller:
    return HandCaller()


@pytest.fixture
def stopped(caller: HandCaller) -> Iterator[Stopped]:
    """Makes a run of which one prompt is answered and two failed."""
    store = WatchedStore()
    engine = Engine(
        caller_for=lambda batch, clock: caller, store=store, limits_for=lambda model: Limits(requests_per_minute=600)
    )
    house.open_house(Settings(grace_s=0, models=("openai:x",), max_workers_ceiling=64), engine=engine, prepare=False)

    def make(**settings: object) -> LiveRun:
        prompts = ["good", "bad", "worse"]
        live = engine.start(Batch(**{"prompts": prompts, "retries": 0, **settings}))  # type: ignore[arg-type]
        for place in range(3):  # a cap in dollars lets the first one show its price before the others go
            sending = caller.taken(place + 1)[place]
            if sending.prompt == "good":
                sending.answer("kept", cost_usd=0.01)
            else:
                sending.fail(ServerFailed("The provider failed inside."))
        store.await_run(live, lambda run: run.ended)
        return live

    yield make
    house.close_house()


def _run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def _open(live: LiveRun) -> AppTest:
    """The run's page, the fields open."""
    app = AppTest.from_file(MAIN, default_timeout=20)
    app.query_params["run"] = live.run_id
    app.session_state["resume_settings"] = True
    return _run(app)


def _press(app: AppTest) -> AppTest:
    button_of(app, "retry_failed").click()
    return _run(app)


def _said(app: AppTest) -> str:
    html = " ".join(element.proto.body for element in app.get("html"))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#x27;", "'")))


def _key(app: AppTest, name: str) -> str:
    """The key of this field, as it stands on the page."""
    return f"resume_{app.session_state['_resume_beginning']}_{name}"


def _keys(app: AppTest) -> set[str]:
    drawn, under = [*app.number_input, *app.selectbox, *app.toggle], _key(app, "")
    return {each.key.removeprefix(under) for each in drawn if each.key.startswith(under)}


def test_every_setting_that_a_run_can_go_on_under_has_its_field(stopped: Stopped) -> None:
    app = _open(stopped())
    assert _keys(app) == set(inputs.GO_ON)
    from dashboard.session import _FORM

    assert set(inputs.GO_ON) | STAY | ELSEWHERE >= set(_FORM), "a new field of the form is decided on here too"
    assert set(inputs.GO_ON) <= set(Batch.__dataclass_fields__)


def test_its_fields_hold_the_runs_own_settings_and_it_goes_on_under_them(stopped: Stopped, caller: HandCaller) -> None:
    live = stopped(timeout_s=30, tokens_per_minute=9_000, cap_usd=2.5, stream=False, sandbox=SandboxProfile(seed=3))
    before = live.batch
    app = _open(live)
    assert app.number_input(key=_key(app, "timeout_s")).value == 30
    assert app.number_input(key=_key(app, "retries")).value == 0
    assert app.number_input(key=_key(app, "tokens_per_minute")).value == 9_000
    assert app.number_input(key=_key(app, "cap_usd")).value == 2.5
    assert app.selectbox(key=_key(app, "stream")).value == "Never"
    assert app.selectbox(key=_key(app, "model")).value == "sandbox"
    assert "Retry sends 2 calls, 2 quota slots, all at once" in _said(app)
    assert "From here on" not in _said(app)
    _press(app)
    assert {sending.prompt for sending in caller.taken(5)[3:]} == {"bad", "worse"}
    assert live.batch == before


def test_a_run_goes_on_under_the_settings_that_stand_there_and_says_so(stopped: Stopped, caller: HandCaller) -> None:
    live = stopped()
    app = _open(live)
    app.number_input(key=_key(app, "timeout_s")).set_value(5)
    app.number_input(key=_key(app, "retries")).set_value(3)
    app.number_input(key=_key(app, "requests_per_minute")).set_value(120)
    app.number_input(key=_key(app, "cap_tokens")).set_value(400)
    app.slider(key="strip_workers").set_value(1)
    moved = (
        "Timeout 5 s instead of 1 min, Retries 3 instead of 0, Requests a minute 120 instead of the account's, "
        "Cap in tokens 400 instead of no cap."
    )
    said = _said(_run(app))
    assert "Retry sends 2 calls, 2 quota slots, one after another" in said
    assert f"Pauses and asks at 400 tokens. From here on: {moved}" in said
    _press(app)
    assert caller.taken(4)[3].prompt == "bad"
    assert live.batch == Batch(
        prompts=("good", "bad", "worse"), timeout_s=5, retries=3, requests_per_minute=120, cap_tokens=400
    )
    assert live.max_workers == 1
    assert f"Sent again with {moved}" in _said(_run(app))
    assert live.snapshot().calls[0].output == "kept"


def test_a_cap_in_dollars_says_what_it_does_where_the_runs_own_answers_have_no_price(stopped: Stopped) -> None:
    live = stopped(max_workers=1)
    app = _open(live)
    app.number_input(key=_key(app, "cap_usd")).set_value(1.0)
    assert "one call goes first, and the run pauses after it and asks, unless its answer has a price" in _said(
        _run(app)
    )
    assert "pauses before its next call" not in _said(app)


def test_a_number_that_is_missing_says_so_and_sends_nothing(stopped: Stopped, caller: HandCaller) -> None:
    live = stopped()
    app = _open(live)
    app.number_input(key=_key(app, "timeout_s")).set_value(None)
    assert "Retry sends nothing: “Timeout” is empty: give a number." in _said(_run(app))
    _pressed_too_late(app, live)
    app.number_input(key=_key(app, "timeout_s")).set_value(7)
    assert "sends nothing" not in _said(_run(app))
    assert not button_of(app, "retry_failed").disabled


def _pressed_too_late(app: AppTest, live: LiveRun) -> None:
    """The button is off; a press that was on its way when it went off sends nothing."""
    assert button_of(app, "retry_failed").disabled
    before = live.snapshot()
    button_of(app, "retry_failed").proto.disabled = False
    _press(app)
    assert live.snapshot() == before


@pytest.mark.parametrize("retries", [-5, 99])
def test_a_number_out_of_its_range_says_so_on_the_page_and_turns_the_button_off(
    stopped: Stopped, caller: HandCaller, retries: int
) -> None:
    live = stopped()
    app = _open(live)
    app.number_input(key=_key(app, "retries")).set_value(retries)
    said = _said(_run(app))
    refused = f"Retry sends nothing: retries must be from 0 to 20, got {retries}."
    assert said.count(refused) == 2  # under the fields, and on the page
    _pressed_too_late(app, live)
    app.number_input(key=_key(app, "retries")).set_value(3)
    _press(_run(app))
    assert live.batch.retries == 3


def test_what_the_account_does_not_allow_is_refused_until_it_asks_for_less(
    stopped: Stopped, caller: HandCaller
) -> None:
    live = stopped()
    app = _open(live)
    app.number_input(key=_key(app, "requests_per_minute")).set_value(601)
    refused = "Retry sends nothing: “Requests a minute” must be at most 600 for sandbox, as fanout.toml says, got 601."
    assert refused in _said(_run(app))
    _pressed_too_late(app, live)
    assert refused in _said(app)
    app.number_input(key=_key(app, "requests_per_minute")).set_value(600)
    assert "sends nothing" not in _said(_run(app))
    _press(app)
    assert live.batch.requests_per_minute == 600


def test_once_it_went_on_the_fields_hold_what_it_has_now(stopped: Stopped, caller: HandCaller) -> None:
    live = stopped()
    app = _open(live)
    app.number_input(key=_key(app, "timeout_s")).set_value(5)
    _run(app)
    _press(app)
    caller.taken(5)
    live.cancel()
    assert live.wait(20)
    app.session_state["resume_settings"] = True
    _run(app)
    assert app.number_input(key=_key(app, "timeout_s")).value == 5
    assert "From here on" not in _said(app)


def test_a_member_goes_on_with_the_models_on_offer_only(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    live = stopped()
    member = Person(user_id=LOCAL.user_id, name="Anna", role="member")
    monkeypatch.setattr(door, "person", lambda page="": member)
    app = _open(live)
    assert app.selectbox(key=_key(app, "model")).options == ["sandbox", "openai:x"]
    opened = house.library().find(LOCAL, live.run_id)
    with pytest.raises(NotAllowed, match="members send to the models on offer"):
        starting.resume(member, opened, changes={"model": "openai:dear"})
    app.selectbox(key=_key(app, "model")).set_value("openai:x")
    assert "From here on: Model openai:x instead of sandbox." in _said(_run(app))
    _press(app)
    assert live.batch.model == "openai:x"


def test_the_page_names_the_model_of_each_answer_once_the_run_went_on_under_another(
    stopped: Stopped, caller: HandCaller
) -> None:
    live = stopped()
    app = _open(live)
    assert "model" not in app.dataframe[0].value.columns
    app.selectbox(key=_key(app, "model")).set_value("openai:x")
    _press(_run(app))
    for sending in caller.taken(5)[3:]:
        sending.answer(f"theirs: {sending.prompt}")
    assert live.wait(20)
    later = AppTest.from_file(MAIN, default_timeout=20)
    later.query_params["run"] = live.run_id
    for call, whose in ((0, "sandbox (simulated)"), (1, "openai:x")):
        later.session_state["_opened"] = call
        assert f"Model {whose}" in _said(_run(later))
        assert ("Answer, simulated by the sandbox" in _said(later)) == (call == 0)
    assert "answer (simulated)" not in later.dataframe[0].proto.columns, "not all of them are"
    assert "Simulated in part: the sandbox made some of these answers, no model did." in _said(later)
    models = later.dataframe[0].value["model"].tolist()
    assert sorted(models) == ["openai:x", "openai:x", "sandbox (simulated)"]


@pytest.fixture
def many(caller: HandCaller, stopped: Stopped) -> LiveRun:
    """A run of which one prompt is answered and 501 were not sent, on a model that costs money."""
    prompts = ["good", "bad", "worse", *(f"prompt {number}" for number in range(499))]
    live = house.engine().start(Batch(prompts=prompts, model="openai:x", retries=0, max_workers=1))
    caller.taken(1)[0].answer("kept", cost_usd=0.01)
    caller.taken(2)
    live.cancel()
    assert live.wait(20)
    return live


def test_many_calls_that_cost_money_are_asked_about_twice_before_a_run_goes_on(
    many: LiveRun, caller: HandCaller
) -> None:
    app, before = _open(many), many.snapshot()
    _press(app)
    assert many.snapshot() == before
    assert "This sends 501 calls to openai:x and costs about $5.01. Send them?" in _said(app)
    resume_form.press(house.library().find(LOCAL, many.run_id))  # the same click, delivered once more
    assert many.snapshot() == before
    button_of(app, "retry_confirm").click()
    _run(app)
    assert caller.taken(3)[2].prompt == "bad"
    assert not many.ended


def test_a_question_about_many_calls_can_be_taken_back(many: LiveRun) -> None:
    app, before = _open(many), many.snapshot()
    _press(app)
    app.button(key="not_now").click()
    _run(app)
    assert "Send them?" not in _said(app)
    assert button_of(app, "retry_failed").label == "Retry 501 unanswered"
    assert many.snapshot() == before


def test_under_other_settings_it_is_another_question(many: LiveRun, caller: HandCaller) -> None:
    app, before = _open(many), many.snapshot()
    _press(app)
    app.number_input(key=_key(app, "timeout_s")).set_value(5)
    _run(app)
    assert button_of(app, "retry_failed").label == "Retry 501 unanswered"
    resume_form.confirm(house.library().find(LOCAL, many.run_id))  # a press that was on its way meanwhile
    assert many.snapshot() == before
    app.selectbox(key=_key(app, "model")).set_value("sandbox")
    _run(app)
    _press(app)
    caller.taken(3)
    assert not many.ended, "the sandbox costs nothing"


def test_few_calls_that_cost_money_are_sent_at_once(stopped: Stopped, caller: HandCaller) -> None:
    live = stopped(model="openai:x")
    _press(_open(live))
    caller.taken(5)
    assert not live.ended
