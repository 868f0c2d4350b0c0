"""The door as a page sees it: who this is, the page for those who are not let in, the name and the way out.

Comes in: `st.user`, and the door of the process. Goes out: a `Person`, or a page that says why not, at which the script
stops. Asked anew at every drawing, because Streamlit reads a login once, when the tab connects.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from dashboard import elements
from dashboard.door.gate import BROWSER, SOCKET_KEY
from dashboard.door.rules import DEFAULT_PROVIDER, Admitted, Login, Turned
from dashboard.door.state import Asked, door
from dashboard.safe import cut, markdown_escape
from fanout.people import Person, Role

INSECURE = (
    "No login is set up: whoever reaches this address reads every run, starts runs and spends what the keys pay for "
    "(FANOUT_INSECURE=1)."
)
ROLES: dict[Role, str] = {
    "admin": "An admin: starts runs on any model.",
    "member": "A member: starts runs on the models on offer.",
    "viewer": "A viewer: reads runs and starts none.",
}


def is_in() -> bool:
    """Whether whoever looks may come in at this instant; a fragment asks, because it is drawn without its page."""
    return isinstance(_judged(), Admitted)


def has_login() -> bool:
    """Whether people log in here: otherwise whoever reaches the page is the local admin."""
    return door().policy.login is not None


def person(page: str = "") -> Person:
    """Who looks; whoever may not is shown why and the script stops. `page` is where a login leads back to."""
    found = _judged()
    if isinstance(found, Admitted):
        return found.person
    login = door().policy.login
    assert login is not None  # without one everybody is let in
    _draw_turned(found, login, Asked.of(page, st.query_params.to_dict()))
    st.stop()


def draw_who() -> None:
    """At the top of every page: the person's name with the way out, or what it means that nobody has one."""
    policy = door().policy
    if policy.login is None:
        if policy.insecure:
            elements.caution(INSECURE)
        return
    somebody = person()
    with st.container(key="who"), st.popover(markdown_escape(cut(somebody.name, 40)), type="tertiary"):
        elements.quiet(f"Logged in as {somebody.email}.")
        elements.quiet(ROLES[somebody.role])
        st.button("Log out", key="log_out", on_click=_log_out)


def _judged() -> Admitted | Turned:
    here = door()
    return here.judge(st.user.to_dict() if here.policy.login is not None else {})


def _draw_turned(found: Turned, login: Login, asked: Asked) -> None:
    with st.container(key="door"):
        if found.why in ("unverified", "not_listed"):
            _draw_not_allowed(found)
        else:
            _draw_login(found, login, asked)


def _draw_not_allowed(found: Turned) -> None:
    elements.sentence("You are logged in, but you are not allowed in.")
    if not found.said:
        elements.quiet("Your provider gives no e-mail address of yours, and people are named by their addresses here.")
    elif found.why == "not_listed":
        elements.quiet(
            f"You came as {cut(found.said, 120)}. Whoever runs this Fanout names who may come in, by address or by "
            "domain, and this one is not named."
        )
    else:
        elements.quiet(
            f"You came as {cut(found.said, 120)}, and your provider does not say that it has verified this address. "
            "Verify it there, then log in again."
        )
    st.button("Log out", key="log_out", on_click=_log_out)


def _draw_login(found: Turned, login: Login, asked: Asked) -> None:
    if found.why == "ended":
        elements.sentence("Your login has ended. Log in again to go on.")
    else:
        elements.sentence("Log in to Fanout to see runs and start them.")
    elsewhere = _elsewhere(login)
    if elsewhere is not None:
        elements.quiet(f"Here the login would not hold. Open {elsewhere} instead.")
        st.link_button("Open it", elsewhere, type="primary")
        return
    if st.context.cookies.get(BROWSER) in door().missed:
        elements.caution(
            "The login was not completed: it was denied at your provider, or broke off. You can log in again."
        )
    if asked.words is not None:
        elements.quiet(f"Afterwards you are led to the {asked.words} that you asked for.")
    with st.container(horizontal=True):
        for place, provider in enumerate(login.providers):
            st.button(
                _label(provider),
                key=f"log_in_{place}",
                type="primary" if place == 0 else "secondary",
                on_click=_log_in,
                args=(provider, asked),
            )


def _label(provider: str) -> str:
    if provider == DEFAULT_PROVIDER:
        return "Log in"
    return f"Log in with {markdown_escape(provider.capitalize())}"


def _log_in(provider: str, asked: Asked) -> None:
    """Remember the link, then go to the provider: Streamlit leads back to its first page only."""
    browser = st.context.cookies.get(BROWSER)
    if browser:
        door().missed.discard(browser)
        door().links.keep(browser, asked)
    st.login(provider)


def _log_out() -> None:
    """To the logout of Streamlit, which leads on to the provider's; the gate ends the login when it comes by there."""
    door().leaving.add(st.context.headers.get(SOCKET_KEY, ""))
    st.logout()


def _elsewhere(login: Login) -> str | None:
    """The login's own address, where the page was opened under another: its cookie holds for one origin only."""
    here = urlsplit(st.context.url or "")
    if not here.netloc or f"{here.scheme}://{here.netloc}" == login.origin:
        return None
    return login.redirect_uri.removesuffix("oauth2callback")
