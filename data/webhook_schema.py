"""The tables of webhooks that leave: who wants which events, the messages, and each one's deliveries."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from data.store_schema import Json, UtcDateTime, metadata

webhook_subscriptions = Table(
    "webhook_subscriptions",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("description", Text, nullable=False),
    Column("secret", Text, nullable=False),  # as it is: a signature needs the key itself
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

webhook_messages = Table(
    "webhook_messages",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("body", Text, nullable=False),  # to the letter as it is signed
    Column("created_at", UtcDateTime, nullable=False),
    Column("response_id", Text),  # that it tells of: with the response goes the message
    Index("ix_webhook_messages_created_at", "created_at"),
    Index("ix_webhook_messages_response_id", "response_id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("message_id", Text, ForeignKey("webhook_messages.message_id", ondelete="CASCADE"), nullable=False),
    Column(
        "subscription_id",
        Text,
        ForeignKey("webhook_subscriptions.subscription_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease", String(32)),
    Column("leased_until", UtcDateTime),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("delivered_at", UtcDateTime),
    UniqueConstraint("message_id", "subscription_id", name="uq_webhook_deliveries_message_subscription"),
    Index("ix_webhook_deliveries_due_at", "state", "due_at"),
    Index("ix_webhook_deliveries_subscription_id", "subscription_id"),
)
