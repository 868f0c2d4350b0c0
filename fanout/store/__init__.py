"""Where runs' events are kept: the interface every store takes, and the one in memory.

Comes in: events, in the order they were recorded. Goes out: the same events; a run is their fold. A store knows neither
the engine nor what an event means.
"""

from __future__ import annotations

from fanout.store.memory import MemoryStore, Store

__all__ = ["MemoryStore", "Store"]
