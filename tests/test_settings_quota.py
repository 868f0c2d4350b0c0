"""What an operator sets of quotas: limits by model, and the file that processes share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import BadInput
from fanout.quota.limits import Limits
from fanout.settings import Settings, read_settings

TABLES = """
[limits."openai-chat:gpt-*"]
requests_per_minute = 600
tokens_per_minute = 90_000

[limits."openai-chat:*"]
requests_per_minute = 60

[limits."openai-chat:gpt-6-luna"]
requests_per_day = 1_000
charge = "max_tokens"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FANOUT_{name.upper()}", raising=False)
    return tmp_path


def test_without_a_table_nothing_is_set() -> None:
    assert read_settings().limits_for("openai-chat:gpt-6-luna") == Limits()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai-chat:gpt-6-luna", Limits(requests_per_day=1_000, charge="max_tokens")),
        ("openai-chat:gpt-7", Limits(requests_per_minute=600, tokens_per_minute=90_000)),
        ("openai-chat:o9", Limits(requests_per_minute=60)),
        ("anthropic:claude", Limits()),
        ("OPENAI-CHAT:gpt-7", Limits()),
    ],
)
def test_the_model_itself_goes_before_the_longest_pattern(model: str, expected: Limits, elsewhere: Path) -> None:
    (elsewhere / "fanout.toml").write_text(TABLES)
    assert read_settings().limits_for(model) == expected


@given(st.text(min_size=1), st.integers(1, 1000))
def test_a_table_named_exactly_as_a_model_is_that_models(model: str, requests: int) -> None:
    own = Limits(requests_per_minute=requests)
    assert Settings(limits={"*" * (len(model) + 1): Limits(), model: own}).limits_for(model) == own


def test_a_variable_holds_the_tables_as_json_and_wins(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "fanout.toml").write_text(TABLES)
    monkeypatch.setenv("FANOUT_LIMITS", json.dumps({"openai-chat:*": {"max_in_flight": 4}}))
    assert read_settings().limits_for("openai-chat:gpt-7") == Limits(max_in_flight=4)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("requests_per_minute = 0", "whole number from 1 to 10,000,000,000, got 0"),
        ("requests_per_minute = 6.5", "requests_per_minute must be a whole number"),
        ("requests_per_second = 1", "no 'requests_per_second'"),
        ("charge = 'all'", "charge must be"),
        ("day_zone = 'Mars/Olympus'", "day_zone must be a time zone"),
    ],
)
def test_a_wrong_limit_is_named_with_its_model_and_setting(table: str, says: str, elsewhere: Path) -> None:
    (elsewhere / "fanout.toml").write_text(f'[limits."a:*"]\n{table}\n')
    with pytest.raises(BadInput, match=r"setting limits of 'a:\*' \(FANOUT_LIMITS or fanout\.toml\): .*" + says):
        read_settings()


@pytest.mark.parametrize("value", ["{", "[1]", '"a"', '{"a:*": 600}', '{"a:*": {"requests_per_minute": "600"}}'])
def test_a_variable_that_holds_no_tables_is_refused_by_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANOUT_LIMITS", value)
    with pytest.raises(BadInput, match="FANOUT_LIMITS"):
        read_settings()


def test_the_file_that_processes_share_is_named_by_the_settings(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings().quota_file is None
    monkeypatch.setenv("HOME", str(elsewhere))
    monkeypatch.setenv("FANOUT_QUOTA_FILE", "~/q.sqlite3")
    assert read_settings().quota_file == elsewhere / "q.sqlite3"
