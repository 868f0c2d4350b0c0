"""The settings that most people leave alone: what is asked of the model, the run's own limits, its caps, its name.

Comes in: what `session` remembers of the form. Goes out: its controls; their values are read from `session` by whoever
starts the run. A field left empty says in its placeholder what then holds.
"""

from __future__ import annotations

import streamlit as st

from dashboard import door, house, session
from dashboard.sharing import WORDS
from fanout.batch import MOST_QUOTA, MOST_RETRIES, MOST_TIMEOUT_S, MOST_WEIGHT

MOST_USD = 1_000_000.0


def draw_more() -> None:
    """All of them, one below the other."""
    _answers()
    _limits()
    _caps()
    _answers_there()
    st.text_input("Name of the run", key="run_name", persist_state="session")
    if chooses_who_sees():
        st.selectbox(
            "Who sees the run",
            list(WORDS),
            format_func=lambda each: WORDS[each],
            key="run_visibility",
            help="It can be changed later, under Share on the run's page.",
            persist_state="session",
        )


def chooses_who_sees() -> bool:
    """Whether there is anybody from whom a run could be kept."""
    return door.has_login() and house.library().shelf is not None


def _answers() -> None:
    st.text_area(
        "Instructions",
        key="instructions",
        height=90,
        placeholder="A system prompt for every call",
        persist_state="session",
    )
    # The value is None, not left out: what is emptied is then empty, where it would be the least allowed.
    one, other = st.columns(2)
    with one:
        st.number_input(
            "Temperature",
            0.0,
            2.0,
            None,
            step=0.1,
            format="%g",
            key="temperature",
            placeholder="the model's own",
            persist_state="session",
        )
        st.number_input(
            "Timeout, seconds",
            0.1,
            MOST_TIMEOUT_S,
            None,
            step=1.0,
            format="%g",
            key="timeout_s",
            persist_state="session",
        )
    with other:
        st.number_input(
            "Max output tokens",
            1,
            10_000_000,
            None,
            step=1,
            key="max_output_tokens",
            placeholder="the model's own",
            persist_state="session",
        )
        st.number_input("Retries", 0, MOST_RETRIES, None, step=1, key="retries", persist_state="session")
    st.selectbox(
        "Stream the answers",
        list(session.STREAM_CHOICES),
        key="stream",
        help="Streaming shows the time to the first token; it costs more of this machine's time a call.",
        persist_state="session",
    )


def _limits() -> None:
    """What this run may use of its account's quota; never more than the account allows."""
    st.toggle(
        "Auto max_workers, up to the slider",
        key="auto_workers",
        help="max_workers is then a ceiling: the calls in flight follow what the quota and the latency can use.",
        persist_state="session",
    )
    one, other = st.columns(2)
    with one:
        _count("Requests a minute", "requests_per_minute", "the account's")
        _count(
            "Burst",
            "burst",
            "the account's",
            why="Requests that may start at one instant after a quiet while; one second's worth where nothing is set.",
        )
    with other:
        _count("Tokens a minute", "tokens_per_minute", "the account's", why="Input and output together.")
        st.number_input(
            "Weight",
            1,
            MOST_WEIGHT,
            None,
            step=1,
            key="weight",
            help="This run's share beside others on the same account. More than 1 only where fanout.toml allows it.",
            persist_state="session",
        )


def _caps() -> None:
    """Where the run pauses and asks."""
    one, other = st.columns(2)
    with one:
        _count("Cap in tokens", "cap_tokens", "no cap", why="The run pauses there and asks; nothing is lost.")
    with other:
        st.number_input(
            "Cap in dollars",
            0.0,
            MOST_USD,
            None,
            step=1.0,
            format="%g",
            key="cap_usd",
            placeholder="no cap",
            help="The run pauses there and asks; nothing is lost. It needs a model whose price is known.",
            persist_state="session",
        )


def _answers_there() -> None:
    """What need not be sent."""
    if house.library().shelf is not None:
        st.toggle(
            "Reuse answers",
            key="reuse_answers",
            help="A prompt that the same model was sent before, under the same settings, takes the answer it got then: "
            "no call, no quota slot. Looked for in the runs that you may see; each such row names its run.",
            persist_state="session",
        )
    st.toggle(
        "Identical prompts once",
        key="identical_once",
        help="A prompt that stands in the list several times is sent once, and all of them take its answer.",
        persist_state="session",
    )


def _count(label: str, key: str, unset: str, *, why: str | None = None) -> None:
    st.number_input(label, 1, MOST_QUOTA, None, step=1, key=key, placeholder=unset, help=why, persist_state="session")
