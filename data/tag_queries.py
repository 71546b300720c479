"""The few queries that a ranking needs of the answers in a tags file, which `data.tag_intake` has read.

The answers lie in one narrow table of a DuckDB database, their codes replaced by the number of their set.
DuckDB counts how often each set occurs, overall or by segment, and finds the people who answered more than
once. What does not fit into its memory goes to temporary files, so memory is bounded whatever the number
of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.code_sets import CodeSets
from data.row_digests import DigestKey, RowDigests
from data.scratch_database import CHUNK, Columns, Database, cells_of, repeats_of, rows_of
from data.tag_batches import TagColumns
from data.tag_digests import digest_columns

LOWEST, MIDDLE, BEST, UNSCORED = range(4)
"""The classes of answers."""

REPLACED = "replaced"
"""The table of rows that a later row with the same response id replaces."""

_ALL = (0, 2**31)
_SCORED = f"kind <> {UNSCORED}"


class TagQueries:
    """Queries on the answers of a tags file; `data.tag_intake.open_answers` makes it.

    The tables that queries give come in parts, each a dict of arrays. They share these columns:

    ``group``
        The position of the segment's value in `values`; 0 without a segment.
    ``kind``
        The class of the answer: `LOWEST`, `MIDDLE` or `BEST`.
    ``status``
        Position in `data.tags.STATUSES`.
    ``codes``
        The number of the set of codes that the response blames; 0 for none.

    Attributes
    ----------
    names
        The columns of the file.
    codes
        The codes by position.
    values
        The values of each segment by position; ``""`` is at 0.
    sets
        The sets of codes.
    """

    def __init__(self, database: Database, columns: TagColumns, sets: CodeSets, *, repeated: bool) -> None:
        self._database, self._columns, self._repeated = database, columns, repeated
        self.segments = columns.segments
        self.names = columns.names
        self.codes = tuple(columns.codes)
        self.values = {name: tuple(values) for name, values in columns.values.items()}
        self.sets = sets

    def patterns(self, segment: str | None = None, groups: tuple[int, int] = _ALL) -> Iterator[Columns]:
        """Count the scored answers of each pattern, in groups from the first up to the second of `groups`.

        Yields
        ------
        dict
            ``group``, ``kind``, ``status``, ``codes``; ``responses``, and those of weight above 0 in
            ``counted``; ``weight`` and ``squares``, the sums of their weights and of the squares.
        """
        return self._rows(
            f"SELECT {self._group(segment, groups)}, kind, status, codes, count(*) AS responses, "
            "count(*) FILTER (weight > 0) AS counted, sum(weight) AS weight, sum(weight * weight) AS squares "
            f"FROM answers WHERE {_SCORED} AND {self._within(segment, groups)} GROUP BY ALL ORDER BY ALL"
        )

    def praise(self, segment: str | None = None, groups: tuple[int, int] = _ALL) -> Iterator[Columns]:
        """Count the scored answers of weight above 0 by what they praise and do not blame.

        Yields
        ------
        dict
            ``group``; ``silent``, 1 where the response blames nothing; ``praised``, the number of the set
            of codes; ``responses``.
        """
        return self._rows(
            f"SELECT {self._group(segment, groups)}, (codes = 0)::UTINYINT AS silent, praised, "
            f"count(*) AS responses FROM answers WHERE praised <> 0 AND weight > 0 AND {_SCORED} "
            f"AND {self._within(segment, groups)} GROUP BY ALL ORDER BY ALL"
        )

    def repeated(self) -> Iterator[Columns]:
        """Give the scored answers of weight above 0 of everybody who gave more than one.

        Yields
        ------
        dict
            ``person``, ``kind``, ``status``, ``codes``, ``weight``, and for each segment its ``group``
            under the segment's name. All answers of a person follow one another.
        """
        names = {column_of(place): name for place, name in enumerate(self.segments)}
        held = ", ".join(["person", "kind", "status", "codes", "weight", *names])
        query = f"SELECT {held} FROM answers WHERE person IS NOT NULL AND weight > 0 AND {_SCORED}"
        for part in _gathered(repeats_of(self._rows(f"{query} ORDER BY person"), "person")):
            yield {names.get(name, name): cells for name, cells in part.items()}

    def unscored(self, segment: str | None = None) -> dict[int, int]:
        """Count the responses without a score by group."""
        return self._counts(
            f"SELECT {self._group(segment)}, count(*) FROM answers WHERE NOT {_SCORED} GROUP BY 1"
        )

    def group_sizes(self, segment: str, *, scored: bool = False) -> dict[int, int]:
        """Count the responses by group, all or only those with a score."""
        which = _SCORED if scored else "true"
        return self._counts(f"SELECT {self._group(segment)}, count(*) FROM answers WHERE {which} GROUP BY 1")

    def scored_sets(self) -> NDArray[np.int64]:
        """Give the numbers of the sets of codes that scored responses blame or praise."""
        either = (f"SELECT {name} AS number FROM answers WHERE {_SCORED}" for name in ("codes", "praised"))
        (found,) = cells_of(self._database, f"SELECT list(number) FROM ({' UNION '.join(either)})")
        return np.array(found[0] or [], dtype=np.int64)

    def digests(self, key: DigestKey, by: str | None = None, listing: Path | None = None) -> RowDigests:
        """Take the digests of the responses; the arguments are those of `data.tag_digests.digest_columns`."""
        without = f"ANTI JOIN {REPLACED} USING (position)" if self._repeated else ""
        return digest_columns(self._database, self._columns, key, by=by, without=without, listing=listing)

    def _counts(self, query: str) -> dict[int, int]:
        return {int(group): int(count) for group, count in cells_of(self._database, query)}

    def _group(self, segment: str | None, groups: tuple[int, int] = _ALL) -> str:
        if segment is None:
            return "0::INTEGER AS 'group'"
        return f"{column_of(self.segments.index(segment))}::INTEGER - {groups[0]} AS 'group'"

    def _within(self, segment: str | None, groups: tuple[int, int]) -> str:
        if segment is None or groups == _ALL:
            return "true"
        return f"{column_of(self.segments.index(segment))} BETWEEN {groups[0]} AND {groups[1] - 1}"

    def _rows(self, query: str) -> Iterator[Columns]:
        return rows_of(self._database, query)


def _gathered(parts: Iterator[Columns]) -> Iterator[Columns]:
    """Join small parts: each costs as much to begin as some ten thousand rows to add."""
    waiting: list[Columns] = []
    for part in parts:
        waiting.append(part)
        if sum(len(next(iter(each.values()))) for each in waiting) >= CHUNK:
            yield {name: np.concatenate([each[name] for each in waiting]) for name in part}
            waiting = []
    if waiting:
        yield {name: np.concatenate([each[name] for each in waiting]) for name in waiting[0]}


def column_of(segment: int) -> str:
    """Give the column of the segment at a position."""
    return f"s{segment}"
