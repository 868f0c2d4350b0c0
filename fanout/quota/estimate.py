"""What a call will use, judged by what this batch has used so far; and what it did use.

Comes in: the text of a prompt, then the usage that came back. Goes out: `Cost`s in tokens. Before the first answer
it goes by characters and by max_tokens; afterwards by a high percentile of the batch's own answers, because an estimate
that is too low is a 429 and one that is too high only waits until it is settled (measured where tokens bind: by the
90th percentile a call in ten was refused at the edge of the limit).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from math import ceil

from fanout.events import LimitName, Usage
from fanout.quota.limits import Charge

CHARACTERS_A_TOKEN = 4
OVERHEAD_TOKENS = 8
"""Of a chat message's frame."""
FIRST_OUTPUT_TOKENS = 256
"""Of an answer before the first one came, where nobody set max_output_tokens."""
PERCENTILE = 0.98
REMEMBERED = 256
"""Answers whose usage is remembered: the batch may change its nature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call takes off each limit."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens

    def of(self, name: LimitName) -> int:
        """Off the limit of this name."""
        if name in ("requests", "requests_per_day"):
            return self.requests
        if name == "input_tokens":
            return self.input_tokens
        if name == "output_tokens":
            return self.output_tokens
        return 0 if name == "concurrency" else self.input_tokens + self.output_tokens


class Percentile:
    """The 98th percentile of the last values, nearest rank. O(log n) a value."""

    __slots__ = ("_order", "_sorted")

    def __init__(self) -> None:
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        """One more; beyond 256 the oldest is forgotten."""
        self._order.append(value)
        insort(self._sorted, value)
        if len(self._order) > REMEMBERED:
            self._sorted.remove(self._order.popleft())

    def value(self) -> float | None:
        """None before the first."""
        if not self._sorted:
            return None
        return self._sorted[ceil(PERCENTILE * len(self._sorted)) - 1]


class Estimate:
    """Learns one batch's usage. Not thread-safe: its owner holds a lock."""

    def __init__(self, *, instructions: str | None, max_output_tokens: int | None, charge: Charge) -> None:
        self._frame = OVERHEAD_TOKENS + len(instructions or "") // CHARACTERS_A_TOKEN
        self._most = max_output_tokens
        self._charge = charge
        self._outputs = Percentile()
        self._ratios = Percentile()  # input tokens as told / by characters

    def of(self, prompt: str) -> Cost:
        """What sending `prompt` is expected to use."""
        ratio = self._ratios.value()
        by_characters = self._by_characters(prompt)
        return Cost(
            input_tokens=by_characters if ratio is None else ceil(by_characters * ratio),
            output_tokens=self._output(),
        )

    def learn(self, prompt: str, usage: Usage) -> None:
        """An answer used this much."""
        if usage.output_tokens is not None:
            self._outputs.add(usage.output_tokens)
        if usage.input_tokens is not None:
            self._ratios.add(usage.input_tokens / self._by_characters(prompt))

    def settled(self, reserved: Cost, usage: Usage) -> Cost:
        """What the provider took, by the usage it told; the estimate stands where it told nothing."""
        kept = self._charge == "max_tokens" or usage.output_tokens is None
        return Cost(
            requests=reserved.requests,
            input_tokens=reserved.input_tokens if usage.input_tokens is None else usage.input_tokens,
            output_tokens=reserved.output_tokens if kept else usage.output_tokens or 0,
        )

    def _by_characters(self, prompt: str) -> int:
        return self._frame + -(-len(prompt) // CHARACTERS_A_TOKEN)

    def _output(self) -> int:
        if self._charge == "max_tokens" and self._most is not None:
            return self._most
        seen = self._outputs.value()
        if seen is not None:
            return ceil(seen)
        return FIRST_OUTPUT_TOKENS if self._most is None else self._most
