"""The tables of API keys and of the sessions that browsers get for them, as SQLAlchemy sees them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from data.store_schema import Json, UtcDateTime, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("previous_hash", String(64)),  # what a rotation replaced, good until previous_until
    Column("previous_until", UtcDateTime),
    Column("rate", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

api_sessions = Table(
    "api_sessions",
    metadata,
    Column("session_hash", String(64), primary_key=True),
    Column("key_id", String(16), ForeignKey("api_keys.key_id", ondelete="CASCADE"), nullable=False),
    Column("secret_hash", String(64), nullable=False),  # of the key when the session began
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_api_sessions_key_id", "key_id"),
)
