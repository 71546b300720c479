"""What has changed between two listings of the responses of a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError
from data.row_digests import KINDS, listing_schema
from data.scratch_database import DatabaseLimits, cells_of, quoted, scratch_database

SHOWN = 5
"""Ids that are shown of each kind of change."""


@dataclass(frozen=True)
class ChangedRows:
    """How many responses changed in one way, and the ids of some of them."""

    count: int
    ids: tuple[str, ...]


def compare_listings(
    before: Path, after: Path, limits: DatabaseLimits | None = None
) -> Mapping[str, ChangedRows]:
    """Compare two listings, as `data.row_digests.RowDigester.write` and `data.tag_digests` write them.

    Parameters
    ----------
    before, after
        The files.
    limits
        What a database may take.

    Returns
    -------
    dict
        Of the kinds ``added``, ``removed``, ``text``, ``tags``, ``answer`` and ``model`` those that occur. A
        response that is there in both may have changed in several ways.

    Raises
    ------
    InputError
        If one is no such listing.
    """
    for path in (before, after):
        _check(path)
    changed = {kind: f"old.{kind} <> new.{kind}" for kind in KINDS}
    changed["model"] = "(old.model, old.taxonomy_version) IS DISTINCT FROM (new.model, new.taxonomy_version)"
    both = "old.response_id = new.response_id"
    conditions = {"added": "old.response_id IS NULL", "removed": "new.response_id IS NULL"}
    conditions |= {kind: f"{both} AND {condition}" for kind, condition in changed.items()}
    found = ", ".join(
        f"count(*) FILTER ({condition}), min(id, {SHOWN}) FILTER ({condition})"
        for condition in conditions.values()
    )
    pairs = f"read_parquet({quoted(before)}) AS old FULL JOIN read_parquet({quoted(after)}) AS new ON {both}"
    named = f"SELECT old, new, coalesce(old.response_id, new.response_id) AS id FROM {pairs}"
    with scratch_database(limits) as database:
        (row,) = cells_of(database, f"SELECT {found} FROM ({named})")
    parts = zip(conditions, row[::2], row[1::2], strict=True)
    return {kind: ChangedRows(int(count), tuple(ids)) for kind, count, ids in parts if count}


def _check(path: Path) -> None:
    try:
        fits = pq.read_schema(path).names == listing_schema().names
    except (OSError, pa.ArrowException):
        fits = False
    if not fits:
        raise InputError("the file is no listing of responses", file=path)
