"""How late the event loop woke up, told to the runs that go on: their latencies include our own delay.

Comes in: what the loop measured, the stretches that go on. Goes out: `ClientLagged` events. Not thread-safe: the
engine's lock stands over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fanout.clock import NS_PER_MS, NS_PER_S
from fanout.events import ClientLagged
from fanout.stretch import OpenStretch

LAG_EVERY_NS = NS_PER_S
"""How often at most a run is told how late the loop woke up."""
LAG_TOLD_NS = 20 * NS_PER_MS
"""A lag below it is not worth a word."""


class LagTeller:
    """Asks the loop once a second at most."""

    def __init__(self, lag_ns: Callable[[], int]) -> None:
        """`lag_ns` tells the worst lag since it was last asked."""
        self._lag_ns = lag_ns
        self._asked_ns = 0

    def forget(self) -> None:
        """A stretch begins: what was late before is not its own."""
        self._lag_ns()

    def tell(self, stretches: Iterable[OpenStretch], at_ns: int) -> None:
        """A loop that woke up late made every latency of this second look longer."""
        if at_ns - self._asked_ns < LAG_EVERY_NS:
            return
        self._asked_ns = at_ns
        lag_ns = self._lag_ns()
        if lag_ns > LAG_TOLD_NS:
            for stretch in stretches:
                if stretch.began:
                    stretch.live.record.add(ClientLagged(at_ns=at_ns, lag_ns=lag_ns))
