"""A link that fills the form: it gives back every setting, and takes no wrong one."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.form_link import FORM, MOST_CHARACTERS, NEW, SETTINGS, named, query_of, read
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.names import visible
from fanout.sandbox.profile import SandboxProfile

RUN = "ab12cd34ef567890"
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60).filter(visible)
SETTING: dict[str, Any] = {
    "model": st.just("sandbox"),
    "max_workers": st.integers(1, 512),
    "instructions": st.none() | WORDS,
    "temperature": st.none() | st.floats(0, 2),
    "max_output_tokens": st.none() | st.integers(1, 9_999),
    "timeout_s": st.floats(0.1, 3600),
    "retries": st.integers(0, 20),
    "stream": st.none() | st.booleans(),
    "name": st.none() | WORDS,
    "auto_workers": st.booleans(),
    "requests_per_minute": st.none() | st.integers(1, 10_000),
    "tokens_per_minute": st.none() | st.integers(1, 10_000),
    "burst": st.none() | st.integers(1, 10_000),
    "weight": st.integers(1, 100),
    "cap_tokens": st.none() | st.integers(1, 10_000),
    "cap_usd": st.none() | st.floats(0.01, 1000),
    "reuse_answers": st.booleans(),
    "identical_once": st.booleans(),
    "sandbox": st.builds(SandboxProfile, seed=st.integers(0, 99), error_rate=st.floats(0, 0.5)),
}


def made(settings: dict[str, Any]) -> Batch:
    return Batch(prompts=["a", "b"], **settings)


BATCHES = st.fixed_dictionaries(SETTING).map(made)


def through_the_address(query: dict[str, str]) -> dict[str, str]:
    return dict(parse_qsl(urlencode(query), keep_blank_values=True, strict_parsing=True))


def test_every_setting_of_a_batch_has_its_place_in_a_link() -> None:
    assert set(SETTINGS) == set(SETTING), "a new setting needs a way into the link, or a word on why not"


@given(batch=BATCHES, base=BATCHES)
def test_a_link_gives_back_the_settings_whatever_run_it_begins_from(batch: Batch, base: Batch) -> None:
    query, left = query_of(batch, base=base, run_id=RUN)
    assert not left
    assert read(through_the_address(query), base) == batch
    assert query[FORM] == RUN
    assert set(named(query)) == {name for name in SETTINGS if getattr(batch, name) != getattr(base, name)}


@given(batch=BATCHES)
def test_a_link_gives_back_the_settings_without_a_run(batch: Batch) -> None:
    query, _ = query_of(batch, base=None, run_id=None)
    assert query[FORM] == NEW
    assert replace(read(through_the_address(query), None), prompts=batch.prompts) == batch


def test_what_is_too_long_for_an_address_stays_behind_and_is_named() -> None:
    batch = Batch(prompts=["a"], instructions="x" * (MOST_CHARACTERS + 1), max_workers=12)
    assert query_of(batch, base=None, run_id=None) == ({FORM: NEW, "max_workers": "12"}, ("instructions",))


@pytest.mark.parametrize(
    ("setting", "text", "says"),
    [
        ("max_workers", "many", "max_workers must be a whole number, got 'many'"),
        ("max_workers", "", "max_workers must be a whole number from 1 to 512"),
        ("max_workers", "0", "max_workers must be from 1 to 512, got 0"),
        ("max_workers", "9" * 5_000, "max_workers must be a whole number"),
        ("temperature", "nan", "temperature must be a number from 0 to 2"),
        ("temperature", "hot", "temperature must be a number, got 'hot'"),
        ("stream", "maybe", "stream must be yes or no, got 'maybe'"),
        ("auto_workers", "", "auto_workers must be True or False"),
        ("sandbox", "e3", "this is not a sandbox profile"),
        ("cap_usd", "-1", "cap_usd must be"),
        ("name", "x" * 201, "a run's name may have 200 characters, this one has 201"),
    ],
)
def test_a_wrong_link_says_which_setting(setting: str, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read({FORM: NEW, setting: text}, None)


def test_a_name_that_nobody_sees_is_none_and_one_that_is_too_long_stays_behind() -> None:
    assert read({FORM: NEW, "name": "\u200b"}, None).name is None
    assert read({FORM: NEW, "name": "x" * 200}, None).name == "x" * 200
    batch = Batch(prompts=["-"], name="x" * 201, sandbox=SandboxProfile())
    assert query_of(batch, base=None, run_id=None)[1] == ("name",)


def test_a_link_to_another_model_leaves_the_sandbox_of_its_run_behind() -> None:
    base = Batch(prompts=["a"], sandbox=SandboxProfile(seed=4))
    assert read({FORM: RUN, "model": "openai:x"}, base).sandbox is None


def test_what_a_link_does_not_know_is_nothing_to_it() -> None:
    strange: dict[str, Any] = {FORM: NEW, "prompts": "evil", "__class__": "x", "utm_source": "y"}
    assert read(strange, None) == Batch(prompts=["-"], sandbox=SandboxProfile())
