"""Who a request comes from, by the cookie that Streamlit signs at the login.

Comes in: a request's cookies, and the origin that the login is for. Goes out: the claims, or nothing. Streamlit gives
its own pages `st.user` and everything else nothing, so this reads the cookie as its websocket does, with two functions
of its own that it does not promise: Streamlit's version is pinned, and a test holds both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streamlit.web.server.starlette import starlette_websocket
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME


def claims_of(cookies: Mapping[str, str], *, origin: str) -> Mapping[str, Any]:
    """The claims that this origin's login signed; empty where there are none, or none that can be trusted."""
    signed = starlette_websocket._get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
    return starlette_websocket._parse_decoded_user_cookie(signed, origin) if signed else {}


def sets_login(set_cookies: Iterable[str]) -> bool:
    """Whether an answer's `Set-Cookie` headers hold a login, and do not only take an old one away."""
    return any(
        header.startswith(f"{USER_COOKIE_NAME}=") and "max-age=0" not in header.lower() for header in set_cookies
    )
