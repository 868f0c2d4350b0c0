"""What every test stands on: a data folder that is nobody's, and the databases that the store is tested with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanout.store.database import url_of
from tests.hands import HandCaller, WatchedStore
from tests.keys import in_folder, in_postgres
from tests.postgres import Postgres, binaries
from tests.stores import bury


@pytest.fixture(scope="session", autouse=True)
def nobodys_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test writes into the home of whoever runs it, nor does a process that a test starts.

    After the last test, what all of them left behind (databases, logs, exports, reports) holds no key.
    """
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FANOUT_DATA_DIR", str(folder / "fanout"))
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.delenv("FANOUT_DATABASE_URL", raising=False)
        yield folder
    assert in_folder(tmp_path_factory.getbasetemp()) == [], "a key was kept"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server on loopback. Skipped where none is installed, but never in CI."""
    if binaries() is None:
        words = "PostgreSQL is not installed: `.ci/postgres` installs it from Debian's packages where it may"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    server = Postgres()
    try:
        server.start()
        yield server
        assert [found for url in server.made() for found in in_postgres(url)] == [], "a key was kept"
    finally:
        server.remove()


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """No thread of a process that died in a test outlives the test."""
    yield
    bury()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of another database with nothing in it, each time; the test runs once on each kind."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.fresh
    made: list[Path] = []

    def fresh() -> str:
        made.append(tmp_path / f"store{len(made)}")
        return url_of(made[-1])

    return fresh


@pytest.fixture
def database_url(fresh_url: Callable[[], str]) -> str:
    """One such database."""
    return fresh_url()


@pytest.fixture
def caller() -> HandCaller:
    """Calls that the test answers by hand."""
    return HandCaller()


@pytest.fixture
def store() -> WatchedStore:
    """A store in memory that tells what became of a run."""
    return WatchedStore()
