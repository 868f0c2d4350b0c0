"""Bringing a database to the newest schema, at start, in one transaction; a newer one is refused.

Comes in: an open connection in a transaction that excludes other writers. Goes out: the schema at its newest, or
`SchemaTooNew`. Alembic is imported here and late: it takes a second, and a database that is up to date needs only its
name of the version read.
"""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from fanout.errors import BadInput

_FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"v(\d{4})_\w+\.py")


class SchemaTooNew(BadInput):
    """A newer program has changed the database; this one must not write into it."""


def newest() -> str:
    """The version that this program knows last."""
    return max(versions())


def versions() -> tuple[str, ...]:
    """Every version that this program knows, the oldest first."""
    found = (_NAME.fullmatch(path.name) for path in (_FOLDER / "versions").iterdir())
    return tuple(sorted(match[1] for match in found if match))


def is_current(connection: sa.Connection) -> bool:
    """Whether the schema is at its newest version: then nothing has to be written."""
    return _held(connection) == newest()


def upgrade(connection: sa.Connection) -> bool:
    """Bring the schema to its newest version; whether anything was done. Raises SchemaTooNew on a newer one."""
    if is_current(connection):
        return False
    held = _held(connection)
    if held is not None and held not in versions():
        raise SchemaTooNew(
            f"the store was written by a newer Fanout (its schema is {held}, this program knows {newest()}): "
            "update this program, or give it another FANOUT_DATA_DIR or FANOUT_DATABASE_URL"
        )
    if held is None and sa.inspect(connection).has_table("run"):
        raise BadInput("the database holds a table named run that is not Fanout's: give it a database of its own")
    _migrate(connection)
    return True


def _held(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
