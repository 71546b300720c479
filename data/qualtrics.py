"""Qualtrics' files: three header rows (names, questions, import ids), and previews among the answers.

References
----------
Qualtrics, Understanding Your Dataset. https://www.qualtrics.com/support
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from data.cells import tidy_name

PREVIEW = "survey preview"
"""Why a row was left out."""

_PREVIEW_STATUSES = {"survey preview", "survey test", "1", "2"}
_PREVIEW_CHANNELS = {"preview", "test"}
# Who answered, in the plain: none of it becomes a segment unless somebody maps it.
_PERSONAL = frozenset(
    "IPAddress RecipientLastName RecipientFirstName RecipientEmail LocationLatitude LocationLongitude".split()
)


@dataclass(frozen=True)
class QualtricsHeader:
    """What the second and the third header row say of the columns.

    Attributes
    ----------
    aliases
        The other names of a column: its question's text and its import id, each where only one has it.
    zones
        The time zone of a column's times.
    """

    aliases: Mapping[str, str]
    zones: Mapping[str, ZoneInfo]

    def column(self, name: str) -> str:
        """Give the column that a name or one of its other names means; the name itself where none."""
        return self.aliases.get(tidy_name(name), name)

    def is_preview(self, cells: Mapping[str, Any]) -> bool:
        """Tell whether a row was made while somebody looked at the survey before it went out."""
        status, channel = (
            str(cells.get(name) or "").strip().casefold() for name in ("Status", "DistributionChannel")
        )
        return status in _PREVIEW_STATUSES or channel in _PREVIEW_CHANNELS

    def without_personal(self, cells: Mapping[str, Any], mapped: Sequence[str]) -> dict[str, Any]:
        """Give a row without the columns that say who answered, but for those that are mapped."""
        return {name: cell for name, cell in cells.items() if name not in _PERSONAL or name in mapped}

    def in_zone(self, column: str | None, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Give a row whose time in a column has its offset: the file says of which zone its times are."""
        zone, cell = self.zones.get(column or ""), cells.get(column or "")
        try:
            moment = datetime.fromisoformat(str(cell).strip())
        except ValueError:
            return dict(cells)
        if zone is None or column is None or moment.tzinfo is not None:
            return dict(cells)
        return {**cells, column: moment.replace(tzinfo=zone).isoformat()}


def qualtrics_header(
    names: Sequence[str], questions: Sequence[str], ids: Sequence[str]
) -> QualtricsHeader | None:
    """Read the three header rows; None where the third holds anything but import ids.

    Parameters
    ----------
    names, questions, ids
        The first three rows of a file.
    """
    read = [_import_id(cell) for cell in ids if cell.strip()]
    if not read or len(read) != len([name for name in names if name]) or None in read:
        return None
    aliases: dict[str, list[str]] = {}
    zones: dict[str, ZoneInfo] = {}
    for name, question, cell in zip(names, questions, ids, strict=False):
        found = _import_id(cell)
        if found is None or not name:
            continue
        for alias in {tidy_name(question), found["ImportId"]} - {"", name}:
            aliases.setdefault(alias, []).append(name)
        zone = _zone(found.get("timeZone"))
        if zone is not None:
            zones[name] = zone
    own = {
        alias: columns[0] for alias, columns in aliases.items() if len(columns) == 1 and alias not in names
    }
    return QualtricsHeader(own, zones)


def _import_id(cell: str) -> dict[str, Any] | None:
    if not cell.lstrip().startswith("{") or len(cell) > 10_000:
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("ImportId"), str) else None


def _zone(name: Any) -> ZoneInfo | None:
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo("UTC" if name in ("Z", "GMT", "UTC") else name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
