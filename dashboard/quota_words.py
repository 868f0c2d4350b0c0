"""Quota in words: limits and their numbers, what holds a run, and what it means for its end.

Comes in: `AccountView`s of the engine, a `Run` and its `QuotaBound`. Goes out: plain text (escape it where it is shown:
accounts and models were named by others). Knows no page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.figures import phase
from dashboard.units import count, counted, duration, percent
from fanout.clock import seconds
from fanout.events import Held, LimitName, LimitReason
from fanout.quota.limits import Source
from fanout.quota.meters import DAILY
from fanout.quota.view import AccountView, LimitView, Share
from fanout.run import Run, Step
from fanout.tuning.quota_bound import QuotaBound

WORTH_SAYING = 0.05
"""Share of the time from which on a quota that held is spoken of."""
WAITED_TOO = 0.01
"""Share of the time in which calls waited for a worker, from which on more workers are not called useless."""

_NAMES: dict[LimitName, str] = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "input_tokens": "input tokens a minute",
    "output_tokens": "output tokens a minute",
    "requests_per_day": "requests a day",
    "tokens_per_day": "tokens a day",
    "concurrency": "calls in flight",
}
_SHORT: dict[LimitName, str] = {
    "requests": "RPM",
    "tokens": "TPM",
    "input_tokens": "input TPM",
    "output_tokens": "output TPM",
    "requests_per_day": "requests a day",
    "tokens_per_day": "tokens a day",
    "concurrency": "calls in flight",
}
_SOURCES: dict[Source, str] = {
    "run": "asked for by a run",
    "setting": "from fanout.toml",
    "header": "told by the provider",
    "learnt": "learnt from 429s",
}
_REASONS: dict[LimitReason, str] = {
    "user": "by hand",
    "auto": "by the automatic max_workers",
    "run": _SOURCES["run"],
    "setting": _SOURCES["setting"],
    "header": _SOURCES["header"],
    "learnt": _SOURCES["learnt"],
}
_HELD: dict[Held, str] = {
    "turn": "another run's turn",
    "penalty": "after a 429",
}


# Names


def limit_name(name: LimitName) -> str:
    """A limit without its number: requests a minute."""
    return _NAMES[name]


def limit_words(name: LimitName, number: int, *, learnt: bool = False) -> str:
    """A limit with its number: 600 requests a minute; a learnt one is a guess: about 97 requests a minute."""
    return f"{'about ' if learnt else ''}{number:,} {_NAMES[name]}"


def number_words(view: LimitView) -> str:
    """A limit with its number as it is known now."""
    return limit_words(view.name, view.number, learnt=view.source == "learnt")


def source_words(source: Source) -> str:
    """Where a number came from."""
    return _SOURCES[source]


def reason_words(reason: LimitReason) -> str:
    """Who moved a limit."""
    return _REASONS[reason]


def move_words(old: int | None, step: Step) -> str:
    """A change of max_workers: 8 to 12, by hand."""
    moved = f"{step.value}" if old is None else f"{old} to {step.value}"
    return f"{moved}, {reason_words(step.reason)}"


def auto_words(*, wanted: int, now: int) -> str:
    """The automatic max_workers beside the most that the user allows: auto, up to 40: 23 now."""
    return f"auto, up to {wanted:,}: {now:,} now"


# The gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A limit as a bar with its words; the shares are of its capacity, and what is left of 1 is free."""

    term: str
    words: str
    used: float
    reserved: float
    why: str


def gauges(account: AccountView) -> list[Gauge]:
    """Its limits, those first that the run which looks asked for itself."""
    own = [gauge(limit, at_ns=account.at_ns) for limit in account.own]
    blocked_ns = account.blocked_until_ns
    spent_ns = {each.name: each.until_ns for each in account.spent}
    return own + [
        gauge(limit, at_ns=account.at_ns, blocked_until_ns=blocked_ns, spent_until_ns=spent_ns.get(limit.name))
        for limit in account.limits
    ]


