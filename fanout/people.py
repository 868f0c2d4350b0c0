"""Who may do what: a person, a role, and the rules. Pure, and the same for the page, the store and the command line.

Comes in: a person, and what is known of a run (its owner, who may see it). Goes out: yes or no. Knows neither logins
nor pages: `dashboard.door` says who somebody is, this says what follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from fanout.errors import BadInput

Role = Literal["admin", "member", "viewer"]
"""admin: everything. member: starts runs on the models on offer, and drives their own. viewer: reads what is shared."""

Visibility = Literal["private", "team", "link"]
"""Beside the owner and admins: nobody, everybody who has a role, or whoever of those came with the run's link."""

SANDBOX = "sandbox"
"""The model that is always on offer: it costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who came in. Two are the same where `user_id` is the same, whatever their names or addresses."""

    user_id: str
    """`local`, or a key made of issuer and subject; never the e-mail, which can pass to somebody else."""
    name: str
    email: str | None = None
    role: Role = "member"


LOCAL = Person(user_id="local", name="this machine", role="admin")
"""Whoever sits at a machine that answers nobody else."""


def user_id_of(issuer: str, subject: str) -> str:
    """The key of this subject at this issuer: 32 hex digits. The length goes in, so that no two pairs join alike."""
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()[:32]


def may_read(person: Person, *, owner_id: str | None, visibility: Visibility, link_shown: bool) -> bool:
    """Whether this person sees the run. `link_shown`: they came with its link token. `owner_id` None: nobody's."""
    if person.role == "admin" or person.user_id == owner_id:
        return True
    return visibility == "team" or (visibility == "link" and link_shown)


def may_drive(person: Person, *, owner_id: str | None) -> bool:
    """Whether this person may stop, pause, continue, retry, rename, tag, delete or share the run."""
    if person.role == "admin":
        return True
    return person.role != "viewer" and person.user_id == owner_id


def may_start(person: Person) -> bool:
    """Whether this person may start a run at all."""
    return person.role != "viewer"


def may_use_model(person: Person, model: str, *, offered: Collection[str]) -> bool:
    """Whether this person may send to `model`: members to those on offer and the sandbox, admins to any."""
    if person.role == "admin":
        return True
    return may_start(person) and (model == SANDBOX or model in offered)


def address_or_domain(entry: str) -> str:
    """A line of a list of people, lower-cased: `anna@example.com`, or `example.com` for everybody there."""
    text = entry.strip().lower()
    local, at, domain = text.rpartition("@")
    labels = domain.split(".")
    if set(text) & set(" *,") or not all(labels) or (at and not local) or (not at and len(labels) < 2):
        raise BadInput(f"expected an e-mail address or a domain such as example.com, got {entry!r}")
    return text


def role_of(email: str, *, admins: Collection[str], members: Collection[str], viewers: Collection[str]) -> Role | None:
    """The role of this (verified) address; None where no list names it.

    A list that names the address itself goes before one that names its domain, which is what comes after the last @:
    so one of a domain's members can be a viewer. Domains are exact: `example.com` is not `eu.example.com`.
    """
    address = email.strip().lower()
    local, _, domain = address.rpartition("@")
    if not local or not domain:
        return None
    lists: tuple[tuple[Role, Collection[str]], ...] = (("admin", admins), ("member", members), ("viewer", viewers))
    for named in (address, domain):
        for role, entries in lists:
            if named in entries:
                return role
    return None
