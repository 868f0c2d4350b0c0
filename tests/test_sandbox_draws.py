"""Latency and faults: the same seeds draw the same, and the shares and medians are those of the profile."""

from __future__ import annotations

import statistics

import pytest

from fanout.errors import BadInput
from fanout.sandbox.draws import Latency, choice, fault, latency
from fanout.sandbox.profile import SandboxProfile

NS_PER_MS = 1_000_000


def test_one_prompt_has_one_latency_and_another_seed_another() -> None:
    profile = SandboxProfile(seed=7)
    assert latency(profile, "a prompt") == latency(profile, "a prompt")
    assert latency(profile, "a prompt") != latency(profile, "another")
    assert latency(profile, "a prompt") != latency(SandboxProfile(seed=8), "a prompt")


def test_the_medians_are_those_of_the_profile() -> None:
    profile = SandboxProfile(first_token_ms=300, first_token_sigma=0.5, token_ms=20, token_sigma=0.3)
    drawn = [latency(profile, f"prompt {n}") for n in range(4000)]
    assert statistics.median(one.first_token_ns for one in drawn) == pytest.approx(300 * NS_PER_MS, rel=0.05)
    assert statistics.median(one.token_ns for one in drawn) == pytest.approx(20 * NS_PER_MS, rel=0.05)
    assert statistics.quantiles([one.first_token_ns for one in drawn], n=100)[94] > 600 * NS_PER_MS


def test_without_sigma_every_latency_is_the_median() -> None:
    profile = SandboxProfile(first_token_ms=200, first_token_sigma=0, token_ms=5, token_sigma=0)
    assert latency(profile, "x") == Latency(first_token_ns=200 * NS_PER_MS, token_ns=5 * NS_PER_MS)


def test_any_text_has_a_latency() -> None:
    for text in ("", "\ud800", "漢字", "\x00", "x" * 200_000):
        assert latency(SandboxProfile(first_token_sigma=3), text).first_token_ns >= 0


def test_above_capacity_latency_grows_in_proportion_and_below_it_not() -> None:
    drawn = Latency(first_token_ns=100, token_ns=10)
    assert drawn.grown(in_flight=4, capacity=4) is drawn
    assert drawn.grown(in_flight=10, capacity=4) == Latency(first_token_ns=250, token_ns=25)
    assert drawn.grown(in_flight=1000, capacity=None) is drawn


def test_faults_come_at_their_rates_and_again_at_the_same_requests() -> None:
    profile = SandboxProfile(error_rate=0.2, hang_rate=0.1, truncation_rate=0.3)
    drawn = [fault(profile, n) for n in range(5000)]
    assert drawn == [fault(profile, n) for n in range(5000)]
    assert drawn.count("error") / 5000 == pytest.approx(0.2, abs=0.03)
    assert drawn.count("hang") / 5000 == pytest.approx(0.1, abs=0.03)
    assert drawn.count("truncation") / 5000 == pytest.approx(0.3, abs=0.03)


def test_a_rate_of_one_spares_nobody_and_a_rate_of_zero_everybody() -> None:
    assert all(fault(SandboxProfile(hang_rate=1), n) == "hang" for n in range(200))
    assert all(fault(SandboxProfile(), n) is None for n in range(200))


def test_a_choice_is_one_of_the_options_and_stays() -> None:
    options = ("a", "b", "c")
    chosen = [choice(1, f"text {n}", options) for n in range(300)]
    assert chosen == [choice(1, f"text {n}", options) for n in range(300)]
    assert set(chosen) == set(options)


@pytest.mark.parametrize(
    "segment",
    [
        "",
        "v1",
        "!!",
        "bnVsbA",
        "WzFd",
        "eyJ4IjoxfQ",
        "W1tb" * 30_000,
        "eyJlcnJvcl9yYXRlIjoyfQ",
        "é",
        "eyJzZWVkIjp0cnVlfQ",
        "eyJmaXJzdF90b2tlbl9tcyI6TmFOfQ",
        "eyJmaXJzdF90b2tlbl9tcyI6MWU5OTl9",
    ],
)
def test_what_is_no_profile_is_refused(segment: str) -> None:
    with pytest.raises(BadInput):
        SandboxProfile.decode(segment)


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(BadInput, match="first_token_ms"):
        SandboxProfile(first_token_ms=10**400)


def test_a_profile_survives_its_spelling() -> None:
    profile = SandboxProfile(seed=9, first_token_ms=12.5, requests_per_minute=3, error_rate=0.5, capacity=2)
    assert SandboxProfile.decode(profile.encoded()) == profile
    assert SandboxProfile.decode(SandboxProfile().encoded()) == SandboxProfile()
