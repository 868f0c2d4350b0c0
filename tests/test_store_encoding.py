"""Every kind of event as a chunk's text and back, whatever the texts hold."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout import events as ev
from fanout.batch import Batch
from fanout.errors import FAILURES, CallFailed
from fanout.people import LOCAL
from fanout.store.encoding import moved, read, write
from tests.hands import WAIT_S
from tests.stores import Kept

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any text at all, with NUL and unpaired surrogates."""
INSTANT = st.integers(0, 2**62)
COUNT = st.integers(0, 10**9)
MONEY = st.floats(0, 1e6)
MAYBE: Any = lambda strategy: st.none() | strategy  # noqa: E731
ERROR = st.builds(
    lambda cls, *, sentence, **words: cls(sentence, **words),
    st.sampled_from(tuple(FAILURES.values())),
    sentence=TEXT,
    provider_words=MAYBE(TEXT),
    status_code=MAYBE(st.integers(100, 599)),
    retry_after_s=MAYBE(st.floats(0, 1e6)),
    was_sent=st.booleans(),
)
FIELDS: dict[str, Any] = {
    "at_ns": INSTANT,
    "received_ns": MAYBE(INSTANT),
    "output": TEXT,
    "error": ERROR,
    "batch": st.builds(Batch, prompts=st.lists(TEXT.filter(str.strip), min_size=1, max_size=3), instructions=TEXT),
    "usage": st.builds(ev.Usage, input_tokens=MAYBE(COUNT), output_tokens=MAYBE(COUNT)),
    "cost_usd": MAYBE(MONEY),
    "opened_at_s": MONEY,
    "answered_at_s": MONEY,
    "used": MONEY,
    "allowed": MONEY,
    "user_name": TEXT,
    "why": MAYBE(TEXT),
    "versions": MAYBE(st.dictionaries(TEXT, TEXT, max_size=3)),
    "changes": MAYBE(st.dictionaries(st.sampled_from(("model", "instructions")), TEXT, max_size=2)),
}
OPTIONAL_ERROR = {ev.StopAsked}


def events() -> st.SearchStrategy[ev.Event]:
    def built(cls: type[Any]) -> st.SearchStrategy[Any]:
        known = {name: FIELDS[name] for name in ev._FIELDS[cls] if name in FIELDS}
        if cls in OPTIONAL_ERROR:
            known["error"] = MAYBE(ERROR)
        return st.builds(cls, **known)

    return st.sampled_from(tuple(ev.KINDS.values())).flatmap(built)


@given(st.lists(events(), max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_events_are_equal_after_a_chunk_of_them_was_written_and_read(happened: list[ev.Event]) -> None:
    text = write(happened)
    assert read(text) == happened
    assert "\x00" not in text  # PostgreSQL takes none
    text.encode()


@given(events(), st.integers(-(2**61), 2**61))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_instants_moved_and_moved_back_are_where_they_were(event: ev.Event, by_ns: int) -> None:
    there = moved([event], by_ns)[0]
    assert moved([there], -by_ns) == (event,)
    assert there.at_ns == event.at_ns + by_ns


HOSTILE = {
    "NUL": "before\x00after",
    "an unpaired surrogate": "before\ud800after\udfff",
    "quotes and SQL": "'; DROP TABLE run; -- \" %s %(run_id)s :run_id ?",
    "every control character": "".join(map(chr, range(32))),
    "one that turns the direction": "\u202eabc",
    "a megabyte": "".join(random.Random(1).choices("abcdefgh ij\n\u00e9\u4e2d", k=1_000_000)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_answer_is_read_from_the_database_as_it_was_given(database_url: str, text: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(2, name="x\x00\ud800y")
        kept.sent_for(0).answer(text)
        kept.sent_for(1).fail(CallFailed(text, provider_words=text))
        assert live.wait(WAIT_S), kept.store.trouble
        first, second = live.snapshot().calls
        run_id = live.run_id
    with Kept(database_url) as again:
        stored = again.library.find(LOCAL, run_id).run.snapshot()
    assert stored.calls == (first, second)
    assert stored.calls[0].output == text
