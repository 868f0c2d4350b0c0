"""The simulated account: every limit asked and booked at one instant, and told in words that hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import BadInput
from fanout.sandbox.account import Account, Admission
from fanout.sandbox.bucket import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.spelling import duration, limit_headers, refusal_body


def _told(admission: Admission) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in limit_headers(admission)}


def _headers(account: Account, *, tokens: int, at_ns: int) -> dict[str, str]:
    return _told(account.admit(tokens=tokens, at_ns=at_ns))


def _error(admission: Admission) -> Any:
    assert admission.refusal is not None
    return json.loads(refusal_body(admission.refusal, "m"))["error"]


def _account(**profile: Any) -> Account:
    return Account(SandboxProfile(**profile), at_ns=0)


def test_an_account_says_what_is_left_and_when_it_is_full() -> None:
    assert _headers(_account(requests_per_minute=60, tokens_per_minute=6000), tokens=100, at_ns=0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5900",
        "x-ratelimit-reset-tokens": "1s",
    }


def test_a_refused_request_takes_nothing_from_any_limit() -> None:
    account = _account(requests_per_minute=60, tokens_per_minute=100, requests_per_day=3)
    account.admit(tokens=80, at_ns=0)
    refused = account.admit(tokens=50, at_ns=0)
    assert refused.refusal is not None
    assert (refused.refusal.resource, refused.refusal.used, refused.refusal.requested) == ("tokens", 80, 50)
    assert _headers(account, tokens=20, at_ns=0)["x-ratelimit-remaining-requests"] == "58"
    assert account.admit(tokens=1, at_ns=NS_PER_MINUTE).refusal is None
    assert account.admit(tokens=1, at_ns=NS_PER_MINUTE).refusal is not None


_MODES = st.builds(
    SandboxProfile,
    requests_per_minute=st.integers(1, 100),
    tokens_per_minute=st.integers(50, 1000),
    hard_window=st.booleans(),
    rejected_burn=st.booleans(),
    other_user_share=st.floats(0, 0.9),
) | st.builds(
    SandboxProfile,
    requests_per_minute=st.integers(1, 100),
    burst=st.none() | st.integers(1, 50),
    tokens_per_minute=st.none() | st.integers(50, 1000),
    requests_per_day=st.none() | st.integers(1, 30),
    rejected_burn=st.booleans(),
    other_user_share=st.floats(0, 0.9),
)


@given(profile=_MODES, asked=st.lists(st.tuples(st.integers(0, NS_PER_MINUTE), st.integers(1, 60)), max_size=40))
def test_who_waits_as_told_is_admitted_in_every_mode(profile: SandboxProfile, asked: list[tuple[int, int]]) -> None:
    account, now_ns = Account(profile, at_ns=0), 0
    for pause_ns, tokens in asked:
        now_ns += pause_ns
        admission = account.admit(tokens=tokens, at_ns=now_ns)
        if admission.refusal is not None and not admission.refusal.too_large:
            told = _told(admission)
            assert 0 <= int(told["retry-after"]) * 1000 - int(told["retry-after-ms"]) < 1000
            now_ns += int(told["retry-after-ms"]) * 1_000_000
            assert account.admit(tokens=tokens, at_ns=now_ns).refusal is None


def test_a_request_larger_than_the_limit_is_told_not_to_come_again() -> None:
    told = _headers(_account(tokens_per_minute=100), tokens=101, at_ns=0)
    assert told["x-should-retry"] == "false"
    assert "retry-after" not in told


def test_without_limits_nothing_is_said_of_them() -> None:
    admission = _account().admit(tokens=10**9, at_ns=0)
    assert (admission.refusal, limit_headers(admission)) == (None, ())


def test_a_burst_is_what_remains_and_the_limit_is_told_in_full() -> None:
    account = _account(requests_per_minute=600, burst=20)
    answers = [account.admit(tokens=1, at_ns=0) for _ in range(21)]
    assert [answer.refusal is None for answer in answers] == [True] * 20 + [False]
    assert _told(answers[0])["x-ratelimit-limit-requests"] == "600"
    assert _told(answers[0])["x-ratelimit-remaining-requests"] == "19"
    assert _told(answers[20])["retry-after-ms"] == "100"
    assert _error(answers[20])["message"] == (
        "Rate limit reached for m in the Fanout sandbox on requests per min (RPM): Limit 600, Used 20, Requested 1."
        " No more than 20 requests are given at once. Please try again in 0.100s."
    )


def test_more_tokens_than_are_given_at_once_never_fit() -> None:
    error = _error(_account(tokens_per_minute=1000, token_burst=50).admit(tokens=60, at_ns=0))
    assert error["message"].startswith("Request too large for m in the Fanout sandbox on tokens per min (TPM)")
    assert "Limit 1000, Requested 60. No more than 50 tokens are given at once." in error["message"]


def test_a_used_up_day_is_named_and_lasts_until_its_end() -> None:
    account = _account(requests_per_minute=60, requests_per_day=2)
    for at_ns in (0, NS_PER_S):
        assert account.admit(tokens=1, at_ns=at_ns).refusal is None
    refused = account.admit(tokens=1, at_ns=NS_PER_MINUTE)
    error = _error(refused)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    assert "on requests per day (RPD): Limit 2, Used 2, Requested 1. Please try again in 23h59m0s." in error["message"]
    told = _told(refused)
    assert told["retry-after"] == str(24 * 3600 - 60)
    assert told["x-ratelimit-remaining-requests"] == "60"
    assert account.admit(tokens=1, at_ns=NS_PER_DAY - 1).refusal is not None
    assert account.admit(tokens=1, at_ns=NS_PER_DAY).refusal is None


def test_a_minutes_refusal_does_not_hide_a_day_that_is_used_up() -> None:
    account = _account(requests_per_minute=1, requests_per_day=1)
    account.admit(tokens=1, at_ns=0)
    refusal = account.admit(tokens=1, at_ns=0).refusal
    assert refusal is not None
    assert refusal.resource == "requests_per_day"


def test_a_hard_windows_reset_is_its_end() -> None:
    account = _account(requests_per_minute=2, hard_window=True)
    assert _headers(account, tokens=1, at_ns=0)["x-ratelimit-reset-requests"] == "1m0s"
    told = _headers(account, tokens=1, at_ns=59 * NS_PER_S)
    assert (told["x-ratelimit-remaining-requests"], told["x-ratelimit-reset-requests"]) == ("0", "1s")
    assert _headers(account, tokens=1, at_ns=59 * NS_PER_S)["retry-after"] == "1"
    for _ in range(2):
        assert account.admit(tokens=1, at_ns=60 * NS_PER_S).refusal is None
    assert account.admit(tokens=1, at_ns=60 * NS_PER_S).refusal is not None


def test_rejected_calls_burn_quota_where_they_are_said_to_and_only_there() -> None:
    for burn, left in ((False, "9"), (True, "6")):
        account = _account(requests_per_minute=10, tokens_per_minute=100, rejected_burn=burn)
        account.admit(tokens=100, at_ns=0)
        told = [_headers(account, tokens=100, at_ns=0) for _ in range(3)]
        assert told[-1]["x-ratelimit-remaining-requests"] == left


def test_who_does_not_wait_as_told_burns_what_came_back_and_waits_for_ever() -> None:
    profile = SandboxProfile(requests_per_minute=60, rejected_burn=True)
    hurried, patient = Account(profile, at_ns=0), Account(profile, at_ns=0)
    for account in (hurried, patient):
        for _ in range(60):
            account.admit(tokens=1, at_ns=0)
    again_ns = range(NS_PER_S // 2, 30 * NS_PER_S, NS_PER_S // 2)
    assert all(hurried.admit(tokens=1, at_ns=at_ns).refusal is not None for at_ns in again_ns)
    waiting_ns = range(NS_PER_S, 30 * NS_PER_S, NS_PER_S)
    assert all(patient.admit(tokens=1, at_ns=at_ns).refusal is None for at_ns in waiting_ns)


def test_a_call_refused_for_its_tokens_is_told_of_the_request_that_it_burned() -> None:
    account = _account(requests_per_minute=2, tokens_per_minute=6000, rejected_burn=True)
    account.admit(tokens=6000, at_ns=0)
    refused = account.admit(tokens=10, at_ns=0)
    assert refused.refusal is not None
    assert (refused.refusal.resource, refused.refusal.wait_ns) == ("tokens", 30 * NS_PER_S)


def test_another_user_slows_the_refill_and_the_limit_is_told_in_full() -> None:
    account = _account(requests_per_minute=60, other_user_share=0.75)
    for _ in range(60):
        account.admit(tokens=1, at_ns=0)
    told = _headers(account, tokens=1, at_ns=0)
    assert (told["x-ratelimit-limit-requests"], told["retry-after"]) == ("60", "4")
    later = _headers(account, tokens=1, at_ns=NS_PER_MINUTE)
    assert later["x-ratelimit-remaining-requests"] == "14"


def test_another_user_has_had_their_share_of_a_hard_window() -> None:
    account = _account(requests_per_minute=60, other_user_share=0.75, hard_window=True)
    told = _headers(account, tokens=1, at_ns=0)
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("60", "14")


@given(limit=st.integers(1, 5), ends=st.lists(st.booleans(), max_size=40))
def test_never_more_in_flight_than_allowed_and_each_end_makes_room(limit: int, ends: list[bool]) -> None:
    account, in_flight = _account(max_in_flight=limit), 0
    for is_end in ends:
        if is_end and in_flight:
            account.release()
            in_flight -= 1
        else:
            admitted = account.admit(tokens=1, at_ns=0).refusal is None
            assert admitted == (in_flight < limit)
            in_flight += admitted


def test_too_many_in_flight_is_named_and_no_wait_is_made_up() -> None:
    account = _account(requests_per_minute=60, max_in_flight=1)
    account.admit(tokens=1, at_ns=0)
    refused = account.admit(tokens=1, at_ns=0)
    error = _error(refused)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "concurrency")
    assert "on concurrent requests (concurrency): Limit 1, Used 1, Requested 1." in error["message"]
    told = _told(refused)
    assert told["x-ratelimit-remaining-requests"] == "59"
    assert not {"retry-after", "retry-after-ms", "x-should-retry"} & set(told)


_HARMLESS: dict[str, Any] = {"headers": False, "charge_max_tokens": True, "max_in_flight": 1, "seed": 3}


@given(asked=st.lists(st.tuples(st.integers(0, NS_PER_MINUTE), st.integers(1, 60)), max_size=30))
def test_what_has_no_part_in_the_buckets_changes_nothing_in_them(asked: list[tuple[int, int]]) -> None:
    plain = SandboxProfile(requests_per_minute=5, tokens_per_minute=100)
    one, other, now_ns = Account(plain, at_ns=0), Account(replace(plain, **_HARMLESS), at_ns=0), 0
    for pause_ns, tokens in asked:
        now_ns += pause_ns
        answer = other.admit(tokens=tokens, at_ns=now_ns)
        assert answer == one.admit(tokens=tokens, at_ns=now_ns)
        if answer.refusal is None:
            other.release()


# The profile


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"burst": 5}, "burst goes with requests_per_minute"),
        ({"token_burst": 5, "requests_per_minute": 5}, "token_burst goes with tokens_per_minute"),
        ({"burst": 5, "requests_per_minute": 5, "hard_window": True}, "not with a hard window"),
        ({"burst": 0, "requests_per_minute": 5}, "burst must be from 1"),
        ({"requests_per_day": 1.5}, "requests_per_day must be a whole number"),
        ({"max_in_flight": True}, "max_in_flight must be a whole number"),
        ({"other_user_share": 0.91}, "other_user_share must be from 0 to 0.9"),
        ({"other_user_share": float("nan")}, "other_user_share must be from 0 to 0.9"),
        ({"other_user_share": None}, "other_user_share must be a number"),
        ({"headers": 0}, "headers must be true or false"),
        ({"hard_window": "yes"}, "hard_window must be true or false"),
        ({"rejected_burn": None}, "rejected_burn must be true or false"),
        ({"charge_max_tokens": 1}, "charge_max_tokens must be true or false"),
    ],
)
def test_a_quota_that_cannot_be_is_refused_with_its_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        SandboxProfile(**values)


@given(profile=_MODES, headers=st.booleans(), max_in_flight=st.none() | st.integers(1, 9), charge=st.booleans())
def test_every_quota_mode_survives_its_spelling(
    profile: SandboxProfile, headers: bool, max_in_flight: int | None, charge: bool
) -> None:
    profile = replace(profile, headers=headers, max_in_flight=max_in_flight, charge_max_tokens=charge)
    assert SandboxProfile.decode(profile.encoded()) == profile
    assert SandboxProfile.from_json(json.loads(json.dumps(profile.as_json()))) == profile


def test_an_address_made_before_there_were_modes_means_what_it_meant() -> None:
    profile = SandboxProfile(requests_per_minute=3)
    assert profile.encoded() == "eyJyZXF1ZXN0c19wZXJfbWludXRlIjozfQ"
    assert SandboxProfile().encoded() == "e30"


# Spelling


@pytest.mark.parametrize(
    ("ms", "spelled"),
    [
        (0, "0s"),
        (1, "1ms"),
        (120, "120ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (6000, "6s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (61_001, "1m1.001s"),
        (10_000, "10s"),
    ],
)
def test_a_duration_is_spelled_as_openai_spells_it(ms: int, spelled: str) -> None:
    assert duration(ms * 1_000_000) == spelled


def test_a_duration_is_rounded_up_never_down() -> None:
    assert duration(1) == "1ms"
    assert duration(999_000_001) == "1s"
