"""The simulated account's arithmetic, on instants that the test chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.sandbox.bucket import NS_PER_MINUTE, NS_PER_S, Account, TokenBucket, duration
from fanout.sandbox.profile import SandboxProfile


def _headers(account: Account, *, tokens: int, at_ns: int) -> dict[str, str]:
    admission = account.admit(tokens=tokens, at_ns=at_ns)
    return {name.decode(): value.decode() for name, value in admission.headers}


def test_a_full_bucket_gives_its_minute_at_once_and_then_one_at_a_time() -> None:
    bucket = TokenBucket(per_minute=60, at_ns=0)
    for _ in range(60):
        bucket.take(1, at_ns=0)
    assert bucket.wait_ns(1, at_ns=0) == NS_PER_S
    assert bucket.wait_ns(1, at_ns=NS_PER_S - 1) == 1
    assert bucket.wait_ns(1, at_ns=NS_PER_S) == 0


def test_a_bucket_never_holds_more_than_its_minute() -> None:
    bucket = TokenBucket(per_minute=60, at_ns=0)
    assert bucket.remaining(at_ns=10 * NS_PER_MINUTE) == 60
    assert bucket.reset_ns(at_ns=10 * NS_PER_MINUTE) == 0


def test_what_never_fits_has_no_wait() -> None:
    assert TokenBucket(per_minute=10, at_ns=0).wait_ns(11, at_ns=0) is None


def test_taking_what_is_not_there_is_a_bug() -> None:
    bucket = TokenBucket(per_minute=1, at_ns=0)
    bucket.take(1, at_ns=0)
    with pytest.raises(ValueError, match="holds 0"):
        bucket.take(1, at_ns=1)


_ASKED = st.lists(st.tuples(st.integers(0, NS_PER_MINUTE), st.integers(1, 50)), min_size=1, max_size=60)


@given(per_minute=st.integers(1, 1000), asked=_ASKED)
def test_no_window_gets_more_than_the_burst_and_its_refill(per_minute: int, asked: list[tuple[int, int]]) -> None:
    bucket, now_ns, taken = TokenBucket(per_minute=per_minute, at_ns=0), 0, []
    for pause_ns, cost in asked:
        now_ns += pause_ns
        if bucket.wait_ns(cost, at_ns=now_ns) == 0:
            bucket.take(cost, at_ns=now_ns)
            taken.append((now_ns, cost))
    for first in range(len(taken)):
        got = 0
        for at_ns, cost in taken[first:]:
            got += cost
            assert (got - per_minute) * NS_PER_MINUTE <= (at_ns - taken[first][0]) * per_minute


@given(per_minute=st.integers(1, 1000), asked=_ASKED)
def test_the_wait_is_exact_to_the_nanosecond(per_minute: int, asked: list[tuple[int, int]]) -> None:
    bucket, now_ns = TokenBucket(per_minute=per_minute, at_ns=0), 0
    for pause_ns, cost in asked:
        now_ns += pause_ns
        wait_ns = bucket.wait_ns(cost, at_ns=now_ns)
        if wait_ns is None:
            assert cost > per_minute
            continue
        if wait_ns > 0:
            assert bucket.wait_ns(cost, at_ns=now_ns + wait_ns - 1) == 1
        now_ns += wait_ns
        assert bucket.wait_ns(cost, at_ns=now_ns) == 0
        bucket.take(cost, at_ns=now_ns)


def test_an_account_says_what_is_left_and_when_it_is_full() -> None:
    account = Account(SandboxProfile(requests_per_minute=60, tokens_per_minute=6000), at_ns=0)
    assert _headers(account, tokens=100, at_ns=0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5900",
        "x-ratelimit-reset-tokens": "1s",
    }


def test_a_refused_request_takes_nothing_from_any_limit() -> None:
    account = Account(SandboxProfile(requests_per_minute=60, tokens_per_minute=100), at_ns=0)
    account.admit(tokens=80, at_ns=0)
    refused = account.admit(tokens=50, at_ns=0)
    assert refused.refusal is not None
    assert (refused.refusal.resource, refused.refusal.used, refused.refusal.requested) == ("tokens", 80, 50)
    assert _headers(account, tokens=20, at_ns=0)["x-ratelimit-remaining-requests"] == "58"


def test_who_waits_as_told_is_admitted() -> None:
    account = Account(SandboxProfile(requests_per_minute=7, tokens_per_minute=1000), at_ns=0)
    now_ns = 0
    for _ in range(30):
        admission = account.admit(tokens=333, at_ns=now_ns)
        if admission.refusal is not None:
            told = dict(admission.headers)
            now_ns += int(told[b"retry-after-ms"]) * 1_000_000
            assert int(told[b"retry-after"]) * 1000 >= int(told[b"retry-after-ms"])
            assert account.admit(tokens=333, at_ns=now_ns).refusal is None


def test_a_request_larger_than_the_limit_is_told_not_to_come_again() -> None:
    account = Account(SandboxProfile(tokens_per_minute=100), at_ns=0)
    told = _headers(account, tokens=101, at_ns=0)
    assert told["x-should-retry"] == "false"
    assert "retry-after" not in told


def test_without_limits_nothing_is_said_of_them() -> None:
    admission = Account(SandboxProfile(), at_ns=0).admit(tokens=10**9, at_ns=0)
    assert admission.refusal is None
    assert admission.headers == ()


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
