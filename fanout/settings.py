"""What an operator decides once: models on offer, ceilings, limits of accounts, runs that are kept, where things are.

Comes in: `FANOUT_*` variables, and a `fanout.toml` in the directory one starts from (the variables win). Goes out: one
frozen, checked `Settings`, or a `BadInput` that names the setting, what it holds and what is expected. Holds no key:
those are read by the providers' own libraries.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, InstanceOf, ValidationError, field_validator
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
from fanout.people import Visibility, address_or_domain
from fanout.quota.caps import Caps
from fanout.quota.limits import Limits
from fanout.quota.shared import Sharing

SETTINGS_FILE = Path("fanout.toml")
"""Read from the working directory; absent is fine."""

OFFERED = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5", "google:gemini-3.5-flash-lite")
"""Offered beside the sandbox where nobody chose: each provider's small model. Any other can be typed."""


def _limits(value: object) -> object:
    """A table of `fanout.toml` as Limits."""
    if isinstance(value, Limits):
        return value
    if not isinstance(value, Mapping):
        raise BadInput(f"expected a table of limits such as requests_per_minute = 600, got {value!r}")
    limits = Limits.from_json(value)
    try:
        ZoneInfo(limits.day_zone or "UTC")
    except (ValueError, LookupError, OSError) as exc:
        raise BadInput(f"day_zone must be a time zone such as Europe/Paris, got {limits.day_zone!r}") from exc
    return limits


def _caps(value: object) -> object:
    """The tables of `fanout.toml` as Caps."""
    return value if isinstance(value, Caps) else Caps.from_tables(value)


class Settings(BaseSettings):
    """The settings of one process. Lists are written with commas in a variable, or as JSON; as an array in the file."""

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
    limits: Annotated[Mapping[str, Annotated[InstanceOf[Limits], BeforeValidator(_limits)]], NoDecode] = Field(
        default_factory=dict
    )
    """What accounts allow, by model string or by a pattern with * and ?; as JSON in a variable. See `limits_for`."""
    caps: Annotated[InstanceOf[Caps], BeforeValidator(_caps), NoDecode] = Caps()
    """What may be used a day, by each user, by users named and by the team; as JSON in a variable."""
    quota_file: Path | None = None
    """A file through which processes on this machine share what is left of a quota; None: one in data_dir, or the store
    where it is in PostgreSQL, for accounts that are not at a server of this machine. `off`: each by itself."""
    data_dir: Path = Field(default_factory=lambda: usual_data_dir(os.environ))
    """The folder of the store, where no database is named."""
    database_url: str | None = Field(default=None, repr=False)
    """The store's database: postgresql://user@host:5432/name, or sqlite:////path/to/file. None: a file in data_dir."""
    usual_visibility: Visibility | None = None
    """Who sees a run beside its owner and admins, where its starter did not say: private, team or link. None: the team
    where people log in, else nobody."""
    keep_days: int | None = Field(default=None, ge=1, le=100_000)
    """Stored runs that ended longer ago go; None keeps them."""
    keep_mb: int | None = Field(default=None, ge=1)
    """The oldest stored runs go once all of them are larger than that; None keeps them."""
    grace_s: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that calls in flight get to end, when the process is told to."""
    sandbox_url: str | None = None
    """A sandbox that is already served (`python -m fanout sandbox`); None starts one."""
    insecure: bool = False
    """Whether other machines may reach the page without a login: then whoever reaches it may do everything."""
    admins: Annotated[tuple[str, ...], NoDecode] = ()
    """Who is an admin after the login: e-mail addresses, or domains such as `example.com`."""
    members: Annotated[tuple[str, ...], NoDecode] = ()
    """Who starts runs, on the models on offer; written like `admins`."""
    viewers: Annotated[tuple[str, ...], NoDecode] = ()
    """Who reads only; written like `admins`."""
    session_hours: float = Field(default=12.0, gt=0, le=720)
    """How long a login lasts."""
    session_ends_with_token: bool = False
    """Whether a login also ends when the provider's ID token does (its `exp`), which may be minutes after."""
    verified_issuers: Annotated[tuple[str, ...], NoDecode] = ()
    """Issuers whose e-mail addresses count as verified though they do not say `email_verified`."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names by which the server may be asked for, beside the login's own and this machine's."""

    @field_validator("models", "admins", "members", "viewers", "verified_issuers", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str) and value.lstrip().startswith("["):
            return _array(value)
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("admins", "members", "viewers")
    @classmethod
    def _name_people(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(address_or_domain, value))

    @field_validator("allowed_hosts")
    @classmethod
    def _name_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [host for host in value if not re.fullmatch(r"[A-Za-z0-9.-]+", host)]
        if wrong:
            raise BadInput(f"expected a host's name such as fanout.example.com, without port or path, got {wrong[0]!r}")
        return tuple(host.lower() for host in value)

    @field_validator("quota_file", "data_dir")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("limits", "caps", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as exc:
            raise BadInput(f"must be a JSON object of tables, as fanout.toml has them: {exc}") from exc

    @property
    def sharing(self) -> Sharing | None:
        """How the processes of this machine share quota."""
        if self.quota_file is None:
            return Sharing(path=self.data_dir / "quota.db", local=False)
        return None if str(self.quota_file) == "off" else Sharing(path=self.quota_file)

    def limits_for(self, model: str) -> Limits:
        """What is set for this model string: its own table, else that of the longest pattern that fits, else nothing.

        Tables do not add up: the one that is taken is all that is set.
        """
        if model in self.limits:
            return self.limits[model]
        fitting = [pattern for pattern in self.limits if fnmatchcase(model, pattern)]
        return self.limits[max(fitting, key=len)] if fitting else Limits()

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


def _array(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise BadInput(f"must be names with commas between them, or a JSON array: {exc}") from exc


def usual_data_dir(environment: Mapping[str, str]) -> Path:
    """Where programs of this user keep their data: $XDG_DATA_HOME/fanout, or ~/.local/share/fanout."""
    base = environment.get("XDG_DATA_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path("~/.local/share")).expanduser() / "fanout"


def read_settings() -> Settings:
    """The settings as the environment and `fanout.toml` give them now; raises BadInput on a wrong one."""
    try:
        return Settings()
    except ValidationError as exc:
        raise BadInput(_sentence(exc.errors()[0])) from exc
    except (SettingsError, ValueError, OSError) as exc:
        raise BadInput(f"{SETTINGS_FILE} cannot be read: {exc}") from exc


def _sentence(wrong: Any) -> str:
    """What pydantic found wrong (its ErrorDetails), as one sentence; our own checks say already what they got."""
    field, *rest = [str(part) for part in wrong["loc"]] or ["settings"]
    within = f" of {rest[0]!r}" if rest else ""
    place = f"setting {field}{within} (FANOUT_{field.upper()} or {SETTINGS_FILE})"
    ours = wrong.get("ctx", {}).get("error")
    if isinstance(ours, BadInput):
        return f"{place}: {ours}"
    if wrong["type"] == "extra_forbidden":
        return f"{place}: there is no such setting"
    # An address may hold a password, also one that was written in the wrong form or place.
    got = "" if field == "database_url" or "://" in repr(wrong["input"]) else f", got {wrong['input']!r}"
    return f"{place}: {wrong['msg']}{got}"


def name_sandbox(settings: Settings) -> None:
    """Name the sandbox that the settings know where its rooms look for it: in the environment, which wins."""
    if settings.sandbox_url:
        os.environ.setdefault("FANOUT_SANDBOX_URL", settings.sandbox_url)
