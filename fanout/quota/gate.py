"""All limits of one account and model at one instant, and whose turn it is among the runs that share them.

Comes in: what a run wants to send and what it used. Goes out: now, or until when and by which limit; the changes that
responses and 429s made to the limits. A reservation asks every limit and then books every limit, at one instant.

Whose turn it is: start-time fair queueing (Goyal, Vin and Cheng, 1996). Each run has a tag; the one with the smallest
goes first, and a start moves its tag on by what it costs the scarcest limit, over the run's weight. While the run whose
turn it is waits for a limit, nobody behind it overtakes, so a call that needs much is not starved by calls that need
little. A run that comes back from a pause has no credit: its tag is at least that of whoever was served last.

Where processes share the account (`Together`), every method begins by taking over what the others did. A run of another
process contends while its last call was held; nobody here goes before it once it is behind by more than `LEAD_NS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fanout.events import LimitName
from fanout.quota.account import Account
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost
from fanout.quota.learning import LearntRate
from fanout.quota.limits import MOST, Limits, Source
from fanout.quota.meters import DAILY, AtMost, Change, Meters
from fanout.quota.presets import Preset
from fanout.quota.refusal_log import RefusalLog
from fanout.quota.report import RateReport
from fanout.quota.samples import Samples
from fanout.quota.sharers import Reservation, Sharer
from fanout.quota.spent_days import SpentDays
from fanout.quota.together import AGAIN_LEAST_NS, AGAIN_NS, LEAD_NS, Others, Together, contends_until_ns

NOTHING_KNOWN_NS = 1_000_000
"""What a call costs in turns where no limit is known: all alike."""
FIRST_IN_FLIGHT = 8
"""Calls in flight at most until the first response of an account whose limits nobody told: it teaches them, and what
was sent before it may be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The run whose turn it is, and what it waits for."""

    run_id: str
    until_ns: int


@dataclass(slots=True, kw_only=True)
class Gate:
    """One account and model. Not thread-safe: its owner holds a lock over every method."""

    account: Account
    limits: Limits
    meters: Meters
    preset: Preset | None = None
    together: Together | None = None
    learnt: LearntRate = field(default_factory=LearntRate)
    runs: dict[str, Sharer] = field(default_factory=dict)
    virtual: int = 0
    """The tag of whoever was served last."""
    in_flight: int = 0
    heard: bool = False
    """Whether any attempt has come to an end."""
    blocked_until_ns: int | None = None
    spent: SpentDays = field(default_factory=SpentDays)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    others: Others = field(default_factory=Others)
    """Other processes that share it."""
    lease_until_ns: int = 0
    """When all that is in flight here has ended, whatever happens."""
    samples: Samples = field(default_factory=Samples)
    _outstanding: set[Reservation] = field(default_factory=set)
    _booked: int = 0
    _changes: list[Change] = field(default_factory=list)
    _head: _Head | None = None

    def __repr__(self) -> str:
        return f"<Gate {self.account.account} {self.account.model}, {self.in_flight} in flight, {len(self.runs)} runs>"

    # Processes

    def look(self, at_ns: int) -> None:
        """Take over what other processes did. Nothing else changes."""
        if self.together is not None:
            self.together.look(self, at_ns)

    def lease(self, run_id: str, lease_ns: int) -> None:
        """An attempt of this run has ended after so long, whatever happens."""
        self.runs[run_id].lease_ns = lease_ns

    def became_known(self, change: Change, at_ns: int) -> None:
        """Another process learnt this of a limit."""
        self._changes.append(change)
        if change.old is None:
            self._count_outstanding(change.name, change.source, at_ns)

    # Runs

    def join(self, run_id: str, *, weight: int) -> None:
        """A run shares this account from now on; it comes without credit and without debt."""
        sharer = self.runs.setdefault(run_id, Sharer())
        sharer.weight = min(weight, self.limits.max_weight)
        sharer.tag = max(sharer.tag, self.virtual)

    def move_weight(self, run_id: str, weight: int, at_ns: int) -> None:
        """A run's share from now on: what it is ahead by is counted as though it had always been so."""
        self._enter(at_ns)
        sharer = self.runs[run_id]
        ahead = max(0, sharer.tag - self.virtual)
        sharer.tag += ahead * sharer.weight // weight - ahead
        sharer.weight = weight

    def begin(self, run_id: str) -> None:
        """A stretch of this run begins: where a day is used up by what responses told, one call may try it."""
        self.runs[run_id].tries = True

    def forget(self, run_id: str) -> None:
        """A run that will not come back."""
        self.runs.pop(run_id, None)

    def tag(self, run_id: str) -> int:
        """Where the run stands in line: the smallest goes first."""
        return max(self.virtual, self.runs[run_id].tag)

    def new_round(self) -> None:
        """The runs are about to be asked, in the order of their tags."""
        self._head = None

    # One call

    def ask(self, run_id: str, cost: Cost, at_ns: int) -> Hold | None:
        """None where a call of this run may start now."""
        self._enter(at_ns)
        hold = self._hold(run_id, cost, at_ns)
        if hold is not None and self.together is not None:
            sharer = self.runs[run_id]
            until_ns = contends_until_ns(hold.until_ns, at_ns)
            sharer.seen_ns, sharer.contends_until_ns = at_ns, 0 if hold.held_by in DAILY else until_ns
        return hold

    def _hold(self, run_id: str, cost: Cost, at_ns: int) -> Hold | None:
        if self.blocked_until_ns is not None and at_ns < self.blocked_until_ns:
            return Hold(until_ns=self.blocked_until_ns, held_by="penalty")
        if self._outstanding and (spent := self.spent.at(at_ns)):
            return Hold(until_ns=None, held_by=spent[0].name)  # what is in flight tells whether that still holds
        elsewhere = self.others.in_flight(at_ns)
        most = self.limits.max_in_flight
        if not self.heard and not self.meters.known:
            most = min(FIRST_IN_FLIGHT, most or FIRST_IN_FLIGHT)
        if most is not None and self.in_flight + elsewhere >= most:
            return Hold(until_ns=at_ns + AGAIN_NS if elsewhere else None, held_by="concurrency")
        head = self._head
        if head is not None and head.run_id != run_id and at_ns < head.until_ns:
            return Hold(until_ns=head.until_ns, held_by="turn")
        wait_ns, by = self.meters.wait_ns(cost, at_ns)
        if self._may_try(run_id, by):
            wait_ns, by = self.meters.wait_ns(cost, at_ns, besides=DAILY)
        tag = self.tag(run_id)
        if tag > self.others.first(tag, virtual=self.virtual, at_ns=at_ns) + LEAD_NS:
            return Hold(until_ns=at_ns + min(max(wait_ns, AGAIN_LEAST_NS), AGAIN_NS), held_by="turn")
        if by is None:
            return None
        if by == "requests" and self.meters.known[by].source == "learnt" and self.learnt.grow(at_ns):
            self._take_over_learnt(at_ns, why="calls wait, and nothing was refused for 3 s")
            wait_ns, _ = self.meters.wait_ns(cost, at_ns)
        if by not in DAILY:  # nobody waits behind a call that waits for midnight
            self._head = _Head(run_id=run_id, until_ns=at_ns + wait_ns)
        if elsewhere and wait_ns and by is not None and by.endswith("tokens"):
            wait_ns = min(wait_ns, AGAIN_NS)  # another process may settle to less than it reserved
        return Hold(until_ns=at_ns + wait_ns, held_by=by) if wait_ns else None

    def _may_try(self, run_id: str, by: LimitName | None) -> bool:
        """Whether one call may see if a day's limit, which a response told, is really used up: days may roll."""
        told = by is not None and by in DAILY and self.meters.known[by].source == "header"
        return told and self.runs[run_id].tries and not self._outstanding

    def book(self, run_id: str, cost: Cost, at_ns: int) -> Reservation:
        """Take `cost` off every limit. The caller has asked at this very instant."""
        self._enter(at_ns)
        sharer = self.runs[run_id]
        self.virtual = max(self.virtual, self.others.first(sharer.tag, virtual=self.virtual, at_ns=at_ns))
        sharer.tag = max(self.virtual, sharer.tag) + self._turn_ns(cost) // sharer.weight
        sharer.seen_ns, sharer.contends_until_ns = at_ns, 0
        self.lease_until_ns = max(self.lease_until_ns, at_ns + sharer.lease_ns)
        sharer.in_flight += 1
        sharer.requests += 1
        self.in_flight += 1
        self.learnt.started(at_ns)
        tries = sharer.tries and self._may_try(run_id, self.meters.wait_ns(cost, at_ns)[1])
        sharer.tries = False
        self.meters.take(cost, at_ns)
        self._booked += 1
        known = self.meters.known
        booked = Reservation(
            run_id=run_id,
            cost=cost,
            booked_ns=at_ns,
            order=self._booked,
            names=set(known),
            tries=tries,
            totals={name: each.total for name, each in known.items()},
        )
        certain = not self.others.in_flight(at_ns)
        for each in known.values():
            each.elsewhere.booked(self._booked, at_ns, certain=certain)
        self._outstanding.add(booked)
        self.samples.note(self.meters, self.free, at_ns)
        return booked

    def settle(
        self, booked: Reservation, used: Cost, at_ns: int, *, tokens: int | None = None, certain: bool = True
    ) -> None:
        """The attempt has ended, and `used` is taken off the limits; a second time does nothing.

        `tokens`: what its answer used. None: it has no answer, what is taken of tokens is assumed. `certain`: whether
        the provider is known to have charged just `used`.
        """
        if booked not in self._outstanding:
            return
        self._enter(at_ns)
        self._outstanding.discard(booked)
        self.in_flight -= 1
        self.heard = True
        self.meters.settle(booked.cost, used, frozenset(booked.names), at_ns, booked_ns=booked.booked_ns)
        for name, (most, said_ns) in booked.said.items():
            if said_ns == at_ns:  # it knew what the call was charged: what is given back now was in its number
                most.clamp(self.meters.known[name].meter, at_ns)
        for name in booked.names:
            known = self.meters.known[name]
            known.elsewhere.ended(booked.order, used.of(name), certain=certain, cost_ns=known.meter.cost_ns(1))
        if tokens is not None:
            self.meters.unsay(self.spent.answered(booked.booked_ns))
            if booked.tries:
                self.meters.begin_days(at_ns, besides=booked.said)
        sharer = self.runs.get(booked.run_id)
        if sharer is not None:
            sharer.in_flight -= 1
            if tokens is None:
                sharer.assumed_tokens += used.tokens
            else:
                sharer.tokens += tokens
            sharer.tag += (self._turn_ns(used) - self._turn_ns(booked.cost)) // sharer.weight
        self.samples.note(self.meters, self.free, at_ns)

    # What responses teach

    def observe(self, booked: Reservation, report: RateReport, at_ns: int) -> None:
        """Take in what the response to this attempt said. Before `settle`."""
        self._enter(at_ns)
        alone = len(self._outstanding) == 1 and not self.others.in_flight(at_ns)
        for name, reading in report.readings:
            if reading.limit is not None:
                self._learn(name, reading.limit, at_ns)
            known = self.meters.known.get(name)
            if known is not None:
                since = known.total - booked.totals.get(name, 0)
                if reading.remaining is not None:
                    known.elsewhere.said(booked.order, reading.remaining + reading.rounded_to - 1)
                most = self.meters.read(
                    name, reading, booked_ns=booked.booked_ns, since=since, alone=alone, at_ns=at_ns
                )
                if most is not None:
                    booked.said[name] = most, at_ns

    def refused(
        self, booked: Reservation, report: RateReport, *, until_ns: int, at_ns: int, words: tuple[str, str]
    ) -> None:
        """A 429: nobody starts before `until_ns`. `words` say why it came and what would have avoided it.

        Where refusals come at any pace and the provider asked for no wait, the others need not wait for this call's.
        """
        self._enter(at_ns)
        for _, known in self.meters:
            known.elsewhere.doubt(booked.order)  # some providers count it, some do not
        by_chance = False
        if not self._told(report):
            if self.learnt.refused(started_ns=booked.booked_ns, at_ns=at_ns):
                self._take_over_learnt(at_ns, why=self.learnt.why)
            by_chance = self.learnt.came_at_any_pace and report.retry_after_s is None
        if not by_chance:
            self.blocked_until_ns = max(until_ns, self.blocked_until_ns or until_ns)
        limit = self.suspect(report, at_ns)
        if limit == "requests" and report.retry_after_s is not None and limit in booked.names:
            booked.said[limit] = AtMost(1, at_ns - until_ns), at_ns  # one is there by then
        if limit == "requests":
            self.meters.refused_though_paced(limit, booked_ns=booked.booked_ns, at_ns=at_ns)
        wait_s = max(0, until_ns - at_ns) / 1e9
        self.refusals.note(booked.run_id, limit, wait_s=wait_s, at_ns=at_ns, words=words)

    def used_up(
        self,
        booked: Reservation,
        limit: LimitName | None,
        *,
        wait_ns: int | None,
        at_ns: int,
        words: tuple[str, str],
    ) -> None:
        """A 429 that no wait helps: it teaches no rate. `limit`: the day's, None for spent credit.

        `wait_ns`: how long the provider asked to wait; None: until its day ends.
        """
        self.refusals.note(booked.run_id, limit, wait_s=None, at_ns=at_ns, words=words)
        if limit is not None:
            until_ns = self.meters.day_ends_ns(at_ns) if wait_ns is None else at_ns + wait_ns
            self.spent.said(limit, until_ns=until_ns, is_told=wait_ns is not None, at_ns=at_ns)
            known = self.meters.known.get(limit)
            if known is not None:
                known.said_remaining, known.said_ns = 0, at_ns

    def free(self, name: LimitName, at_ns: int) -> int:
        """What may be taken of this limit, >= 0: nothing of a day's that is used up as the provider says."""
        is_spent = any(each.name == name for each in self.spent.at(at_ns))
        return 0 if is_spent else max(0, self.meters.known[name].meter.free(at_ns))

    def changes(self) -> tuple[Change, ...]:
        """What moved since this was last asked."""
        moved, self._changes = tuple(self._changes), []
        return moved

    def rate_per_s(self, cost: Cost) -> float | None:
        """Calls of this cost a second that the limits of a minute allow; None where none is known."""
        rates = [
            1e9 / known.meter.cost_ns(cost.of(name))
            for name, known in self.meters
            if name not in DAILY and known.meter.cost_ns(cost.of(name)) > 0
        ]
        return min(rates, default=None)

    def suspect(self, report: RateReport, at_ns: int) -> LimitName | None:
        """The limit that a 429 is about: the one it names, else the one its headers or ours say is used up."""
        if report.exhausted is not None:
            return report.exhausted
        for name, reading in report.readings:
            if reading.remaining is not None and reading.remaining <= reading.rounded_to - 1:
                return name
        lowest: tuple[float, LimitName | None] = (0.1, None)
        for name, known in self.meters:
            lowest = min(lowest, (known.meter.free(at_ns) / known.meter.capacity, name), key=lambda pair: pair[0])
        return lowest[1]

    def _told(self, report: RateReport) -> bool:
        """Whether the response itself explains its refusal, so that the limits need not be guessed lower."""
        return any(reading.limit is not None for _, reading in report.readings) or report.exhausted in DAILY

    def _learn(self, name: LimitName, amount: int, at_ns: int) -> None:
        change = self.meters.learn(name, amount, "header", at_ns)
        if change is None:
            return
        self._changes.append(change)
        if change.old is None:
            self._count_outstanding(name, "header", at_ns)

    def _count_outstanding(self, name: LimitName, source: Source, at_ns: int) -> None:
        """What is in flight is reserved of this limit too, which was not known when it was booked."""
        known = self.meters.known[name]
        for booked in sorted(self._outstanding, key=lambda one: one.order):  # so that `totals` tells what came after
            if name in booked.names:
                continue
            booked.names.add(name)
            units = booked.cost.of(name)
            known.reserved += units
            if source != "learnt":  # taken of the provider's, so taken of ours
                known.take(units, at_ns)
            booked.totals[name] = known.total

    def _take_over_learnt(self, at_ns: int, *, why: str) -> None:
        if self.learnt.per_minute is not None:
            change = self.meters.learn("requests", self.learnt.per_minute, "learnt", at_ns, why=why)
            # What the settings allow is the most: a guess above it would take many refusals to come down again.
            self.learnt.per_minute = min(self.learnt.per_minute, self.meters.amount("requests") or MOST)
            if change is not None:
                self._changes.append(change)
            self._count_outstanding("requests", "learnt", at_ns)

    def _enter(self, at_ns: int) -> None:
        if self.together is not None:
            self.together.enter(self, at_ns)

    def _turn_ns(self, cost: Cost) -> int:
        return self.meters.cost_ns(cost) or NOTHING_KNOWN_NS
