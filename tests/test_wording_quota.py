"""What the pages say of quota: waits by name, an account's gauges, and who shares it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from dashboard import quota_words as words
from dashboard import wording
from fanout import events as ev
from fanout.clock import NS_PER_S
from fanout.quota.view import LimitView, Refused
from fanout.run import Phase, PhaseName, Step
from tests.accounts import AT_NS, account, limit, share
from tests.happened import ms, run_of
from tests.runs import make_run
from tests.test_metrics import answered, ended

GOING = make_run(n=40, max_workers=16, at_s=1.0)
REFUSAL = Refused(at_ns=1, run_id="r", count=1, limit=None, wait_s=1.0, why="A 429.", remedy="Set a rate.")


@pytest.mark.parametrize("name", get_args(PhaseName))
def test_every_phase_has_its_words(name: PhaseName) -> None:
    assert wording.phase(name)


@pytest.mark.parametrize("name", get_args(ev.Held))
def test_everything_that_can_hold_a_call_has_words(name: PhaseName) -> None:
    assert wording.phase(name).startswith("waiting") or name == "paused"


@pytest.mark.parametrize("reason", get_args(ev.LimitReason))
def test_whoever_moved_a_limit_has_words(reason: ev.LimitReason) -> None:
    assert words.move_words(8, Step(at_ns=0, value=12, reason=reason)).startswith("8 to 12, ")


@pytest.mark.parametrize("name", get_args(ev.LimitName))
def test_every_limit_has_its_number_with_a_unit(name: ev.LimitName) -> None:
    assert words.limit_words(name, 1_200).startswith("1,200 ")
    assert words.gauge(limit(name=name), at_ns=AT_NS).words


def waited(*pieces: PhaseName) -> list[Phase]:
    return [
        Phase(name=name, start_ns=ms(at * 100), end_ns=ms(at * 100 + 100), attempt=None)
        for at, name in enumerate(pieces)
    ]


def test_a_wait_is_told_piece_by_piece_while_they_are_few() -> None:
    assert wording.phase_rows(waited("workers", "requests", "workers")) == [
        ("", "waiting for a worker", "100"),
        ("", "waiting for the request quota", "100"),
        ("", "waiting for a worker", "100"),
    ]


def test_a_wait_whose_reason_changed_often_is_summed_up_by_reason() -> None:
    rows = wording.phase_rows([*waited("workers", "requests", "workers", "requests", "turn"), *waited("client")])
    assert rows == [
        ("", "waiting for a worker", "200"),
        ("", "waiting for the request quota", "200"),
        ("", "waiting for its turn: another run shares this account", "100"),
        ("", "this machine", "100"),
    ]


def test_a_wait_counts_for_the_attempt_it_led_to() -> None:
    first = Phase(name="in_flight", start_ns=ms(200), end_ns=ms(300), attempt=1)
    rows = wording.phase_rows([*waited("workers"), first, *waited("requests")])
    assert [(row[0], row[1]) for row in rows] == [
        ("1", "waiting for a worker"),
        ("1", "in flight"),
        ("", "waiting for the request quota"),
    ]


# The gauge


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (limit(), "41 of 60 RPM free, 3 reserved; provider said 40, 8 s ago"),
        (limit(said_ns=9_500_000_000), "41 of 60 RPM free, 3 reserved; provider said 40, just now"),
        (limit(said_remaining=None, reserved=0, free=44), "44 of 60 RPM free"),
        (
            limit(capacity=2, free=0, used=1, reserved=1),
            "60 RPM: 0 of 2 free at once, 1 reserved; provider said 40, 8 s ago",
        ),
        (
            limit(number=540, capacity=9, free=0, used=0, reserved=17, said_remaining=None),
            "540 RPM: 0 of 9 free at once; calls in flight reserved 17",
        ),
        (
            limit(number=97, source="learnt", capacity=1, free=0, used=1, reserved=0, said_remaining=None),
            "About 97 RPM, learnt: 0 of 1 free at once",
        ),
        (limit(source="learnt", reserved=0, said_remaining=None), "About 60 RPM, learnt: 41 of 60 free at once"),
        (limit(name="tokens_per_day", said_remaining=None), "41 of 60 tokens a day free, 3 reserved"),
        (limit(source="run", said_remaining=None), "This run's own: 41 of 60 RPM free, 3 reserved"),
        (
            limit(source="run", said_remaining=None, capacity=2, free=1, used=1, reserved=0),
            "This run's own 60 RPM: 1 of 2 free at once",
        ),
    ],
)
def test_the_gauge_in_words(view: LimitView, text: str) -> None:
    assert words.gauge_words(view, at_ns=AT_NS) == text


def test_while_a_429_blocks_it_a_gauge_says_nothing_of_what_is_free() -> None:
    full = limit(free=60, used=0, reserved=0, said_remaining=0)
    blocked, own = replace(full, source="setting"), replace(full, source="run", said_remaining=None)
    view = account(at_ns=AT_NS, limits=(blocked,), own=(own,), blocked_until_ns=AT_NS + 12 * NS_PER_S)
    first, second = words.gauges(view)
    assert first.words == "This run's own: 60 of 60 RPM free"
    assert second.words == "60 RPM: blocked for 12 s after a 429; provider said 0, 8 s ago"
    assert (first.used, second.used) == (0, 1)
    _, after = words.gauges(replace(view, at_ns=AT_NS + 12 * NS_PER_S))
    assert after.words.startswith("60 of 60 RPM free")


@pytest.mark.parametrize("reserved", [0, 3, 10, 167])
@pytest.mark.parametrize("free", [0, 41, 59, 60])
def test_the_bar_of_a_gauge_shows_as_free_what_its_words_say(free: int, reserved: int) -> None:
    found = words.gauge(limit(free=free, reserved=reserved), at_ns=AT_NS)
    assert 1 - found.used - found.reserved == pytest.approx(free / 60)
    assert min(found.used, found.reserved) >= 0


def test_an_account_says_what_else_is_going_on() -> None:
    view = account(blocked_until_ns=22_000_000_000, others_per_minute=(("requests", 20), ("tokens", 0)))
    assert words.account_lines(view) == [
        "Waiting after a 429: nothing starts for another 12 s.",
        "Somebody else uses this key: about 20 requests a minute.",
    ]
    assert words.account_lines(account(blocked_until_ns=9)) == []
    assert words.account_lines(account(shared_file=True)) == ["Other processes on this machine share these numbers."]
    over_hosts = account(shared_file=True, over_hosts=True)
    assert words.account_lines(over_hosts) == ["Other processes and hosts share these numbers."]
    assert words.account_lines(replace(over_hosts, shared_file=False)) == [
        "The database that processes share quota through cannot be used: this one paces itself alone."
    ]
    (alone,) = words.account_lines(account(shared_file=False))
    assert alone.endswith("this one paces itself alone.")


def test_an_unknown_limit_is_spoken_of_only_where_it_matters() -> None:
    learning = "No limit known for this account: learning from its answers."
    assert words.nothing_known(account(), GOING, costs_money=True) == learning
    assert words.nothing_known(account(refusals=(REFUSAL,)), GOING, costs_money=False) == learning
    assert words.nothing_known(account(), GOING, costs_money=False) is None
    assert words.nothing_known(account(limits=(limit(),)), GOING, costs_money=True) is None
    assert words.nothing_known(account(), make_run(n=4), costs_money=True) is None
    assert words.nothing_known(None, GOING, costs_money=True) is None


def test_a_run_says_beside_whom_it_goes_on_and_its_share() -> None:
    beside = account(shares=(share("mine", 3), share("other", 1), share("ended", 5, waiting=0)))
    assert words.sharing(beside, "mine") == "Shares this account with 1 other run: weight 3 of 4 altogether."
    assert words.sharing(account(shares=(share("mine", 3), share("ended", 1, waiting=0))), "mine") is None
    assert words.sharing(account(shares=(share("other", 3),)), "forgotten") is None


def test_an_ended_run_tells_where_its_weight_was_moved() -> None:
    moves: list[ev.Event] = [
        ev.WeightChanged(at_ns=ms(at), old=old, new=new, reason="user") for at, old, new in ((1, 1, 3), (2, 3, 2))
    ]
    assert words.weight_moves(run_of(1, moves, answered(0, 20, 30), end=ended(30))) == "Weight moved: 1 to 3 to 2."
    assert words.weight_moves(make_run(n=2)) is None
