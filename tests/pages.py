"""The dashboard's pages through Streamlit's AppTest, as a person uses them: opened at an address, read, pressed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from dashboard import door, house
from fanout import Batch, Engine
from fanout.calls import Caller
from fanout.clock import Clock
from fanout.errors import BadInput
from fanout.people import Person
from fanout.settings import Settings
from tests.hands import HandCaller, WatchedStore

HOSTILE = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> **bold**"
ANNA = Person(user_id="anna", name="Anna")
BEN = Person(user_id="ben", name="Ben")
ComeIn = Callable[[Person], None]

_MAIN = str(Path(__file__).parent.parent / "dashboard" / "main.py")


def open_page(**query: str) -> AppTest:
    """The first page, at the address with this query."""
    app = AppTest.from_file(_MAIN, default_timeout=20)
    app.query_params.update(query)
    return draw(app)


def go_to(app: AppTest, page: str, **query: str) -> AppTest:
    """Another page of the same session. `page`: as its file is named."""
    app.switch_page(f"app_pages/{page}.py")
    app.query_params.update(query)
    return draw(app)


def draw(app: AppTest) -> AppTest:
    """The page drawn anew, with all that was set and clicked; an exception fails the test."""
    app.run()
    assert not app.exception, app.exception
    return app


def read(app: AppTest) -> str:
    """Every sentence that we write on the page, without its markup."""
    html = " ".join(element.proto.body for element in app.get("html"))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#x27;", "'")))


def button_of(app: AppTest, key: str) -> Button:
    """The button whose key begins so: the rest is the session's."""
    (found,) = (button for button in app.button if str(button.key).startswith(f"{key}_"))
    return found


def labels(app: AppTest) -> list[str]:
    """Of every button."""
    return [button.label for button in app.button]


def press(app: AppTest, label: str) -> AppTest:
    """The page drawn anew after a press on the first button of this label."""
    next(button for button in app.button if button.label == label).click()
    return draw(app)


def entrance(patch: pytest.MonkeyPatch) -> ComeIn:
    """Lets somebody log in, who looks at the pages from then on."""

    def come_in(person: Person) -> None:
        patch.setattr(door, "person", lambda page="": person)
        patch.setattr(door, "has_login", lambda: True)

    return come_in


@contextmanager
def house_by_hand(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    """The house over an engine whose calls a test answers by hand; models named `wrong` are refused."""

    def caller_for(batch: Batch, _: Clock) -> Caller:
        if batch.model == "wrong":
            raise BadInput("there is no model of this name: choose another")
        return caller

    settings = Settings(grace_s=0, models=("openai:x", "wrong"), max_workers_ceiling=64)
    opened = Engine(caller_for=caller_for, store=store)
    house.open_house(settings, engine=opened, prepare=False)
    try:
        yield opened
    finally:
        house.close_house()
