"""What Streamlit's secrets say of the login, checked once at the start.

Comes in: the secrets as Streamlit reads them, and the settings. Goes out: a `Policy`, or BadInput with what is wrong.
A file that cannot be read is refused: Streamlit takes it for no login at all, and everybody would come in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from dashboard.door.rules import DEFAULT_PROVIDER, Login, Policy
from dashboard.guard import is_loopback
from fanout.errors import BadInput
from fanout.settings import Settings

CALLBACK = "/oauth2callback"
SHORTEST_SECRET = 32
"""Characters: whoever guesses the secret writes themselves a login."""
_NEEDED = ("client_id", "client_secret", "server_metadata_url")
_FORBIDDEN: Mapping[str, str] = {
    "server.trustedUserHeaders": "a header would count for more than the login, and a browser can send one",
    "server.enableAgentApi": "it opens pages past the login",
    "global.developmentMode": "it turns Streamlit's own checks off",
}


def read_policy(settings: Settings) -> Policy:
    """The policy that the secrets and the settings make; raises BadInput."""
    return policy_from(_auth_section(), settings)


def policy_from(auth: Mapping[str, Any] | None, settings: Settings) -> Policy:
    """The policy of this `[auth]` section; None where the secrets have none."""
    named_once(admins=settings.admins, members=settings.members, viewers=settings.viewers)
    login = None if auth is None else _login(auth)
    named = bool(settings.admins or settings.members or settings.viewers)
    if login is not None and settings.insecure:
        raise BadInput(
            "FANOUT_INSECURE=1 says that there is no login, but the secrets have one in [auth]: take one away"
        )
    if login is not None and not named:
        raise BadInput("a login is set up but nobody may come in: name people in FANOUT_ADMINS or FANOUT_MEMBERS")
    if login is None and named:
        raise BadInput("admins, members or viewers are named but no login is set up: add [auth] to Streamlit's secrets")
    return Policy(
        login=login,
        insecure=settings.insecure,
        admins=settings.admins,
        members=settings.members,
        viewers=settings.viewers,
        verified_issuers=settings.verified_issuers,
        session_s=settings.session_hours * 3600.0,
        session_ends_with_token=settings.session_ends_with_token,
    )


def check_options(policy: Policy) -> None:
    """Raise BadInput where an option of Streamlit would undo the login."""
    if policy.login is None:
        return
    for name, why in _FORBIDDEN.items():
        if st.get_option(name):
            raise BadInput(f"{name} must be off where people log in: {why}")
    if not st.get_option("server.enableXsrfProtection"):
        raise BadInput("server.enableXsrfProtection must be on where people log in")


def named_once(**lists: Collection[str]) -> None:
    """Raise BadInput where two lists name the same: nobody could tell which holds."""
    seen: dict[str, str] = {}
    for name, entries in lists.items():
        for entry in entries:
            if seen.setdefault(entry, name) != name:
                raise BadInput(f"{entry} is in {seen[entry]} and in {name}: name it in one")


def _auth_section() -> Mapping[str, Any] | None:
    files = [str(path) for path in st.get_option("secrets.files") or ()]
    try:
        secrets = st.secrets.to_dict()
    except (OSError, ValueError) as exc:
        if any(Path(path).exists() for path in files):
            raise BadInput(f"Streamlit's secrets cannot be read: {exc}") from exc
        return None
    auth = secrets.get("auth")
    if auth is not None and not isinstance(auth, Mapping):
        raise BadInput(f"[auth] of Streamlit's secrets must be a table, got {type(auth).__name__}")
    return auth


def _login(auth: Mapping[str, Any]) -> Login:
    port = st.get_option("server.port")
    uri = str(auth.get("redirect_uri") or "").replace("{port}", str(port))
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.endswith(CALLBACK):
        raise BadInput(f"redirect_uri in [auth] must be the page's whole address ending in {CALLBACK}, got {uri!r}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise BadInput(f"redirect_uri in [auth] must be https, or logins could be read on their way, got {uri!r}")
    if len(str(auth.get("cookie_secret") or "")) < SHORTEST_SECRET:
        raise BadInput(f"cookie_secret in [auth] must be {SHORTEST_SECRET} random characters or more")
    return Login(redirect_uri=uri, providers=_providers(auth))


def _providers(auth: Mapping[str, Any]) -> tuple[str, ...]:
    """The providers by name, the unnamed one first; each must have all it needs."""
    sections = {
        name: section for name, section in auth.items() if isinstance(section, Mapping) and name != "client_kwargs"
    }
    if any(name in auth for name in _NEEDED):
        sections = {DEFAULT_PROVIDER: auth, **sections}
    if not sections:
        raise BadInput(f"[auth] names no provider: it needs {', '.join(_NEEDED)}")
    for name, section in sections.items():
        missing = [key for key in _NEEDED if not section.get(key)]
        if missing:
            place = "[auth]" if name == DEFAULT_PROVIDER else f"[auth.{name}]"
            raise BadInput(f"{place} needs {', '.join(missing)}")
        if "_" in name:
            raise BadInput(f"[auth.{name}]: Streamlit takes no underscore in a provider's name")
    return tuple(sections)
