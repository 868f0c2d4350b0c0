"""Caps in words: the cap that a run paused at and what going on allows, what was used today of a day's caps.

Comes in: a `Run` and its `CapState`, amounts of today. Goes out: plain text. Knows no page.
"""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.units import counted, duration, money
from fanout.clock import NS_PER_S, seconds
from fanout.events import CapOf
from fanout.quota import caps
from fanout.run import CapState, Run
from fanout.store.ledger import NOTHING, Today
from fanout.tuning.priced import is_unpriced
from fanout.tuning.quota_bound import held_ns


def cap_sentence(cap: CapState) -> str:
    """Why it paused, that nothing is lost, and what to do where the cap is not the run's own."""
    if cap.of != "run":
        reached = caps.words(of=cap.of, cap=cap.cap, used=cap.used, allowed=cap.allowed, expected=cap.expected)
        never = caps.never_fits(cap.allowed, cap.expected)
        goes_on = "" if never else ": the run goes on by itself on the new day"
        advice = caps.what_to_do(allowed=cap.allowed, expected=cap.expected)
        return f"{reached} Nothing is lost{goes_on}. {advice} Its owner may stop it."
    if cap.cap == "usd":
        used = f"{money(cap.used)} of {money(cap.allowed)} used"
    else:
        used = f"{cap.used:,.0f} of {counted(round(cap.allowed), 'token')} used"
    return f"Paused at its cap: {used}{_next_call(cap)}. Nothing is lost."


def held_by_cap(run: Run, cap: CapState) -> str:
    """The same of this run: where nobody knows what its model costs, no amount explains it."""
    if not is_unpriced(run, cap):
        return cap_sentence(cap)
    return (
        f"Paused: it may use {money(cap.allowed)}, and the price of {run.batch.model} is not known, so nobody can "
        "count what it uses. Nothing is lost."
    )


def _next_call(cap: CapState) -> str:
    """Why it paused before all was used."""
    if cap.expected is None or cap.used >= cap.allowed:
        return ""
    return f", and the next call is expected to use {_amount(cap, cap.expected)}"


def paused_words(run: Run) -> list[str]:
    """How long a run that has ended was paused, by its cap and by hand; nothing where it was not."""
    if not run.ended or not run.stretches:
        return []
    held = held_ns(run, run.stretches[-1].ended_ns or run.opened_ns, ("cap", "paused"))
    why = ((held["cap"], "at a cap"), (held["paused"], "by hand"))
    said = [f"{duration(seconds(length_ns), digits=2)} {how}" for length_ns, how in why if length_ns >= NS_PER_S]
    return [f"Paused for {' and '.join(said)}."] if said else []


def waits_for_the_day(run: Run) -> bool:
    """Whether a day's cap holds it, which nobody who looks can raise."""
    return run.cap is not None and run.cap.of != "run" and bool(run.holds) and run.holds[-1].held_by == "cap"


def unpriced(run: Run) -> str | None:
    """That a cap in dollars does not hold this run; None where its answers have prices, or there is none yet."""
    answered = [call for call in run.calls if call.status == "answered" and call.origin is None]
    if not answered or any(call.cost_usd is not None for call in answered):
        return None
    return f"The price of {run.batch.model} is not known: caps in dollars a day do not count it."


def today_lines(user: Today, team: Today) -> Iterable[str]:
    """What one and all have used of their caps since midnight UTC."""
    for whose, today in (("You", user), ("The team", team)):
        for used, in_flight, cap in _of_caps(today):
            expected = f", {in_flight} more in flight" if in_flight else ""
            yield f"{whose} used {used} of {cap} today (UTC){expected}."


def reached_today(user: Today, team: Today) -> str | None:
    """Why a run of theirs would not be started today, as a press on Run would say; None where it would."""
    each: tuple[tuple[CapOf, Today], ...] = (("user", user), ("team", team))
    for of, today in each:
        found = caps.reached(today.cap, of=of, used=today.used, in_flight=NOTHING, wants=NOTHING)
        if found is not None:
            return str(caps.refusal(found, is_own=True))
    return None


def _of_caps(today: Today) -> Iterable[tuple[str, str | None, str]]:
    """(used, in flight, cap) of each amount that is capped, in words."""
    cap, used, flying = today.cap, today.used, today.in_flight
    if cap.tokens_a_day is not None:
        about = f"about {flying.tokens:,}" if flying.tokens else None
        yield f"{used.tokens:,}", about, counted(cap.tokens_a_day, "token")
    if cap.usd_a_day is not None:
        yield money(used.usd), f"about {money(flying.usd)}" if flying.usd else None, money(cap.usd_a_day)


def go_on_label(run: Run) -> str:
    """What Continue allows: as much again as at first, and at least the call that waits; all without a price."""
    cap = run.cap
    if cap is None or cap.of != "run":
        return "Continue"
    if is_unpriced(run, cap):
        return "Go on without the cap"
    first = run.batch.cap_tokens if cap.cap == "tokens" else run.batch.cap_usd
    most = max(first or 0, cap.expected or 0)
    return f"Go on for another {_amount(cap, most)}" if most else "Continue"


def _amount(cap: CapState, amount: float) -> str:
    return money(amount) if cap.cap == "usd" else counted(round(amount), "token")


def caps_words(cap_tokens: int | None, cap_usd: float | None) -> Iterable[str]:
    """Where a batch will pause: 50,000 tokens, $5.00."""
    if cap_tokens is not None:
        yield counted(cap_tokens, "token")
    if cap_usd is not None:
        yield money(cap_usd)
