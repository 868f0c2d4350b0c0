"""What is shown of the store's address: never a secret, however the URL was written; and which URLs are understood."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from fanout.errors import BadInput
from fanout.store.address import parsed, shown
from fanout.store.database import open_database
from fanout.store.quota_rows import QuotaRows
from tests.postgres import Postgres


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:S3CRET@h:5432/name", "postgresql+psycopg://h:5432/name"),
        ("postgres://u:S3CRET@h/name", "postgresql+psycopg://h/name"),
        ("postgresql://u@h/name?password=S3CRET&sslpassword=S3CRET&passfile=/S3CRET", "postgresql+psycopg://h/name"),
        ("postgresql:///name?host=/run/pg&user=u&password=S3@CRET", "postgresql+psycopg:///name"),
        ("postgresql://u:S3C%40RET@h", "postgresql+psycopg://h"),
        ("sqlite:////tmp/x.db?S3CRET=1", "sqlite:////tmp/x.db"),
    ],
)
def test_driver_host_port_and_database_are_shown_and_nothing_else(url: str, address: str) -> None:
    assert shown(parsed(url)) == address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@S3CRET@h/name",
        "postgresql://u:p@S3CRET/S3CRET@h/name",
        "postgresql://u:p@S3CRET?S3CRET=S3CRET@h/name",
        "postgresql://u:S3CRET/name",
        "u:S3CRET@h/name",
    ],
)
def test_of_a_url_that_is_read_wrongly_nothing_is_said(url: str) -> None:
    with pytest.raises(BadInput, match="FANOUT_DATABASE_URL") as refused:
        open_database(url)
    assert "S3CRET" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_live_object_and_no_refusal_shows_a_password_of_the_query() -> None:
    url = "postgresql://u@127.0.0.1:1/x?password=S3CRET"
    with pytest.raises(
        BadInput, match=r"^the store postgresql\+psycopg://127\.0\.0\.1:1/x cannot be opened: "
    ) as refused:
        open_database(url)
    assert "S3CRET" not in str(refused.value)
    rows = QuotaRows(sa.make_url(url))
    assert repr(rows) == "postgresql://127.0.0.1:1/x"
    rows.close()


def test_the_short_form_of_the_scheme_is_understood(postgres: Postgres) -> None:
    database = open_database(postgres.fresh().replace("postgresql://", "postgres://"))
    assert repr(database).startswith("<Database postgresql+psycopg://127.0.0.1:")
    assert "fanout@" not in repr(database)
    database.close()
