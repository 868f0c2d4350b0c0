"""Every gate of the process by its account, and each as a value for showing.

Comes in: accounts, what the settings allow of them. Goes out: `Gate`s, and `AccountView`s of them. Not thread-safe: the
engine's lock stands over it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from fanout.quota.account import Account
from fanout.quota.gate import Gate
from fanout.quota.limits import Charge, Limits
from fanout.quota.meters import Meters
from fanout.quota.presets import BY_THE_SECOND_S, Preset, preset_for
from fanout.quota.together import Together
from fanout.quota.view import AccountView, LimitView, Share


class Gates:
    """One gate per account and model, for as long as the process lives."""

    def __init__(self, *, wall_offset_ns: int, together: Together | None = None, shares_local: bool = True) -> None:
        """`wall_offset_ns`: ns since 1970 at instant 0 of the clock. `together`: what other processes share.

        `shares_local`: also of accounts at servers of this machine.
        """
        self._shares_local = shares_local
        self._wall_offset_ns = wall_offset_ns
        self._together = together
        self._gates: dict[Account, Gate] = {}

    def __repr__(self) -> str:
        return f"<Gates of {len(self._gates)} accounts>"

    def at(self, account: Account, limits: Limits, at_ns: int, *, keep: bool = True) -> Gate:
        """The gate of this account; the first caller's limits hold.

        `keep`: it is in use from now on. Else one that nobody used yet is only to be looked at, and shared with nobody.
        """
        gate = self._gates.get(account)
        if gate is None:
            preset = preset_for(account.provider)
            limits = _completed(limits, preset)
            gate = Gate(
                account=account,
                limits=limits,
                meters=Meters(
                    limits,
                    burst_s=BY_THE_SECOND_S if preset is None else preset.burst_s,
                    at_ns=at_ns,
                    wall_offset_ns=self._wall_offset_ns,
                ),
                preset=preset,
                together=self._together if keep and (self._shares_local or not account.is_local) else None,
            )
            if keep:
                self._gates[account] = gate
        return gate

    def all(self) -> tuple[Gate, ...]:
        """In the order in which they were first used."""
        return tuple(self._gates.values())

    def new_round(self) -> None:
        """All runs are about to be asked, in the order of their tags."""
        for gate in self._gates.values():
            gate.new_round()


def _completed(limits: Limits, preset: Preset | None) -> Limits:
    """The limits, and what they leave open as the provider's documents say it."""
    documented_charge: Charge = "used" if preset is None else preset.charge
    documented_zone = "UTC" if preset is None else preset.day_zone
    return replace(limits, charge=limits.charge or documented_charge, day_zone=limits.day_zone or documented_zone)


def view_of(
    gate: Gate,
    *,
    waiting: Mapping[str, int],
    at_ns: int,
    own: Mapping[str, tuple[LimitView, ...]] = MappingProxyType({}),
    paused: Collection[str] = (),
) -> AccountView:
    """The gate at this instant. By run, `waiting`: calls that have not started; `own`: limits it asked for itself.

    `paused`: the runs of which nothing further starts.
    """
    gate.look(at_ns)
    limits = []
    for name, known in gate.meters:
        free = gate.free(name, at_ns)
        limits.append(
            LimitView(
                name=name,
                number=gate.meters.amount(name) or known.meter.amount,
                source=known.source,
                capacity=known.meter.capacity,
                used=max(0, known.meter.capacity - free - known.reserved),
                reserved=known.reserved,
                free=free,
                said_remaining=known.said_remaining,
                said_ns=known.said_ns,
            )
        )
    if gate.limits.max_in_flight is not None:
        most = gate.limits.max_in_flight
        elsewhere = gate.others.in_flight(at_ns)
        limits.append(
            LimitView(
                name="concurrency",
                number=most,
                source="setting",
                capacity=most,
                used=elsewhere,
                reserved=gate.in_flight,
                free=max(0, most - gate.in_flight - elsewhere),
            )
        )
    blocked_ns = gate.blocked_until_ns
    return AccountView(
        account=gate.account.account,
        model=gate.account.model,
        title=gate.account.title,
        at_ns=at_ns,
        preset=gate.preset,
        limits=tuple(limits),
        shares=tuple(
            Share(
                run_id=run_id,
                weight=sharer.weight,
                waiting=waiting.get(run_id, 0),
                in_flight=sharer.in_flight,
                requests=sharer.requests,
                tokens=sharer.tokens,
                own=own.get(run_id, ()),
                is_paused=run_id in paused,
                assumed_tokens=sharer.assumed_tokens,
            )
            for run_id, sharer in gate.runs.items()
        ),
        refusals=tuple(gate.refusals),
        samples=tuple(gate.samples),
        blocked_until_ns=blocked_ns if blocked_ns is not None and blocked_ns > at_ns else None,
        spent=gate.spent.at(at_ns),
        others_per_minute=tuple(
            (name, others) for name, _ in gate.meters if (others := gate.meters.others_per_minute(name, at_ns))
        ),
        max_weight=gate.limits.max_weight,
        shared_file=None if gate.together is None else gate.together.shared,
        over_hosts=gate.together is not None and gate.together.over_hosts,
    )
