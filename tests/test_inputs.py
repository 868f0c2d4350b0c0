from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard.inputs import as_text, asks_twice, batch_from, costs_money, duplicates, edited, from_table
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.prompts import read_text
from fanout.sandbox.profile import SandboxProfile

FORM: dict[str, Any] = {
    "model": "sandbox",
    "max_workers": 8,
    "instructions": "",
    "temperature": None,
    "max_output_tokens": None,
    "timeout_s": 60.0,
    "retries": 2,
    "stream": "Up to 16 workers",
    "run_name": "",
    "auto_workers": False,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "burst": None,
    "weight": 1,
    "cap_tokens": None,
    "cap_usd": None,
    "reuse_answers": False,
    "identical_once": False,
}


def _batch(prompts: tuple[str, ...] = ("a",), **changed: Any) -> Batch:
    return batch_from({**FORM, **changed}, prompts, profile=SandboxProfile(seed=7), ceiling=64)


def test_an_untouched_form_is_the_default_batch_with_the_sessions_sandbox() -> None:
    assert _batch() == Batch(prompts=["a"], sandbox=SandboxProfile(seed=7))


def test_another_model_takes_no_sandbox_profile() -> None:
    assert _batch(model=" openai:x ").sandbox is None
    assert _batch(model=" openai:x ").model == "openai:x"


def test_the_limits_and_caps_of_the_form_are_the_batch_s() -> None:
    given: dict[str, Any] = {
        "auto_workers": True,
        "requests_per_minute": 60,
        "tokens_per_minute": 9_000,
        "burst": 2,
        "weight": 3,
        "cap_tokens": 50_000,
        "cap_usd": 1.5,
    }
    assert _batch(**given) == Batch(prompts=["a"], sandbox=SandboxProfile(seed=7), **given)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": None}, "model must be"),
        ({"max_workers": 65}, "at most 64 here"),
        ({"max_workers": 0}, "max_workers must be from 1"),
        ({"max_workers": 10_000_000}, "at most 64"),
        ({"max_workers": "8"}, "whole number"),
        ({"timeout_s": None}, "timeout_s is empty"),
        ({"timeout_s": -1.0}, "timeout_s must be"),
        ({"timeout_s": float("nan")}, "timeout_s must be"),
        ({"retries": None}, "retries is empty"),
        ({"stream": "Sometimes"}, "stream must be one of"),
        ({"temperature": float("inf")}, "temperature must be"),
        ({"weight": None}, "weight is empty"),
        ({"weight": 0}, "weight must be"),
        ({"requests_per_minute": 0}, "requests_per_minute must be"),
        ({"tokens_per_minute": 1.5}, "tokens_per_minute must be"),
        ({"burst": -1}, "burst must be"),
        ({"cap_tokens": 0}, "cap_tokens must be"),
        ({"cap_usd": 0.0}, "cap_usd must be"),
        ({"auto_workers": "yes"}, "auto_workers must be"),
    ],
)
def test_what_a_browser_can_send_and_a_run_cannot_use_is_a_sentence(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        _batch(**changed)


def test_an_empty_list_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="no prompts"):
        _batch(prompts=())


@pytest.mark.parametrize(
    ("model", "environment", "costs"),
    [
        ("sandbox", {}, False),
        ("openai:x", {}, True),
        ("openai-chat:x", {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, False),
        ("openai-chat:x", {"OPENAI_BASE_URL": "https://api.example/v1"}, True),
        ("openai-chat:x", {"OPENAI_BASE_URL": "http://[broken"}, True),
        ("anthropic:x", {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, True),
        ("ollama:x", {}, False),
        ("ollama:x", {"OLLAMA_BASE_URL": "https://ollama.example"}, True),
    ],
)
def test_only_the_sandbox_and_this_machine_are_free(model: str, environment: dict[str, str], costs: bool) -> None:
    assert costs_money(model, environment) is costs


def test_prompts_of_one_line_become_lines_and_others_are_parted_by_dashes() -> None:
    plain, mixed = as_text(["a", "b"]), as_text(["a\nb", "c"])
    assert plain is not None
    assert mixed is not None
    assert (plain.text, plain.mode) == ("a\nb", "line")
    assert (mixed.text, mixed.mode) == ("a\nb\n---\nc", "dashes")


def test_what_text_cannot_hold_is_left_to_the_table() -> None:
    assert as_text(["a\n---\nb"]) is None


@given(some.lists(some.text(min_size=1).filter(str.strip), max_size=5))
def test_text_reads_back_as_the_very_prompts_or_is_not_offered(prompts: list[str]) -> None:
    written = as_text(prompts)
    if written is not None and prompts:
        assert read_text(written.text, mode=written.mode).prompts == tuple(prompts)


def test_blank_rows_of_a_table_are_no_prompts() -> None:
    assert from_table(["a", None, " ", "b", float("nan")]) == ("a", "b")


def test_edits_are_laid_over_a_table_as_streamlit_lays_them() -> None:
    edits = {
        "edited_rows": {0: {"prompt": "A"}, 2: {}},
        "deleted_rows": [1],
        "added_rows": [{"prompt": "d"}, {}, {"prompt": None}],
    }
    assert edited(["a", "b", "c"], edits) == ["A", "c", "d", None, None]


def test_duplicates_are_counted_once_each() -> None:
    assert duplicates(["a", "a", "b", "a"]) == 2


@pytest.mark.parametrize(
    ("model", "calls", "twice"), [("openai:x", 501, True), ("openai:x", 500, False), ("sandbox", 9_999, False)]
)
def test_only_many_calls_that_cost_money_are_asked_about_twice(model: str, calls: int, twice: bool) -> None:
    assert asks_twice(model, calls, {}) is twice
