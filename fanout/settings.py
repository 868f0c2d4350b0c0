"""What an operator decides once: models on offer, ceilings, how many runs are kept, where the sandbox is.

Comes in: `FANOUT_*` variables, and a `fanout.toml` in the directory one starts from (the variables win). Goes out: one
frozen, checked `Settings`, or a `BadInput` that names the setting, what it holds and what is expected. Holds no key:
those are read by the providers' own libraries.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from fanout.batch import MOST_WORKERS
from fanout.errors import BadInput

SETTINGS_FILE = Path("fanout.toml")
"""Read from the working directory; absent is fine."""

OFFERED = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite")
"""Offered beside the sandbox where nobody chose: each provider's small model. Any other can be typed."""


class Settings(BaseSettings):
    """The settings of one process. Lists are written with commas in a variable, as an array in the file."""

    model_config = SettingsConfigDict(
        env_prefix="FANOUT_", toml_file=SETTINGS_FILE, frozen=True, extra="forbid", env_ignore_empty=True
    )

    models: Annotated[tuple[str, ...], NoDecode] = OFFERED
    """Models the page offers beside `sandbox`."""
    max_workers_ceiling: int = Field(default=64, ge=1, le=MOST_WORKERS)
    """Where the page's max_workers slider ends."""
    max_in_flight: int = Field(default=512, ge=1, le=MOST_WORKERS)
    """Calls in flight over all runs of the process."""
    keep_runs: int = Field(default=50, ge=1, le=10_000)
    """Runs that are kept in memory."""
    sandbox_url: str | None = None
    """A sandbox that is already served (`python -m fanout sandbox`); None starts one."""
    allow_remote: bool = False
    """Whether other machines may reach the page. It has no login: leave it off unless something before it has one."""

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Given values win over variables, variables over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings() -> Settings:
    """The settings as the environment and `fanout.toml` give them now; raises BadInput on a wrong one."""
    try:
        return Settings()
    except ValidationError as exc:
        wrong = exc.errors()[0]
        name = ".".join(str(part) for part in wrong["loc"]) or "settings"
        raise BadInput(
            f"setting {name} (FANOUT_{name.upper()} or {SETTINGS_FILE}): {wrong['msg']}, got {wrong['input']!r}"
        ) from exc
    except (SettingsError, ValueError, OSError) as exc:
        raise BadInput(f"{SETTINGS_FILE} cannot be read: {exc}") from exc


def name_sandbox(settings: Settings) -> None:
    """Name the sandbox that the settings know where its rooms look for it: in the environment, which wins."""
    if settings.sandbox_url:
        os.environ.setdefault("FANOUT_SANDBOX_URL", settings.sandbox_url)
