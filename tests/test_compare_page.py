"""The comparison's page: which two it shows, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import compare_view, house
from dashboard.found import NOT_KNOWN, choice_of, find
from fanout import Batch, Engine
from fanout.settings import Settings
from fanout.store.rows import row_of
from tests.hands import HandCaller, WatchedStore
from tests.pages import HOSTILE, draw, go_to, open_page, read
from tests.runs import make_run


@pytest.fixture
def caller() -> HandCaller:
    return HandCaller()


@pytest.fixture
def engine(caller: HandCaller) -> Iterator[Engine]:
    opened = Engine(caller_for=lambda *_: caller, store=WatchedStore())
    house.open_house(Settings(grace_s=0), engine=opened, prepare=False)
    yield opened
    house.close_house()


def compare_page(**named: str) -> AppTest:
    return go_to(open_page(), "compare", **named)


def answered(engine: Engine, caller: HandCaller, *answers: str, **batch: Any) -> str:
    before = caller.count
    live = engine.start(Batch(prompts=[HOSTILE, "two"][: len(answers)], max_workers=1, **batch))
    for number, answer in enumerate(answers, start=1):
        caller.taken(before + number)[-1].answer(answer)
    live.wait(20)
    return live.run_id


@pytest.mark.usefixtures("engine")
def test_without_runs_it_says_how_to_get_there() -> None:
    app = compare_page()
    assert "There is nothing to compare yet: it takes two runs." in read(app)
    assert [link.proto.label for link in app.get("page_link")] == ["Start one"]


def test_one_run_alone_waits_for_another(engine: Engine, caller: HandCaller) -> None:
    run_id = answered(engine, caller, "x")
    app = compare_page(b=run_id)
    assert "Choose the other run. There is only one run yet." in read(app)
    assert (app.selectbox(key="compare_a").value, app.selectbox(key="compare_b").value) == (None, run_id)


def test_two_chosen_runs_are_compared_and_swapped(engine: Engine, caller: HandCaller) -> None:
    one = answered(engine, caller, "x", "same", name="first")
    other = answered(engine, caller, "y", "same", retries=4)
    app = compare_page(a=one)
    app.selectbox(key="compare_b").set_value(other)
    draw(app)
    assert (app.query_params["a"], app.query_params["b"]) == (one, other)
    assert "Of 2 answers, 1 changed and 1 is the same." in read(app)
    assert "Retries 2 4" in read(app)
    assert app.dataframe[0].value["answers"].tolist() == ["≠ changed", "= same"]
    app.button(key="compare_swap").click()
    draw(app)
    assert (app.query_params["a"], app.query_params["b"]) == (other, one)
    assert "Retries 4 2" in read(app)
    assert app.selectbox(key="compare_a").value == other


def test_whose_answers_the_sandbox_made_is_said(engine: Engine, caller: HandCaller) -> None:
    one, other = answered(engine, caller, "x"), answered(engine, caller, "y")
    real = answered(engine, caller, "z", model="openai:x")
    assert "Simulated: the sandbox made the answers of both, no model did." in read(compare_page(a=one, b=other))
    assert "Simulated: the sandbox made B's answers, no model did." in read(compare_page(a=real, b=one))


def test_an_unknown_run_and_a_guess_get_the_same_sentence(engine: Engine, caller: HandCaller) -> None:
    run_id = answered(engine, caller, "x")
    for guess in ("0123456789abcdef", "<b>", "../..", ""):
        app = compare_page(a=run_id, b=guess)
        assert NOT_KNOWN in read(app)
        assert "choose another above" in read(app)
        assert app.selectbox(key="compare_b").value is None
        if guess:
            assert guess not in read(app)
    assert find("0123456789abcdef") is None


def test_changed_only_and_the_two_answers_as_text(engine: Engine, caller: HandCaller) -> None:
    one, other = answered(engine, caller, f"{HOSTILE} one", "same"), answered(engine, caller, f"{HOSTILE} two", "same")
    app = compare_page(a=one, b=other)
    app.button_group(key="compare_show").set_value("changed")
    draw(app)
    assert app.dataframe[0].value["answers"].tolist() == ["≠ changed"]
    app.session_state["_pair"] = 0
    draw(app)
    shown = " ".join(element.proto.body for element in app.get("html"))
    assert "<del>one</del>" in shown
    assert "<ins>two</ins>" in shown
    assert "<img" not in shown
    assert not [text for text in app.markdown if "evil" in text.value]
    assert [code.value for code in app.code] == [HOSTILE]
    app.button(key="close_pair").click()
    draw(app)
    assert not app.code


def test_a_finished_run_leads_to_its_comparison(engine: Engine, caller: HandCaller) -> None:
    run_id = answered(engine, caller, "x")
    app = open_page(run=run_id)
    (link,) = [link.proto for link in app.get("page_link") if "Compare" in link.proto.label]
    assert f"b={run_id}" in link.query_string


def test_ten_thousand_prompts_each_are_compared_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {
        run.run_id: run
        for run in (
            make_run(n=10_000, max_workers=64, failing=0.02, run_id="a" * 16),
            make_run(n=10_000, max_workers=32, seed=3, run_id="b" * 16),
        )
    }
    monkeypatch.setattr(compare_view, "find", runs.get)
    monkeypatch.setattr(
        compare_view, "choices", lambda: tuple(choice_of(row_of(run), zone=None) for run in runs.values())
    )
    app = compare_page(a="a" * 16, b="b" * 16)
    assert "A answered 9,800 of 10,000 prompts" in read(app)
    assert "The first 2,000 of 10,000 rows." in read(app)
    assert len(app.dataframe[0].value) == 2_000
