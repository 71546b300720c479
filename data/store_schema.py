"""The store's tables, as SQLAlchemy sees them; `data.migrations` makes the same ones in a database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware and in UTC on this side, whatever the database makes of time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take a moment to the database; one without an offset is in UTC already."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take a moment from the database, where SQLite has forgotten the offset."""
        return self.process_bind_param(value, dialect)


# Sorted by code points, whatever language a PostgreSQL server sorts by: pages and streams go by it.
Key = Text().with_variant(Text(collation="C"), "postgresql")
Json = JSON().with_variant(JSONB(), "postgresql")

metadata = MetaData()

responses = Table(
    "responses",
    metadata,
    Column("response_id", Key, primary_key=True),
    Column("score", Float),
    Column("comment", Text),
    Column("responded_at", UtcDateTime),
    Column("respondent_id", Text),
    Column("weight", Float, nullable=False),
    Column("segments", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("error", Text),
    Column("abstained", Boolean, nullable=False, server_default=false()),
    Column("model", Text),
    Column("taxonomy_version", Integer),
    Column("text_hash", String(64)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # What "newest first" sorts by: every response has it, also one without a date.
    Column("moment", UtcDateTime, Computed("coalesce(responded_at, received_at)", persisted=True)),
    Index("ix_responses_moment", "moment", "response_id"),
)

tags = Table(
    "tags",
    metadata,
    Column("response_id", Key, ForeignKey("responses.response_id", ondelete="CASCADE"), primary_key=True),
    Column("code", Key, primary_key=True),
    Column("polarity", String(16), primary_key=True),
    Column("probability", Float, nullable=False),
    Column("evidence", Json, nullable=False),
    Index("ix_tags_code", "code"),
)

# One row: how often the store has changed. Writers lock it first, so they take turns.
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
