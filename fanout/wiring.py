"""What the settings name, made: the store's address, what is kept of it, the ledger of the caps, an engine.

Comes in: `Settings`. Goes out: parts that `Library` puts together, and that programs without a library take singly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fanout.engine import Engine
from fanout.quota.shared import Sharing
from fanout.settings import Settings
from fanout.store import Store
from fanout.store.database import url_of
from fanout.store.ledger import Ledger
from fanout.store.retention import Keep, expire
from fanout.store.sql import SqlStore


def store_url(settings: Settings) -> str:
    """The URL of the store: the one that is set, or the file in the data folder."""
    return settings.database_url or url_of(settings.data_dir)


def expiry_of(settings: Settings) -> Callable[[SqlStore], object] | None:
    """What deletes stored runs that are kept no longer; None where all are kept."""
    keep = Keep(days=settings.keep_days, mb=settings.keep_mb)
    return None if keep == Keep() else lambda store: expire(store, keep)


def ledger_of(settings: Settings) -> Ledger | None:
    """What is used of the caps a day; None where none is set."""
    return Ledger(settings.caps) if settings.caps else None


def engine_of(
    settings: Settings,
    *,
    store: Store | None,
    quota_file: Path | Sharing | None = None,
    ledger: Ledger | None = None,
) -> Engine:
    """An engine as the settings say; with no store it keeps its runs in memory, and knows of its own spending only."""
    return Engine(
        max_in_flight=settings.max_in_flight,
        keep_runs=settings.keep_runs,
        limits_for=settings.limits_for,
        quota_file=quota_file or settings.sharing,
        store=store,
        ledger=ledger or ledger_of(settings),
    )
