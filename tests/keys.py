"""The keys that tests hand to Fanout, and the search for them in everything that the tests left behind.

Comes in: a folder of files (databases, logs, exports, reports), a PostgreSQL database, or what a page was sent. Goes
out: where a key stands. A key may be in an environment and on the wire to its provider, and nowhere else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql

JOURNEYS = "sk-journey-0123456789abcdefghijklmnop"
"""Of every dashboard that the journeys start."""
SHAPES = {
    "OpenAI": "sk-proj-Zq81-5rY7w_Lk2mVt0Ub9Xc4Nd6Pe3Fg",
    "Anthropic": "sk-ant-api03-Zq815rY7wLk2mVt0Ub9Xc4Nd6Pe3Fg-AA",
    "Google": "AIzaSyZq815rY7wLk2mVt0Ub9Xc4Nd6Pe3FgH",
    "of no known shape": "zq81/5ry7w=lk2mvt0ub9xc4nd6pe3fg",
}
"""That providers say back in their errors."""
BYSTANDER = "sk-ant-another-one-that-is-there-0001"
"""In the environment, and of no use to the run."""
KEYS = (JOURNEYS, BYSTANDER, *SHAPES.values())


def spellings(keys: Iterable[str] = KEYS) -> frozenset[str]:
    """Every way in which JSON, HTML or a URL may have written them."""
    plain = set(keys)
    return frozenset({*plain, *(json.dumps(key)[1:-1] for key in plain), *(key.replace("/", "\\/") for key in plain)})


def in_folder(folder: Path, keys: Iterable[str] = KEYS) -> list[str]:
    """The files in which a key stands. Databases are read as such too: a text may be split over their pages."""
    sought = [each.encode() for each in spellings(keys)]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if any(each in content for each in sought):
            found.append(str(path.relative_to(folder)))
        elif content.startswith(b"SQLite format 3") and any(
            each in row for row in _rows_of_sqlite(path) for each in sought
        ):
            found.append(f"{path.relative_to(folder)}, in its tables")
    return found


def in_frame(frame: bytes | str) -> bool:
    """Whether a key stands in what a page was sent."""
    content = frame.encode() if isinstance(frame, str) else frame
    return any(each in content for each in _SOUGHT)


_SOUGHT = tuple(each.encode() for each in spellings())


def _rows_of_sqlite(path: Path) -> Iterator[bytes]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in connection.execute(f'SELECT * FROM "{table}"'):  # its own names
                    yield from (cell if isinstance(cell, bytes) else str(cell).encode() for cell in row)
    except sqlite3.Error:
        return  # a test damaged it, or took its rights away: what it holds was read as bytes


def in_postgres(url: str, keys: Iterable[str] = KEYS) -> list[str]:
    """The tables of a database in which a key stands."""
    found = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            query = sql.SQL("SELECT count(*) FROM {table} AS t WHERE position(%s in t::text) > 0")
            for each in spellings(keys):
                row = connection.execute(query.format(table=sql.Identifier(table)), (each,)).fetchone()
                if row is not None and row[0]:
                    found.append(f"{url.rsplit('/', 1)[-1]}.{table}")
                    break
    return found
