from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard.door.rules import SKEW_S, Admitted, Login, Policy, Turned, judge, login_id
from fanout.people import LOCAL

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
LOGIN = Login(redirect_uri="https://fanout.example.com/fan/oauth2callback")
POLICY = Policy(login=LOGIN, admins=("boss@example.com",), members=("example.com",), viewers=("audit.org",))
ANNA: dict[str, Any] = {
    "is_logged_in": True,
    "iss": "https://id.example.com",
    "sub": "7",
    "iat": int(NOW_S - 60),
    "exp": int(NOW_S + 240),
    "email": "Anna@Example.com",
    "email_verified": True,
    "name": " Anna ",
    "nonce": "n1",
}


def judged(policy: Policy = POLICY, *, now_s: float = NOW_S, **changed: Any) -> Admitted | Turned:
    claims = {key: value for key, value in {**ANNA, **changed}.items() if value is not ...}
    return judge(policy, claims, now_s=now_s)


def why(found: Admitted | Turned) -> str | None:
    return found.why if isinstance(found, Turned) else None


def test_without_a_login_everybody_is_the_local_admin() -> None:
    for claims in ({}, ANNA, {"is_logged_in": False}):
        found = judge(Policy(), claims, now_s=NOW_S)
        assert isinstance(found, Admitted)
        assert found.person == LOCAL


def test_a_person_is_known_by_issuer_and_subject_and_not_by_the_address() -> None:
    found = judged()
    assert isinstance(found, Admitted)
    assert (found.person.name, found.person.email, found.person.role) == ("Anna", "anna@example.com", "member")
    other = judged(email="anna.married@example.com")
    assert isinstance(other, Admitted)
    assert other.person.user_id == found.person.user_id
    for another in (judged(iss="https://id.evil.org"), judged(sub="8")):
        assert isinstance(another, Admitted)
        assert another.person.user_id != found.person.user_id


@pytest.mark.parametrize(
    ("email", "role"), [("boss@example.com", "admin"), ("anna@example.com", "member"), ("x@audit.org", "viewer")]
)
def test_the_role_is_what_the_lists_say(email: str, role: str) -> None:
    found = judged(email=email)
    assert isinstance(found, Admitted)
    assert found.person.role == role


@pytest.mark.parametrize("said", [False, ..., None, "true", 1, "false"])
def test_an_address_must_be_verified(said: object) -> None:
    assert why(judged(email_verified=said)) == "unverified"


def test_an_issuer_the_operator_names_vouches_for_its_addresses_unless_it_says_no() -> None:
    policy = Policy(login=LOGIN, members=("example.com",), verified_issuers=("https://id.example.com",))
    assert why(judged(policy, email_verified=...)) is None
    assert why(judged(policy, email_verified=False)) == "unverified"
    assert why(judged(policy, email_verified=..., iss="https://id.example.com.evil.org")) == "unverified"


@pytest.mark.parametrize("email", ["eve@evil.org", "anna@example.com@evil.org", "", ..., None, 7])
def test_whoever_is_in_no_list_is_not_let_in(email: object) -> None:
    assert why(judged(email=email)) == "not_listed"


@pytest.mark.parametrize("claims", [{}, {"is_logged_in": False}, {"email": "boss@example.com", "email_verified": True}])
def test_claims_that_no_login_made_are_nobodys(claims: dict[str, Any]) -> None:
    assert why(judge(POLICY, claims, now_s=NOW_S)) == "anonymous"


@pytest.mark.parametrize("logged_in", ["true", 1, "yes"])
def test_only_true_is_logged_in(logged_in: object) -> None:
    assert why(judged(is_logged_in=logged_in)) == "anonymous"


def test_a_login_ends_after_its_hours_and_not_when_the_token_does() -> None:
    began_s = ANNA["iat"]
    assert why(judged(now_s=began_s + 12 * HOUR_S - 1)) is None
    assert why(judged(now_s=began_s + 12 * HOUR_S)) == "ended"
    assert why(judged(now_s=ANNA["exp"] + 1)) is None


def test_a_login_ends_with_the_token_where_the_operator_says_so() -> None:
    policy = Policy(login=LOGIN, members=("example.com",), session_ends_with_token=True)
    assert why(judged(policy, now_s=ANNA["exp"] - 1)) is None
    assert why(judged(policy, now_s=ANNA["exp"])) == "ended"
    assert why(judged(policy, exp=...)) == "ended"
    assert why(judged(policy, exp=ANNA["iat"] + 48 * HOUR_S, now_s=ANNA["iat"] + 12 * HOUR_S)) == "ended"


@pytest.mark.parametrize(
    "changed", [{"iat": ...}, {"iat": "now"}, {"iat": True}, {"iss": ...}, {"sub": ""}, {"sub": 7}]
)
def test_a_login_that_does_not_say_who_and_since_when_holds_no_longer(changed: dict[str, Any]) -> None:
    assert why(judged(**changed)) == "ended"


def test_a_login_from_the_future_is_believed_only_as_far_as_clocks_differ() -> None:
    assert why(judged(iat=NOW_S + SKEW_S)) is None
    assert why(judged(iat=NOW_S + SKEW_S + 1)) == "ended"


def test_a_login_is_its_person_and_its_instant() -> None:
    assert login_id(ANNA) == login_id({**ANNA, "email": "other@example.com"})
    keys = {login_id({**ANNA, **changed}) for changed in ({}, {"iat": 1}, {"nonce": "n2"}, {"sub": "8"}, {"iss": "x"})}
    assert len(keys) == 5
    assert login_id({}) is None


HOSTILE: tuple[object, ...] = (
    None,
    True,
    False,
    "",
    "a@b@c",
    "\0",
    -1,
    0,
    1,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    [],
    {},
    b"x",
)


@given(some.dictionaries(some.sampled_from(sorted(ANNA)), some.sampled_from(HOSTILE)))
def test_whatever_a_provider_says_nobody_comes_in_by_an_error(claims: dict[str, Any]) -> None:
    assert isinstance(judge(POLICY, claims, now_s=NOW_S), Turned)
    found = judge(POLICY, {**ANNA, **claims}, now_s=NOW_S)
    assert isinstance(found, Turned) or found.person.email == "anna@example.com"


def test_a_logins_origin_and_host_are_those_of_its_redirect() -> None:
    assert (LOGIN.origin, LOGIN.host, LOGIN.https) == ("https://fanout.example.com", "fanout.example.com", True)
    here = Login(redirect_uri="http://127.0.0.1:8501/oauth2callback")
    assert (here.origin, here.host, here.https) == ("http://127.0.0.1:8501", "127.0.0.1", False)
