"""The store's tables of the service: jobs, annotations, who was erased, and answers kept for retries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from data.store_schema import Json, UtcDateTime, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("place", String(32), nullable=False),
    Column("file", Text),
    Column("spool", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("rows_done", BigInteger, nullable=False),
    Column("rows_total", BigInteger),
    Column("counts", Json, nullable=False),
    Column("problem", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("worker", String(64)),
    Column("lease_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_jobs_created", "created_at", "job_id"),
)

kept_annotations = Table(
    "annotations",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("annotator", Text, primary_key=True),  # "" where nobody is named
    Column("comment", Text, nullable=False),
    Column("taxonomy_version", Integer, nullable=False),
    Column("codes", Json, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# Who was erased, as keyed hashes: enough to refuse them when they come again.
tombstones = Table(
    "tombstones",
    metadata,
    Column("respondent_hash", String(64), primary_key=True),
    Column("key_name", String(16), nullable=False),
    Column("erased_at", UtcDateTime, nullable=False),
)

# What was answered to a request with an Idempotency-Key; without a status, it is being worked on.
kept_answers = Table(
    "kept_answers",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer),
    Column("headers", Json, nullable=False),
    Column("body", Text),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_kept_answers_expires", "expires_at"),
)
