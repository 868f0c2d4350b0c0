from __future__ import annotations

import gzip
import json
from pathlib import Path

import plotly
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard import palette
from dashboard.gantt import assets
from dashboard.gantt.component import label
from tests.runs import make_run


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=assets.routes()))


def test_plotly_is_served_from_its_own_wheel(client: TestClient) -> None:
    served = client.get(assets.address("plotly.min.js"))
    assert served.content == (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    assert served.headers["content-encoding"] == "gzip"
    assert int(served.headers["content-length"]) < 1_600_000


@pytest.mark.parametrize("name", ["gantt.js", "gantt.css", "palette.js"])
def test_files_are_kept_for_ever_under_an_address_of_their_content(client: TestClient, name: str) -> None:
    served = client.get(assets.address(name))
    assert served.status_code == 200
    assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert served.headers["vary"] == "Accept-Encoding"
    assert served.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")
    again = client.get(assets.address(name), headers={"if-none-match": served.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_browser_that_asks_again_under_another_address_gets_the_same(client: TestClient) -> None:
    first = client.get(assets.address("gantt.js"))
    again = client.get(f"/assets/{assets.version()}.12/gantt.js")
    assert (again.status_code, again.content) == (200, first.content)


def test_who_cannot_unpack_gets_plain_bytes(client: TestClient) -> None:
    served = client.get(assets.address("model.js"), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in served.headers
    assert gzip.decompress(assets.asset("model.js").gzipped) == served.content


@pytest.mark.parametrize(
    "path",
    [
        "/assets/old/gantt.js",
        "/assets/old.1/gantt.js",
        f"/assets/{assets.version()}.x/gantt.js",
        assets.address("assets.py"),
        assets.address("..%2fpalette.py"),
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_module_that_is_imported_is_served() -> None:
    for name in assets.names():
        if name.endswith(".js") and name != assets.PLOTLY:
            source = assets.asset(name).plain.decode()
            imported = [line.split('"./')[1].rstrip('"') for line in source.splitlines() if 'from "./' in line]
            assert set(imported) <= set(assets.names())


def test_the_browser_gets_the_one_palette() -> None:
    source = assets.asset("palette.js").plain.decode()
    assert json.loads(source.removeprefix("export default ")) == palette.as_json()


def test_the_label_of_a_live_run_stands_still() -> None:
    assert label(make_run(at_s=1.0)) == label(make_run(at_s=3.0))
    assert label(make_run(n=1)) == "Timeline of 1 call: 1 answered. Arrow keys walk the bars, Enter opens a call."


def test_a_page_can_draw_it_without_a_browser() -> None:
    def page() -> None:
        import streamlit as st

        from dashboard.gantt.component import show
        from tests.runs import make_run

        st.text(f"clicked {show(make_run(n=5), key='gantt')}")

    shown = AppTest.from_function(page, default_timeout=30).run()
    assert not shown.exception
    assert shown.text[0].value == "clicked None"
