"""The sandbox's profile as a form: latency, quota, faults, capacity.

Comes in: the profile this session holds. Goes out: another one, checked, for the runs it starts from now on; each run
takes its own along, frozen, so nobody's change disturbs another's run. No number has bounds here: what lies outside
them a browser would keep to itself, and Apply would take the number before; the profile refuses it in a sentence.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import elements, session, session_sandbox
from dashboard.settings_words import refusal_words
from fanout.errors import BadInput
from fanout.sandbox.profile import SandboxProfile


def draw_sandbox() -> None:
    """The page."""
    elements.sentence("The sandbox is a simulated provider on this machine: it needs no key and costs nothing.")
    elements.quiet(
        "What is set here holds for the runs that you start in this window from now on, also after a reload: "
        "it is in the page's address. "
        "Each run takes its settings along; runs in progress, and other people's, keep theirs."
    )
    session_sandbox.adopt()
    now = session.profile()
    bar = st.container(key="sandbox_bar", horizontal=True, vertical_alignment="center")
    latency, quota, faults = st.columns(3, gap="large")
    with latency:
        values: dict[str, Any] = _latency(now)
    with quota:
        values |= _quota(now)
    with faults:
        values |= _faults(now)
    with bar:
        apply = st.button("Apply", type="primary", key="sandbox_apply")
        st.button("Back to the defaults", key="sandbox_reset", on_click=_reset)
        _take(values, now, apply=apply)
    session_sandbox.keep()


def _take(values: dict[str, Any], now: SandboxProfile, *, apply: bool) -> None:
    """Say what becomes of what the form holds: a number that is refused at once, whether or not Apply was pressed.

    Something always stands there, so that the fields keep their place under the hand.
    """
    try:
        profile = _profile(values)
    except BadInput as exc:
        elements.wrong(f"{refusal_words(str(exc))}. The settings before hold.")
        return
    if apply:
        session.set_profile(profile)
        elements.quiet("Applied: the next run you start on the sandbox behaves like this.")
    elif profile != now:
        elements.quiet("Not applied yet: runs that you start take the settings before.")
    else:
        default = profile == SandboxProfile()
        elements.quiet("These are the defaults, and they hold." if default else "What the fields show holds.")


def _latency(now: SandboxProfile) -> dict[str, Any]:
    elements.heading("Latency")
    return {
        "first_token_ms": st.number_input(
            "Median time to the first token, ms",
            value=now.first_token_ms,
            step=50.0,
            format="%g",
            key=_key("sandbox_first"),
        ),
        "first_token_sigma": st.number_input(
            "Its spread, sigma of a lognormal",
            value=now.first_token_sigma,
            step=0.1,
            format="%g",
            key=_key("sandbox_first_sigma"),
            help="0 is always the median; 0.5 puts one call in twenty above 2.3 times the median.",
        ),
        "token_ms": st.number_input(
            "Median time of each further token, ms",
            value=now.token_ms,
            step=5.0,
            format="%g",
            key=_key("sandbox_token"),
        ),
        "token_sigma": st.number_input(
            "Its spread, sigma", value=now.token_sigma, step=0.1, format="%g", key=_key("sandbox_tokens")
        ),
        "seed": st.number_input(
            "Seed",
            value=now.seed,
            key=_key("sandbox_seed"),
            help="The same seed and prompt give the same latency and the same answer.",
        ),
    }


def _quota(now: SandboxProfile) -> dict[str, Any]:
    elements.heading("Quota and capacity")
    return {
        "requests_per_minute": _limit("Requests a minute", now.requests_per_minute, "sandbox_rpm"),
        "tokens_per_minute": _limit("Tokens a minute", now.tokens_per_minute, "sandbox_tpm"),
        "burst": _limit(
            "Requests at once after a quiet while (burst)", now.burst, "sandbox_burst", unset="a minute's worth"
        ),
        "token_burst": _limit(
            "Tokens at once after a quiet while", now.token_burst, "sandbox_token_burst", unset="a minute's worth"
        ),
        "requests_per_day": _limit("Requests a day", now.requests_per_day, "sandbox_rpd"),
        "max_in_flight": _limit("Calls in flight above which others are refused", now.max_in_flight, "sandbox_flight"),
        "capacity": _limit("Calls in flight above which latency grows", now.capacity, "sandbox_capacity"),
        "other_user_share": _share(
            "Another user takes, %",
            now.other_user_share,
            "sandbox_others",
            why="Of the requests and tokens a minute, on the same key, all the time.",
        ),
        **_quota_modes(now),
    }


def _quota_modes(now: SandboxProfile) -> dict[str, Any]:
    return {
        "headers": not _mode(
            "Headers off",
            not now.headers,
            "sandbox_headers_off",
            "No answer tells what is left, and no refusal how long to wait.",
        ),
        "hard_window": _mode(
            "Hard window",
            now.hard_window,
            "sandbox_hard_window",
            "Limits hold for whole minutes from the first request, and nothing refills before a minute's end.",
        ),
        "rejected_burn": _mode(
            "Rejected calls burn quota",
            now.rejected_burn,
            "sandbox_burn",
            "A refused call counts towards the requests a minute like any other.",
        ),
        "charge_max_tokens": _mode(
            "Charge the longest answer asked for",
            now.charge_max_tokens,
            "sandbox_charge_max",
            "A call with a limit on its answer takes that many tokens, however short the answer is.",
        ),
    }


def _limit(label: str, now: int | None, key: str, *, unset: str = "no limit") -> int | None:
    return st.number_input(label, value=now, step=1, key=_key(key), placeholder=unset)


def _mode(label: str, now: bool, key: str, why: str) -> bool:
    return st.checkbox(label, now, key=_key(key), help=why)


def _faults(now: SandboxProfile) -> dict[str, Any]:
    elements.heading("Faults")
    return {
        "error_rate": _share("Answered with a server error, %", now.error_rate, "sandbox_errors"),
        "hang_rate": _share("Never answered, %", now.hang_rate, "sandbox_hangs"),
        "truncation_rate": _share("Ended half-way, %", now.truncation_rate, "sandbox_truncated"),
    }


def _share(label: str, now: float, key: str, *, why: str | None = None) -> float | None:
    percent = st.number_input(label, value=round(now * 100, 6), step=1.0, format="%g", key=_key(key), help=why)
    return None if percent is None else round(percent / 100, 8)


def _profile(values: dict[str, Any]) -> SandboxProfile:
    """The profile of the form. Raises BadInput."""
    for name in (*_NEEDED, *_MOST_SHARE):
        if values[name] is None:
            raise BadInput(f"sandbox {name} is empty: give a number")
    for name, most in _MOST_SHARE.items():
        if not 0 <= values[name] <= most:
            raise BadInput(f"sandbox {name} must be from 0 to {most * 100:g} %, got {values[name] * 100:g}")
    if sum(values[name] for name in _FAULTS) > 1:
        raise BadInput(f"{', '.join(_FAULTS[:-1])} and {_FAULTS[-1]} are together more than 100 %: lower one of them")
    return SandboxProfile(**values)


_NEEDED = ("first_token_ms", "first_token_sigma", "token_ms", "token_sigma", "seed")
_FAULTS = ("error_rate", "hang_rate", "truncation_rate")
_MOST_SHARE = {"other_user_share": 0.9, "error_rate": 1.0, "hang_rate": 1.0, "truncation_rate": 1.0}
"""What the form asks for in %, and the profile takes as a share of 1."""


def _reset() -> None:
    session.put_in_profile_form(SandboxProfile())


def _key(name: str) -> str:
    """A new key where the form began anew, so that it shows the profile and not what was typed before."""
    return f"{name}_{session.profile_forms()}"
