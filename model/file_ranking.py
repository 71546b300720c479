"""Ranks the root causes in a Parquet tags file of any size: overall, and by any of its segments in one go.

The figures are those of `model.root_causes`. They come from sums alone: the file is read once into a
database on disk (`data.tag_queries`), which counts patterns (`model.pattern_sums`) and finds the people who
answered more than once (`model.repeated_answers`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.row_digests import DigestKey, RowDigests
from data.scale import Scale
from data.scratch_database import DatabaseLimits
from data.tag_intake import open_answers
from data.tag_queries import TagQueries
from data.tags import COLUMNS
from model.cause_sums import CauseSums
from model.hierarchy import Hierarchy
from model.mentions import MAX_SEGMENT_VALUES
from model.pattern_sums import GroupedSums, SetShares
from model.periods import MONTH, WEEK, Span, month_of, week_of
from model.ranking import Ranking
from model.repeated_answers import RepeatedAnswers
from model.root_causes import rank_from_sums

PERIODS = {WEEK: week_of, MONTH: month_of}

MOST_CELLS = 8_000_000
"""Groups times squared columns that are added up at a time: 64 MB of products."""


@dataclass(frozen=True)
class FileRanking:
    """Rankings of a tags file.

    Attributes
    ----------
    overall
        Of all responses.
    groups
        By segment: from the segment's value to its ranking, sorted, as `rank_by_segment` gives them.
    sums, parts
        The sums that these come from: of all responses, and by segment and value.
    digests
        Of the responses; None unless asked for.
    """

    overall: Ranking
    groups: Mapping[str, Mapping[str, Ranking]]
    sums: CauseSums
    parts: Mapping[str, Mapping[str, CauseSums]]
    digests: RowDigests | None = None


def rank_file(
    path: Path,
    scale: Scale,
    by: Sequence[str] = (),
    *,
    codes: Sequence[str] | None = None,
    span: Span | None = None,
    level: float = 0.95,
    seed: int = 0,
    key: DigestKey | None = None,
    listing: Path | None = None,
    limits: DatabaseLimits | None = None,
) -> FileRanking:
    """Rank the root causes in a Parquet tags file.

    Parameters
    ----------
    path
        As `data.tags.write_tags` writes it.
    scale
        The declared scale.
    by
        Segments: within each value of each of them the causes are ranked too.
    codes, level, seed
        As `model.root_causes.rank_root_causes` takes them.
    span
        Only responses of these days, as `model.window.answered_within` gives them.
    key, listing
        With a key, the digests of the responses are taken too, and listed in a file where one is named;
        they hold the value of the first segment.
    limits
        What the database may take.

    Raises
    ------
    UnfitColumnsError
        If the file must be read row by row, by `data.tags.read_tags`.
    InputError
        If a row cannot be understood, there is no such segment, or it has too many values to be one.
    """
    overall: CauseSums | None = None
    days = None if span is None else (span.first, span.last)
    parts: dict[str, dict[str, CauseSums]] = {name: {} for name in dict.fromkeys(by)}
    with open_answers(path, scale, tuple(parts), periods=PERIODS, days=days, limits=limits) as answers:
        _check_segments(answers)
        threads = None if limits is None else limits.threads
        for segment, value, sums in _all_sums(answers, scale, codes or (), threads):
            if segment is None:
                overall = sums
            else:
                parts[segment][value] = sums
        digests = None if key is None else answers.digests(key, next(iter(parts), None), listing)
    assert overall is not None
    ranking = rank_from_sums(overall, scale, level=level, seed=seed)
    counts = overall.counts
    # Whether promoters were tagged is told from all responses, as `rank_by_segment` does.
    read = counts.promoters_tagged > 0 or counts.promoters_commented == 0
    groups = {
        name: {
            value: rank_from_sums(sums, scale, promoters_tagged=read, level=level, seed=seed)
            for value, sums in sorted(part.items())
        }
        for name, part in parts.items()
    }
    return FileRanking(ranking, groups, overall, parts, digests)


def _check_segments(answers: TagQueries) -> None:
    """Raise `InputError` unless each segment is one, in the words of `ScoredResponses.by_segment`."""
    for name in answers.segments:
        sizes = answers.group_sizes(name)
        if not any(sizes.get(place) for place, value in enumerate(answers.values[name]) if value):
            periods = PERIODS if "responded_at" in answers.names else ()
            others = sorted({*answers.names, *periods} - {*COLUMNS, name})
            known = ", ".join(f"'{other}'" for other in others) or "none"
            raise InputError(f"there is no segment '{name}'; the segments are: {known}")
        scored = answers.group_sizes(name, scored=True)
        if len(scored) > MAX_SEGMENT_VALUES:
            raise InputError(f"'{name}' has {len(scored)} values; a segment has at most {MAX_SEGMENT_VALUES}")


@dataclass(frozen=True)
class _Slice:
    """Some groups of a segment: `groups` of them, from `first` on; of no segment, the one of all."""

    segment: str | None
    first: int
    groups: int


def _all_sums(
    answers: TagQueries, scale: Scale, codes: Sequence[str], threads: int | None
) -> Iterator[tuple[str | None, str, CauseSums]]:
    """Give the sums overall and of each value of each segment that a scored response has."""
    shares = _shares(answers, codes)
    for together in _rounds(answers, max(1, MOST_CELLS // shares.columns**2)):
        for part, sums in _added(answers, together, scale, shares, threads):
            unscored = answers.unscored(part.segment)
            for group in range(part.groups):
                place = part.first + group
                if part.segment is None:
                    yield None, "", sums.of(group, unscored.get(place, 0))
                elif sums.held(group):
                    value = answers.values[part.segment][place]
                    yield part.segment, value, sums.of(group, unscored.get(place, 0))


def _added(
    answers: TagQueries, together: Sequence[_Slice], scale: Scale, shares: SetShares, threads: int | None
) -> list[tuple[_Slice, GroupedSums]]:
    """Add up some groups, going once through the people who answered more than once."""
    found = [(part, GroupedSums(scale, shares, part.groups)) for part in together]
    for part, sums in found:
        span = (part.first, part.first + part.groups)
        for table in answers.patterns(part.segment, span):
            sums.add_patterns(table)
        for table in answers.praise(part.segment, span):
            sums.add_praise(table)
    repeated = [RepeatedAnswers(sums, part.segment, part.first) for part, sums in found]
    with ThreadPoolExecutor(threads) as pool:  # numpy and scipy let threads run beside each other
        for table in answers.repeated():
            list(pool.map(RepeatedAnswers.add, repeated, itertools.repeat(table)))
        list(pool.map(RepeatedAnswers.finish, repeated))
    return found


def _rounds(answers: TagQueries, most: int) -> Iterator[list[_Slice]]:
    """Split all groups into parts of at most `most` groups each."""
    together, room = [_Slice(None, 0, 1)], most - 1
    for name in answers.segments:
        first, size = 0, len(answers.values[name])
        while first < size:
            if room <= 0:
                yield together
                together, room = [], most
            taken = min(size - first, room)
            together.append(_Slice(name, first, taken))
            first, room = first + taken, room - taken
    yield together


def _shares(answers: TagQueries, codes: Sequence[str]) -> SetShares:
    """Give the columns of each set of codes; codes of responses without a score are no columns."""
    sets, members = answers.sets.members()
    scored = np.isin(sets, answers.scored_sets())
    named = np.array(answers.codes, dtype=object)[np.unique(members[scored])]
    hierarchy = Hierarchy.of([*named.tolist(), *codes])
    place = {code: position for position, code in enumerate(hierarchy.codes)}
    positions = np.array([place.get(code, -1) for code in answers.codes], dtype=np.int64)
    return SetShares.of(hierarchy, sets[scored], positions[members[scored]], len(answers.sets))
