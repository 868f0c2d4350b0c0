"""What is left of each account's quota, for the processes of several hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "quota",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("format", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """There is no way back: an older program would not know what it reads."""
    raise NotImplementedError("the store's schema only goes forward: restore a backup instead")
