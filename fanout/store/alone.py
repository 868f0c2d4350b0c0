"""What one process at a time may do with a store, though no row of it says who does: a lock that a kill lets go of.

Comes in: a `Database`, words that name what is done. Goes out: whether nobody else does it now, held until the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import sqlalchemy as sa

from fanout.store.database import Database

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "alone.lock"
"""Beside the SQLite file; each thing that is done has a byte of it, which need not be there."""


@contextmanager
def alone(database: Database, words: str) -> Iterator[bool]:
    """Whether no other process does what `words` name; this one does until the end of the block. One at a time.

    Where nothing can be locked, on a full disk say, nobody is held up.
    """
    digest = hashlib.sha256(words.encode(errors="surrogatepass")).digest()
    key = int.from_bytes(digest[:8], "big") >> 2  # fits a signed number of 64 bits, as a place in a file too
    with _in_file(database, key) if database.is_sqlite else _in_postgres(database, key) as is_free:
        yield is_free


@contextmanager
def _in_file(database: Database, key: int) -> Iterator[bool]:
    assert database.path is not None
    try:
        lock = None if fcntl is None else (database.path.parent / FILE_NAME).open("ab")
    except OSError:
        lock = None
    if lock is None:
        yield True
        return
    with closing(lock):  # which lets go of the byte
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
        except (BlockingIOError, PermissionError):
            is_free = False
        except OSError:
            is_free = True
        else:
            is_free = True
        yield is_free


@contextmanager
def _in_postgres(database: Database, key: int) -> Iterator[bool]:
    with database.reader.connect() as connection:
        question = sa.text("SELECT pg_try_advisory_lock(:key)")
        is_free = bool(connection.execute(question, {"key": key}).scalar())
        connection.commit()  # the lock is the session's: no transaction stays open
        try:
            yield is_free
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # a connection that is lost has let go of it
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
                connection.commit()
