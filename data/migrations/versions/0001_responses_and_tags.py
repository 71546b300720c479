"""Responses, their tags, and the counter of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("response_id", _key, primary_key=True),
        sa.Column("score", sa.Float),
        sa.Column("comment", sa.Text),
        sa.Column("responded_at", _moment),
        sa.Column("respondent_id", sa.Text),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("segments", _json, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("taxonomy_version", sa.Integer),
        sa.Column("text_hash", sa.String(64)),
        sa.Column("received_at", _moment, nullable=False),
        sa.Column("updated_at", _moment, nullable=False),
        sa.Column("moment", _moment, sa.Computed("coalesce(responded_at, received_at)", persisted=True)),
    )
    op.create_index("ix_responses_moment", "responses", ["moment", "response_id"])
    op.create_table(
        "tags",
        sa.Column(
            "response_id",
            _key,
            sa.ForeignKey("responses.response_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("code", _key, primary_key=True),
        sa.Column("polarity", sa.String(16), primary_key=True),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("evidence", _json, nullable=False),
    )
    op.create_index("ix_tags_code", "tags", ["code"])
    changes = op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "version": 0}])


def downgrade() -> None:
    op.drop_table("changes")
    op.drop_table("tags")
    op.drop_table("responses")