def gauge(
    view: LimitView, *, at_ns: int, blocked_until_ns: int | None = None, spent_until_ns: int | None = None
) -> Gauge:
    """41 of 60 RPM free, 3 reserved; provider said 40, 2 s ago. While a 429 blocks it, nothing of it is free.

    `spent_until_ns`: until when the provider has said that this limit of a day is used up.
    """
    whole = max(view.capacity, 1)
    taken = max(0, view.capacity - view.free)
    reserved = min(view.reserved, taken)
    grows = ". What calls in flight reserved grows back while they run" if view.reserved > taken else ""
    is_blocked = _blocked(at_ns, blocked_until_ns) is not None
    return Gauge(
        term=_SHORT[view.name],
        words=gauge_words(view, at_ns=at_ns, blocked_until_ns=blocked_until_ns, spent_until_ns=spent_until_ns),
        used=1.0 if is_blocked else (taken - reserved) / whole,
        reserved=0.0 if is_blocked else reserved / whole,
        why=f"{number_words(view)}, {source_words(view.source)}{grows}",
    )


def gauge_words(
    view: LimitView, *, at_ns: int, blocked_until_ns: int | None = None, spent_until_ns: int | None = None
) -> str:
    """What of a limit is free at this instant; a limit that a run asked for itself is named as its own."""
    blocked, spent = _blocked(at_ns, blocked_until_ns), _blocked(at_ns, spent_until_ns)
    if spent is not None:
        said = f"{_numbered(view)}: used up for {spent}"
    elif blocked is not None:
        said = f"{_numbered(view)}: blocked for {blocked} after a 429"
    elif view.capacity == view.number and view.source != "learnt":
        whose = "This run's own: " if view.source == "run" else ""
        said = f"{whose}{view.free:,} of {_numbered(view, own=False)} free"
    else:
        said = f"{_numbered(view)}: {view.free:,} of {view.capacity:,} free at once"
    if view.reserved and blocked is None and spent is None:
        adds_up = view.reserved <= view.capacity - view.free
        said += f", {view.reserved:,} reserved" if adds_up else f"; calls in flight reserved {view.reserved:,}"
    return said if view.said_remaining is None else f"{said}; provider said {provider_said(view, at_ns=at_ns)}"


def provider_said(view: LimitView, *, at_ns: int) -> str:
    """What the provider last said is left, and how long ago: 0, 14 s ago."""
    if view.said_remaining is None or view.said_ns is None:
        return count(view.said_remaining)
    return f"{view.said_remaining:,}, {ago(at_ns - view.said_ns)}"


def _numbered(view: LimitView, *, own: bool = True) -> str:
    """60 RPM; About 97 RPM, learnt."""
    whose = "This run's own " if own and view.source == "run" else ""
    if view.source == "learnt":
        return f"About {view.number:,} {_SHORT[view.name]}, learnt"
    return f"{whose}{view.number:,} {_SHORT[view.name]}"


def _blocked(at_ns: int, until_ns: int | None) -> str | None:
    """For how long nothing starts after a 429; None where it may."""
    if until_ns is None or until_ns <= at_ns:
        return None
    return duration(seconds(until_ns - at_ns), digits=2)


def ago(since_ns: int) -> str:
    """14 s ago; in whole seconds, so that it does not flicker."""
    whole_s = int(seconds(since_ns))
    return f"{duration(float(whole_s), digits=2)} ago" if whole_s else "just now"


def account_lines(view: AccountView) -> list[str]:
    """What else is to be known of an account: a 429's wait, somebody else's use, and with whom it is shared."""
    said = []
    left = _blocked(view.at_ns, view.blocked_until_ns)
    if left is not None:
        said.append(f"Waiting after a 429: nothing starts for another {left}.")
    said += [
        f"Somebody else uses this key: about {limit_words(name, number)}."
        for name, number in view.others_per_minute
        if number
    ]
    if view.shared_file is not None:
        said.append(_shared_words(shared=view.shared_file, over_hosts=view.over_hosts))
    return said


