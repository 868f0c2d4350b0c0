"""The dashboard as an ASGI app: `streamlit run dashboard/app.py`.

Comes in: the environment. Goes out: `app`, with the pages of main.py, the chart's files, /health, the headers and the
guard; its lifespan opens the engine and closes it. `streamlit run` puts only this folder on the path, so the
repository's root is put first: everything is imported under one name, wherever the command was given.
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

from dashboard import house  # noqa: E402
from dashboard.gantt.assets import routes as gantt_routes  # noqa: E402
from dashboard.guard import LoopbackOnly, SafeHeaders, check_address, content_security_policy  # noqa: E402
from fanout.errors import BadInput  # noqa: E402
from fanout.settings import Settings, read_settings  # noqa: E402


def _settings() -> Settings:
    try:
        return read_settings()
    except BadInput as exc:
        raise SystemExit(f"Fanout did not start: {exc}") from None


SETTINGS = _settings()


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
    """The engine lives as long as the server."""
    try:
        check_address(st.get_option("server.address"), allow_remote=SETTINGS.allow_remote)
    except BadInput as exc:
        raise SystemExit(f"Fanout did not start: {exc}") from None
    house.open_house(SETTINGS)
    try:
        yield {}
    finally:
        await run_in_threadpool(house.close_house)


async def health(_: Request) -> JSONResponse:
    """Ready, and how many runs go on."""
    going = sum(1 for live in house.engine().runs() if not live.ended)
    return JSONResponse({"status": "ok", "runs_going": going}, headers={"Cache-Control": "no-store"})


app = st.App(
    str(ROOT / "dashboard" / "main.py"),
    lifespan=lifespan,
    routes=[Route("/health", health), *gantt_routes()],
    middleware=[
        Middleware(LoopbackOnly, allow_remote=SETTINGS.allow_remote),
        Middleware(SafeHeaders, policy=content_security_policy()),
    ],
)
