import itertools

import pytest

from fanout.errors import BadInput
from fanout.people import (
    LOCAL,
    Person,
    Role,
    Visibility,
    address_or_domain,
    may_drive,
    may_read,
    may_start,
    may_use_model,
    role_of,
    user_id_of,
)

ROLES: tuple[Role, ...] = ("admin", "member", "viewer")
SEEN_BY: tuple[Visibility, ...] = ("private", "team", "link")
OFFERED = ("openai:small", "anthropic:small")


def somebody(role: Role, user_id: str = "anna") -> Person:
    return Person(user_id=user_id, name=user_id, role=role)


@pytest.mark.parametrize(("visibility", "link_shown"), list(itertools.product(SEEN_BY, (False, True))))
def test_the_owner_and_admins_always_read(visibility: Visibility, link_shown: bool) -> None:
    for role in ROLES:
        assert may_read(somebody(role), owner_id="anna", visibility=visibility, link_shown=link_shown)
    for owner_id in ("ben", None):
        assert may_read(somebody("admin"), owner_id=owner_id, visibility=visibility, link_shown=link_shown)


@pytest.mark.parametrize("role", ["member", "viewer"])
@pytest.mark.parametrize("owner_id", ["ben", None])
@pytest.mark.parametrize(
    ("visibility", "link_shown", "reads"),
    [
        ("private", False, False),
        ("private", True, False),
        ("team", False, True),
        ("team", True, True),
        ("link", False, False),
        ("link", True, True),
    ],
)
def test_others_read_what_is_shared_with_them(
    role: Role, owner_id: str | None, visibility: Visibility, link_shown: bool, reads: bool
) -> None:
    person = somebody(role)
    assert may_read(person, owner_id=owner_id, visibility=visibility, link_shown=link_shown) is reads


def test_a_run_is_driven_by_its_owner_and_by_admins_and_never_by_a_viewer() -> None:
    driven = {
        (role, owner): may_drive(somebody(role), owner_id=owner) for role in ROLES for owner in ("anna", "ben", None)
    }
    assert {key for key, may in driven.items() if may} == {
        ("admin", "anna"),
        ("admin", "ben"),
        ("admin", None),
        ("member", "anna"),
    }


def test_viewers_start_nothing() -> None:
    assert [role for role in ROLES if may_start(somebody(role))] == ["admin", "member"]


@pytest.mark.parametrize("model", ["sandbox", "openai:small", "openai:huge", "", "OPENAI:SMALL"])
def test_members_send_to_what_is_offered_admins_to_anything_viewers_to_nothing(model: str) -> None:
    assert may_use_model(somebody("admin"), model, offered=OFFERED)
    assert may_use_model(LOCAL, model, offered=())
    assert may_use_model(somebody("member"), model, offered=OFFERED) is (model in ("sandbox", "openai:small"))
    assert not may_use_model(somebody("viewer"), model, offered=OFFERED)


def test_a_persons_key_is_of_issuer_and_subject_and_no_two_pairs_share_one() -> None:
    assert user_id_of("https://one", "7") == user_id_of("https://one", "7")
    pairs = [
        ("https://one", "7"),
        ("https://two", "7"),
        ("https://one", "8"),
        ("https://one7", ""),
        ("", "https://one7"),
    ]
    keys = {user_id_of(*pair) for pair in pairs}
    assert len(keys) == len(pairs)
    assert all(len(key) == 32 and key != LOCAL.user_id for key in keys)


LISTS = {
    "admins": ("boss@example.com", "ops.example.com"),
    "members": ("example.com", "guest@elsewhere.org"),
    "viewers": ("intern@example.com", "audit.org"),
}


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("boss@example.com", "admin"),
        ("Boss@Example.COM", "admin"),
        ("anna@example.com", "member"),
        ("intern@example.com", "viewer"),
        ("somebody@ops.example.com", "admin"),
        ("guest@elsewhere.org", "member"),
        ("other@elsewhere.org", None),
        ("anna@eu.example.com", None),
        ("anna@notexample.com", None),
        ('"anna@example.com"@evil.org', None),
        ("anna@example.com@evil.org", None),
        ("anna@evil.org@example.com", "member"),
        ("@example.com", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_the_domain_is_what_follows_the_last_at_and_an_address_goes_before_its_domain(
    email: str, role: Role | None
) -> None:
    assert role_of(email, **LISTS) == role


def test_lists_of_people_hold_addresses_and_domains_only() -> None:
    assert [address_or_domain(each) for each in (" Anna@Example.com", "EXAMPLE.com")] == [
        "anna@example.com",
        "example.com",
    ]
    for wrong in (
        "",
        "anna",
        "@example.com",
        "anna@",
        "*.example.com",
        "anna bell@example.com",
        "example..com",
        ".com",
    ):
        with pytest.raises(BadInput, match="expected an e-mail address or a domain"):
            address_or_domain(wrong)
