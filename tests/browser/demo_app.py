"""The demo page under the policy the dashboard will have: nothing from elsewhere, no inline script but Streamlit's."""

import base64
import hashlib
import re
import sys
from pathlib import Path

sys.path[:0] = [p for p in [str(Path(__file__).parents[2])] if p not in sys.path]

import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

from dashboard.gantt import assets  # noqa: E402
from tests.browser import demo_state as demo  # noqa: E402

INDEX = (Path(st.__file__).parent / "static" / "index.html").read_text()
INLINE = re.findall(r"<script>(.*?)</script>", INDEX, re.S)
HASHES = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in INLINE)
POLICY = (
    f"default-src 'self'; script-src 'self' blob: {HASHES}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'"
)


class Policy:
    """Adds the Content-Security-Policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


async def control(request: Request) -> JSONResponse:
    demo.SHOWN.update(await request.json())
    run = demo.shown_run()
    return JSONResponse({"version": run.version, "run_id": run.run_id})


app = st.App(
    str(Path(__file__).with_name("demo_page.py")),
    routes=[Route("/control", control, methods=["POST"]), *assets.routes()],
    middleware=[Middleware(Policy)],
)
