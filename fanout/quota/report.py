"""What one response of a provider said about its limits: a value, whoever spelled it.

Comes in: nothing; `fanout.providers.headers` reads the headers. Goes out: `RateReport`, which a `Gate` takes in. What a
provider did not say, or said absurdly (-1, an empty text), is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanout.events import LimitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a response said of one limit; None where it did not say."""

    limit: int | None = None
    """Of a minute, or of a day for the limits named so."""
    remaining: int | None = None
    """What is left now, as the provider counts it."""
    reset_s: float | None = None
    """Seconds until it is full again, or its window ends; from the response's arrival."""
    rounded_to: int = 1
    """`remaining` is a multiple of this: Anthropic rounds tokens to thousands."""
    window_s: float | None = None
    """Where the limit is enforced over a window shorter than its minute (Azure: 1 or 10 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateReport:
    """All that one response said, by limit. Falsy where it said nothing."""

    readings: tuple[tuple[LimitName, Reading], ...] = ()
    retry_after_s: float | None = None
    """How long the provider asked to wait, in seconds."""
    exhausted: LimitName | None = None
    """Of a 429: the limit that the provider names as used up, where it names one."""
    requested: int | None = None
    """Of a 429: the units that the provider counts for this call, where it says so (`Requested 1200`)."""

    def __bool__(self) -> bool:
        return bool(self.readings) or self.retry_after_s is not None or self.exhausted is not None

    def of(self, name: LimitName) -> Reading | None:
        """What was said of this limit."""
        return next((reading for named, reading in self.readings if named == name), None)
