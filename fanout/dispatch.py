"""Who may start next over all runs: the gates of the process, each run's turns at its gate, in the order of their tags.

Comes in: batches, the stretches that go on. Goes out: starts for the engine to carry out, what responses taught written
into the runs, accounts as values. No thread and no lock of its own: the engine calls every method under its lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fanout.batch import Batch
from fanout.clock import Clock, nanoseconds
from fanout.errors import BadInput
from fanout.events import WeightChanged
from fanout.people import LOCAL, Person
from fanout.quota.account import Account
from fanout.quota.caps import Purse
from fanout.quota.gates import Gates, view_of
from fanout.quota.limits import Limits, check_weight
from fanout.quota.shared import SharedGates, Sharing
from fanout.quota.shared_file import FileKeeper
from fanout.quota.turns import Turns
from fanout.quota.view import AccountView
from fanout.run import Run
from fanout.schedule import Start
from fanout.store.ledger import Ledger
from fanout.stretch import OpenStretch


def account_of_batch(batch: Batch) -> Account:
    """Whose quota the batch uses."""
    from fanout.providers.account import account_of

    return account_of(batch.model, sandbox=batch.sandbox)


def no_limits(model: str) -> Limits:
    """Nothing is known of any model: limits are learnt."""
    return Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Whose quota a batch may use, what the settings allow of it, and out of which caps a day it is paid for."""

    account: Account
    limits: Limits
    purse: Purse | None
    is_priced: bool = True
    """Whether a cap in dollars, where it has one, can be counted as far as lists of prices know."""


