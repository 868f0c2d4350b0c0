"""The sandbox's profile as a form: latency, quota, faults, capacity.

Comes in: the profile this session holds. Goes out: another one, checked, for the runs it starts from now on; each run
takes its own along, frozen, so nobody's change disturbs another's run. No number has bounds here: what lies outside
them a browser would keep to itself, and Apply would take the number before; the profile refuses it in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
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
    shown = _shown(session.profile())
    bar = st.container(key="sandbox_bar", horizontal=True, vertical_alignment="center")
    latency, quota, faults = st.columns(3, gap="large")
    with latency:
        _latency(shown)
    with quota:
        _quota(shown)
    with faults:
        _faults(shown)
    session_sandbox.drawn(map(_key, shown))
    with bar:
        # By a callback, so that it counts where the page is left, or drawn anew, before the drawing comes to the
        # button; and here, where this press is the first that the server hears of the page.
        if st.button("Apply", type="primary", key="sandbox_apply", on_click=_apply):
            _apply()
        st.button("Back to the defaults", key="sandbox_reset", on_click=_reset)
        _say()
    session_sandbox.keep()


def _apply() -> None:
    """What stands in the fields holds from now on; what is refused does not, and the page says so."""
    with suppress(BadInput):
        session_sandbox.apply(_profile(_standing()))


def _reset() -> None:
    session.put_in_profile_form(SandboxProfile())


def _say() -> None:
    """Say what becomes of what the form holds: a number that is refused at once, whether or not Apply was pressed.

    Something always stands there, so that the fields keep their place under the hand.
    """
    now = session.profile()
    try:
        profile = _profile(_standing())
    except BadInput as exc:
        elements.wrong(f"{refusal_words(str(exc))}. The settings before hold.")
        return
    if profile != now:
        elements.quiet("Not applied yet: runs that you start take the settings before.")
    elif profile == session_sandbox.applied():
        elements.quiet("Applied: the next run you start on the sandbox behaves like this.")
    else:
        default = profile == SandboxProfile()
        elements.quiet("These are the defaults, and they hold." if default else "What the fields show holds.")


# The fields. Each has its number of the profile's under its name, a share in %.


def _latency(shown: Mapping[str, Any]) -> None:
    elements.heading("Latency")
    _number("Median time to the first token, ms", "first_token_ms", shown, step=50.0)
    _number(
        "Its spread, sigma of a lognormal",
        "first_token_sigma",
        shown,
        step=0.1,
        why="0 is always the median; 0.5 puts one call in twenty above 2.3 times the median.",
    )
    _number("Median time of each further token, ms", "token_ms", shown, step=5.0)
    _number("Its spread, sigma", "token_sigma", shown, step=0.1)
    st.number_input(
        "Seed",
        value=shown["seed"],
        key=_key("seed"),
        help="The same seed and prompt give the same latency and the same answer.",
    )


def _quota(shown: Mapping[str, Any]) -> None:
    elements.heading("Quota and capacity")
    _limit("Requests a minute", "requests_per_minute", shown)
    _limit("Tokens a minute", "tokens_per_minute", shown)
    _limit("Requests at once after a quiet while (burst)", "burst", shown, unset="a minute's worth")
    _limit("Tokens at once after a quiet while", "token_burst", shown, unset="a minute's worth")
    _limit("Requests a day", "requests_per_day", shown)
    _limit("Calls in flight above which others are refused", "max_in_flight", shown)
    _limit("Calls in flight above which latency grows", "capacity", shown)
    _number(
        "Another user takes, %",
        "other_user_share",
        shown,
        step=1.0,
        why="Of the requests and tokens a minute, on the same key, all the time.",
    )
    _quota_modes(shown)


def _quota_modes(shown: Mapping[str, Any]) -> None:
    _mode("Headers off", "headers", shown, "No answer tells what is left, and no refusal how long to wait.")
    _mode(
        "Hard window",
        "hard_window",
        shown,
        "Limits hold for whole minutes from the first request, and nothing refills before a minute's end.",
    )
    _mode(
        "Rejected calls burn quota",
        "rejected_burn",
        shown,
        "A refused call counts towards the requests a minute like any other.",
    )
    _mode(
        "Charge the longest answer asked for",
        "charge_max_tokens",
        shown,
        "A call with a limit on its answer takes that many tokens, however short the answer is.",
    )


def _faults(shown: Mapping[str, Any]) -> None:
    elements.heading("Faults")
    _number("Answered with a server error, %", "error_rate", shown, step=1.0)
    _number("Never answered, %", "hang_rate", shown, step=1.0)
    _number("Ended half-way, %", "truncation_rate", shown, step=1.0)


def _number(label: str, name: str, shown: Mapping[str, Any], *, step: float, why: str | None = None) -> None:
    st.number_input(label, value=shown[name], step=step, format="%g", key=_key(name), help=why)


def _limit(label: str, name: str, shown: Mapping[str, Any], *, unset: str = "no limit") -> None:
    st.number_input(label, value=shown[name], step=1, key=_key(name), placeholder=unset)


def _mode(label: str, name: str, shown: Mapping[str, Any], why: str) -> None:
    st.checkbox(label, shown[name], key=_key(name), help=why)


def _key(name: str) -> str:
    """A new key where the form began anew, so that it shows the profile and not what was typed before."""
    return f"sandbox_{name}_{session.profile_forms()}"


# From the profile to the fields, and back


def _shown(profile: SandboxProfile) -> Mapping[str, Any]:
    """What the fields show of a profile."""
    held = asdict(profile)
    shares = {name: round(held[name] * 100, 6) for name in _MOST_SHARE}
    return {**held, **shares, "headers": not profile.headers}


def _standing() -> Mapping[str, Any]:
    """What stands in the fields, as the profile has it; what holds, where one was not drawn yet."""
    values = {name: session_sandbox.stands(_key(name), shown) for name, shown in _shown(session.profile()).items()}
    shares = {name: None if values[name] is None else round(values[name] / 100, 8) for name in _MOST_SHARE}
    return {**values, **shares, "headers": not values["headers"]}


def _profile(values: Mapping[str, Any]) -> SandboxProfile:
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
