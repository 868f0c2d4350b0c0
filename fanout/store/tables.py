"""The tables of the store, as the newest migration leaves them (a test holds the two equal).

Goes out: SQLAlchemy tables. Knows no database: SQLite and PostgreSQL hold the same ones. A run's truth is its events,
in `chunk`; what `run` says beside the owner's words is their summary, for lists, and can be made again from them.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

PROCESS = sa.Table(
    "process",
    METADATA,
    sa.Column("process_id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.Text, nullable=False),  # tells a process from a later one with its number
    sa.Column("beat_at", sa.Float, nullable=False),
)
"""The processes that drive runs; `beat_at` is the wall time, in seconds, at which each was last known to live."""

RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("owner_name", sa.Text, nullable=False),
    sa.Column("visibility", sa.Text, nullable=False),
    sa.Column("link_token", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("settings_key", sa.Text, nullable=False),
    sa.Column("baseline_of", sa.Text),
    sa.Column("opened_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("stop_reason", sa.Text),
    sa.Column("prompts", sa.Integer, nullable=False),
    sa.Column("answered", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("max_workers", sa.Integer, nullable=False),
    sa.Column("wall_s", sa.Float),
    sa.Column("overlap", sa.Float),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Float),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("process_id", sa.Text),
    sa.Column("stop_asked", sa.Boolean, nullable=False),
    sa.Index("run_opened_at", "opened_at"),
    sa.Index("run_settings_key", "settings_key"),
    sa.Index("run_process_id", "process_id"),
    sa.Index("run_baseline_of", "baseline_of"),
)
"""One row a run: whose it is, who may see it, and how it stands. `events` and `bytes` count what `chunk` holds."""

CHUNK = sa.Table(
    "chunk",
    METADATA,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
"""Events of a run that were committed together: a JSON array of `events` objects, the first of which is number `seq`
of its run, from 0."""

TAG = sa.Table(
    "tag",
    METADATA,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Index("tag_tag", "tag"),
)

SPEND = sa.Table(
    "spend",
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Float, nullable=False),
    sa.Index("spend_day_user", "day", "user_id"),
)
"""What each run used on each day (UTC, YYYY-MM-DD). It outlives the run: a deleted run was paid for all the same."""

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("audit_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("words", sa.Text),
    sa.Index("audit_at", "at"),
)
"""Who did what, and when."""

QUOTA = sa.Table(
    "quota",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("format", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
)
"""What is left of an account's quota, in `fanout.quota.rows`' own format; used in PostgreSQL."""
