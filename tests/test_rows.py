"""A run in a few words: when it began, in the zone of whoever reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dashboard import zones
from dashboard.found import choice_of
from dashboard.history.words import payload
from dashboard.rows import day, facts, when
from fanout.store.rows import row_of
from fanout.store.shelf import Wanted
from tests.runs import make_run

TOKYO = ZoneInfo("Asia/Tokyo")


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("at", "now", "in_utc", "in_tokyo"),
    [
        ("2026-05-12T10:38:07", "2026-05-12T11:00:00", "10:38:07", "19:38:07"),
        ("2026-05-12T14:59:59", "2026-05-12T15:00:00", "14:59:59", "12 May 23:59"),  # in Tokyo a day began between
        ("2026-05-11T23:00:00", "2026-05-12T01:00:00", "11 May 23:00", "08:00:00"),
        ("2025-12-31T16:00:00", "2026-01-02T00:00:00", "31 Dec 2025", "1 Jan 01:00"),
    ],
)
def test_hours_days_and_years_are_those_of_the_readers_zone(at: str, now: str, in_utc: str, in_tokyo: str) -> None:
    assert when(_at(at), zone=UTC, now_s=_at(now)) == in_utc
    assert when(_at(at), zone=TOKYO, now_s=_at(now)) == in_tokyo


def test_a_day_that_everybody_reads_alike_says_that_it_is_utcs() -> None:
    assert day(_at("2026-05-12T23:59:00")) == "12 May 2026 UTC"


@pytest.mark.parametrize("name", [None, "", "Asia", "../../etc/passwd", "/etc/passwd", "No/Such", "\0", "x" * 5000])
def test_what_names_no_zone_leaves_the_servers(name: str | None) -> None:
    assert zones.zone_of(name) is None
    assert zones.words(None).startswith("Times are in the server's zone, ")


def test_every_list_says_a_run_s_time_in_the_zone_and_the_list_of_all_says_which_it_is() -> None:
    row = row_of(make_run())
    for zone in (TOKYO, ZoneInfo("America/St_Johns")):
        told = when(row.opened_at, zone=zone)
        assert facts(row, zone=zone).startswith(told)
        assert told in choice_of(row, zone=zone).label
        table = payload((row,), Wanted(), with_owner=False, found=1, zone=zone)
        assert told in table["rows"][0]["cells"]
        assert [head["note"] for head in table["columns"] if head["note"]] == [f"Times are in {zone.key}."]
