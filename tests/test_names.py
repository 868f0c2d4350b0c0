"""A name is one that can be seen, and stands where people look for it."""

from __future__ import annotations

import pytest

from fanout.batch import Batch
from fanout.names import visible
from fanout.people import LOCAL
from fanout.store.shelf import Wanted
from tests.stores import Kept
from tests.test_store_shelf import run_of


@pytest.mark.parametrize(
    "text", ["", " \t", "\u200b", "\u200b\u200d\u2060", "\u00ad", "\u3164", "\u2800", "\u202e", "\u0301"]
)
def test_what_nobody_sees_is_no_name(text: str) -> None:
    assert visible(text) is None
    assert Batch(prompts=["a"], name=text).name is None


@pytest.mark.parametrize("text", ["a", " a ", "é", "e\u0301", "\u200bx", "👩\u200d💻", "日本", "–", "0"])
def test_a_name_that_is_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_the_list_stands_in_the_order_of_the_alphabet_in_both_databases(database_url: str) -> None:
    """Without a look at accents and case; no name is last, and what nobody sees is none, also where it is stored."""
    names = ["zebra", "Öl", "éclair", "Äpfel", "apple", "Banana", None, "\u200b"]
    with Kept(database_url) as kept:
        ids = [run_of(kept, LOCAL, name=name) for name in names]
        with kept.shelf.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE run SET name = '\u200b' WHERE run_id = '{ids[-1]}'")
        up = kept.shelf.list(LOCAL, Wanted(sort="name", descending=False)).rows
        assert [row.name for row in up] == ["Äpfel", "apple", "Banana", "éclair", "Öl", "zebra", None, None]
        down = kept.shelf.list(LOCAL, Wanted(sort="name", descending=True, limit=5)).rows
        assert [row.name for row in down] == ["zebra", "Öl", "éclair", "Banana", "apple"]
        rest = kept.shelf.list(LOCAL, Wanted(sort="name", descending=True, offset=5)).rows
        assert [row.name for row in rest] == ["Äpfel", None, None]
