"""The settings as controls: those that most people leave alone, and those under which a run can go on.

Comes in: what `session` remembers of the form, or of a run that is to go on: under other keys, by what stands before
them. Goes out: controls; their values are read from `session` by whoever starts the run. A field left empty says in its
placeholder what then holds. No number has bounds here: what lies outside them Streamlit would keep in the browser,
named only under the pointer, and go on with the number before; the batch refuses it in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import door, house, session
from dashboard.sharing import WORDS
from fanout.store.shelf import MOST_NAME


def draw_more() -> None:
    """All of them, one below the other."""
    _answers()
    _attempts()
    _limits(_weight)
    _caps()
    _answers_there()
    st.text_input("Name of the run", key="run_name", max_chars=MOST_NAME, persist_state="session")
    if chooses_who_sees():
        st.selectbox(
            "Who sees the run",
            list(WORDS),
            index=list(WORDS).index(session.visibility()),
            format_func=lambda each: WORDS[each],
            key="run_visibility",
            help="It can be changed later, under Share on the run's page.",
            persist_state="session",
        )


def draw_to_go_on(under: str) -> None:
    """Those under which a run that has answers can go on: what these answers were given to stays."""
    model_field(under)
    _attempts(under)
    _limits(under=under)
    _caps(under)
    _identical_once(under)


def model_field(under: str = "") -> None:
    """The model: any for those who may send to any, else one of those on offer."""
    free = door.person().role == "admin"
    offered = ["sandbox", *house.settings().models]
    chosen = session.form(under)["model"]
    options = offered if chosen in offered or not chosen else [*offered, chosen]
    st.selectbox(
        "Model",
        options,
        # Where the browser begins a box anew and was not told what stands in it, it begins here, and says so to us.
        index=options.index(chosen) if chosen in options else 0,
        key=f"{under}model",
        accept_new_options=free,
        help="The sandbox, which needs no key and simulates its answers, or "
        + ("provider:name as pydantic-ai spells it." if free else "one of the models that an admin offers."),
        persist_state="session",
    )


def chooses_who_sees() -> bool:
    """Whether there is anybody from whom a run could be kept."""
    return door.has_login() and house.library().shelf is not None


def _answers() -> None:
    """What an answer depends on."""
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
            value=None,
            step=0.1,
            format="%g",
            key="temperature",
            placeholder="the model's own",
            persist_state="session",
        )
    with other:
        st.number_input(
            "Max output tokens",
            value=None,
            step=1,
            key="max_output_tokens",
            placeholder="the model's own",
            persist_state="session",
        )


def _attempts(under: str = "") -> None:
    """How an answer is asked for."""
    one, other = st.columns(2)
    with one:
        st.number_input(
            "Timeout, seconds",
            value=None,
            step=1.0,
            format="%g",
            key=f"{under}timeout_s",
            persist_state="session",
        )
    with other:
        st.number_input("Retries", value=None, step=1, key=f"{under}retries", persist_state="session")
    choices = list(session.STREAM_CHOICES)
    stands = session.form(under)["stream"]
    st.selectbox(
        "Stream the answers",
        choices,
        index=choices.index(stands) if stands in choices else 0,
        key=f"{under}stream",
        help="Streaming shows the time to the first token; it costs more of this machine's time a call.",
        persist_state="session",
    )


def _limits(beside: Callable[[], None] | None = None, *, under: str = "") -> None:
    """What this run may use of its account's quota; never more than the account allows. `beside` draws one more."""
    st.toggle(
        "Auto max_workers, up to the slider",
        bool(session.form(under)["auto_workers"]),
        key=f"{under}auto_workers",
        help="max_workers is then a ceiling: the calls in flight follow what the quota and the latency can use.",
        persist_state="session",
    )
    one, other = st.columns(2)
    with one:
        _count("Requests a minute", f"{under}requests_per_minute", "the account's")
        _count(
            "Burst",
            f"{under}burst",
            "the account's",
            why="Requests that may start at one instant after a quiet while; one second's worth where nothing is set.",
        )
    with other:
        _count("Tokens a minute", f"{under}tokens_per_minute", "the account's", why="Input and output together.")
        if beside is not None:
            beside()


def _weight() -> None:
    st.number_input(
        "Weight",
        value=None,
        step=1,
        key="weight",
        help="This run's share beside others on the same account. More than 1 only where fanout.toml allows it.",
        persist_state="session",
    )


def _caps(under: str = "") -> None:
    """Where the run pauses and asks."""
    one, other = st.columns(2)
    with one:
        _count("Cap in tokens", f"{under}cap_tokens", "no cap", why="The run pauses there and asks; nothing is lost.")
    with other:
        st.number_input(
            "Cap in dollars",
            value=None,
            step=1.0,
            format="%g",
            key=f"{under}cap_usd",
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
    _identical_once()


def _identical_once(under: str = "") -> None:
    st.toggle(
        "Identical prompts once",
        bool(session.form(under)["identical_once"]),
        key=f"{under}identical_once",
        help="A prompt that stands in the list several times is sent once, and all of them take its answer.",
        persist_state="session",
    )


def _count(label: str, key: str, unset: str, *, why: str | None = None) -> None:
    st.number_input(label, value=None, step=1, key=key, placeholder=unset, help=why, persist_state="session")
