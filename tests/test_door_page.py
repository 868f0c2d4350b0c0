"""The door on its pages, through Streamlit's AppTest: who is shown what, asked anew at every drawing."""

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import door, house, live
from dashboard.door.rules import Login, Policy
from dashboard.door.state import Door, set_door
from fanout import Batch, Engine
from fanout.settings import Settings
from tests.hands import HandCaller
from tests.pages import draw, labels, open_page, read
from tests.test_door_rules import ANNA, LOGIN, NOW_S, POLICY

SECRET = "of a run"


class User:
    """Stands for `st.user`."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}

    def to_dict(self) -> dict[str, Any]:
        return self.claims


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    found = User()
    monkeypatch.setattr(st, "user", found)
    return found


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The door's time, with a login set up."""
    time = Clock()
    set_door(Door(POLICY, now_s=time))
    yield time
    set_door(Door(Policy()))


@pytest.fixture
def run_id() -> Iterator[str]:
    """A run that is there to be seen."""
    engine = Engine(caller_for=lambda batch, clock: HandCaller())
    house.open_house(Settings(grace_s=0, models=("openai:x",)), engine=engine, prepare=False, visibility="team")
    yield engine.start(Batch(prompts=(SECRET, "another"))).run_id
    house.close_house()


def _shows_the_run(app: AppTest) -> bool:
    return "of 2 answered" in read(app)


@pytest.mark.usefixtures("clock")
def test_a_stranger_sees_the_login_and_nothing_else(user: User, run_id: str) -> None:
    app = open_page(run=run_id)
    assert "Log in to Fanout" in read(app)
    assert set(labels(app)) == {"Log in"}
    assert not _shows_the_run(app)
    user.claims = ANNA
    assert _shows_the_run(draw(app))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"email": "eve@evil.org<script>"}, "You came as eve@evil.org&lt;script&gt;."),
        ({"email": None}, "gives no e-mail address of yours"),
        ({"email_verified": False}, "does not say that it has verified"),
    ],
)
def test_whoever_may_not_come_in_is_told_why_and_can_log_out(
    changed: dict[str, Any], sentence: str, user: User, run_id: str
) -> None:
    user.claims = {**ANNA, **changed}
    app = open_page(run=run_id)
    assert "You are logged in, but you are not allowed in." in read(app)
    assert sentence in read(app)
    assert set(labels(app)) == {"Log out"}
    assert not _shows_the_run(app)


def test_a_page_that_is_open_stops_showing_runs_when_its_login_ends(user: User, clock: Clock, run_id: str) -> None:
    user.claims = ANNA
    app = open_page(run=run_id)
    assert _shows_the_run(app)
    assert {"Duplicate", "Log out"} <= set(labels(app))
    clock.now_s += 12 * 3600
    draw(app)
    assert "Your login has ended. Log in again to go on." in read(app)
    assert set(labels(app)) == {"Log in"}
    assert not _shows_the_run(app)


def test_a_refresh_asks_the_door_before_it_draws(user: User, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Again(Exception):
        pass

    def again() -> None:
        raise Again

    monkeypatch.setattr(st, "rerun", again)
    monkeypatch.setattr(st, "fragment", lambda draw, **_: draw)

    def draw() -> None:
        drawn.append(SECRET)

    user.claims = ANNA
    live.poll(lambda: live.Look(every_s=None, draw=draw), key="x")
    assert drawn == [SECRET]
    clock.now_s += 12 * 3600
    with pytest.raises(Again):
        live.poll(lambda: live.Look(every_s=None, draw=draw), key="x")
    assert drawn == [SECRET]


@pytest.mark.usefixtures("clock")
def test_a_viewer_has_no_control_of_a_run(user: User, run_id: str) -> None:
    user.claims = {**ANNA, "email": "vera@audit.org"}
    app = open_page(run=run_id)
    assert _shows_the_run(app)
    assert not {"Pause", "Stop", "Edit and run again"} & set(labels(app))
    assert [slider.key for slider in app.slider] == []


def test_without_a_login_nothing_is_asked_and_without_safety_every_page_says_so(user: User, run_id: str) -> None:
    assert _shows_the_run(open_page(run=run_id))
    assert "No login is set up" not in read(open_page(run=run_id))
    set_door(Door(Policy(insecure=True)))
    try:
        app = open_page(run=run_id)
        assert "whoever reaches this address reads every run" in read(app)
        assert _shows_the_run(app)
    finally:
        set_door(Door(Policy()))
    assert user.claims == {}


@pytest.mark.usefixtures("run_id")
def test_several_providers_are_several_buttons(user: User) -> None:
    login = Login(redirect_uri=LOGIN.redirect_uri, providers=("default", "google", "corp"))
    set_door(Door(Policy(login=login, members=("example.com",))))
    try:
        app = open_page()
        assert set(labels(app)) == {"Log in", "Log in with Google", "Log in with Corp"}
    finally:
        set_door(Door(Policy()))
    assert not user.claims


def test_the_doors_promise_is_small() -> None:
    assert door.__all__ == ["draw_who", "has_login", "is_in", "person"]
