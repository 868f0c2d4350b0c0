"""A run's page, through AppTest: what measures its speed-up, who sees that, and who is told to have stopped it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard import house
from fanout.batch import Batch
from fanout.live import LiveRun
from fanout.people import LOCAL, Visibility
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
from fanout.store import NoSuchRun
from tests.pages import ANNA, BEN, ComeIn, entrance, labels, open_page, press, read

QUICK = SandboxProfile(first_token_ms=0, token_ms=0)
SLOW = SandboxProfile(first_token_ms=60_000)
WAIT_S = 30


@pytest.fixture(autouse=True)
def opened_house(tmp_path: Path) -> Iterator[None]:
    house.open_house(Settings(data_dir=tmp_path), prepare=False, visibility="team")
    yield
    house.close_house()


@pytest.fixture
def come_in(monkeypatch: pytest.MonkeyPatch) -> ComeIn:
    return entrance(monkeypatch)


def _run(*prompts: str, profile: SandboxProfile = QUICK, visibility: Visibility = "team", **settings: Any) -> LiveRun:
    batch = Batch(prompts=prompts, sandbox=profile, **settings)
    return house.library().start(batch, by=ANNA, visibility=visibility)


def _ended(*prompts: str, **settings: Any) -> str:
    live = _run(*prompts, **settings)
    assert live.wait(WAIT_S)
    return live.run_id


@pytest.mark.parametrize(("visibility", "seen_by"), [("private", "private"), ("link", "private"), ("team", "team")])
def test_who_sees_the_run_that_measures_is_who_sees_the_run(
    come_in: ComeIn, visibility: Visibility, seen_by: Visibility
) -> None:
    come_in(ANNA)
    run_id = _ended("a", "b", visibility=visibility, reuse_answers=True)
    app = press(open_page(run=run_id), "Measure the speed-up")
    press(app, "Send 2 again, one at a time")
    (measuring,) = (live for live in house.engine().runs() if live.record.now().baseline_of == run_id)
    assert measuring.wait(WAIT_S)
    assert [call.origin for call in measuring.snapshot().calls] == [None, None], "its own answers are not taken for it"
    assert house.library().find(ANNA, measuring.run_id).row.visibility == seen_by
    if seen_by == "private":
        with pytest.raises(NoSuchRun):
            house.library().find(BEN, measuring.run_id)


def test_a_run_that_took_answers_has_no_speed_up_to_measure(come_in: ComeIn) -> None:
    come_in(ANNA)
    _ended("a")
    taken = _ended("a", "b", reuse_answers=True)
    assert "Measure the speed-up" not in labels(open_page(run=taken))
    assert "Measure the speed-up" in labels(open_page(run=_ended("c", "c", identical_once=True)))


def test_who_stopped_a_run_is_in_the_audit_once(come_in: ComeIn) -> None:
    come_in(ANNA)
    live = _run("a", profile=SLOW)
    app = open_page(run=live.run_id)
    button = app.button(key="strip_stop")
    button.click()
    app.run()
    assert live.wait(WAIT_S)
    button.click()  # as a browser does that had not heard yet
    app.run()
    told = house.library().audited(LOCAL, words="stopped")
    assert [(line.user_name, line.run_id) for line in told.lines] == [("Anna", live.run_id)]
    assert "Stopped" in read(open_page(run=live.run_id))
