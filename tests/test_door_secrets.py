from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from dashboard.door import secrets
from dashboard.door.rules import Login, Policy
from fanout.errors import BadInput
from fanout.settings import Settings

AUTH: dict[str, Any] = {
    "redirect_uri": "https://fanout.example.com/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "fanout",
    "client_secret": "hush",
    "server_metadata_url": "https://id.example.com/.well-known/openid-configuration",
}
PROVIDER = {name: AUTH[name] for name in ("client_id", "client_secret", "server_metadata_url")}
SHARED = {name: AUTH[name] for name in ("redirect_uri", "cookie_secret")}


def _policy(auth: dict[str, Any] | None, **settings: Any) -> Policy:
    return secrets.policy_from(auth, Settings(**settings))


def test_without_auth_there_is_no_login() -> None:
    assert _policy(None) == Policy()
    assert _policy(None, insecure=True).insecure


def test_the_policy_is_made_of_the_secrets_and_the_settings() -> None:
    policy = _policy(AUTH, admins=("Boss@Example.com",), members=("example.com",), session_hours=1.5)
    assert policy.login == Login(redirect_uri=AUTH["redirect_uri"])
    assert (policy.admins, policy.members, policy.session_s) == (("boss@example.com",), ("example.com",), 5400.0)


def test_providers_are_offered_by_their_names_the_unnamed_one_first() -> None:
    named = _policy({**SHARED, "google": PROVIDER, "okta": PROVIDER}, members=("example.com",))
    both = _policy({**AUTH, "client_kwargs": {"prompt": "login"}, "okta": PROVIDER}, members=("example.com",))
    assert named.login is not None
    assert both.login is not None
    assert (named.login.providers, both.login.providers) == (("google", "okta"), ("default", "okta"))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"redirect_uri": ""}, "ending in /oauth2callback"),
        ({"redirect_uri": "https://fanout.example.com/"}, "ending in /oauth2callback"),
        ({"redirect_uri": "/oauth2callback"}, "whole address"),
        ({"redirect_uri": "http://fanout.example.com/oauth2callback"}, "must be https"),
        ({"cookie_secret": "short"}, "32 random characters"),
        ({"client_secret": ""}, r"\[auth\] needs client_secret"),
        ({"okta": {"client_id": "x"}}, r"\[auth.okta\] needs client_secret, server_metadata_url"),
        ({"my_okta": PROVIDER}, "no underscore"),
    ],
)
def test_a_login_that_cannot_work_is_refused_at_the_start(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        _policy({**AUTH, **changed}, members=("example.com",))


def test_a_login_without_a_provider_is_refused() -> None:
    with pytest.raises(BadInput, match="names no provider"):
        _policy(SHARED, members=("example.com",))


def test_http_is_right_on_this_machine() -> None:
    policy = _policy({**AUTH, "redirect_uri": "http://127.0.0.1:8501/oauth2callback"}, members=("example.com",))
    assert policy.login is not None
    assert not policy.login.https


@pytest.mark.parametrize(
    ("auth", "settings", "sentence"),
    [
        (AUTH, {}, "nobody may come in"),
        (AUTH, {"members": ("example.com",), "insecure": True}, "take one away"),
        (None, {"admins": ("a@example.com",)}, "no login is set up"),
        (AUTH, {"admins": ("a@example.com",), "viewers": ("A@example.com",)}, "is in admins and in viewers"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    auth: dict[str, Any] | None, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        _policy(auth, **settings)


def test_secrets_that_cannot_be_read_are_not_taken_for_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secrets.toml"
    options = {"secrets.files": [str(file)], "server.port": 8501}
    monkeypatch.setattr(st, "get_option", options.get)

    class Unreadable:
        def to_dict(self) -> dict[str, Any]:
            raise FileNotFoundError("no secrets, or wrong ones: Streamlit raises the same")

    monkeypatch.setattr(st, "secrets", Unreadable())
    assert secrets.read_policy(Settings()) == Policy()
    file.write_text("[auth\n")
    with pytest.raises(BadInput, match="cannot be read"):
        secrets.read_policy(Settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.trustedUserHeaders", {"X-User": "email"}),
        ("server.enableAgentApi", True),
        ("global.developmentMode", True),
        ("server.enableXsrfProtection", False),
    ],
)
def test_options_that_undo_the_login_are_refused(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, object] = {"server.enableXsrfProtection": True}
    monkeypatch.setattr(st, "get_option", options.get)
    policy = _policy(AUTH, members=("example.com",))
    secrets.check_options(policy)
    options[name] = value
    secrets.check_options(Policy())
    with pytest.raises(BadInput, match=name):
        secrets.check_options(policy)
