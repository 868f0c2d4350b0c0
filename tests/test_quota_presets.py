"""A preset says how a provider limits and where that is written; where nothing was read, there is none."""

from __future__ import annotations

from dataclasses import fields
from zoneinfo import ZoneInfo

import pytest

from fanout.quota.limits import RATES, Limits
from fanout.quota.presets import PRESETS, Preset, preset_for


@pytest.mark.parametrize("provider", ["sandbox", "google-cloud", "deepseek", "heroku", "", "nonsense"])
def test_a_provider_whose_documents_were_not_read_has_no_preset(provider: str) -> None:
    assert preset_for(provider) is None


@pytest.mark.parametrize(
    ("spelled", "provider"),
    [
        ("openai", "openai"),
        ("openai-chat", "openai"),
        ("openai-responses", "openai"),
        ("gateway/openai", "openai"),
        ("gateway/bedrock", "bedrock"),
        ("azure", "azure"),
    ],
)
def test_one_provider_has_one_preset_however_the_model_string_spells_it(spelled: str, provider: str) -> None:
    found = preset_for(spelled)
    assert found is not None
    assert found.provider == provider


def test_each_provider_is_listed_once_under_its_own_name() -> None:
    names = [preset.provider for preset in PRESETS]
    assert names == ["openai", "anthropic", "google", "azure", "mistral", "groq", "cerebras", "bedrock"]
    assert all(preset_for(preset.provider) is preset for preset in PRESETS)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.provider)
def test_a_preset_can_be_taken_as_it_stands(preset: Preset) -> None:
    assert Limits(charge=preset.charge, day_zone=preset.day_zone).charge == preset.charge
    assert ZoneInfo(preset.day_zone).key == preset.day_zone
    assert "requests" in preset.counts
    assert set(preset.counts) <= set(RATES)
    assert len(set(preset.counts)) == len(preset.counts)
    assert 0 < preset.burst_s < 60
    assert preset.note.endswith(".")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.provider)
def test_a_preset_says_where_it_is_written_and_holds_no_number_of_an_account(preset: Preset) -> None:
    assert preset.sources
    assert all(source.startswith("https://") for source in preset.sources)
    assert not {field.name for field in fields(Preset)} & {field.name for field in fields(Limits)} - {
        "charge",
        "day_zone",
    }


def test_the_day_of_the_gemini_api_ends_at_midnight_in_california() -> None:
    found = preset_for("google")
    assert found is not None
    assert found.day_zone == "America/Los_Angeles"
    assert "tokens" not in found.counts  # its TPM is of input tokens
