"""Caps a day: what the settings may say, whose cap holds whom, and when one more call is too much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import BadInput
from fanout.people import LOCAL, Person
from fanout.quota.caps import Amount, CapIsReached, Caps, DayCap, day_of, ends_s, reached, what_to_do, words
from fanout.settings import Settings, read_settings
from fanout.store.ledger import Ledger

DAY_S = 86_400.0
ANNA = Person(user_id="a", name="Anna", email="Anna@example.com")
BEN = Person(user_id="b", name="Ben", email="ben@example.com")
TABLES = """
[caps.team]
usd_a_day = 50
[caps.each_user]
tokens_a_day = 2_000_000
usd_a_day = 5
[caps."anna@example.com"]
usd_a_day = 20
"""
READ = Caps(
    team=DayCap(usd_a_day=50),
    each_user=DayCap(tokens_a_day=2_000_000, usd_a_day=5),
    named={"anna@example.com": DayCap(usd_a_day=20)},
)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FANOUT_CAPS", raising=False)
    return tmp_path


def test_without_a_table_there_is_no_cap(elsewhere: Path) -> None:
    assert not read_settings().caps


def test_the_file_and_the_variable_say_the_same(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "fanout.toml").write_text(TABLES)
    assert read_settings().caps == READ
    (elsewhere / "fanout.toml").unlink()
    told = {"team": {"usd_a_day": 50}, "each_user": {"tokens_a_day": 2_000_000, "usd_a_day": 5}}
    monkeypatch.setenv("FANOUT_CAPS", json.dumps({**told, "anna@example.com": {"usd_a_day": 20}}))
    assert read_settings().caps == READ


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[caps.team]\nusd = 1\n", "must be a table of tokens_a_day and usd_a_day"),
        ("[caps.team]\n", "must be a table of"),
        ("[caps]\nteam = 5\n", "must be a table of"),
        ("[caps.team]\nusd_a_day = -1\n", "dollars from 0"),
        ("[caps.team]\nusd_a_day = nan\n", "dollars from 0"),
        ("[caps.team]\ntokens_a_day = 1.5\n", "whole number"),
        ("[caps.team]\ntokens_a_day = true\n", "whole number"),
        ('[caps."example.com"]\nusd_a_day = 1\n', "expected team, each_user, local or an e-mail address"),
        ("[caps.everyone]\nusd_a_day = 1\n", "e-mail address"),
    ],
)
def test_a_wrong_table_is_refused_by_its_name(elsewhere: Path, table: str, said: str) -> None:
    (elsewhere / "fanout.toml").write_text(table)
    with pytest.raises(BadInput, match="setting caps") as caught:
        read_settings()
    assert said in str(caught.value)


def test_a_named_table_goes_before_that_of_each_user_where_it_says_something() -> None:
    assert READ.of(user_id="a", email=" ANNA@example.com") == DayCap(tokens_a_day=2_000_000, usd_a_day=20)
    assert READ.of(user_id="b", email="ben@example.com") == READ.each_user
    assert READ.of(user_id="a", email=None) == READ.each_user
    local = Caps.from_tables({"local": {"tokens_a_day": 5}})
    assert local.of(user_id="local", email=None) == DayCap(tokens_a_day=5)


@given(st.integers(0, 4_000_000_000))
def test_a_day_ends_at_the_next_midnight(at_s: int) -> None:
    day = day_of(at_s)
    assert at_s < ends_s(day) <= at_s + DAY_S
    assert day_of(ends_s(day) - 0.001) == day != day_of(ends_s(day))


@given(allowed=st.integers(0, 1_000), costs=st.lists(st.integers(1, 300)), workers=st.integers(1, 8))
def test_tokens_are_over_by_one_call_for_each_worker_at_most(allowed: int, costs: list[int], workers: int) -> None:
    """However wrong the estimate is (here nothing is expected at all)."""
    caps, now = Caps(each_user=DayCap(tokens_a_day=allowed)), [0.0]
    ledger = Ledger(caps, wall_s=lambda: now[0])
    purse = ledger.purse("a", ANNA)
    flying: dict[int, int] = {}
    used = 0
    for call, cost in enumerate(costs):
        while len(flying) >= workers:
            first = min(flying)
            used += flying[first]
            purse.settle(first, Amount(tokens=flying.pop(first)))
        if purse.ask(Amount(), 0) is None:
            assert used < max(1, allowed)
            purse.book(call, Amount())
            flying[call] = cost
    largest = max(costs, default=0)
    assert used + sum(flying.values()) <= max(0, allowed - 1) + workers * largest


@given(
    allowed=st.integers(0, 500),
    used=st.integers(0, 500),
    in_flight=st.integers(0, 500),
    wants=st.integers(0, 500),
)
def test_a_call_passes_exactly_where_all_of_it_has_room(allowed: int, used: int, in_flight: int, wants: int) -> None:
    found = reached(
        DayCap(tokens_a_day=allowed),
        of="team",
        used=Amount(tokens=used),
        in_flight=Amount(tokens=in_flight),
        wants=Amount(tokens=wants),
    )
    assert (found is None) == (used < allowed and used + in_flight + wants <= allowed)
    if found is not None:
        assert found.is_final == (used >= allowed or used + wants > allowed)


def test_the_team_is_everybody_here_and_elsewhere() -> None:
    ledger = Ledger(Caps(team=DayCap(usd_a_day=10)), wall_s=lambda: 5.0)
    ledger.hear("1970-01-01", {"a": Amount(usd=4), "c": Amount(usd=5)}, {"a": Amount(usd=3)})
    purse = ledger.purse("a", ANNA)
    purse.book(0, Amount(usd=1))
    assert ledger.of_team().used == Amount(usd=6)  # 3 of the 4 are this process's own, which knows them itself
    assert purse.ask(Amount(usd=3), 0) is None
    capped = purse.ask(Amount(usd=3.5), 0)
    assert capped is not None
    assert (capped.reached.of, capped.reached.is_final) == ("team", False)
    purse.settle(0, Amount(usd=4))
    assert ledger.of_user(ANNA).used == Amount(usd=5)
    assert ledger.of_user(BEN).used == Amount()
    with pytest.raises(CapIsReached, match=r"The team's cap of today is reached: \$10.00 of \$10.00 used"):
        ledger.check("b", BEN)


def test_what_is_known_of_an_earlier_day_counts_no_more() -> None:
    now = [DAY_S - 1]
    ledger = Ledger(Caps(each_user=DayCap(tokens_a_day=10)), wall_s=lambda: now[0])
    purse = ledger.purse("a", ANNA)
    purse.book(0, Amount(tokens=8))
    purse.book(1, Amount(tokens=8))
    purse.settle(0, Amount(tokens=8))
    capped = purse.ask(Amount(tokens=1), 7)
    assert capped is not None
    assert capped.until_ns == 7 + 1_000_000_000
    now[0] = DAY_S
    ledger.hear("1970-01-01", {"a": Amount(tokens=99)}, {})
    assert ledger.of_user(ANNA).used == Amount()
    assert purse.ask(Amount(tokens=3), 7) is not None  # what was in flight at midnight is of the day on which it ends
    purse.settle(1, Amount(tokens=2))
    purse.settle(1, Amount(tokens=2))
    assert ledger.of_user(ANNA).used == Amount(tokens=2)


def test_whoever_goes_on_with_a_run_spends_of_its_owners_cap() -> None:
    ledger = Ledger(READ, wall_s=lambda: 0.0)
    assert ledger.cap_of("a", LOCAL) == READ.each_user  # nobody knows the owner's address yet
    ledger.purse("a", ANNA)
    assert ledger.cap_of("a", LOCAL).usd_a_day == 20


def test_what_is_left_may_be_too_little() -> None:
    said = words(of="user", cap="tokens", used=990, allowed=1000)
    assert said.startswith("The owner's cap of today is reached: 990 of 1,000 tokens used")
    assert said.endswith(", and the next call may need more than the rest.")
    told = words(of="user", cap="tokens", used=990, allowed=1000, expected=75)
    assert told.endswith("990 of 1,000 tokens used, and the next call is expected to use 75 tokens.")
    assert "$0.004 of $0.01" in words(of="user", cap="usd", used=0.004, allowed=0.01)


@pytest.mark.parametrize("used", [0, 59, 60, 400])
def test_a_call_that_is_larger_than_the_whole_cap_waits_for_no_new_day(used: int) -> None:
    said = words(of="user", cap="tokens", used=used, allowed=60, expected=75)
    assert (
        said
        == "The next call is expected to use 75 tokens, which is more than the owner's cap of a whole day, 60 tokens."
    )
    assert what_to_do(allowed=60, expected=75).startswith("Ask an admin to raise the cap")
    assert what_to_do(allowed=60, expected=60).startswith("Wait for the new day (00:00 UTC), or ask an admin")
    in_dollars = words(of="team", cap="usd", used=0, allowed=0.01, expected=0.25)
    assert (
        in_dollars == "The next call is expected to use $0.25, which is more than the team's cap of a whole day, $0.01."
    )


def test_a_cap_of_nothing_says_that_nothing_may_be_used() -> None:
    ledger = Ledger(Caps(each_user=DayCap(usd_a_day=0)), wall_s=lambda: 5.0)
    with pytest.raises(CapIsReached, match=r"Your cap of a day is \$0.00: nothing may be used. Ask an admin to raise"):
        ledger.check(ANNA.user_id, ANNA)
    with pytest.raises(CapIsReached, match=r"The owner's cap of a day is"):
        ledger.check(ANNA.user_id, BEN)


def test_settings_hold_caps_as_a_value() -> None:
    assert Settings(caps=READ).caps is READ
