"""The dashboard as an ASGI app: `streamlit run dashboard/app.py`.

Comes in: the environment and Streamlit's secrets. Goes out: `app`, with the pages of main.py, the chart's files,
/health, the headers, the guard and the door; its lifespan opens the engine and closes it. `streamlit run` puts only
this folder on the path, so the repository's root is put first: everything is imported under one name, wherever the
command was given.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if entry != str(ROOT))]

import streamlit as st  # noqa: E402
from starlette.concurrency import run_in_threadpool  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from dashboard import announce, house  # noqa: E402
from dashboard.door.gate import LOGOUT, Gate  # noqa: E402
from dashboard.door.rules import Policy  # noqa: E402
from dashboard.door.secrets import check_options, read_policy  # noqa: E402
from dashboard.door.state import Door, set_door  # noqa: E402
from dashboard.gantt.assets import routes as gantt_routes  # noqa: E402
from dashboard.guard import Guard, SafeHeaders, check_address, content_security_policy  # noqa: E402
from fanout.errors import BadInput  # noqa: E402
from fanout.settings import Settings, read_settings  # noqa: E402


def _read() -> tuple[Settings, Policy]:
    try:
        settings = read_settings()
        return settings, read_policy(settings)
    except BadInput as exc:
        raise announce.refused(exc) from None


announce.refuse_in_a_sentence()
SETTINGS, POLICY = _read()
DOOR = Door(POLICY)
set_door(DOOR)
BASE = f"/{str(st.get_option('server.baseUrlPath') or '').strip('/')}".rstrip("/")
HTTPS = POLICY.login is not None and POLICY.login.https


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
    """The engine lives as long as the server."""
    try:
        check_options(POLICY)
        check_address(st.get_option("server.address"), login=POLICY.login is not None, insecure=POLICY.insecure)
        house.open_house(SETTINGS, visibility="private" if POLICY.login is None else "team")
    except BadInput as exc:
        raise announce.refused(exc) from None
    announce.say(
        announce.answers_at(
            st.get_option("server.address"),
            st.get_option("server.port"),
            base=BASE,
            https=bool(st.get_option("server.sslCertFile")),
            origin=None if POLICY.login is None else POLICY.login.origin,
        )
    )
    try:
        yield {}
    finally:
        await run_in_threadpool(house.close_house)


async def health(_: Request) -> JSONResponse:
    """Ready, and how many runs go on; where people log in, nothing of runs: whoever asks here has not."""
    going = sum(1 for live in house.engine().runs() if not live.ended)
    said = {"status": "ok", "runs_going": going} if POLICY.login is None else {"status": "ok"}
    return JSONResponse(said, headers={"Cache-Control": "no-store"})


def _hosts() -> tuple[str, ...] | None:
    """The names the server answers under beside this machine's; None where it answers under any."""
    if POLICY.login is not None:
        return (POLICY.login.host, *SETTINGS.allowed_hosts)
    return None if POLICY.insecure and not SETTINGS.allowed_hosts else SETTINGS.allowed_hosts


app = st.App(
    str(ROOT / "dashboard" / "main.py"),
    lifespan=lifespan,
    routes=[
        *(Route(path, health) for path in dict.fromkeys(("/health", f"{BASE}/health"))),
        *gantt_routes(BASE),
    ],
    middleware=[
        Middleware(SafeHeaders, policy=content_security_policy(), https=HTTPS, base=BASE, logout=LOGOUT),
        Middleware(Guard, here_only=POLICY.login is None and not POLICY.insecure, hosts=_hosts()),
        Middleware(Gate, door=DOOR, base=BASE),
    ],
)
