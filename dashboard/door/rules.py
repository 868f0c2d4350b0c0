"""What a login is worth: pure, on the claims that the provider signed and on the operator's policy.

Comes in: claims (an ID token's, as Streamlit keeps them), a `Policy`, an instant in seconds since 1970. Goes out: the
person and until when, or why not. Knows no cookie, no page and no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard
from urllib.parse import urlsplit

from fanout.people import LOCAL, Person, role_of, user_id_of

SKEW_S = 300
"""How far the provider's clock may be ahead of ours."""
DEFAULT_PROVIDER = "default"
"""Streamlit's name for the provider that is written in `[auth]` itself."""

Why = Literal["anonymous", "ended", "unverified", "not_listed"]
"""No login; one that is over; an address that nobody vouches for; an address that no list names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How people log in: what the `[auth]` section of Streamlit's secrets says, without its secrets."""

    redirect_uri: str
    providers: tuple[str, ...] = (DEFAULT_PROVIDER,)

    @property
    def origin(self) -> str:
        """Scheme, host and port under which people must open the page."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        """The host's name alone."""
        return urlsplit(self.redirect_uri).hostname or ""

    @property
    def https(self) -> bool:
        """Whether the page is served over TLS, by us or by what stands before us."""
        return self.redirect_uri.startswith("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in. Without a login everybody is the local admin."""

    login: Login | None = None
    insecure: bool = False
    admins: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    verified_issuers: tuple[str, ...] = ()
    session_s: float = 12 * 3600.0
    session_ends_with_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Somebody who may come in."""

    person: Person
    login_id: str | None
    """This login, among others of the same person; None where there is none."""
    until_s: float
    """When it ends, in seconds since 1970; infinite without a login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Somebody who may not."""

    why: Why
    said: str = ""
    """The address they came with, where they came with one; their own words: show it as text."""


def judge(policy: Policy, claims: Mapping[str, Any], *, now_s: float) -> Admitted | Turned:
    """Whether these claims let somebody in at this instant."""
    if policy.login is None:
        return Admitted(person=LOCAL, login_id=None, until_s=float("inf"))
    if claims.get("is_logged_in") is not True:
        return Turned(why="anonymous")
    issuer, subject, began_s = claims.get("iss"), claims.get("sub"), claims.get("iat")
    if not (isinstance(issuer, str) and issuer and isinstance(subject, str) and subject and _is_number(began_s)):
        return Turned(why="ended")
    until_s = _until(policy, claims, began_s)
    if not began_s - SKEW_S <= now_s < until_s:
        return Turned(why="ended")
    email = claims.get("email")
    said = email if isinstance(email, str) else ""
    if not _verified(policy, claims, issuer):
        return Turned(why="unverified", said=said)
    role = role_of(said, admins=policy.admins, members=policy.members, viewers=policy.viewers)
    if role is None:
        return Turned(why="not_listed", said=said)
    name = claims.get("name")
    person = Person(
        user_id=user_id_of(issuer, subject),
        name=name.strip() if isinstance(name, str) and name.strip() else said,
        email=said.strip().lower(),
        role=role,
    )
    return Admitted(person=person, login_id=login_id(claims), until_s=until_s)


def login_id(claims: Mapping[str, Any]) -> str | None:
    """The key of one login: who, and when. The nonce parts two within a second. None where nobody logged in."""
    if claims.get("is_logged_in") is not True:
        return None
    parts = "\0".join(str(claims.get(name)) for name in ("iss", "sub", "iat", "nonce"))
    return hashlib.sha256(parts.encode()).hexdigest()


def _until(policy: Policy, claims: Mapping[str, Any], began_s: float) -> float:
    """When a login ends. The provider's `exp` is for handing the token over, which may be five minutes: it counts
    only where the operator says so."""
    own = began_s + policy.session_s
    if not policy.session_ends_with_token:
        return own
    ends_s = claims.get("exp")
    return min(own, ends_s) if _is_number(ends_s) else began_s


def _verified(policy: Policy, claims: Mapping[str, Any], issuer: str) -> bool:
    """Whether somebody vouches that the address is theirs; a provider that says no is believed, whatever is set."""
    said = claims.get("email_verified")
    return said is True or (said is None and issuer in policy.verified_issuers)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
