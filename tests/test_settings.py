import os
from pathlib import Path
from typing import get_args

import pytest

from fanout.errors import BadInput
from fanout.settings import OFFERED, Settings, name_sandbox, read_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FANOUT_{name.upper()}", raising=False)
    return tmp_path


def test_without_file_and_variables_the_defaults_stand() -> None:
    settings = read_settings()
    assert (settings.models, settings.max_workers_ceiling, settings.max_in_flight) == (OFFERED, 64, 512)
    assert (settings.keep_runs, settings.sandbox_url, settings.insecure) == (50, None, False)


def test_the_file_is_read_and_a_variable_wins_over_it(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "fanout.toml").write_text('models = ["a:b", "c:d"]\nkeep_runs = 7\nmax_workers_ceiling = 512\n')
    monkeypatch.setenv("FANOUT_KEEP_RUNS", "9")
    settings = read_settings()
    assert (settings.models, settings.keep_runs, settings.max_workers_ceiling) == (("a:b", "c:d"), 9, 512)


def test_a_variable_holds_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANOUT_MODELS", "openai:x, anthropic:y,")
    assert read_settings().models == ("openai:x", "anthropic:y")


def test_a_variable_holds_a_list_as_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANOUT_MODELS", ' ["openai:x", "anthropic:y"]')
    assert read_settings().models == ("openai:x", "anthropic:y")
    monkeypatch.setenv("FANOUT_MODELS", '["openai:x"')
    with pytest.raises(BadInput, match=r"FANOUT_MODELS .*must be names with commas between them, or a JSON array"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_WORKERS_CEILING", "513"), ("MAX_WORKERS_CEILING", "0"), ("KEEP_RUNS", "many")]
)
def test_a_wrong_setting_is_named_with_its_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FANOUT_{name}", value)
    with pytest.raises(BadInput, match=f"FANOUT_{name}.*{value}"):
        read_settings()


@pytest.mark.parametrize("text", ["models = [", "colour = 'blue'\n"])
def test_a_file_that_is_not_understood_is_refused(text: str, elsewhere: Path) -> None:
    (elsewhere / "fanout.toml").write_text(text)
    with pytest.raises(BadInput, match=r"fanout\.toml"):
        read_settings()


def test_the_models_offered_are_known_to_pydantic_ai() -> None:
    from pydantic_ai.models import KnownModelName

    assert set(OFFERED) <= set(get_args(KnownModelName.__value__))


def test_a_sandbox_in_the_file_is_used_unless_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANOUT_SANDBOX_URL", "")
    monkeypatch.delenv("FANOUT_SANDBOX_URL")
    name_sandbox(Settings(sandbox_url="http://127.0.0.1:1"))
    name_sandbox(Settings(sandbox_url="http://127.0.0.1:2"))
    assert os.environ["FANOUT_SANDBOX_URL"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("databse_url = 'postgresql://u:S3CRET@h/x'", "databse_url .*: there is no such setting$"),
        ("database_url = ['S3CRET']", "database_url .*: Input should be a valid string$"),
        ("sandbox_url = ['http://u:S3CRET@h']", "sandbox_url .*: Input should be a valid string$"),
        ("keep_runs = 'postgresql://u:S3CRET@h/x'", "keep_runs .*: Input should be a valid integer"),
    ],
)
def test_a_password_of_an_address_in_the_wrong_form_or_place_is_not_said(text: str, says: str, elsewhere: Path) -> None:
    (elsewhere / "fanout.toml").write_text(text)
    with pytest.raises(BadInput, match=says) as refused:
        read_settings()
    assert "S3CRET" not in str(refused.value)
