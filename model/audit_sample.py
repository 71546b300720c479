"""Which responses an audit draws: at random, with a known probability above 0 for every one of the frame.

The frame holds the scored responses with a comment and a weight above 0. Those without a comment have no
codes to be wrong about: their loss is known to be ``no_comment``, so they count with their known
contribution and are never drawn. Rows without a score or of weight 0 count for nothing.

References
----------
Neyman, J. (1934). On the two different aspects of the representative method. JRSS 97(4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from model.group_sums import counts_by, sums_by
from model.mentions import ScoredResponses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Stratify = Literal["uniform", "score-and-code"]
STRATIFY: tuple[Stratify, ...] = ("uniform", "score-and-code")

POSITIVES = 15
"""Responses to draw among those that the model gives a code: some of them turn out to be wrong."""

FLOORS_SHARE = 0.5
"""The most of a sample that goes to rare codes; the rest looks for what the model misses."""

BEST_CLASS = 0.1
"""What a response of the best class counts for in the allocation: it loses nothing, wrong or right."""


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """A drawn sample.

    Attributes
    ----------
    rows
        Positions of the drawn responses, in random order, shape (a,).
    probability
        With which each was drawn: the drawn share of its stratum, shape (a,).
    stratum
        The number of its stratum, from 1 and in random order, so that it tells a reader nothing; shape (a,).
    """

    rows: Ints
    probability: Floats
    stratum: Ints


def auditable(responses: ScoredResponses) -> Bools:
    """Tell which responses an audit can draw, shape (n,): a comment, and a weight above 0."""
    return responses.commented & (responses.weight > 0)


def draw_audit(
    responses: ScoredResponses, size: int, *, stratify: Stratify = "score-and-code", seed: int = 0
) -> DrawnRows:
    """Draw responses for people to label, without replacement within each stratum.

    ``uniform`` is one stratum. ``score-and-code`` has one for each class of scores and predicted code
    (of several, the rarest); without a code is a stratum too. Each stratum gets at least one row. Up to
    half of the sample sees to it that rare codes get about `POSITIVES` rows each; the rest goes where
    much can be wrong, in proportion to the weighted loss of the stratum (Neyman 1934, with the standard
    deviation of a correction taken as proportional to the loss).

    Parameters
    ----------
    responses
        The scored responses.
    size
        How many to draw; all of the frame where it holds no more.
    stratify
        The strata.
    seed
        Same seed, same responses: same sample.

    Raises
    ------
    InputError
        If no response can be drawn, or the size is below the number of strata.
    """
    generator = np.random.default_rng(seed)
    frame = np.flatnonzero(auditable(responses))
    if not frame.size:
        raise InputError("no scored response has a comment, so there is nothing to audit")
    stratum, code = _strata(responses, frame, stratify)
    sizes = counts_by(stratum, int(stratum.max()) + 1)
    if size < sizes.size:
        raise InputError(
            f"--size {size} is below the number of strata, {sizes.size}; "
            f"take at least that many, or --stratify uniform"
        )
    mass = sums_by(stratum, _mass(responses)[frame], sizes.size)
    drawn = allocate(sizes, mass, _floors(sizes, code, mass, size), min(size, frame.size))
    order = generator.permutation(frame.size)
    place = _place_within(stratum[order], sizes.size)
    # The first of each stratum; mixed anew, or thinly drawn strata would come first.
    kept = generator.permutation(order[place < drawn[stratum[order]]])
    names = generator.permutation(sizes.size) + 1
    return DrawnRows(frame[kept], (drawn / sizes)[stratum[kept]], names[stratum[kept]])


def _strata(responses: ScoredResponses, frame: Ints, stratify: Stratify) -> tuple[Ints, Ints]:
    """Give each response's stratum, and each stratum's code: -1 where it has none or loses nothing."""
    if stratify == "uniform":
        return np.zeros(frame.size, dtype=np.int64), np.array([-1])
    k = len(responses.codes)
    often = counts_by(responses.mention_codes, k)
    rarest = np.full(responses.n, k, dtype=np.int64)
    # The last assignment wins: from the commonest mention to the rarest.
    order = np.argsort(-often[responses.mention_codes], kind="stable")
    rarest[responses.mention_rows[order]] = responses.mention_codes[order]
    keys, stratum = np.unique(
        responses.loss[frame].astype(np.int64) * (k + 1) + rarest[frame], return_inverse=True
    )
    code = np.where((keys % (k + 1) < k) & (keys // (k + 1) > 0), keys % (k + 1), -1)
    return stratum.astype(np.int64), code


def _mass(responses: ScoredResponses) -> Floats:
    """Give what an error in each response may weigh."""
    return responses.weight * np.where(responses.loss > 0, responses.loss, BEST_CLASS)


def _floors(sizes: Ints, code: Ints, mass: Floats, size: int) -> Floats:
    """Give the rows of each stratum that see to its code: together `POSITIVES` for each code."""
    floors = np.zeros(sizes.size)
    for name in np.unique(code[code >= 0]):
        own = code == name
        floors[own] = np.minimum(sizes[own], POSITIVES * mass[own] / mass[own].sum())
    scale: float = min(1.0, FLOORS_SHARE * size / max(1.0, float(floors.sum())))
    return floors * scale


def allocate(sizes: Ints, mass: Floats, floors: Floats, total: int) -> Ints:
    """Share out a sample among strata.

    Parameters
    ----------
    sizes, mass, floors
        Of each stratum: its responses, what it is worth, and the rows it gets beforehand; shape (h,).
    total
        The rows to share out, from h to ``sizes.sum()``.

    Returns
    -------
    ndarray of shape (h,)
        From 1 to the stratum's size each; they sum to `total`.
    """
    low, high, most = 0.0, 1.0, sizes.astype(np.float64)

    def shared(factor: float) -> Floats:
        return np.clip(floors + factor * mass, 1.0, most)

    while shared(high).sum() < total and high < 1e300:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if shared(middle).sum() < total else (low, middle)
    wanted = shared(high)
    given = np.clip(np.floor(wanted + 1e-9), 1, sizes).astype(np.int64)
    while given.sum() != total:  # what rounding leaves goes to the greatest remainders
        more = total > given.sum()
        open_ = (given < sizes) if more else (given > 1)
        gap = np.where(open_, wanted - given if more else given - wanted, -np.inf)
        given[int(np.argmax(gap))] += 1 if more else -1
    return given


def _place_within(group: Ints, groups: int) -> Ints:
    """Give the place of each member within its group, from 0; shape as `group`."""
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts_by(group, groups))[:-1]])
    place = np.empty(group.size, dtype=np.int64)
    place[order] = np.arange(group.size) - starts[group[order]]
    return place
