"""The tables of follow-ups and of their audit trail; `data.migrations` makes the same ones in a database."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from data.store_schema import UtcDateTime, metadata

follow_ups = Table(
    "follow_ups",
    metadata,
    Column("follow_up_id", Text, primary_key=True),
    Column("response_id", Text, nullable=False),  # it outlives the response: what was done stays known
    Column("kind", String(16), nullable=False),
    Column("rule", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", Text),
    Column("score", Float),
    Column("outcome", String(32)),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("overdue_at", UtcDateTime),
    Column("acknowledged_at", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    UniqueConstraint("response_id", "kind", name="uq_follow_ups_response_kind"),
    Index("ix_follow_ups_opened_at", "opened_at", "follow_up_id"),
    Index("ix_follow_ups_due_at", "state", "due_at"),
)

# Rows are only ever added: triggers of the database refuse anything else.
follow_up_events = Table(
    "follow_up_events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("follow_up_id", Text, nullable=False),
    Column("at", Text, nullable=False),  # as text, to the letter as it was hashed
    Column("actor", Text, nullable=False),
    Column("action", String(24), nullable=False),
    Column("detail", Text, nullable=False),
    Column("text_digest", String(64)),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("ix_follow_up_events_follow_up_id", "follow_up_id", "number"),
)

# What people wrote stands apart, so that it can be erased while the trail still holds.
follow_up_texts = Table(
    "follow_up_texts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("salt", String(32), nullable=False),
    Column("text", Text, nullable=False),
)

# One row: where the trail ends. Writers lock it first, so they take turns.
follow_up_trail = Table(
    "follow_up_trail",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)
