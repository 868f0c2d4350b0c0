"""An account's quota as a value, for showing: levels, sources, shares, refusals.

Comes in: what a `Gate` knows at an instant. Goes out: frozen records. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanout.events import LimitName
from fanout.quota.limits import Source
from fanout.quota.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One limit at one instant; counts of its own unit (requests, tokens, calls)."""

    name: LimitName
    number: int
    """What it allows: a minute, a day, or in flight at a time."""
    source: Source
    """`run`: the limit is one that a run asked for itself, not the account's."""
    capacity: int
    """The most that may be taken at one instant."""
    used: int
    """Taken and settled, not yet grown back."""
    reserved: int
    """Taken by calls that have not ended."""
    free: int
    """May be taken now, >= 0. `used + reserved + free` is the capacity, unless an answer cost more than was there."""
    said_remaining: int | None = None
    """What the provider last said is left."""
    said_ns: int | None = None
    """When it said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run has of an account."""

    run_id: str
    weight: int
    waiting: int
    """Calls that have not started."""
    in_flight: int
    requests: int
    """Attempts sent so far."""
    tokens: int
    """Used so far by what was answered."""
    is_paused: bool = False
    """Whether nothing further of it starts: its owner or a cap holds it, so it takes no turns."""
    own: tuple[LimitView, ...] = ()
    """The limits that the run asked for itself."""
    assumed_tokens: int = 0
    """Of attempts without an answer: what they were expected to use, which the limits of a minute are held to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One 429 (those of one instant counted together), and what would have avoided it."""

    at_ns: int
    run_id: str
    count: int
    limit: LimitName | None
    """The limit that refused; None where the provider named none and none of ours was near its end."""
    wait_s: float | None
    """None where nobody waits for it: the run stopped."""
    why: str
    """A sentence: what happened."""
    remedy: str
    """A sentence: the knob that would have avoided it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentDay:
    """A limit of a day that the provider has said is used up, whatever was counted here."""

    name: LimitName
    said_ns: int
    until_ns: int
    is_told: bool
    """Whether the provider told until when; else it is the end of its day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How full a limit was at one instant."""

    at_ns: int
    name: LimitName
    free: int
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """One account and model at one instant."""

    account: str
    """The provider's address and, where several keys are in use, a fingerprint: never a key."""
    model: str
    at_ns: int
    preset: Preset | None
    """What the provider's documents say of how it limits; None: unknown, learning."""
    limits: tuple[LimitView, ...]
    shares: tuple[Share, ...]
    refusals: tuple[Refused, ...]
    """The newest last."""
    samples: tuple[Sample, ...]
    """The last minutes, the newest last."""
    blocked_until_ns: int | None
    """Nothing starts before it: a 429's wait."""
    spent: tuple[SpentDay, ...] = ()
    """Limits of a day that are used up: one call tries them, and the others follow once it is answered."""
    others_per_minute: tuple[tuple[LimitName, int], ...] = ()
    """What somebody else uses of these limits, where the provider reports less than our own use explains."""
    shared_file: bool | None = None
    """Whether other processes take from the same limits; False: what they share it through cannot be reached, this one
    goes on alone; None: nothing is shared."""
    over_hosts: bool = False
    """Whether they share it through a database, also with other hosts, and not through a file of this one."""
    max_weight: int = 1
    """The largest weight that a run may have here."""
    is_priced: bool = True
    """Whether list prices know the model; looked up for a batch that has a cap in dollars."""
    title: str | None = None
    """What it is, where its model's name does not say it."""
    own: tuple[LimitView, ...] = ()
    """Where it is one run that looks: the limits which that run asked for itself."""
