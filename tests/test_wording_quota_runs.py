"""What the pages say of quota about a run: the limit that set its pace, its caps, the stops that quota brought."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard import cap_words, wording
from dashboard import quota_words as words
from dashboard.reasons import failures
from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import CallFailed, RateLimited, Rejected, ServerFailed
from fanout.quota.caps import Amount, DayCap
from fanout.run import CapState, Run
from fanout.store.ledger import Today
from fanout.tuning.quota_bound import QuotaBound
from tests.happened import failed, ms, run_of, said, started, stop, stopped
from tests.runs import make_run
from tests.test_metrics import answered, ended


def bound(**changed: object) -> QuotaBound:
    values: dict[str, object] = {
        "share": 0.712,
        "by": "requests",
        "rate": None,
        "workers_suffice": 8,
        "earliest_s": 42.0,
        "pace_s": 45.0,
    }
    return QuotaBound(**{**values, **changed})  # type: ignore[arg-type]


GOING = make_run(n=40, max_workers=16, at_s=1.0)


# What it means for a run


def test_a_quota_that_held_says_how_long_by_which_limit_and_what_suffices() -> None:
    assert words.bound_sentences(GOING, bound()) == [
        "Quota-bound 71 % of the time (requests a minute): more workers buy nothing; 8 suffice.",
        "The quota allows the end in 42 s at the earliest; at the present pace 45 s.",
    ]


def test_a_limit_that_other_runs_had_their_turns_at_is_said_to_be_shared() -> None:
    assert words.bound_sentences(GOING, bound(turns_share=0.34)) == [
        "Quota-bound 71 % of the time (requests a minute, shared: 34 % of the time it was another run's turn): more "
        "workers buy nothing; 8 suffice.",
        "The quota allows the end in 42 s at the earliest, were the run alone on its account; "
        "at the present pace 45 s.",
    ]


@pytest.mark.parametrize(
    ("holds", "text"),
    [
        (((10, "cap"), (3_010, None)), ["Paused for 3 s at a cap."]),
        (((10, "paused"), (2_010, "cap"), (4_510, None)), ["Paused for 2.5 s at a cap and 2 s by hand."]),
        (((10, "paused"), (900, None)), []),
        (((10, "requests"), (9_000, None)), []),
    ],
)
def test_a_run_that_has_ended_says_how_long_it_was_paused(
    holds: tuple[tuple[int, ev.Held | None], ...], text: list[str]
) -> None:
    happened: list[ev.Event] = [ev.HoldChanged(at_ns=ms(at_ms), held_by=by) for at_ms, by in holds]
    going = run_of(1, happened, answered(0, 9_000, 9_500))
    assert cap_words.paused_words(going) == []
    assert cap_words.paused_words(run_of(1, happened, answered(0, 9_000, 9_500), end=ended(9_500))) == text


def test_more_workers_are_not_called_useless_while_the_quota_has_room_for_them() -> None:
    assert words.bound_sentences(GOING, bound(workers_suffice=40, earliest_s=0.0)) == [
        "Quota-bound 71 % of the time (requests a minute)."
    ]


def test_more_workers_are_not_called_useless_where_calls_waited_for_one() -> None:
    said = ["Quota-bound 71 % of the time (requests a minute); calls waited for a worker 7.9 % of it."]
    waited = bound(workers_share=0.0788, earliest_s=None)
    assert words.bound_sentences(GOING, waited) == said
    assert words.bound_sentences(make_run(n=40, max_workers=16), waited) == said


def test_a_quota_that_hardly_held_is_not_spoken_of() -> None:
    assert words.bound_sentences(GOING, bound(share=0.04, earliest_s=None)) == []


@pytest.mark.parametrize(
    ("by", "text"), [("turn", "another run's turn"), ("penalty", "after a 429"), ("concurrency", "calls in flight")]
)
def test_what_held_longest_is_named(by: ev.Held, text: str) -> None:
    assert f"({text})" in words.bound_sentences(GOING, bound(by=by))[0]


def test_an_ended_run_speaks_of_its_quota_in_the_past() -> None:
    assert words.bound_sentences(make_run(n=40, max_workers=16), bound(earliest_s=None, pace_s=None)) == [
        "Quota-bound 71 % of the time (requests a minute): more workers would have bought nothing; 8 sufficed."
    ]


def quota(number: int, at_ms: float = 0) -> list[ev.Event]:
    return [ev.LimitChanged(at_ns=ms(at_ms), limit="requests", old=None, new=number, reason="header")]


def test_what_holds_the_next_call_is_in_the_sentence() -> None:
    held: list[ev.Event] = [ev.HoldChanged(at_ns=ms(10), held_by="turn")]
    run = run_of(6, started(0, 0), held)
    assert said(run, 20).startswith(
        "0 of 6 answered, 1 in flight, waiting for its turn: another run shares this account."
    )


def test_a_retried_call_backs_off_until_it_is_due_and_then_waits_for_what_holds_it() -> None:
    error = RateLimited("later", retry_after_s=0.09)
    retrying = ev.Retrying(at_ns=ms(10), call=0, attempt=1, error=error, ready_ns=ms(100), reason="retry_after")
    held: list[ev.Event] = [ev.HoldChanged(at_ns=ms(100), held_by="requests")]
    run = run_of(2, [*started(0, 0), retrying], started(1, 20))
    assert wording.counts_sentence(run, now_ns=ms(99)) == "0 of 2 answered, 1 in flight, 1 backing off"
    run = run_of(2, [*started(0, 0), retrying], started(1, 20), held)
    counts = wording.counts_sentence(run, now_ns=ms(100))
    assert counts == "0 of 2 answered, 1 in flight, 1 waiting for the request quota"
    assert said(run, 100).startswith("0 of 2 answered, 1 in flight, waiting for the request quota.")


def test_what_waits_is_queued_unless_a_limit_of_the_account_holds_it() -> None:
    asked: tuple[ev.Held | None, ...] = ("workers", "turn", "penalty", None)
    texts = {}
    for by in asked:
        holds: list[ev.Event] = [ev.HoldChanged(at_ns=ms(10), held_by=by)]
        texts[by] = wording.counts_sentence(run_of(3, started(0, 0), holds), now_ns=ms(20)).split(", ")[-1]
    assert texts == {
        "workers": "2 queued",
        "turn": "2 waiting for its turn",
        "penalty": "2 waiting after a 429",
        None: "2 queued",
    }


def test_the_quota_that_set_the_pace_is_named_with_its_number() -> None:
    run = run_of(
        5,
        quota(60),
        *(answered(call, call * 1000, call * 1000 + 100) for call in range(5)),
        workers=4,
        end=ended(4100),
    )
    assert "The quota of 60 requests a minute set the pace." in said(run)


def test_a_pace_that_was_learnt_is_told_as_the_guess_that_it_is() -> None:
    guess = ev.LimitChanged(at_ns=ms(0), limit="requests", old=None, new=60, reason="learnt")
    calls = [answered(call, call * 1000, call * 1000 + 100) for call in range(5)]
    run = run_of(5, [guess], *calls, workers=4, end=ended(4100))
    assert "60 requests a minute set the pace" not in said(run)
    assert "the last guess by its 429s was about 60 requests a minute." in said(run)
    assert words.known_limits(run) == "Quota: about 60 requests a minute (learnt from 429s)."


def test_what_an_ended_run_knew_of_its_quota() -> None:
    run = run_of(1, quota(60), quota(30, 10), answered(0, 20, 30), end=ended(30))
    assert words.known_limits(run) == "Quota: 30 requests a minute (told by the provider)."
    assert words.known_limits(make_run(n=2)) is None


def test_an_ended_run_tells_its_own_limit_beside_the_accounts() -> None:
    own = ev.LimitChanged(at_ns=ms(0), limit="requests", old=None, new=12, reason="run")
    run = run_of(1, quota(60), [own], answered(0, 20, 30), end=ended(30))
    assert words.known_limits(run) == (
        "Quota: 60 requests a minute (told by the provider), 12 requests a minute (asked for by a run)."
    )


# Caps


def capped(cap: ev.Cap, used: float, allowed: float, **batch: object) -> Run:
    happened: list[ev.Event] = [
        ev.CapReached(at_ns=ms(1000), cap=cap, used=used, allowed=allowed),
        ev.HoldChanged(at_ns=ms(1000), held_by="cap"),
    ]
    run = run_of(6, answered(0, 0, 1000), happened)
    changed = Batch(prompts=run.batch.prompts, **batch)  # type: ignore[arg-type]
    return replace(run, batch=changed)


def with_prices(run: Run) -> Run:
    return replace(run, calls=tuple(replace(c, cost_usd=0.5) if c.status == "answered" else c for c in run.calls))


def test_a_run_at_its_cap_says_so_first_and_that_nothing_is_lost() -> None:
    run = capped("tokens", 50_120, 50_000, cap_tokens=50_000)
    assert run.state == "paused"
    assert said(run, 1100) == (
        "Paused at its cap: 50,120 of 50,000 tokens used. Nothing is lost. 1 of 6 answered, 0 in flight, 5 queued."
    )
    assert cap_words.go_on_label(run) == "Go on for another 50,000 tokens"


def test_a_cap_that_the_next_call_would_exceed_says_what_that_call_is_expected_to_use() -> None:
    run = replace(
        capped("tokens", 0, 200, cap_tokens=200), cap=CapState(cap="tokens", used=0, allowed=200, expected=268)
    )
    assert said(run, 1100).startswith(
        "Paused at its cap: 0 of 200 tokens used, and the next call is expected to use 268 tokens. Nothing is lost."
    )
    assert cap_words.go_on_label(run) == "Go on for another 268 tokens"
    dear = CapState(cap="usd", used=0.9, allowed=1.0, expected=1.25)
    assert cap_words.cap_sentence(dear).startswith(
        "Paused at its cap: $0.9 of $1.00 used, and the next call is expected to use $1.25."
    )
    run = with_prices(replace(capped("usd", 0.9, 1.0, cap_usd=1.0), cap=dear))
    assert cap_words.go_on_label(run) == "Go on for another $1.25"


def test_a_cap_in_dollars() -> None:
    run = with_prices(capped("usd", 1.02, 1.0, cap_usd=1.0))
    assert said(run, 1100).startswith("Paused at its cap: $1.02 of $1.00 used. Nothing is lost.")
    assert cap_words.go_on_label(run) == "Go on for another $1.00"


def test_a_cap_in_dollars_without_a_price_says_that_nobody_can_count_and_names_no_amount() -> None:
    run = capped("usd", 0.0, 1.0, cap_usd=1.0)
    assert said(run, 1100).startswith(
        "Paused: it may use $1.00, and the price of sandbox is not known, so nobody can count what it uses. "
        "Nothing is lost."
    )
    assert cap_words.go_on_label(run) == "Go on without the cap"
    first = run.calls[0]
    of_another = replace(first, attempts=(replace(first.attempts[0], model="openai:before"),))
    assert cap_words.go_on_label(replace(run, calls=(of_another, *run.calls[1:]))) == "Go on for another $1.00"


def test_a_pause_by_hand_just_continues() -> None:
    assert cap_words.go_on_label(GOING) == "Continue"
    assert cap_words.cap_sentence(CapState(cap="tokens", used=3, allowed=1)).startswith(
        "Paused at its cap: 3 of 1 token"
    )


def test_a_days_cap_says_whose_it_is_and_that_the_run_goes_on_by_itself() -> None:
    run = replace(capped("usd", 5.02, 5.0), cap=CapState(cap="usd", used=5.02, allowed=5.0, of="user"))
    assert said(run, 1100).startswith(
        "The owner's cap of today is reached: $5.02 of $5.00 used. Nothing is lost: the run goes on by itself on the "
        "new day. Wait for the new day (00:00 UTC), or ask an admin"
    )
    assert cap_words.go_on_label(run) == "Continue"
    assert cap_words.waits_for_the_day(run)
    by_hand = replace(run, holds=(*run.holds, replace(run.holds[-1], held_by="paused")))
    assert not cap_words.waits_for_the_day(by_hand)
    assert not cap_words.waits_for_the_day(capped("usd", 5.02, 5.0, cap_usd=5.0))


def test_a_days_cap_that_one_call_exceeds_promises_no_new_day() -> None:
    cap = CapState(cap="tokens", used=0, allowed=60, of="team", expected=75)
    assert said(replace(capped("tokens", 0, 60), cap=cap), 1100).startswith(
        "The next call is expected to use 75 tokens, which is more than the team's cap of a whole day, 60 tokens. "
        "Nothing is lost. Ask an admin to raise the cap in the settings, which hold from a restart on. Its owner may "
        "stop it."
    )


def test_what_was_used_today_stands_beside_its_cap() -> None:
    mine = Today(cap=DayCap(tokens_a_day=2_000_000, usd_a_day=5), used=Amount(tokens=12, usd=0.5), in_flight=Amount())
    team = Today(cap=DayCap(usd_a_day=50), used=Amount(usd=12.5), in_flight=Amount(tokens=9, usd=0.25))
    assert list(cap_words.today_lines(mine, team)) == [
        "You used 12 of 2,000,000 tokens today (UTC).",
        "You used $0.5 of $5.00 today (UTC).",
        "The team used $12.50 of $50.00 today (UTC), about $0.25 more in flight.",
    ]
    nothing = Today(cap=DayCap(), used=Amount(), in_flight=Amount())
    assert list(cap_words.today_lines(nothing, nothing)) == []


def test_a_model_without_a_price_is_named_where_dollars_are_capped() -> None:
    assert cap_words.unpriced(run_of(2, answered(0, 0, 100))) == (
        "The price of sandbox is not known: caps in dollars a day do not count it."
    )
    assert cap_words.unpriced(run_of(2)) is None
    priced = run_of(2, answered(0, 0, 100))
    calls = (replace(priced.calls[0], cost_usd=0.1), *priced.calls[1:])
    assert cap_words.unpriced(replace(priced, calls=calls)) is None


# The stops


def refused(reason: ev.StopReason, error: CallFailed, *, fails: int) -> Run:
    happened = [failed(call, 0, 100, error) for call in range(fails)]
    unsent: list[ev.Event] = [ev.NotSent(at_ns=ms(100), call=call, reason=reason) for call in range(fails, 6)]
    return run_of(6, *happened, stop(100, reason, error), unsent, end=stopped(100, reason))


def test_a_provider_that_is_down_stops_the_run_and_can_be_tried_again() -> None:
    run = refused("provider_down", ServerFailed("The provider answered 500.", status_code=500), fails=4)
    assert said(run) == (
        "Stopped, because the provider answers with nothing but faults: the provider answered 500. "
        "2 prompts were not sent. Retry what is unanswered once the provider is well again."
    )
    assert wording.run_state(run) == "Stopped"


def test_what_a_stop_left_is_told_as_cancelled_or_not_sent_and_without_advice_for_one_call() -> None:
    error = ServerFailed("The provider answered 500: it failed inside. Send it again.", status_code=500)
    happened = [failed(call, 0, 100, error) for call in range(2)]
    retrying = ev.Retrying(at_ns=ms(90), call=2, attempt=1, error=error, ready_ns=ms(500), reason="backoff")
    gone: list[ev.Event] = [
        ev.Cancelled(at_ns=ms(100), call=2),
        *(ev.NotSent(at_ns=ms(100), call=call, reason="provider_down") for call in (3, 4, 5)),
    ]
    stops = stop(100, "provider_down", error)
    run = run_of(6, *happened, [*started(2, 0), retrying], stops, gone, end=stopped(100, "provider_down"))
    assert said(run) == (
        "Stopped, because the provider answers with nothing but faults: the provider answered 500: it failed inside. "
        "1 prompt was cancelled. 3 prompts were not sent. "
        "Retry what is unanswered once the provider is well again."
    )
    assert wording.counts_sentence(run) == "2 failed, 0 of 6 answered, 1 cancelled, 3 not sent"


def test_a_failure_that_ends_in_a_question_takes_no_full_stop() -> None:
    asks = Rejected("The provider sent a web page. Is 127.0.0.1 the right base URL?")
    assert said(refused("same_failure", asks, fails=3)).endswith(
        "the provider sent a web page. Is 127.0.0.1 the right base URL? 3 prompts were not sent."
    )
    (sentence,) = failures(run_of(1, failed(0, 0, 100, asks)))
    assert sentence == "1 failed: the provider sent a web page. Is 127.0.0.1 the right base URL?"
    down = refused("provider_down", ServerFailed("Is it down?"), fails=4)
    assert "with nothing but faults: is it down? 2 prompts" in said(down).replace(": Is", ": is")


def test_the_same_refusal_of_every_prompt_stops_the_run() -> None:
    run = refused("same_failure", Rejected("The provider refuses the temperature."), fails=3)
    assert said(run) == (
        "Stopped, because the first 3 prompts were all refused for the same reason: "
        "the provider refuses the temperature. 3 prompts were not sent."
    )
