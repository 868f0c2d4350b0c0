"""Whatever headers and bodies come: nothing raises, and every number that is read makes sense."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanout.providers.headers import report
from fanout.providers.numbers import LONGEST_S, count, span_s
from fanout.quota.limits import MOST
from fanout.quota.report import RateReport
from tests.test_providers_headers import (
    ANTHROPIC,
    AZURE,
    CEREBRAS,
    INPUT,
    MISTRAL,
    NOW_S,
    OPENAI,
    PER_DAY,
    SPELLED,
    read,
)

HOSTILE_TEXT = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[-+0-9.,eE:TZhmsd ]{0,40}", fullmatch=True),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda at: at.isoformat()),
)
NAMES = st.one_of(
    st.sampled_from(sorted({*OPENAI, *ANTHROPIC, *CEREBRAS, *MISTRAL, *AZURE, "retry-after", "retry-after-ms"})),
    st.text(max_size=40),
)
PROVIDERS = st.sampled_from([*SPELLED, "google", "sandbox", ""])
BODY_WORDS = st.one_of(
    HOSTILE_TEXT, st.sampled_from([PER_DAY, INPUT, "22s", "on tokens per min (TPM)", "try again in"])
)
BODY_NAMES = st.sampled_from(["error", "message", "details", "violations", "quotaId", "quotaValue", "retryDelay", "x"])
BODIES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), BODY_WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(BODY_NAMES, inner, max_size=4)),
    max_leaves=12,
)


def sensible(said: RateReport) -> None:
    for _, reading in said.readings:
        assert reading.limit is None or 1 <= reading.limit <= MOST
        assert reading.remaining is None or 0 <= reading.remaining <= MOST
        assert reading.reset_s is None or 0 <= reading.reset_s <= LONGEST_S
        assert reading.window_s is None or 0 < reading.window_s < 60
        assert (reading.limit, reading.remaining, reading.reset_s) != (None, None, None)
    assert said.retry_after_s is None or 0 <= said.retry_after_s <= LONGEST_S


@given(st.dictionaries(NAMES, HOSTILE_TEXT, max_size=12), PROVIDERS, st.sampled_from([200, 400, 429, 503]), BODIES)
def test_whatever_comes_nothing_raises_and_every_number_makes_sense(
    headers: dict[str, str], provider: str, status_code: int, body: object
) -> None:
    sensible(read(headers, provider=provider, status_code=status_code, body=body))


@given(st.lists(st.tuples(st.one_of(NAMES.map(lambda name: name.encode()), st.binary()), st.binary()), max_size=8))
def test_whatever_bytes_come_nothing_raises(headers: list[tuple[bytes, bytes]]) -> None:
    sensible(report(headers, provider="openai", status_code=429, now_s=NOW_S))


@given(st.integers(min_value=0, max_value=int(LONGEST_S) * 1000 - 1))
def test_a_duration_reads_back_as_it_was_written(ms: int) -> None:
    seconds, ms_left = divmod(ms, 1000)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    assert span_s(f"{hours}h{minutes}m{seconds % 60}s{ms_left}ms", NOW_S) == ms / 1000


@given(st.integers(min_value=0, max_value=MOST))
def test_a_count_reads_back_as_it_was_written(number: int) -> None:
    assert count(str(number)) == count(f"{number:,}") == count(f" {number}.0 ") == number
