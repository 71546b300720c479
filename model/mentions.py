"""Scored responses and the reason codes they mention, as arrays: what a ranking is computed from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError
from data.scale import Scale
from data.tags import TaggedResponse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pairs = tuple[ArrayLike, ArrayLike]

_NOTHING: frozenset[str] = frozenset()  # one for all rows

LIKELY = 0.5
"""The calibrated probability from which on a tag is likelier right than wrong."""

MAX_SEGMENT_VALUES = 1000
"""A column with more values is an id or a free text, not a segment."""


@dataclass(frozen=True, eq=False)
class ScoredResponses:
    """Every scored response, promoters and those without a comment included, and its mentions.

    A mention is a code of non-positive polarity, once per response: a praised code is not a cause,
    and a code that a comment both blames and praises is one.

    Attributes
    ----------
    scale
        The declared scale.
    score, loss, weight
        Shape (n,) each; `loss` as `Scale.loss` gives it, weights at least 0.
    respondent
        Integer ids of the people who answered, shape (n,); a response without a respondent id has its own.
    commented, tagged, error
        Shape (n,), bool: whether there is a comment; whether the model found any code in it, of any
        polarity; whether reading it failed (then it is commented, and nobody knows its codes).
    codes
        The ids of the codes that mentions and praise point to, sorted.
    mention_rows, mention_codes
        Distinct pairs of positions in the responses and in `codes`, shape (m,) each, sorted by row.
    doubtful
        Which mentions the model holds for likelier wrong than right (no tag behind them reaches the
        probability `LIKELY`), shape (m,).
    praise_rows, praise_codes
        The same for codes that a comment only praises; for display counts, never for causes.
    segments
        Name to values, shape (n,) of str; ``""`` where a response has none.
    response_ids
        Shape (n,) of str.
    unscored
        Responses without a score: tagged, left out of every array, counted here.
    unscored_by
        The same by segment and value.
    """

    scale: Scale
    score: Floats
    loss: Floats
    weight: Floats
    respondent: Ints
    commented: Bools
    tagged: Bools
    error: Bools
    codes: tuple[str, ...]
    mention_rows: Ints
    mention_codes: Ints
    doubtful: Bools
    praise_rows: Ints
    praise_codes: Ints
    segments: Mapping[str, NDArray[np.object_]]
    response_ids: NDArray[np.object_]
    unscored: int
    unscored_by: Mapping[str, Mapping[str, int]]

    @property
    def n(self) -> int:
        """Scored responses."""
        return int(self.score.size)

    @property
    def errors(self) -> int:
        """Scored responses whose comment could not be read."""
        return int(self.error.sum())

    @classmethod
    def from_arrays(
        cls,
        scale: Scale,
        score: ArrayLike,
        codes: Sequence[str] = (),
        mentions: Pairs = ((), ()),
        *,
        praise: Pairs = ((), ()),
        doubtful: Pairs = ((), ()),
        weight: ArrayLike | None = None,
        respondent: ArrayLike | None = None,
        commented: ArrayLike | None = None,
        tagged: ArrayLike | None = None,
        error: ArrayLike | None = None,
        segments: Mapping[str, ArrayLike] | None = None,
        response_ids: ArrayLike | None = None,
        unscored: int = 0,
        unscored_by: Mapping[str, Mapping[str, int]] | None = None,
        rows: ArrayLike | None = None,
    ) -> ScoredResponses:
        """Build the responses from plain arrays, checked; the attributes say what each holds.

        Parameters
        ----------
        scale, score, codes
            As the attributes; `codes` in any order, each once.
        mentions, praise
            Pairs of (row positions, code positions), shape (m,) each; repeated pairs count once, and
            a code both mentioned and praised by one response is a mention.
        doubtful
            The pairs among the mentions that are doubtful; by default none.
        weight, respondent, error, segments, response_ids, unscored, unscored_by
            As the attributes; by default 1, one respondent per response, False and none.
        commented, tagged
            By default, and in any case, True where there is a mention or praise.
        rows
            The row of each response in its file, for error messages; by default counted from 2, as a
            spreadsheet with a header does.

        Raises
        ------
        InputError
            If a score lies outside the scale, or a weight is negative or not finite; names the row.
        """
        scores = np.asarray(score, dtype=np.float64)
        n = scores.size
        weights = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
        numbers = np.arange(n) + 2 if rows is None else np.asarray(rows)
        _check(scale, scores, weights, numbers)
        order = sorted(range(len(codes)), key=lambda position: codes[position])
        place = np.empty(len(codes), dtype=np.int64)
        place[order] = np.arange(len(codes))
        caused = _distinct(mentions, place)
        praised = np.setdiff1d(_distinct(praise, place), caused)
        width = max(1, len(codes))
        coded: Bools = np.zeros(n, dtype=np.bool_)
        coded[caused // width] = True
        coded[praised // width] = True
        failed = _flags(error, n)
        return cls(
            scale=scale,
            score=scores,
            loss=scale.loss(scores),
            weight=weights,
            respondent=np.arange(n) if respondent is None else np.asarray(respondent, dtype=np.int64),
            commented=_flags(commented, n) | coded | failed,
            tagged=_flags(tagged, n) | coded,
            error=failed,
            codes=tuple(codes[position] for position in order),
            mention_rows=caused // width,
            mention_codes=caused % width,
            doubtful=np.isin(caused, _distinct(doubtful, place)),
            praise_rows=praised // width,
            praise_codes=praised % width,
            segments={name: np.asarray(values, dtype=object) for name, values in (segments or {}).items()},
            response_ids=np.asarray(
                [f"row-{number}" for number in numbers] if response_ids is None else response_ids,
                dtype=object,
            ),
            unscored=unscored,
            unscored_by=unscored_by or {},
        )

    @classmethod
    def from_tagged(
        cls,
        tagged: Iterable[TaggedResponse],
        scale: Scale,
        *,
        file: str | Path | None = None,
        first_row: int = 2,
    ) -> ScoredResponses:
        """Build the responses from tagged ones, which may be a stream; no comment is kept.

        The latest row of a response id wins. Rows of status ``error`` have a comment that nobody read.

        Parameters
        ----------
        tagged
            In the order of their file.
        scale
            The declared scale.
        file, first_row
            Where they come from, for error messages: the name, and the number of the first row.

        Raises
        ------
        InputError
            If a score lies outside the scale, or a weight is negative or not finite; names the row.
        """
        latest: dict[str, _Row] = {}
        for number, row in enumerate(tagged, start=first_row):
            latest[row.response.response_id] = _Row.of(number, row)
        names = sorted({name for row in latest.values() for name in row.segments})
        scored = [row for row in latest.values() if row.score is not None]
        left_out = [row for row in latest.values() if row.score is None]
        codes = sorted({code for row in scored for code in (*row.causes, *row.praise)})
        place = {code: position for position, code in enumerate(codes)}
        try:
            return cls.from_arrays(
                scale,
                np.array([row.score for row in scored], dtype=np.float64),
                codes,
                _pairs([row.causes for row in scored], place),
                praise=_pairs([row.praise for row in scored], place),
                doubtful=_pairs([row.doubtful for row in scored], place),
                weight=[row.weight for row in scored],
                respondent=_person_ids([row.respondent_id for row in scored]),
                commented=[row.status != "no_comment" for row in scored],
                tagged=[row.status == "tagged" for row in scored],
                error=[row.status == "error" for row in scored],
                segments={
                    name: np.array([row.segments.get(name, "") for row in scored], dtype=object)
                    for name in names
                },
                response_ids=np.array([row.response_id for row in scored], dtype=object),
                unscored=len(left_out),
                unscored_by={
                    name: dict(Counter(row.segments.get(name, "") for row in left_out)) for name in names
                },
                rows=[row.number for row in scored],
            )
        except InputError as error:
            raise InputError(error.message, file=file, row=error.row, column=error.column) from None

    def subset(self, mask: ArrayLike, *, unscored: int = 0) -> ScoredResponses:
        """Give some of the responses; codes keep their positions.

        Parameters
        ----------
        mask
            Shape (n,), bool.
        unscored
            The responses without a score that belong to the subset.
        """
        kept: Bools = np.asarray(mask, dtype=np.bool_)
        place = np.cumsum(kept) - 1
        mentioned, praised = kept[self.mention_rows], kept[self.praise_rows]
        return ScoredResponses(
            scale=self.scale,
            score=self.score[kept],
            loss=self.loss[kept],
            weight=self.weight[kept],
            respondent=self.respondent[kept],
            commented=self.commented[kept],
            tagged=self.tagged[kept],
            error=self.error[kept],
            codes=self.codes,
            mention_rows=place[self.mention_rows[mentioned]],
            mention_codes=self.mention_codes[mentioned],
            doubtful=self.doubtful[mentioned],
            praise_rows=place[self.praise_rows[praised]],
            praise_codes=self.praise_codes[praised],
            segments={name: values[kept] for name, values in self.segments.items()},
            response_ids=self.response_ids[kept],
            unscored=unscored,
            unscored_by={},
        )

    def likely(self) -> ScoredResponses:
        """Give the same responses without their doubtful mentions, as a stricter reader would tag them."""
        kept = ~self.doubtful
        return self.with_mentions(self.codes, self.mention_rows[kept], self.mention_codes[kept])

    def with_mentions(self, codes: tuple[str, ...], rows: Ints, positions: Ints) -> ScoredResponses:
        """Give the same responses with other mentions (`positions` in `codes`), none of them doubtful."""
        order = np.argsort(rows, kind="stable")
        sure = np.zeros(rows.size, dtype=np.bool_)
        return replace(
            self, codes=codes, mention_rows=rows[order], mention_codes=positions[order], doubtful=sure
        )

    def by_segment(self, name: str) -> dict[str, ScoredResponses]:
        """Split the responses by a segment's values, sorted; ``""`` holds those without a value.

        Raises
        ------
        InputError
            If there is no such segment, or it has more values than `MAX_SEGMENT_VALUES`.
        """
        if name not in self.segments:
            known = ", ".join(f"'{known}'" for known in self.segments) or "none"
            raise InputError(f"there is no segment '{name}'; the segments are: {known}")
        position: dict[str, int] = {}
        ids = np.array(
            [position.setdefault(value, len(position)) for value in self.segments[name]], dtype=np.int64
        )
        if len(position) > MAX_SEGMENT_VALUES:
            raise InputError(
                f"'{name}' has {len(position)} values; a segment has at most {MAX_SEGMENT_VALUES}"
            )
        unscored = self.unscored_by.get(name, {})
        return {
            value: self.subset(ids == position[value], unscored=unscored.get(value, 0))
            for value in sorted(position)
        }


@dataclass(frozen=True, slots=True)
class _Row:
    """What a ranking needs of a tagged response; not its comment."""

    number: int
    response_id: str
    score: float | None
    weight: float
    respondent_id: str | None
    status: str
    causes: frozenset[str]
    doubtful: frozenset[str]
    praise: frozenset[str]
    segments: Mapping[str, str]

    @classmethod
    def of(cls, number: int, row: TaggedResponse) -> _Row:
        response = row.response
        score = response.score
        tags = () if row.status == "error" else row.tags
        blamed = [tag for tag in tags if tag.polarity != "positive"]
        causes = frozenset(tag.code for tag in blamed)
        return cls(
            number=number,
            response_id=response.response_id,
            score=None if score is None or math.isnan(score) else float(score),
            weight=float(response.weight),
            respondent_id=response.respondent_id or None,
            status=row.status,
            causes=causes,
            doubtful=(causes - {tag.code for tag in blamed if tag.probability >= LIKELY}) or _NOTHING,
            praise=frozenset(tag.code for tag in tags) - causes,
            segments=response.segments,
        )


def _check(scale: Scale, score: Floats, weight: Floats, rows: NDArray[Any]) -> None:
    """Raise `InputError` at the first score or weight that cannot be."""
    outside = np.flatnonzero(~((score >= scale.low) & (score <= scale.high)))
    if outside.size:
        row = int(rows[outside[0]])
        raise InputError(
            f"{score[outside[0]]:g} is outside the {scale.metric} scale {scale.low}-{scale.high}",
            row=row,
            column="score",
        )
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if wrong.size:
        row = int(rows[wrong[0]])
        raise InputError(
            f"the weight {weight[wrong[0]]:g} is not a number from 0 up", row=row, column="weight"
        )


def _flags(values: ArrayLike | None, n: int) -> Bools:
    return np.zeros(n, dtype=np.bool_) if values is None else np.asarray(values, dtype=np.bool_)


def _distinct(pairs: Pairs, place: Ints) -> Ints:
    """Give each pair once, as ``row * number of codes + position of the code``, sorted."""
    rows, codes = (np.asarray(part, dtype=np.int64) for part in pairs)
    return np.unique(rows * max(1, place.size) + place[codes])


def _pairs(found: Sequence[frozenset[str]], place: Mapping[str, int]) -> tuple[Ints, Ints]:
    """Give (row, code) pairs from each row's set of codes."""
    rows = np.repeat(np.arange(len(found)), [len(codes) for codes in found])
    return rows, np.array([place[code] for codes in found for code in codes], dtype=np.int64)


def _person_ids(respondent_ids: Sequence[str | None]) -> Ints:
    """Give each respondent a number; a row without an id is a person of its own."""
    numbers: dict[str, int] = {}
    ids = [
        len(respondent_ids) + position if name is None else numbers.setdefault(name, len(numbers))
        for position, name in enumerate(respondent_ids)
    ]
    return np.array(ids, dtype=np.int64)
