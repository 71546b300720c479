"""On PostgreSQL the trail of follow-ups cannot be emptied at once either: TRUNCATE passes row triggers by."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER follow_up_events_kept BEFORE TRUNCATE ON follow_up_events "
            "FOR EACH STATEMENT EXECUTE FUNCTION follow_up_events_refuse()"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER follow_up_events_kept ON follow_up_events")
