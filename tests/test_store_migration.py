"""The schema: made by one of several at once, brought up to date without losing a row, refused where it is newer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from fanout.errors import BadInput
from fanout.store import migrate
from fanout.store.database import open_database, url_of
from fanout.store.migrate import SchemaTooNew
from fanout.store.tables import METADATA
from tests.hands import WAIT_S
from tests.postgres import Postgres
from tests.stores import Kept, asked, file_of, say

ROOT = Path(__file__).parent.parent

NEXT = '''
"""The version after the newest, for this test: every run has a colour; the table of tags goes into the run."""
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("colour", sa.Text, nullable=False, server_default="blue"))
    with op.batch_alter_table("audit") as batch:
        batch.alter_column("words", new_column_name="said")
    {then}
'''


def next_version(folder: Path, monkeypatch: pytest.MonkeyPatch, *, then: str = "pass") -> None:
    """From here on this program knows one version more."""
    copy = folder / "migrations"
    shutil.copytree(Path(migrate.__file__).parent / "migrations", copy)
    text = NEXT.format(newest=migrate.newest(), then=then)
    (copy / "versions" / "v9000_colour.py").write_text(text)
    monkeypatch.setattr(migrate, "_FOLDER", copy)


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but for those that the next version changes."""
    names = ("process", "run", "chunk", "tag", "spend", "audit")
    columns = {name: ", ".join(column.name for column in METADATA.tables[name].columns) for name in names}
    return {name: sorted(map(tuple, asked(url, f"SELECT {columns[name]} FROM {name}")), key=repr) for name in names}


def test_the_tables_that_the_program_names_are_those_that_the_migrations_make(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = open_database(database_url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_an_older_schema_is_brought_up_to_date_without_losing_a_row(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanout.people import LOCAL

    with Kept(database_url) as kept:
        run_id = kept.answered(3).run_id
        kept.shelf.tag(LOCAL, run_id, ("a", "b"))
        kept.shelf.rename(LOCAL, run_id, "first")
    before = contents(database_url)
    assert all(before[name] for name in ("run", "chunk", "tag", "spend", "audit"))
    next_version(tmp_path, monkeypatch)
    open_database(database_url).close()
    assert asked(database_url, "SELECT version_num FROM alembic_version") == [("9000",)]
    assert asked(database_url, "SELECT colour FROM run") == [("blue",)]
    said = asked(database_url, "SELECT said FROM audit")
    say(database_url, "ALTER TABLE audit RENAME COLUMN said TO words")
    assert sorted(said, key=repr) == sorted([(row[-1],) for row in before["audit"]], key=repr)
    assert contents(database_url) == before
    open_database(database_url).close()  # and once more: nothing to do


def test_half_a_migration_is_undone(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Kept(database_url) as kept:
        kept.answered()
    before = contents(database_url)
    with monkeypatch.context() as patch:
        next_version(tmp_path, patch, then='op.execute("INSERT INTO nowhere VALUES (1)")')
        with pytest.raises(BadInput, match=r"cannot be opened: .*nowhere"):
            open_database(database_url)
        assert asked(database_url, "SELECT version_num FROM alembic_version") == [(migrate.versions()[-2],)]
    assert contents(database_url) == before
    with Kept(database_url) as kept:  # it is as it was, and goes on
        kept.answered()


def test_a_newer_schema_is_refused_in_a_sentence_and_left_as_it_is(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kept(database_url) as kept:
        kept.answered()
    with monkeypatch.context() as patch:
        next_version(tmp_path, patch)
        open_database(database_url).close()
    colours = asked(database_url, "SELECT run_id, colour FROM run")
    with pytest.raises(SchemaTooNew) as refused:
        Kept(database_url)
    assert str(refused.value) == (
        f"the store was written by a newer Fanout (its schema is 9000, this program knows {migrate.newest()}): "
        "update this program, or give it another FANOUT_DATA_DIR or FANOUT_DATABASE_URL"
    )
    assert asked(database_url, "SELECT run_id, colour FROM run") == colours
    assert asked(database_url, "SELECT version_num FROM alembic_version") == [("9000",)]


def test_five_processes_that_start_at_once_on_nothing_all_open_it(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    code = (
        "import sys; from fanout.store.database import open_database; from fanout.store.sql import SqlStore\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"store = SqlStore(open_database({url!r})); print('open', flush=True); sys.stdin.readline(); store.close()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n", child.communicate()[1]
        assert len(asked(url, "SELECT 1 FROM process")) == 5
    finally:
        ended = [child.communicate("\n", timeout=WAIT_S)[1] for child in children]
    assert ended == [""] * 5
    assert [child.returncode for child in children] == [0] * 5


def test_a_database_that_holds_something_else_is_refused(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        file_of(database_url).parent.mkdir()
    say(database_url, "CREATE TABLE run (mile INTEGER)")
    with pytest.raises(BadInput, match="a table named run that is not Fanout's"):
        open_database(database_url)
    assert asked(database_url, "SELECT * FROM run") == []


def test_a_file_that_is_no_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "fanout.db").write_bytes(b"Dear diary, " * 200)
    with pytest.raises(BadInput, match=r"fanout\.db cannot be opened: file is not a database"):
        open_database(url_of(tmp_path))
    assert (tmp_path / "fanout.db").read_bytes() == b"Dear diary, " * 200


def test_a_folder_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BadInput, match="Set FANOUT_DATA_DIR to a folder of yours"):
        open_database(url_of(tmp_path / "taken" / "deeper"))


@pytest.mark.parametrize("name", ["with space", "50%", "what?", "a#b", "ünï", "a:b@c", "100%20"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    database = open_database(url_of(tmp_path / name))
    assert database.path == tmp_path / name / "fanout.db"
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user@host/x", "names 'mysql'"),
        ("not a url", "is not a URL"),
        ("postgresql://h:notaport/x", "is not a URL"),
        ("sqlite://", "names 'sqlite'"),
        ("sqlite:///:memory:", "names 'sqlite'"),
        ("", "is not a URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_so(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        open_database(url)


def test_the_password_of_a_url_is_in_no_sentence(postgres: Postgres, capfd: pytest.CaptureFixture[str]) -> None:
    url = postgres.fresh().replace("fanout@", "fanout:hush-hush@").replace("/test", "/no_such_test")
    with pytest.raises(BadInput) as refused:
        open_database(url)
    assert "does not exist" in str(refused.value)
    assert "hush-hush" not in str(refused.value) + repr(refused.value.__cause__) + "".join(capfd.readouterr())


def test_a_schema_goes_only_forward(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    database = open_database(url_of(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(migrate._FOLDER))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(NotImplementedError, match="restore a backup"):
            command.downgrade(config, "base")
    database.close()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    open_database(url_of(tmp_path)).close()
    code = (
        "import sys; from fanout.store.database import open_database\n"
        f"open_database({url_of(tmp_path)!r}).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_write_that_fails_is_undone(database_url: str) -> None:
    database = open_database(database_url)

    def write() -> None:
        with database.write() as connection:
            connection.execute(sa.text("INSERT INTO audit (at, user_id, user_name, action) VALUES (1, 'a', 'a', 'a')"))
            connection.execute(sa.text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises((SQLAlchemyError, BadInput)):
        write()
    assert asked(database_url, "SELECT * FROM audit") == []
    database.close()
