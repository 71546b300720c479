"""Notices of survey tools that name a response, and the response that a message tells of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "source_notices",
        sa.Column("source", sa.String(63), primary_key=True),
        sa.Column("survey", sa.String(32), primary_key=True),
        sa.Column("response", sa.String(32), primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("due_at", _moment, nullable=False),
        sa.Column("lease", sa.String(32)),
    )
    op.create_index("ix_source_notices_due_at", "source_notices", ["due_at"])
    op.add_column("webhook_messages", sa.Column("response_id", sa.Text))
    op.create_index("ix_webhook_messages_response_id", "webhook_messages", ["response_id"])


def downgrade() -> None:
    op.drop_index("ix_webhook_messages_response_id", "webhook_messages")
    op.drop_column("webhook_messages", "response_id")
    op.drop_table("source_notices")
