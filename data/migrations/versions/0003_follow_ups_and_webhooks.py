"""Follow-ups with their audit trail, versions of survey tools' records, and webhooks that leave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_json = sa.JSON().with_variant(JSONB(), "postgresql")
_moment = sa.DateTime(timezone=True)
_REFUSED = "the audit trail of follow-ups cannot be rewritten"
_FIRST = "0" * 64


def upgrade() -> None:
    op.create_table(
        "source_versions",
        sa.Column(
            "response_id",
            sa.Text,
            sa.ForeignKey("responses.response_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("major", sa.Float, nullable=False),
        sa.Column("minor", sa.Float, nullable=False),
    )
    _follow_ups()
    _trail()
    _webhooks()


def _follow_ups() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("follow_up_id", sa.Text, primary_key=True),
        sa.Column("response_id", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("score", sa.Float),
        sa.Column("outcome", sa.String(32)),
        sa.Column("opened_at", _moment, nullable=False),
        sa.Column("due_at", _moment),
        sa.Column("overdue_at", _moment),
        sa.Column("acknowledged_at", _moment),
        sa.Column("resolved_at", _moment),
        sa.UniqueConstraint("response_id", "kind", name="uq_follow_ups_response_kind"),
    )
    op.create_index("ix_follow_ups_opened_at", "follow_ups", ["opened_at", "follow_up_id"])
    op.create_index("ix_follow_ups_due_at", "follow_ups", ["state", "due_at"])


def _trail() -> None:
    op.create_table(
        "follow_up_events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("follow_up_id", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("text_digest", sa.String(64)),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_index("ix_follow_up_events_follow_up_id", "follow_up_events", ["follow_up_id", "number"])
    op.create_table(
        "follow_up_texts",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    trail = op.create_table(
        "follow_up_trail",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.bulk_insert(trail, [{"id": 1, "number": 0, "digest": _FIRST}])
    _append_only()


def _append_only() -> None:
    """Have the database itself refuse to change or drop what the trail holds."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION follow_up_events_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER follow_up_events_final BEFORE UPDATE OR DELETE ON follow_up_events "
            "FOR EACH ROW EXECUTE FUNCTION follow_up_events_refuse()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER follow_up_events_no_{action.lower()} BEFORE {action} ON follow_up_events "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


def _webhooks() -> None:
    op.create_table(
        "webhook_subscriptions",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", _json, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", _moment, nullable=False),
    )
    op.create_table(
        "webhook_messages",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", _moment, nullable=False),
    )
    op.create_index("ix_webhook_messages_created_at", "webhook_messages", ["created_at"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Text, _cascading("webhook_messages.message_id"), nullable=False),
        sa.Column(
            "subscription_id", sa.Text, _cascading("webhook_subscriptions.subscription_id"), nullable=False
        ),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _moment, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("leased_until", _moment),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("delivered_at", _moment),
        sa.UniqueConstraint(
            "message_id", "subscription_id", name="uq_webhook_deliveries_message_subscription"
        ),
    )
    op.create_index("ix_webhook_deliveries_due_at", "webhook_deliveries", ["state", "due_at"])
    op.create_index("ix_webhook_deliveries_subscription_id", "webhook_deliveries", ["subscription_id"])


def _cascading(column: str) -> sa.ForeignKey:
    return sa.ForeignKey(column, ondelete="CASCADE")


def downgrade() -> None:
    for name in (
        "webhook_deliveries",
        "webhook_messages",
        "webhook_subscriptions",
        "follow_up_trail",
        "follow_up_texts",
        "follow_up_events",
        "follow_ups",
        "source_versions",
    ):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION follow_up_events_refuse()")
