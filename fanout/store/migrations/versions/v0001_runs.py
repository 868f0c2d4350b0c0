"""Runs and their events, processes, tags, what was spent, who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The first tables."""
    op.create_table(
        "process",
        sa.Column("process_id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("born", sa.Text, nullable=False),
        sa.Column("beat_at", sa.Float, nullable=False),
    )
    op.create_table(
        "run",
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
    )
    op.create_index("run_opened_at", "run", ["opened_at"])
    op.create_index("run_settings_key", "run", ["settings_key"])
    op.create_index("run_process_id", "run", ["process_id"])
    op.create_index("run_baseline_of", "run", ["baseline_of"])
    op.create_table(
        "chunk",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "tag",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
    )
    op.create_index("tag_tag", "tag", ["tag"])
    op.create_table(
        "spend",
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
    )
    op.create_index("spend_day_user", "spend", ["day", "user_id"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("words", sa.Text),
    )
    op.create_index("audit_at", "audit", ["at"])


def downgrade() -> None:
    """There is no way back: an older program would not know what it reads."""
    raise NotImplementedError("the store's schema only goes forward: restore a backup instead")
