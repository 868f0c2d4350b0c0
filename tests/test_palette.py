from __future__ import annotations

from typing import Literal, get_args

import pytest

from dashboard.palette import LOOKS, MARK_STATUSES, PAINT_ORDER, THEMES, colour, contrast, luminance
from fanout.run import AttemptStatus

MODES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("look", ["answered", "running", "retried", "failed", "cancelled"])
def test_every_solid_fill_stands_out_from_the_page(mode: Literal["light", "dark"], look: str) -> None:
    assert contrast(getattr(LOOKS[look], mode), THEMES[mode].page) >= 3.0  # type: ignore[index]


@pytest.mark.parametrize("mode", MODES)
def test_words_are_readable(mode: Literal["light", "dark"]) -> None:
    assert contrast(THEMES[mode].text, THEMES[mode].page) >= 7.0
    assert contrast(THEMES[mode].quiet, THEMES[mode].page) >= 4.5


def test_no_ended_status_is_told_by_colour_alone() -> None:
    hatches = [LOOKS[status].hatch for status in ("answered", "retried", "failed", "cancelled")]
    assert len(set(hatches)) == 4


def test_every_status_of_an_attempt_has_a_look_and_is_painted() -> None:
    assert set(MARK_STATUSES) == set(get_args(AttemptStatus)) == set(PAINT_ORDER)
    assert PAINT_ORDER[-1] == "failed"


def test_luminance_runs_from_black_to_white() -> None:
    assert luminance("#000000") == 0.0
    assert luminance("#ffffff") == pytest.approx(1.0)
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert colour("failed", dark=True) == LOOKS["failed"].dark