def _shared_words(*, shared: bool, over_hosts: bool) -> str:
    if shared:
        return f"Other processes {'and hosts' if over_hosts else 'on this machine'} share these numbers."
    through = "The database" if over_hosts else "The file"
    return f"{through} that processes share quota through cannot be used: this one paces itself alone."


def account_name(view: AccountView) -> str:
    """openai:x at api.example, as its documents say it counts."""
    named = view.model == view.account or view.model.startswith(f"{view.account} ")
    model = view.model if named else f"{view.model} at {view.account}"
    if view.title is not None:
        model = f"{view.title} ({view.model.removeprefix(view.account).strip() or view.account})"
    return model if view.preset is None else f"{model}, counted as {view.preset.title} documents it"


def documented(view: AccountView) -> str:
    """How the provider limits, as the preset has it from its documents; that nobody knows, where nobody does."""
    preset = view.preset
    if preset is None:
        return "How this provider limits is not known here: learning from its answers and refusals."
    counts = ", ".join(_NAMES[name] for name in preset.counts)
    charges = "the most that an answer might have had" if preset.charge == "max_tokens" else "what an answer used"
    tells = "Its answers tell what is left." if preset.headers else "Its answers do not tell what is left."
    day = f"; a day ends at midnight, {preset.day_zone}" if set(preset.counts) & DAILY else ""
    return (
        f"From the preset for {preset.title}, where fanout.toml says nothing else: it limits {counts}, takes {charges} "
        f"off the tokens, and lets {duration(preset.burst_s)} of a minute's limit start at once{day}. {tells} "
        f"The limits' numbers are not from it. {preset.note} Sources: {', '.join(preset.sources)}."
    )


def turns_of(shares: Iterable[Share]) -> int:
    """The weights of those that go on, together: of so many turns each has as many as its weight."""
    return sum(share.weight for share in shares if _goes_on(share))


def others_words(others: Iterable[Share], *, turns: int) -> str | None:
    """What the runs have together that whoever looks may not see; None where there are none."""
    each = tuple(others)
    if not each:
        return None
    together = Share(
        run_id="",
        weight=sum(share.weight for share in each if _goes_on(share)) or 1,
        is_paused=not any(map(_goes_on, each)) and any(share.is_paused for share in each),
        waiting=sum(share.waiting for share in each),
        in_flight=sum(share.in_flight for share in each),
        requests=sum(share.requests for share in each),
        tokens=sum(share.tokens for share in each),
        assumed_tokens=sum(share.assumed_tokens for share in each),
    )
    return f"{counted(len(each), 'run')} of others · {share_words(together, turns=turns)}"


def share_words(share: Share, *, turns: int) -> str:
    """What a run has of an account, in a line. `turns`: `turns_of` all that share it."""
    said = []
    if _goes_on(share) and turns:
        weight = f" (weight {share.weight})" if share.weight != 1 else ""
        said.append(f"{percent(float(f'{share.weight / turns:.2g}'))} of the turns{weight}")
    elif share.is_paused:
        said.append("paused")
    said += [f"{number_of:,} {word}" for number_of, word in _going(share) if number_of]
    said += [f"{counted(share.requests, 'request')} sent", f"{counted(share.tokens, 'token')} used"]
    if share.assumed_tokens:
        said.append(f"up to about {share.assumed_tokens:,} more by attempts without an answer")
    return " · ".join(said)


def sharing(view: AccountView, run_id: str) -> str | None:
    """Beside how many other runs this one goes on, and its share among them; None where it is alone."""
    going = [share for share in view.shares if _goes_on(share)]
    own = sum(share.weight for share in going if share.run_id == run_id)
    if len(going) < 2 or not own:
        return None
    whole = sum(share.weight for share in going)
    return f"Shares this account with {counted(len(going) - 1, 'other run')}: weight {own} of {whole} altogether."


