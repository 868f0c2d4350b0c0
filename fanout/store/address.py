"""The store's address: a URL taken apart, and what of it may be shown.

Comes in: `FANOUT_DATABASE_URL`, or a folder. Goes out: a parsed URL, a `BadInput` that repeats nothing of one that
cannot be parsed, and the few parts that hold no secret: driver, host, port and database. A query may hold passwords of
its own (`?password=`, `?sslpassword=`), and what follows an unescaped @ in a password is read as the host.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from fanout.errors import BadInput

FILE_NAME = "fanout.db"

_MAY_HOLD_AT = frozenset(
    ("application_name", "options", "passfile", "password", "service", "sslcert", "sslkey", "sslpassword", "user")
)
"""Query parameters of which an @ says nothing: any other one hints at a ? in a password."""


def url_of(folder: Path) -> str:
    """The URL of the SQLite file in this folder."""
    return sa.URL.create("sqlite", database=str(folder.expanduser().absolute() / FILE_NAME)).render_as_string()


def parsed(url: str) -> sa.URL:
    """The URL, with the driver that is used here. Raises BadInput, without a word of it, where it is none."""
    try:
        found = sa.make_url(url)
        backend = found.get_backend_name()
    except (SQLAlchemyError, ValueError):
        raise BadInput(
            "FANOUT_DATABASE_URL is not a URL: expected postgresql://user@host:5432/name or sqlite:////path/to/file"
        ) from None
    if backend in ("postgresql", "postgres"):  # the short form is what many providers hand out
        if _is_cut_wrongly(found):
            raise BadInput(
                "FANOUT_DATABASE_URL has an @ where none belongs: in a user's name or password write @ as %40, : as "
                "%3A, / as %2F and ? as %3F"
            )
        return found.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and found.database and found.database != ":memory:":
        return found.set(drivername="sqlite")
    raise BadInput(
        f"FANOUT_DATABASE_URL names {backend!r}: the store is kept in a SQLite file (sqlite:////path/to/file) or in "
        "PostgreSQL (postgresql://user@host:5432/name)"
    )


def shown(url: sa.URL) -> str:
    """The address without its secrets: no user, no password, no query parameter."""
    if _is_cut_wrongly(url):
        return url.get_backend_name()
    port = "" if url.port is None else f":{url.port}"
    database = "" if url.database is None else f"/{url.database}"
    return f"{url.drivername}://{url.host or ''}{port}{database}"


def _is_cut_wrongly(url: sa.URL) -> bool:
    """Whether a part of the password was probably taken for something else."""
    if url.get_backend_name() == "sqlite":
        return False
    query = "".join(f"{name}{value}" for name, value in url.query.items() if name not in _MAY_HOLD_AT)
    return "@" in f"{url.host or ''}{url.database or ''}{query}"
