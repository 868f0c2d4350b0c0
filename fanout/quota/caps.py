"""Caps a day on what is spent, for each user and for the team: what the settings allow, and when it is reached. Pure.

Comes in: tables of the settings, who somebody is, what was used and is in flight. Goes out: the `DayCap` that holds a
person, the cap that the next call might exceed, sentences about it. Where the amounts come from and what remembers them
is the store's (`fanout.store.ledger`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

from fanout.errors import BadInput
from fanout.events import Cap, CapOf
from fanout.people import LOCAL, address_or_domain

MOST_TOKENS = 10**15
MOST_USD = 1e9
_ASK = "sk an admin to raise the cap in the settings, which hold from a restart on."


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Tokens, input and output together, and dollars."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(tokens=self.tokens - other.tokens, usd=self.usd - other.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCap:
    """What may be used from one midnight UTC to the next. None is no cap. Raises BadInput."""

    tokens_a_day: int | None = None
    usd_a_day: float | None = None

    def __post_init__(self) -> None:
        tokens, usd = self.tokens_a_day, self.usd_a_day
        if tokens is not None and (type(tokens) is not int or not 0 <= tokens <= MOST_TOKENS):
            raise BadInput(f"tokens_a_day must be a whole number from 0 to {MOST_TOKENS:,}, got {tokens!r}")
        if usd is not None and (type(usd) not in (int, float) or not 0 <= usd <= MOST_USD):
            raise BadInput(f"usd_a_day must be dollars from 0 to {MOST_USD:,.0f}, got {usd!r}")

    @classmethod
    def from_table(cls, name: str, values: object) -> Self:
        """A table of the settings; names it does not know are refused."""
        known = [each.name for each in fields(cls)]
        if not isinstance(values, Mapping) or not values or set(values) - set(known):
            raise BadInput(f"the cap of {name!r} must be a table of {' and '.join(known)}, got {values!r}")
        return cls(**values)

    def over(self, other: DayCap) -> DayCap:
        """This one, and the other where this one says nothing."""
        return DayCap(
            tokens_a_day=other.tokens_a_day if self.tokens_a_day is None else self.tokens_a_day,
            usd_a_day=other.usd_a_day if self.usd_a_day is None else self.usd_a_day,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """All that the settings say: of the team, of each user, and of users by name (`local`, or an e-mail address)."""

    team: DayCap = DayCap()
    each_user: DayCap = DayCap()
    named: Mapping[str, DayCap] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self != Caps()

    @property
    def in_dollars(self) -> bool:
        """Whether any of them is in dollars."""
        return any(cap.usd_a_day is not None for cap in (self.team, self.each_user, *self.named.values()))

    @classmethod
    def from_tables(cls, tables: object) -> Self:
        """`[caps.team]`, `[caps.each_user]` and `[caps."anna@example.com"]`. Raises BadInput."""
        if not isinstance(tables, Mapping):
            raise BadInput(f"expected tables such as team, each_user or an e-mail address, got {tables!r}")
        read = {str(name): DayCap.from_table(str(name), values) for name, values in tables.items()}
        team, each_user = (read.pop(name, DayCap()) for name in ("team", "each_user"))
        return cls(team=team, each_user=each_user, named={_named(name): cap for name, cap in read.items()})

    def of(self, *, user_id: str, email: str | None) -> DayCap:
        """The cap that holds this person: their own table, and what each user has where it says nothing."""
        own = self.named.get((email or "").strip().lower()) or self.named.get(user_id)
        return self.each_user if own is None else own.over(self.each_user)


def _named(name: str) -> str:
    if name == LOCAL.user_id:
        return name
    address = address_or_domain(name)
    if "@" not in address:
        raise BadInput(f"expected team, each_user, local or an e-mail address, got {name!r}")
    return address


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A day's cap that the next call might exceed."""

    of: CapOf
    cap: Cap
    used: float
    """By what has ended today."""
    allowed: float
    expected: float
    """What the next call is expected to use."""
    is_final: bool
    """Whether it holds for the day: nothing is in flight that may turn out to use less."""


