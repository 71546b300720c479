"""Jobs, annotations, those who were erased, and answers kept for retries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("spool", sa.Text, nullable=False),
        sa.Column("options", _json, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("rows_total", sa.BigInteger),
        sa.Column("counts", _json, nullable=False),
        sa.Column("problem", _json, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("lease_until", _moment),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("updated_at", _moment, nullable=False),
        sa.Column("finished_at", _moment),
    )
    op.create_index("ix_jobs_created", "jobs", ["created_at", "job_id"])
    op.create_table(
        "annotations",
        sa.Column("response_id", sa.Text, primary_key=True),
        sa.Column("annotator", sa.Text, primary_key=True),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("taxonomy_version", sa.Integer, nullable=False),
        sa.Column("codes", _json, nullable=False),
        sa.Column("updated_at", _moment, nullable=False),
    )
    op.create_table(
        "tombstones",
        sa.Column("respondent_hash", sa.String(64), primary_key=True),
        sa.Column("key_name", sa.String(16), nullable=False),
        sa.Column("erased_at", _moment, nullable=False),
    )
    op.create_table(
        "kept_answers",
        sa.Column("key_hash", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", _json, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("expires_at", _moment, nullable=False),
    )
    op.create_index("ix_kept_answers_expires", "kept_answers", ["expires_at"])


def downgrade() -> None:
    for name in ("kept_answers", "tombstones", "annotations", "jobs"):
        op.drop_table(name)
