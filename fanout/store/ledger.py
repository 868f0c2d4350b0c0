"""What is used today, by whom, as far as this process knows: what a day's caps are held against.

Comes in: calls as they start and end, from the engine; what the store has of all processes, from its writer. Goes out:
whether one more call may start, and today's amounts for showing. With no store it knows of this process alone.

Its own lock is the innermost: the engine holds its own around every purse, the writer and pages hold none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fanout.clock import nanoseconds
from fanout.people import Person
from fanout.quota.caps import Amount, Capped, Caps, DayCap, Reached, day_of, ends_s, reached, refusal

NOTHING = Amount()
STALE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """One cap, and what was used of it since midnight UTC."""

    cap: DayCap
    used: Amount
    in_flight: Amount
    """What this process's calls in flight are expected to use."""


class Ledger:
    """One process's. From any thread."""

    def __init__(self, caps: Caps, *, wall_s: Callable[[], float] = time.time) -> None:
        """`wall_s`: seconds since 1970; days are UTC."""
        self.caps = caps
        self._wall_s = wall_s
        # Protects all below: the engine books, the writer tells of other processes, pages look.
        self._lock = threading.Lock()
        self._day = day_of(wall_s())
        self._here: dict[str, Amount] = {}  # by user: used today by this process's calls
        self._elsewhere: dict[str, Amount] = {}  # by user: the rest of what the store has of today
        self._in_flight: dict[str, Amount] = {}
        self._heard_s = float("-inf")  # when the store was last heard of
        self._cap_of: dict[str, DayCap] = {}  # by user, of those whose address was seen

    def __repr__(self) -> str:
        return f"<Ledger {self._day}, {len(self._here)} users here, {len(self._elsewhere)} elsewhere>"

    def purse(self, owner_id: str, by: Person) -> RunPurse:
        """Out of which a run of this owner is paid for; `by` is who starts it or goes on with it."""
        return RunPurse(self, owner_id, self.cap_of(owner_id, by))

    def cap_of(self, owner_id: str, by: Person | None = None) -> DayCap:
        """What may be used by them. Addresses are known of who is here: of anybody else, each user's cap is taken."""
        with self._lock:
            if by is not None and by.user_id == owner_id:
                self._cap_of[owner_id] = self.caps.of(user_id=owner_id, email=by.email)
            return self._cap_of.get(owner_id) or self.caps.of(user_id=owner_id, email=None)

    @property
    def is_stale(self) -> bool:
        """Whether what other processes have spent was last heard of more than two seconds ago."""
        return self._wall_s() - self._heard_s > STALE_S

    def check(self, owner_id: str, by: Person) -> None:
        """Raise CapIsReached where all is used that they, or the team, may use today."""
        found = self._reached(owner_id, self.cap_of(owner_id, by), wants=NOTHING, counts_in_flight=False)
        if found is not None:
            raise refusal(found, is_own=owner_id == by.user_id)

    def of_user(self, person: Person) -> Today:
        """What this person has used."""
        cap = self.cap_of(person.user_id, person)
        with self._lock:
            self._turn()
            return Today(
                cap=cap, used=self._used(person.user_id), in_flight=self._in_flight.get(person.user_id, NOTHING)
            )

    def of_team(self) -> Today:
        """What everybody has used."""
        with self._lock:
            self._turn()
            return Today(cap=self.caps.team, used=self._used_by_all(), in_flight=self._all_in_flight())

    def hear(self, day: str, stored: Mapping[str, Amount], told: Mapping[str, Amount]) -> None:
        """The store has this much of this day, by user; `told` of it by this process, no more and no less."""
        with self._lock:
            self._turn()
            self._heard_s = self._wall_s()
            if day == self._day:
                self._elsewhere = {user_id: amount - told.get(user_id, NOTHING) for user_id, amount in stored.items()}

    # What purses ask, under the engine's lock

    def ask(self, user_id: str, cap: DayCap, wants: Amount, at_ns: int) -> Capped | None:
        """None where one more call of theirs may start."""
        found = self._reached(user_id, cap, wants=wants, counts_in_flight=True)
        if found is None:
            return None
        left_s = max(0.001, ends_s(self._day) - self._wall_s())
        return Capped(reached=found, until_ns=at_ns + nanoseconds(left_s))

    def move(self, user_id: str, *, in_flight: Amount, used: Amount = NOTHING) -> None:
        """So much more is in flight, and used."""
        with self._lock:
            self._turn()
            self._in_flight[user_id] = self._in_flight.get(user_id, NOTHING) + in_flight
            if used != NOTHING:
                self._here[user_id] = self._here.get(user_id, NOTHING) + used

    def _reached(self, user_id: str, cap: DayCap, *, wants: Amount, counts_in_flight: bool) -> Reached | None:
        with self._lock:
            self._turn()
            theirs, everybodys = NOTHING, NOTHING
            if counts_in_flight:
                theirs, everybodys = self._in_flight.get(user_id, NOTHING), self._all_in_flight()
            found = reached(cap, of="user", used=self._used(user_id), in_flight=theirs, wants=wants)
            if found is not None or self.caps.team == DayCap():
                return found
            used = self._used_by_all()
            return reached(self.caps.team, of="team", used=used, in_flight=everybodys, wants=wants)

    def _turn(self) -> None:
        """A new day begins with nothing used; what is in flight then counts once it ends."""
        day = day_of(self._wall_s())
        if day != self._day:
            self._day, self._here, self._elsewhere = day, {}, {}

    def _used(self, user_id: str) -> Amount:
        return self._here.get(user_id, NOTHING) + self._elsewhere.get(user_id, NOTHING)

    def _used_by_all(self) -> Amount:
        return sum((*self._here.values(), *self._elsewhere.values()), NOTHING)

    def _all_in_flight(self) -> Amount:
        return sum(self._in_flight.values(), NOTHING)


class RunPurse:
    """One run's calls in the ledger (`fanout.quota.caps.Purse`)."""

    def __init__(self, ledger: Ledger, user_id: str, cap: DayCap) -> None:
        self._ledger = ledger
        self._user_id = user_id
        self._cap = cap
        self._booked: dict[int, Amount] = {}

    def __repr__(self) -> str:
        return f"<RunPurse of {self._user_id[:4]}, {len(self._booked)} in flight>"

    def ask(self, wants: Amount, at_ns: int) -> Capped | None:
        """None where a call that is expected to use this much may start now."""
        return self._ledger.ask(self._user_id, self._cap, wants, at_ns)

    def book(self, call: int, wants: Amount) -> None:
        """It starts."""
        self._booked[call] = wants
        self._ledger.move(self._user_id, in_flight=wants)

    def settle(self, call: int, used: Amount) -> None:
        """It has ended, and used this much. A second time does nothing."""
        booked = self._booked.pop(call, None)
        if booked is not None:
            self._ledger.move(self._user_id, in_flight=NOTHING - booked, used=used)