def reached(cap: DayCap, *, of: CapOf, used: Amount, in_flight: Amount, wants: Amount) -> Reached | None:
    """The amount of this cap that one more call might exceed, with what is in flight; None where both have room."""
    asked: tuple[tuple[Cap, float | None, float, float, float], ...] = (
        ("tokens", cap.tokens_a_day, used.tokens, in_flight.tokens, wants.tokens),
        ("usd", cap.usd_a_day, used.usd, in_flight.usd, wants.usd),
    )
    for name, allowed, ended, flying, more in asked:
        if allowed is None or (ended < allowed and ended + flying + more <= allowed):
            continue
        is_final = ended >= allowed or ended + more > allowed
        return Reached(of=of, cap=name, used=ended, allowed=allowed, expected=more, is_final=is_final)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """What holds a run by a day's cap, and until when at most."""

    reached: Reached
    until_ns: int


class Purse(Protocol):
    """Out of which one run's calls are paid for. The engine's lock stands over it."""

    def ask(self, wants: Amount, at_ns: int) -> Capped | None:
        """None where a call that is expected to use this much may start now."""
        ...

    def book(self, call: int, wants: Amount) -> None:
        """It starts."""
        ...

    def settle(self, call: int, used: Amount) -> None:
        """It has ended, and used this much. A second time does nothing."""
        ...


def day_of(at_s: float) -> str:
    """The day of a wall time, UTC.

    >>> day_of(0), day_of(86399.9), day_of(86400)
    ('1970-01-01', '1970-01-01', '1970-01-02')
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")


def ends_s(day: str) -> float:
    """The wall time at which this day ends.

    >>> ends_s("1970-01-01")
    86400.0
    """
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)).timestamp()


def never_fits(allowed: float, expected: float | None) -> bool:
    """Whether one call is expected to use more than a whole day's cap, so that no new day lets it start."""
    return not allowed or (expected is not None and expected > allowed)


def words(
    *, of: CapOf, cap: Cap, used: float, allowed: float, expected: float | None = None, whose: str = "the owner's"
) -> str:
    """Which cap holds, and what was used of what; `expected` by the next call. `whose`: how a user's own is called.

    >>> words(of="team", cap="usd", used=50.014, allowed=50.0)
    "The team's cap of today is reached: $50.01 of $50.00 used."
    >>> words(of="user", cap="tokens", used=0, allowed=60, expected=75)
    "The next call is expected to use 75 tokens, which is more than the owner's cap of a whole day, 60 tokens."
    """
    owner = "the team's" if of == "team" else whose
    if not allowed:
        return f"{owner.capitalize()} cap of a day is {_amount(cap, allowed)}: nothing may be used."
    if expected is not None and expected > allowed:
        needs, most = _amount(cap, expected), _amount(cap, allowed)
        return f"The next call is expected to use {needs}, which is more than {owner} cap of a whole day, {most}."
    before = f"${_cents(used)}" if cap == "usd" else f"{used:,.0f}"
    if used >= allowed:
        rest = ""
    elif expected is None:
        rest = ", and the next call may need more than the rest"
    else:
        rest = f", and the next call is expected to use {_amount(cap, expected)}"
    return f"{owner.capitalize()} cap of today is reached: {before} of {_amount(cap, allowed)} used{rest}."


def what_to_do(*, allowed: float, expected: float | None) -> str:
    """The advice beside `words`; waiting helps only where a new day lets the call start."""
    if never_fits(allowed, expected):
        return f"A{_ASK}"
    return f"Wait for the new day (00:00 UTC), or a{_ASK}"


def _amount(cap: Cap, amount: float) -> str:
    return f"${_cents(amount)}" if cap == "usd" else f"{amount:,.0f} token{'' if round(amount) == 1 else 's'}"


def _cents(usd: float) -> str:
    """Whole cents, and below one as much as tells it from nothing."""
    return f"{usd:,.2f}" if usd >= 0.01 or usd == 0 else f"{usd:.2g}"


class CapIsReached(BadInput):
    """Somebody has used what they may use today, or the team has. Nothing was sent."""


def refusal(found: Reached, *, is_own: bool) -> CapIsReached:
    """What somebody is told who starts or goes on with a run then. `is_own`: whether the run is theirs."""
    whose = "your" if is_own else "the owner's"
    said = words(of=found.of, cap=found.cap, used=found.used, allowed=found.allowed, whose=whose)
    return CapIsReached(f"{said} {what_to_do(allowed=found.allowed, expected=None)}")
