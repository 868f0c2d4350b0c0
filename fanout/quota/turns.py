"""One run's way through its account's gate: what its calls are expected to use, its own limits, its caps.

Comes in: which call wants to start, what it came to. Goes out: `Hold`s for the schedule, reservations at the gate, and
whether the run has used what it was allowed, or its starter and the team what they may use today (`Purse`). It is a
`Limit` of the run's schedule. Not thread-safe: the engine's lock stands over it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.events import Cap, CapOf, LimitName, Usage
from fanout.quota.bucket import Bucket
from fanout.quota.caps import Amount, Purse, Reached
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost, Estimate, Percentile
from fanout.quota.gate import Gate
from fanout.quota.limits import TOKENS, check_weight
from fanout.quota.report import RateReport
from fanout.quota.sharers import Reservation
from fanout.quota.view import LimitView

NOTHING = Cost(requests=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A cap that is reached: what was used of what was allowed."""

    cap: Cap
    used: float
    allowed: float
    of: CapOf = "run"
    expected: float | None = None
    """What the call that waits is expected to use; None where that is not known."""


class Turns:
    """The reservations of one run, over all its stretches."""

    def __init__(
        self,
        batch: Batch,
        *,
        run_id: str,
        gate: Gate,
        at_ns: int,
        purse: Purse | None = None,
        is_priced: bool = True,
    ) -> None:
        """`is_priced`: whether lists have a price for its model. Without, a cap in dollars lets one call go first."""
        self.gate = gate
        self.run_id = run_id
        self._batch = batch
        self._estimate = Estimate(
            instructions=batch.instructions,
            max_output_tokens=batch.max_output_tokens,
            charge=gate.limits.charge or "used",
        )
        self._own: dict[LimitName, Bucket] = {}
        if batch.requests_per_minute is not None:
            self._own["requests"] = _bucket(batch.requests_per_minute, batch.burst, at_ns)
        if batch.tokens_per_minute is not None:
            self._own["tokens"] = _bucket(batch.tokens_per_minute, None, at_ns)
        self._booked: dict[int, Reservation] = {}
        self._tokens = 0
        self._usd = 0.0
        self._usd_a_call = Percentile()
        self._is_priced = is_priced
        self._price_unknown = False
        self._allowed_tokens, self._allowed_usd = batch.cap_tokens, batch.cap_usd
        self._capped: Cost | None = None  # of the call asked last, if a cap held it
        self._purse = purse
        self._day: Reached | None = None  # the day's cap that held the call asked last
        self._least: dict[int, int] = {}  # by call that was refused for its tokens: what it is to reserve at least
        gate.join(run_id, weight=batch.weight)

    # fanout.quota.ceiling.Limit

    def ask(self, call: int, at_ns: int) -> Hold | None:
        """None where this call may start now: its cap, its own limits and the account's all let it."""
        cost = self._cost(call)
        self._capped = None if self._over_cap(cost) is None else cost
        self._day = None
        if self._capped is not None:
            return Hold(until_ns=None, held_by="cap")
        if self._waits_for_a_price():
            return Hold(until_ns=None, held_by="workers")  # as if it had one
        capped = None if self._purse is None else self._purse.ask(self._expected(cost), at_ns)
        self._day = None if capped is None else capped.reached
        if capped is not None:
            return Hold(until_ns=capped.until_ns, held_by="cap")
        wait_ns, by = 0, None
        for name, bucket in self._own.items():
            own_ns = bucket.wait_ns(cost.of(name), at_ns)
            if own_ns > wait_ns:
                wait_ns, by = own_ns, name
        if by is not None:
            return Hold(until_ns=at_ns + wait_ns, held_by=by)
        return self.gate.ask(self.run_id, cost, at_ns)

    def book(self, call: int, at_ns: int) -> None:
        """Reserve what this call is expected to use, of every limit."""
        cost = self._cost(call)
        for name, bucket in self._own.items():
            bucket.take(cost.of(name), at_ns)
        if self._purse is not None:
            self._purse.book(call, self._expected(cost))
        self._booked[call] = self.gate.book(self.run_id, cost, at_ns)

    def give_back(self, call: int, at_ns: int) -> None:
        """The attempt ended without an account of what it used: the limits are held to what was reserved, no cap is."""
        booked = self._booked.get(call)
        if booked is not None:
            self._settle(call, booked.cost, at_ns, certain=False)

    def remember(self, prompt: str, usage: Usage, cost_usd: float | None, *, model: str | None = None) -> None:
        """A call of an earlier stretch was answered: it counts against the run's caps, and teaches the estimate.

        `model`: that was asked. Where it is the one of now, and had no price, no further call shows that again.
        """
        self._estimate.learn(prompt, usage)
        if cost_usd is None and model in (None, self._batch.model):
            self._price_unknown = True
        self._tokens += (usage.input_tokens or 0) + (usage.output_tokens or 0)
        if cost_usd is not None:
            self._usd += cost_usd
            self._usd_a_call.add(cost_usd)

    # What attempts came to

    def observe(self, call: int, report: RateReport, at_ns: int) -> None:
        """What the response to the attempt in flight said of the limits."""
        booked = self._booked.get(call)
        if booked is not None and report.readings:
            self.gate.observe(booked, report, at_ns)

    def answered(self, call: int, usage: Usage, cost_usd: float | None, at_ns: int) -> None:
        """The attempt was answered: settle to what it used, and learn from it."""
        booked = self._booked.get(call)
        if booked is None:
            return
        self._estimate.learn(self._batch.prompts[call], usage)
        if cost_usd is None:
            self._price_unknown = True
        else:
            self._usd += cost_usd
            self._usd_a_call.add(cost_usd)
        took = booked.cost.input_tokens if usage.input_tokens is None else usage.input_tokens
        gave = booked.cost.output_tokens if usage.output_tokens is None else usage.output_tokens
        self._tokens += took + gave
        if self._purse is not None:
            self._purse.settle(call, Amount(tokens=took + gave, usd=cost_usd or 0.0))
        self._settle(call, self._estimate.settled(booked.cost, usage), at_ns, tokens=took + gave)

    def refused(self, call: int, report: RateReport, *, until_ns: int, at_ns: int, words: tuple[str, str]) -> None:
        """The attempt got a 429: everybody on the account waits; its tokens did not count.

        Its request may have: where the provider told how long to wait for one, its word holds in place of a guess.
        """
        booked = self._booked.get(call)
        if booked is not None:
            limit = self.gate.suspect(report, at_ns)
            if limit in TOKENS:
                self._least[call] = max(2 * booked.cost.tokens, report.requested or 0)
            self.gate.refused(booked, report, until_ns=until_ns, at_ns=at_ns, words=words)
            sent = Cost(requests=booked.cost.requests)
            is_told = limit == "requests" and report.retry_after_s is not None
            self._settle(call, NOTHING if is_told else sent, at_ns, own=sent)

    def reserved(self, call: int) -> Cost:
        """What the attempt in flight took of the limits."""
        booked = self._booked.get(call)
        return NOTHING if booked is None else booked.cost

    def _cost(self, call: int) -> Cost:
        """What sending this is expected to use: more than before, where its tokens were refused."""
        cost = self._estimate.of(self._batch.prompts[call])
        missing = self._least.get(call, 0) - cost.tokens
        return cost if missing <= 0 else replace(cost, output_tokens=cost.output_tokens + missing)

    def used_up(
        self, call: int, limit: LimitName | None, *, wait_ns: int | None, at_ns: int, words: tuple[str, str]
    ) -> None:
        """The attempt got a 429 that no wait helps: the day's limit is used up, or (None) the account's credit."""
        booked = self._booked.get(call)
        if booked is not None:
            self.gate.used_up(booked, limit, wait_ns=wait_ns, at_ns=at_ns, words=words)
            self._settle(call, Cost(requests=booked.cost.requests), at_ns)

    def unsent(self, call: int, at_ns: int) -> None:
        """The attempt never reached the provider: all is given back."""
        if call in self._booked:
            self._settle(call, NOTHING, at_ns)

    def rate_per_s(self) -> float | None:
        """Calls a second that the limits known allow, of what this batch's calls use; None where none is known."""
        cost = self._estimate.of("")
        rates = [NS_PER_S / bucket.cost_ns(units) for name, bucket in self._own.items() if (units := cost.of(name))]
        shared = self.gate.rate_per_s(cost)
        return min([*rates, *([] if shared is None else [shared])], default=None)

    def own_limits(self, at_ns: int) -> tuple[LimitView, ...]:
        """The limits that the run asked for itself, at this instant."""
        return tuple(self._own_limit(name, bucket, at_ns) for name, bucket in self._own.items())

    @property
    def tag(self) -> int:
        """Where the run stands in line on its account: the smallest goes first."""
        return self.gate.tag(self.run_id)

    @property
    def weight(self) -> int:
        """Its share beside others."""
        return self.gate.runs[self.run_id].weight

    def move_weight(self, weight: int, at_ns: int) -> None:
        """Its share from now on. Raises BadInput beyond what the settings allow."""
        check_weight(weight, self.gate.limits, model=self._batch.model)
        self.gate.move_weight(self.run_id, weight, at_ns)

    def begin(self) -> None:
        """A stretch of the run begins."""
        self.gate.begin(self.run_id)

    def leave(self) -> None:
        """The run is forgotten."""
        self.gate.forget(self.run_id)

    # Caps

    def spent(self) -> Spent | None:
        """The cap that holds the next call for good, with nothing in flight that could give something back."""
        day = self._day
        if day is not None and day.is_final and (not self._booked or day.used >= day.allowed):
            return Spent(cap=day.cap, used=day.used, allowed=day.allowed, of=day.of, expected=day.expected)
        return self._own_spent()

    def _own_spent(self) -> Spent | None:
        waits = self._capped
        cap = None if waits is None else self._over_cap(waits)
        if cap == "tokens" and waits is not None and self._allowed_tokens is not None:
            reached = Spent(cap="tokens", used=self._tokens, allowed=self._allowed_tokens, expected=waits.tokens)
        elif cap == "usd" and self._allowed_usd is not None:
            reached = Spent(cap="usd", used=self._usd, allowed=self._allowed_usd, expected=self._usd_a_call.value())
        else:
            return None
        is_final = not self._booked or reached.used >= reached.allowed or (cap == "usd" and self._price_unknown)
        return reached if is_final else None

    def raise_cap(self) -> Spent | None:
        """Allow as much again as was allowed at first, beyond what is used, and at least the call that waits.

        What is allowed from now on; None where no cap of the run's own holds a call.
        """
        reached = self._own_spent()
        if reached is None or self._capped is None:
            return None
        if reached.cap == "tokens":
            self._allowed_tokens = self._tokens + max(self._batch.cap_tokens or 0, self._capped.tokens)
            return Spent(cap="tokens", used=self._tokens, allowed=self._allowed_tokens)
        if self._price_unknown:  # nobody can keep a cap in dollars without a price: who goes on has been told
            self._price_unknown, self._allowed_usd = False, None
            return Spent(cap="usd", used=self._usd, allowed=0.0)
        self._allowed_usd = self._usd + max(self._batch.cap_usd or 0.0, self._usd_a_call.value() or 0.0)
        return Spent(cap="usd", used=self._usd, allowed=self._allowed_usd)

    def _over_cap(self, cost: Cost) -> Cap | None:
        """The cap that a call of this cost might exceed, with all that is in flight."""
        if self._allowed_tokens is not None:
            reserved = sum(booked.cost.tokens for booked in self._booked.values())
            if self._tokens + reserved + cost.tokens > self._allowed_tokens:
                return "tokens"
        if self._allowed_usd is not None:
            dearest = self._usd_a_call.value() or 0.0
            if self._price_unknown or self._usd + (len(self._booked) + 1) * dearest > self._allowed_usd:
                return "usd"
        return None

    def _waits_for_a_price(self) -> bool:
        """Whether one call is in flight that shows whether the cap in dollars can be counted."""
        unknown = self._allowed_usd is not None and not self._is_priced and self._usd_a_call.value() is None
        return unknown and bool(self._booked)

    def _expected(self, cost: Cost) -> Amount:
        return Amount(tokens=cost.tokens, usd=self._usd_a_call.value() or 0.0)

    def _own_limit(self, name: LimitName, bucket: Bucket, at_ns: int) -> LimitView:
        free = max(0, bucket.free(at_ns))
        reserved = sum(booked.cost.of(name) for booked in self._booked.values())
        return LimitView(
            name=name,
            number=bucket.amount,
            source="run",
            capacity=bucket.capacity,
            used=max(0, bucket.capacity - free - reserved),
            reserved=reserved,
            free=free,
        )

    def _settle(
        self,
        call: int,
        used: Cost,
        at_ns: int,
        *,
        tokens: int | None = None,
        certain: bool = True,
        own: Cost | None = None,
    ) -> None:
        """`used`: what is taken of the account's limits; `own`: of the run's, where that is something else."""
        booked = self._booked.pop(call)
        if self._purse is not None:
            self._purse.settle(call, Amount())  # an attempt without an answer: nobody says what it used
        for name, bucket in self._own.items():
            over = (own or used).of(name) - booked.cost.of(name)
            (bucket.take if over > 0 else bucket.give)(abs(over), at_ns)
        self.gate.settle(booked, used, at_ns, tokens=tokens, certain=certain)


def _bucket(per_minute: int, burst: int | None, at_ns: int) -> Bucket:
    return Bucket(amount=per_minute, capacity=burst or max(1, per_minute // 60), at_ns=at_ns)
