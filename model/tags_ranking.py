"""Ranks the root causes in a tags file: by columns where its format allows, else row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError
from data.row_digests import DigestKey, RowDigester, RowDigests
from data.scale import Scale
from data.scratch_database import DatabaseLimits
from data.tag_schema import UnfitColumnsError
from data.tags import TaggedResponse, read_tags
from model.audit_check import AuditCheck
from model.file_ranking import rank_file
from model.mentions import ScoredResponses
from model.periods import Span, with_periods
from model.provenance import Provenance, scored_with_origin
from model.ranking import Ranking
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import SegmentCells, cells_from_sums, segment_cells
from model.window import answered_within


@dataclass(frozen=True)
class RankingSettings:
    """What a ranking is asked for.

    Attributes
    ----------
    scale
        Of the scores.
    by
        The segment within whose values causes are ranked too.
    span
        Only responses of these days.
    codes
        Listed even where nobody mentions them.
    level, seed
        As `model.root_causes.rank_root_causes` takes them.
    """

    scale: Scale
    by: str | None = None
    span: Span | None = None
    codes: Sequence[str] | None = None
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class DigestsWanted:
    """Asks for digests of the responses: with which key, and where to list them, if anywhere."""

    key: DigestKey
    listing: Path | None = None


@dataclass(frozen=True, eq=False)
class RankedTags:
    """The ranking of a tags file.

    Attributes
    ----------
    overall, groups
        The ranking of all responses, and of each value of the segment.
    cells
        The causes in each value of the segment, shrunk; by the model's codes alone, whatever the audit.
        None without a segment.
    scored
        The responses; None where they were ranked by columns.
    provenance
        What tagged them, and when each was given; there where the responses were needed.
    digests
        None unless asked for.
    """

    overall: Ranking
    groups: Mapping[str, Ranking]
    cells: SegmentCells | None = None
    scored: ScoredResponses | None = None
    provenance: Provenance | None = None
    digests: RowDigests | None = None


def rank_tags(
    tags: Path,
    settings: RankingSettings,
    *,
    check: AuditCheck | None = None,
    rows_needed: bool = False,
    wanted: DigestsWanted | None = None,
    limits: DatabaseLimits | None = None,
) -> RankedTags:
    """Rank a tags file.

    Parameters
    ----------
    tags
        The file; Parquet is ranked by columns, in bounded memory.
    settings
        What is asked for.
    check
        Of an audit that corrects the ranking; it watches the rows pass.
    rows_needed
        Whether the result must hold the responses, and where they come from.
    wanted
        Asks for digests.
    limits
        What a database may take.

    Raises
    ------
    InputError
        If a row cannot be understood, none has a score, or there is no such segment.
    """
    found = None
    if check is None and not rows_needed and tags.suffix.lower() == ".parquet":
        found = _by_columns(tags, settings, wanted, limits)
    found = found or _by_rows(tags, settings, check, wanted, rows_needed)
    if not found.overall.n_scored:
        when = "" if settings.span is None else f" that was given within '{settings.span.name}'"
        raise InputError(f"no row{when} has a score, so there is nothing to rank", file=tags, column="score")
    return found


def _by_columns(
    tags: Path, settings: RankingSettings, wanted: DigestsWanted | None, limits: DatabaseLimits | None
) -> RankedTags | None:
    """Rank by columns; None where the file must be read row by row."""
    try:
        found = rank_file(
            tags,
            settings.scale,
            [settings.by] if settings.by else [],
            codes=settings.codes,
            span=settings.span,
            level=settings.level,
            seed=settings.seed,
            key=None if wanted is None else wanted.key,
            listing=None if wanted is None else wanted.listing,
            limits=limits,
        )
    except UnfitColumnsError:
        return None
    if not settings.by:
        return RankedTags(found.overall, {}, digests=found.digests)
    parts = found.parts[settings.by]
    cells = cells_from_sums(settings.by, settings.scale, found.sums, parts, level=settings.level)
    return RankedTags(found.overall, found.groups[settings.by], cells, digests=found.digests)


def _by_rows(
    tags: Path,
    settings: RankingSettings,
    check: AuditCheck | None,
    wanted: DigestsWanted | None,
    rows_needed: bool,
) -> RankedTags:
    digester = None if wanted is None else RowDigester(wanted.key, settings.by)
    rows: Iterable[TaggedResponse] = answered_within(read_tags(tags, scale=settings.scale), settings.span)
    rows = with_periods(rows if check is None else check.watch(rows))
    rows, provenance = rows if digester is None else digester.watch(rows), None
    if rows_needed:
        scored, provenance = scored_with_origin(rows, settings.scale, file=tags)
    else:
        scored = ScoredResponses.from_tagged(rows, settings.scale, file=tags)
    audit = None if check is None else check.result()
    overall = rank_root_causes(
        scored, codes=settings.codes, audit=audit, level=settings.level, seed=settings.seed
    )
    groups: dict[str, Ranking] = {}
    cells = None
    if settings.by and scored.n:
        cells = segment_cells(scored, settings.by, level=settings.level)
        groups = rank_by_segment(
            scored,
            settings.by,
            codes=settings.codes,
            audit=audit,
            level=settings.level,
            seed=settings.seed,
        )
    if digester is not None and wanted is not None and wanted.listing is not None and scored.n:
        digester.write(wanted.listing)
    digests = None if digester is None else digester.result()
    return RankedTags(overall, groups, cells, scored, provenance, digests)
