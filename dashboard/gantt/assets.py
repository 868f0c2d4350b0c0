"""The components' files, served from this process: Plotly's own build out of its wheel, our modules, the palette.

Comes in: nothing. Goes out: `routes()` for `st.App`, and `address(name)`. Every address holds a hash of all the files,
so browsers may keep them for ever. Each file is read and compressed once, when it is first asked for.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Final

import plotly
import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard import palette

FOLDERS: Final = (Path(__file__).parent, Path(__file__).parent.parent / "history")
PLOTLY: Final = "plotly.min.js"
PALETTE: Final = "palette.js"
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
MOST_AGAIN: Final = 100
"""Times that a browser asks again for a module, each after a longer pause: for the better part of an hour."""
FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it is sent."""

    content_type: str
    plain: bytes
    gzipped: bytes
    etag: str


def routes(base: str = "") -> list[Route]:
    """The routes that serve the chart's files, below the base path: Streamlit moves its own there, and not ours."""
    return [Route(base + "/assets/{version}/{name}", _serve, methods=["GET", "HEAD"])]


def address(name: str) -> str:
    """Where a file is served: a path from the base path."""
    return f"/assets/{version()}/{name}"


def base() -> str:
    """The path that the server answers below: empty, or with a slash before it."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def module(name: str) -> str:
    """What a component imports of a file, as JavaScript to await: one module for all that ask, however often they do.

    Where the server is not there at that moment it is asked again, each time under an address of its own: a browser
    never asks twice for a module that it could not have. A blob has no base, so the browser makes the address whole.
    """
    there = json.dumps(f"{base()}{address(name)}")
    each_time = f'{there}.replace("{version()}", "$&" + (again ? "." + again : ""))'
    return f"""((window.fanoutModules ??= {{}})[{there}] ??= (async () => {{
  for (let again = 0; ; again++) {{
    try {{
      return await import(new URL({each_time}, document.baseURI).href)
    }} catch (error) {{
      if (again === {MOST_AGAIN}) throw error
      await new Promise((done) => setTimeout(done, 1000 * 2 ** Math.min(again, 5)))
    }}
  }}
}})())"""


@cache
def version() -> str:
    """A hash of everything that is served."""
    digest = hashlib.sha256(version_of("plotly").encode())
    for name in names():
        if name != PLOTLY:
            digest.update(name.encode() + b"\0" + _read(name))
    return digest.hexdigest()[:16]


@cache
def names() -> tuple[str, ...]:
    """Every file there is."""
    return (*sorted(_ours()), PALETTE, PLOTLY)


@cache
def _ours() -> dict[str, Path]:
    return {path.name: path for folder in FOLDERS for path in folder.iterdir() if path.suffix in _TYPES}


@cache
def asset(name: str) -> Asset:
    """A file, read and compressed once; KeyError where there is none of that name."""
    if name not in names():
        raise KeyError(name)
    plain = _read(name)
    return Asset(
        content_type=_TYPES[Path(name).suffix],
        plain=plain,
        gzipped=gzip.compress(plain, compresslevel=9, mtime=0),
        etag=f'"{hashlib.sha256(plain).hexdigest()[:24]}"',
    )


def _read(name: str) -> bytes:
    if name == PLOTLY:
        return (Path(plotly.__file__).parent / "package_data" / PLOTLY).read_bytes()
    if name == PALETTE:
        return f"export default {json.dumps(palette.as_json())}\n".encode()
    return _ours()[name].read_bytes()


def _serve(request: Request) -> Response:
    """Starlette runs it in a thread, so that compressing does not hold up the loop."""
    name = request.path_params["name"]
    asked, _, again = request.path_params["version"].partition(".")
    if asked != version() or not (again == "" or again.isdecimal()) or name not in names():
        return Response("not found", status_code=404, media_type="text/plain")
    found = asset(name)
    headers = {
        "Cache-Control": FOR_EVER,
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
        "Content-Type": found.content_type,
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.plain, headers=headers)