def weight_moves(run: Run) -> str | None:
    """Where the run's share was moved, by its values."""
    if len(run.weights) < 2:
        return None
    return f"Weight moved: {' to '.join(str(step.value) for step in run.weights)}."


def _goes_on(share: Share) -> bool:
    """A run that is paused takes no turns, whatever waits."""
    return bool(share.in_flight or (share.waiting and not share.is_paused))


def _going(share: Share) -> tuple[tuple[int, str], ...]:
    return ((share.in_flight, "in flight"), (share.waiting, "waiting"))


def nothing_known(view: AccountView | None, run: Run, *, costs_money: bool) -> str | None:
    """The quiet sentence while no limit is known; None where it would be noise."""
    if view is None or view.limits or run.ended or not (costs_money or view.refusals):
        return None
    return "No limit known for this account: learning from its answers."


def unknown_limits(view: AccountView) -> str:
    """What stands in place of an account's gauges where no number of its limits is known."""
    named = dict.fromkeys(limit_name(refused.limit) for refused in view.refusals if refused.limit is not None)
    if not named:
        return "No limit known for this account: its answers and refusals will tell."
    return f"No limit known by its number. The provider has refused by its limit of {' and of '.join(named)}."


def known_limits(run: Run) -> str | None:
    """What an ended run knew of its account at last, and what it held itself to."""
    latest = {(step.limit, step.reason == "run"): step for step in run.quota}
    said = [
        f"{limit_words(name, step.value, learnt=step.reason == 'learnt')} ({reason_words(step.reason)})"
        for (name, _), step in latest.items()
        if step.value is not None
    ]
    return f"Quota: {', '.join(said)}." if said else None


# What it means for a run


def bound_sentences(run: Run, bound: QuotaBound) -> list[str]:
    """How much of the time the quota held, the workers that suffice, and when the end is."""
    said = []
    if bound.share >= WORTH_SAYING and bound.by is not None:
        by = f"{_by(bound.by)}{_taking_turns(bound)}"
        said.append(f"Quota-bound {percent(round(bound.share, 2))} of the time ({by}){_suffice(run, bound)}.")
    if bound.earliest_s and bound.pace_s is not None:
        earliest, pace = (duration(value_s, digits=2) for value_s in (bound.earliest_s, bound.pace_s))
        alone = ", were the run alone on its account" if _taking_turns(bound) else ""
        said.append(f"The quota allows the end in {earliest} at the earliest{alone}; at the present pace {pace}.")
    return said


def _taking_turns(bound: QuotaBound) -> str:
    """That other runs had their turns at the limit meanwhile."""
    if bound.turns_share < WORTH_SAYING or bound.by == "turn":
        return ""
    return f", shared: {percent(round(bound.turns_share, 2))} of the time it was another run's turn"


def _by(held: Held) -> str:
    for name, words in _NAMES.items():
        if name == held:
            return words
    return _HELD.get(held, phase(held))


def _suffice(run: Run, bound: QuotaBound) -> str:
    """Nothing where the quota has room for more workers than there are; never where calls waited for workers too."""
    if bound.workers_share >= WAITED_TOO:
        return f"; calls waited for a worker {percent(float(f'{bound.workers_share:.2g}'))} of it"
    if bound.workers_suffice is None or bound.workers_suffice > run.max_workers:
        return ""
    if run.ended:
        verb = "sufficed"
        return f": more workers would have bought nothing; {bound.workers_suffice:,} {verb}"
    verb = "suffices" if bound.workers_suffice == 1 else "suffice"
    return f": more workers buy nothing; {bound.workers_suffice:,} {verb}"


def held_words(run: Run) -> str | None:
    """What holds the next call now, where it is not simply the workers, the run's cap or a pause."""
    held = run.holds[-1].held_by if run.holds else None
    waits = any(call.status in ("queued", "backing_off") for call in run.calls)
    if run.state != "running" or held in (None, "workers", "cap", "paused") or not waits:
        return None
    return phase(held)
