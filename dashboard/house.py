"""The one library of the process, its engine and its settings: opened and closed by the app, used by the pages.

Comes in: settings. Goes out: `library()`, `engine()` and `settings()`. A module and not a cached resource, because
clearing Streamlit's cache would drop runs that go on. Opening starts nothing slow in the caller's way: what the first
run needs (pydantic-ai's imports, the sandbox's process) is fetched by one thread, once a page has been painted.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from fanout import Engine, completion
from fanout.errors import FanoutError
from fanout.library import Library
from fanout.people import Visibility
from fanout.settings import Settings, name_sandbox

PAINT_WITHIN_S = 4.0
"""When nobody opens a page, what is slow is fetched all the same, after this long."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _House:
    library: Library
    painted: threading.Event = field(default_factory=threading.Event)


_house: _House | None = None


def open_house(
    settings: Settings, *, engine: Engine | None = None, prepare: bool = True, visibility: Visibility = "private"
) -> None:
    """Open the store and the engine, or take the engine given, which keeps its runs in memory.

    `prepare` fetches in the background what the first run needs. `visibility`: who sees runs whose starter did not say.
    Raises BadInput where the store cannot be opened.
    """
    global _house
    if _house is not None:
        raise RuntimeError("the house is open already: close it first")
    name_sandbox(settings)
    house = _house = _House(library=Library(settings, engine=engine, visibility=visibility))
    if prepare:
        threading.Thread(target=_prepare, args=(house,), name="fanout-prepare", daemon=True).start()


def close_house() -> None:
    """End what goes on in order, and close the engine and the store. Nothing happens where they are closed."""
    global _house
    house, _house = _house, None
    if house is not None:
        house.painted.set()
        house.library.close(grace_s=house.library.settings.grace_s)


def library() -> Library:
    """The runs of this process and of its store."""
    return _open().library


def engine() -> Engine:
    """The engine of this process: for what is nobody's own. Runs are asked of the library."""
    return _open().library.engine


def settings() -> Settings:
    """The settings this process was opened with."""
    return _open().library.settings


def page_painted() -> None:
    """A page says that it has been painted: from now on the slow imports are in nobody's way."""
    _open().painted.set()


def _open() -> _House:
    if _house is None:
        raise RuntimeError("no engine: the dashboard is started with `streamlit run dashboard/app.py`")
    return _house


def _prepare(house: _House) -> None:
    house.painted.wait(PAINT_WITHIN_S)
    if _house is not house:
        return
    try:
        completion("sandbox")
    except FanoutError as exc:
        _LOG.warning("the sandbox did not start: %s", exc)  # the first run on it says so on its page
