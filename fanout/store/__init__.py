"""Where runs' events are kept: what a store is to the engine, the one in memory, and the one in a database.

Comes in: events, in the order they were recorded. Goes out: the same events; a run is their fold. A store knows no
provider. The database's rooms (`sql`, `shelf`, and what they stand on) import SQLAlchemy: who wants them imports them
by name, so that `import fanout` does not wait for it.
"""

from __future__ import annotations

from fanout.store.memory import Attached, Claimed, Journal, MemoryStore, NoSuchRun, Store

__all__ = ["Attached", "Claimed", "Journal", "MemoryStore", "NoSuchRun", "Store"]
