import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import streamlit

from dashboard import palette

HOUSE = Path(__file__).parent.parent / "dashboard"
CSS = (HOUSE / "look.css").read_text()
CONFIG = tomllib.loads((HOUSE / ".streamlit" / "config.toml").read_text())
OF_THE_PALETTE = {
    "page": [palette.theme(dark=dark).page for dark in (False, True)],
    "text": [palette.theme(dark=dark).text for dark in (False, True)],
    "quiet": [palette.theme(dark=dark).quiet for dark in (False, True)],
    "accent": [palette.colour("answered", dark=dark) for dark in (False, True)],
}


def _pair(name: str) -> list[str]:
    found = re.search(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", CSS)
    assert found is not None, name
    return list(found.groups())


@pytest.mark.parametrize("name", OF_THE_PALETTE)
def test_the_pages_take_their_colours_from_the_palette(name: str) -> None:
    assert _pair(name) == OF_THE_PALETTE[name]


@pytest.mark.parametrize("name", ["text", "quiet", "accent-text", "alarm", "caution"])
def test_words_have_their_contrast_with_the_page_in_light_and_dark(name: str) -> None:
    for word, page in zip(_pair(name), _pair("page"), strict=True):
        assert palette.contrast(word, page) >= 4.5


@pytest.mark.parametrize("ground", ["block", "gone", "new"])
def test_words_that_only_one_answer_has_are_readable_on_their_tint(ground: str) -> None:
    for word, tint in zip(_pair("text"), _pair(ground), strict=True):
        assert palette.contrast(word, tint) >= 4.5


@pytest.mark.parametrize(("theme", "place"), [("light", 0), ("dark", 1)])
def test_streamlits_theme_is_the_same_and_its_buttons_can_be_read(theme: str, place: int) -> None:
    colours: dict[str, Any] = CONFIG["theme"][theme]
    assert colours["backgroundColor"] == _pair("page")[place]
    assert colours["textColor"] == _pair("text")[place]
    assert palette.contrast("#ffffff", colours["primaryColor"]) >= 4.5
    for name in ("textColor", "linkColor", "redColor", "orangeColor", "grayColor"):
        assert palette.contrast(colours[name], colours["backgroundColor"]) >= 4.5, name
        assert palette.contrast(colours[name], colours["secondaryBackgroundColor"]) >= 4.5, name


def test_nothing_is_fetched_from_another_server() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert "http" not in CSS


def test_every_option_of_streamlit_has_its_reason_above_it() -> None:
    lines = (HOUSE / ".streamlit" / "config.toml").read_text().splitlines()
    for section in re.split(r"\n(?=\[)", "\n".join(lines)):
        if section.startswith("[") and not section.startswith("[theme"):
            assert "#" in section.splitlines()[1], section


def test_the_server_is_told_to_stay_on_this_machine_and_to_be_quick() -> None:
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["enableXsrfProtection"] is True
    assert CONFIG["runner"]["postScriptGC"] is False
    assert CONFIG["runner"]["fastReruns"] is False, "two threads would be at one session's state"
    assert CONFIG["client"]["disableDataExport"] is True
    assert CONFIG["client"]["showErrorDetails"] == "none"
    assert CONFIG["browser"]["gatherUsageStats"] is False


def test_streamlits_page_still_tells_whether_it_is_connected() -> None:
    """What look.css goes by: that a page without its server says so stands on an attribute that is not promised."""
    scripts = (Path(streamlit.__file__).parent / "static" / "static" / "js").glob("index.*.js")
    (script,) = [text for path in scripts if "data-test-connection-state" in (text := path.read_text(encoding="utf-8"))]
    assert set(re.findall(r'data-test-connection-state="(\w+)"', CSS)) == {"CONNECTED", "DISCONNECTED_FOREVER"}
    for state in ("CONNECTED", "DISCONNECTED_FOREVER", "PINGING_SERVER", "CONNECTING"):
        assert f"=`{state}`" in script, state
