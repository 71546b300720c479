"""Runs migrations on the connection that `data.store_engine.migrate` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

# Each adds its tables to the metadata.
from data import (  # noqa: F401
    follow_up_schema,
    key_schema,
    service_schema,
    source_notices,
    source_versions,
    webhook_schema,
)
from data.store_schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