class Dispatch:
    """The gates, and every remembered run's turns."""

    def __init__(
        self,
        limits_for: Callable[[str], Limits],
        account_for: Callable[[Batch], Account],
        clock: Clock,
        *,
        quota_file: Path | Sharing | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """`quota_file`: through which processes share their quota. `ledger`: caps a day."""
        self._ledger = ledger
        self._limits_for = limits_for
        self._account_for = account_for
        wall_offset_ns = time.time_ns() - clock.now_ns()
        sharing = Sharing(path=quota_file) if isinstance(quota_file, Path) else quota_file
        self._shared = None if sharing is None else _shared(sharing, wall_offset_ns=wall_offset_ns)
        self.together: AbstractContextManager[object] = self._shared or nullcontext()
        """Around whatever uses a gate, within the lock: what it did is told to the other processes at its end."""
        self._gates = Gates(
            wall_offset_ns=wall_offset_ns, together=self._shared, shares_local=sharing is None or sharing.local
        )
        self._turns: dict[str, Turns] = {}

    def admit(self, batch: Batch, *, by: Person = LOCAL, owner_id: str | None = None) -> Admitted:
        """Pass a batch that asks for no more than the settings allow. Raises BadInput otherwise. Needs no lock.

        `by` starts the run or goes on with it; `owner_id`: who started it, where that is somebody else.
        """
        limits = self._allowed(batch)
        purse = None if self._ledger is None else self._ledger.purse(owner_id or by.user_id, by)
        is_priced = batch.cap_usd is None or _is_priced(batch.model)
        return Admitted(account=self._account_for(batch), limits=limits, purse=purse, is_priced=is_priced)

    def _allowed(self, batch: Batch) -> Limits:
        """What the settings allow of its model. Raises BadInput where it asks for more."""
        limits = self._limits_for(batch.model)
        asked = (
            ("requests_per_minute", batch.requests_per_minute, limits.requests_per_minute),
            ("tokens_per_minute", batch.tokens_per_minute, limits.tokens_per_minute),
            ("burst", batch.burst, limits.burst),
        )
        for name, wanted, allowed in asked:
            if wanted is not None and allowed is not None and wanted > allowed:
                raise BadInput(
                    f"{name} must be at most {allowed:,} for {batch.model}, as fanout.toml says, got {wanted:,}"
                )
        check_weight(batch.weight, limits, model=batch.model)
        return limits

    def join(self, run_id: str, batch: Batch, admitted: Admitted, at_ns: int) -> None:
        """The run takes its turns at its account's gate from now on."""
        gate = self._gates.at(admitted.account, admitted.limits, at_ns)
        self._turns[run_id] = Turns(
            batch, run_id=run_id, gate=gate, at_ns=at_ns, purse=admitted.purse, is_priced=admitted.is_priced
        )
        gate.lease(run_id, nanoseconds(batch.timeout_s))

    def rejoin(self, run: Run, admitted: Admitted, at_ns: int) -> None:
        """The same of a run with a past: what it used counts against its caps."""
        self.leave(run.run_id)
        self.join(run.run_id, run.batch, admitted, at_ns)
        if run.weight != run.batch.weight:
            self._turns[run.run_id].move_weight(min(run.weight, admitted.limits.max_weight), at_ns)
        for call in run.calls:
            if call.status == "answered" and call.origin is None:
                self._turns[run.run_id].remember(call.prompt, call.usage, call.cost_usd, model=call.model)

    def move_weight(self, run_id: str, weight: int, at_ns: int) -> WeightChanged | None:
        """The run's share is `weight` from now on; None where it was so before. Raises BadInput, nothing moved."""
        turns = self._turns.get(run_id)
        if turns is None:
            raise BadInput("this run is no longer remembered: start it again from its prompts")
        old = turns.weight
        turns.move_weight(weight, at_ns)
        return None if old == weight else WeightChanged(at_ns=at_ns, old=old, new=weight, reason="user")

    def leave(self, run_id: str) -> None:
        """The run is forgotten."""
        turns = self._turns.pop(run_id, None)
        if turns is not None:
            turns.leave()

    def turns(self, run_id: str) -> Turns:
        """The run's turns."""
        return self._turns[run_id]

    def book(self, stretches: Iterable[OpenStretch], now_ns: Callable[[], int]) -> list[tuple[OpenStretch, Start]]:
        """Ask the run whose turn it is and book what may start, until nobody may start anything."""
        starts: list[tuple[OpenStretch, Start]] = []
        self._gates.new_round()
        line = list(stretches)
        while line:
            stretch = min(line, key=lambda one: one.turns.tag)
            start = stretch.next(now_ns())
            if start is None:
                line.remove(stretch)
            else:
                starts.append((stretch, start))
        return starts

    def tell_changes(self, stretches: Iterable[OpenStretch], at_ns: int) -> None:
        """What responses taught of an account is written into every run on it."""
        going = tuple(stretches)
        for gate in self._gates.all():
            for change in gate.changes():
                for stretch in going:
                    if stretch.turns.gate is gate:
                        stretch.tell_change(change, at_ns)

    def close(self) -> None:
        """Nothing is shared with other processes any more."""
        if self._shared is not None:
            self._shared.close()

    def views(self, going: Mapping[str, OpenStretch], at_ns: int) -> tuple[AccountView, ...]:
        """Every account and model that is or was used. `going`: what goes on, by run."""
        own = {run_id: self._turns[run_id].own_limits(at_ns) for run_id in going}
        return tuple(
            view_of(gate, waiting=_waiting(going), at_ns=at_ns, own=own, paused=_paused(going))
            for gate in self._gates.all()
        )

    def view_for(self, batch: Batch, going: Mapping[str, OpenStretch], at_ns: int) -> AccountView:
        """The account that this batch would use; it is not in use by that. Raises BadInput as `admit` does."""
        gate = self._gates.at(self._account_for(batch), self._allowed(batch), at_ns, keep=False)
        view = view_of(gate, waiting=_waiting(going), at_ns=at_ns)
        return view if batch.cap_usd is None else replace(view, is_priced=_is_priced(batch.model))

    def view(self, run_id: str, going: Mapping[str, OpenStretch], at_ns: int) -> AccountView | None:
        """The account of this run, and the limits that it asked for itself; None where it is not remembered."""
        turns = self._turns.get(run_id)
        if turns is None:
            return None
        view = view_of(turns.gate, waiting=_waiting(going), at_ns=at_ns, paused=_paused(going))
        return replace(view, own=turns.own_limits(at_ns))


def _is_priced(model: str) -> bool:
    from fanout.providers.price_list import knows  # the lists take 0.2 s to read, once

    return knows(model)


def _shared(sharing: Sharing, *, wall_offset_ns: int) -> SharedGates | None:
    keeper = sharing.keeper
    if keeper is None and sharing.path is not None:
        keeper = FileKeeper(sharing.path)
    return None if keeper is None else SharedGates(keeper, wall_offset_ns=wall_offset_ns)


def earliest_ns(stretches: Iterable[OpenStretch]) -> int | None:
    """The first instant at which one of them asks again; None where all wait for something to change."""
    return min((stretch.wake_ns for stretch in stretches if stretch.wake_ns is not None), default=None)


def _paused(going: Mapping[str, OpenStretch]) -> frozenset[str]:
    return frozenset(run_id for run_id, stretch in going.items() if stretch.held_by in ("cap", "paused"))


def _waiting(going: Mapping[str, OpenStretch]) -> dict[str, int]:
    """Calls that have not started, by run."""
    return {run_id: stretch.schedule.queued for run_id, stretch in going.items()}
