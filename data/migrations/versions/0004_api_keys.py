"""API keys, and the sessions that browsers get for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(16), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", _json, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("previous_hash", sa.String(64)),
        sa.Column("previous_until", _moment),
        sa.Column("rate", sa.String(64)),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("expires_at", _moment),
        sa.Column("revoked_at", _moment),
        sa.Column("last_used_at", _moment),
    )
    op.create_table(
        "api_sessions",
        sa.Column("session_hash", sa.String(64), primary_key=True),
        sa.Column(
            "key_id", sa.String(16), sa.ForeignKey("api_keys.key_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("expires_at", _moment, nullable=False),
    )
    op.create_index("ix_api_sessions_key_id", "api_sessions", ["key_id"])


def downgrade() -> None:
    op.drop_table("api_sessions")
    op.drop_table("api_keys")
