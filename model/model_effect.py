"""What another model makes of the same comments, told from responses that both have tagged.

The points lost to a cause move only where a comment with a loss is tagged otherwise. So the effect is
estimated within each class of loss: the class's comments as a share of the group, times the mean difference
in the overlap.

References
----------
Cochran, W. (1977). Sampling Techniques, 3rd ed. Wiley. Chapters 5A (post-stratification) and 7 (difference
estimators).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, hstack
from scipy.special import stdtrit

from model.comparison import Comparison
from model.hierarchy import Hierarchy
from model.loss_shares import BUCKETS
from model.mentions import ScoredResponses
from model.person_sums import PersonSums
from model.points_lost import rule_of_three
from model.provenance import Provenance, Version

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST_IN_CLASS = 10
"""People of a class in the overlap below whom the classes are taken together."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """The part of a group that both models tagged.

    Attributes
    ----------
    side
        The group, 0 or 1.
    held
        Which of the comparison's m responses lie in it, shape (m,).
    stratum
        The class of loss of the group's comments with a loss, shape (m,); -1 elsewhere, where every model
        makes the same contributions.
    difference
        What the later model makes of each contribution less what the earlier one does, shape (m, k).
    """

    side: int
    held: Bools
    stratum: Ints
    difference: csr_array

    def people(self, comparison: Comparison) -> int:
        """Count the distinct people with a comment and a loss whom both models tagged."""
        return int(np.unique(comparison.person[self.held & (self.stratum >= 0)]).size)

    def pooled(self, comparison: Comparison) -> Overlap:
        """Take the classes together where one of them has fewer than `FEWEST_IN_CLASS` people."""
        for stratum in range(int(self.stratum.max()) + 1):
            people = comparison.person[self.held & (self.stratum == stratum)]
            if np.unique(people).size < FEWEST_IN_CLASS:
                return replace(self, stratum=np.minimum(self.stratum, 0))
        return self


def find_overlaps(
    comparison: Comparison,
    hierarchy: Hierarchy,
    versions: tuple[Version, Version],
    tagged: ScoredResponses,
    provenance: Provenance,
) -> list[Overlap]:
    """Find, for each group, the responses that the other group's version has tagged.

    Parameters
    ----------
    comparison
        The two groups.
    hierarchy
        Holds the codes of both versions.
    versions
        What tagged either group.
    tagged, provenance
        Responses as the other version tags them, found by their ids; others are left out.
    """
    responses = comparison.responses
    place = {name: position for position, name in enumerate(tagged.response_ids)}
    other = np.array([place.get(name, -1) for name in responses.response_ids[comparison.kept]])
    version = np.where(other >= 0, provenance.version[other], -1)
    own = comparison.contributions(hierarchy)
    lossy = (comparison.loss > 0) & responses.commented[comparison.kept]
    stratum = np.full(comparison.kept.size, -1, dtype=np.int64)
    stratum[lossy] = np.unique(comparison.loss[lossy], return_inverse=True)[1]
    found = []
    for side in (0, 1):
        wanted = [at for at, known in enumerate(provenance.versions) if known == versions[1 - side]]
        held = (comparison.side == side) & np.isin(version, wanted)
        theirs = comparison.contributions(hierarchy, _as_tagged(comparison, tagged, other, held))
        difference = (theirs - own) if side == 0 else (own - theirs)
        difference = csr_array(diags_array(held.astype(np.float64)) @ difference)
        found.append(Overlap(side, held, np.where(comparison.side == side, stratum, -1), difference))
    return found


def _as_tagged(comparison: Comparison, tagged: ScoredResponses, other: Ints, held: Bools) -> ScoredResponses:
    """Give the comparison's responses with the mentions of the overlap, and none elsewhere."""
    row = np.full(tagged.n, -1, dtype=np.int64)
    row[other[held]] = comparison.kept[held]
    known = row[tagged.mention_rows] >= 0
    rows, codes = row[tagged.mention_rows[known]], tagged.mention_codes[known]
    return comparison.responses.with_mentions(tagged.codes, rows, codes)


@dataclass(frozen=True, eq=False)
class ModelEffect:
    """A change, and what of it is the model's, of k columns; in points, shape (k,) each.

    Attributes
    ----------
    change, effect
        The whole change, and the model's effect, averaged over the overlaps.
    effect_error, effect_reach, customer_error, customer_reach
        Standard errors, and half the widths of the intervals, of the effect and of the change less the
        effect: linearised jointly, clustered by respondent.
    degrees
        Of freedom, of Student's t.
    """

    change: Floats
    effect: Floats
    effect_error: Floats
    effect_reach: Floats
    customer_error: Floats
    customer_reach: Floats
    degrees: float

    @classmethod
    def of(
        cls, comparison: Comparison, hierarchy: Hierarchy, overlaps: Sequence[Overlap], level: float
    ) -> ModelEffect:
        """Estimate the effect on the columns of `column_names` from one overlap or both."""
        sums, people, strata = _sums(comparison, comparison.contributions(hierarchy), overlaps)
        k = (sums.totals.size - 2 - 2 * len(strata)) // (2 + len(strata))
        change, d_change = _change(sums.totals, k)
        effect, d_effect = _effect(sums.totals, k, strata, len(overlaps))
        covariance = sums.covariance(np.concatenate([d_effect, d_change - d_effect]), people)
        errors = np.sqrt(np.diag(covariance))
        degrees = max(1.0, _least_behind(sums, k, len(strata)) - 1.0)
        t = float(stdtrit(degrees, 0.5 + level / 2))
        # A cause on which the overlap shows no difference may still have one elsewhere; what was left without
        # a comment cannot.
        unseen = np.where(errors[:k] > 0, 0.0, _unseen(comparison, overlaps, level))
        unseen[len(hierarchy.codes) + BUCKETS.index("no_comment")] = 0.0
        return cls(
            change=change,
            effect=effect,
            effect_error=errors[:k],
            effect_reach=np.hypot(t * errors[:k], unseen),
            customer_error=np.hypot(errors[k:], unseen / t),
            customer_reach=np.hypot(t * errors[k:], unseen),
            degrees=degrees,
        )


def _sums(
    comparison: Comparison, own: csr_array, overlaps: Sequence[Overlap]
) -> tuple[PersonSums, Ints, list[int]]:
    """Sum what the change and the effect are computed from.

    Returns
    -------
    tuple
        The sums: (weight, k values) of each group; then, of each class of each overlap, (the weight of the
        group's comments, that of the overlap's, k differences). The people behind each sum. The group of
        each class.
    """
    k, weight = own.shape[1], comparison.weight
    blocks, people, strata = [], [], []
    for side in (0, 1):
        inside = np.where(comparison.side == side, weight, 0.0)
        blocks += [csr_array(inside[:, None]), diags_array(inside) @ own]
        people += [int(comparison.people[side])] * (1 + k)
    for part in overlaps:
        for stratum in range(int(part.stratum.max()) + 1):
            whole = np.where(part.stratum == stratum, weight, 0.0)
            seen = whole * part.held
            blocks += [
                csr_array(whole[:, None]),
                csr_array(seen[:, None]),
                diags_array(seen) @ part.difference,
            ]
            behind = int(np.unique(comparison.person[seen > 0]).size)
            people += [int(comparison.people[part.side]), *[behind] * (1 + k)]
            strata.append(part.side)
    sums = PersonSums.of(comparison.person, csr_array(hstack(blocks, format="csr")))
    return sums, np.array(people, dtype=np.int64), strata


def _least_behind(sums: PersonSums, k: int, strata: int) -> float:
    """Give the least number of equally weighted people (Kish) behind a group, or a class of an overlap."""
    seen = [2 * (1 + k) + number * (2 + k) + 1 for number in range(strata)]
    weight = [0, 1 + k, *seen]
    return float((sums.totals[weight] ** 2 / np.diag(sums.products)[weight]).min())


def _change(totals: Floats, k: int) -> tuple[Floats, Floats]:
    """Give the change of the means, in points, and its derivatives by the totals."""
    change, derivatives, column = np.zeros(k), np.zeros((k, totals.size)), np.arange(k)
    for side, sign in ((0, -1.0), (1, 1.0)):
        at = side * (1 + k)
        mean = 100.0 * totals[at + 1 : at + 1 + k] / totals[at]
        change += sign * mean
        derivatives[:, at] = -sign * mean / totals[at]
        derivatives[column, at + 1 + column] = sign * 100.0 / totals[at]
    return change, derivatives


def _effect(totals: Floats, k: int, strata: Sequence[int], overlaps: int) -> tuple[Floats, Floats]:
    """Give the model's effect, in points, and its derivatives by the totals."""
    effect, derivatives, column = np.zeros(k), np.zeros((k, totals.size)), np.arange(k)
    for number, side in enumerate(strata):
        at, base = 2 * (1 + k) + number * (2 + k), side * (1 + k)
        share = 100.0 * totals[at] / totals[base] / overlaps
        mean = totals[at + 2 : at + 2 + k] / totals[at + 1]
        effect += share * mean
        derivatives[:, base] -= share * mean / totals[base]
        derivatives[:, at] = share * mean / totals[at]
        derivatives[:, at + 1] = -share * mean / totals[at + 1]
        derivatives[column, at + 2 + column] = share / totals[at + 1]
    return effect, derivatives


def _unseen(comparison: Comparison, overlaps: Sequence[Overlap], level: float) -> float:
    """Bound the effect on a cause on which no comment of the overlap differs (rule of three), in points."""
    bounds = []
    for part in overlaps:
        group, lossy = comparison.side == part.side, part.stratum >= 0
        lost = float(comparison.weight[lossy] @ comparison.loss[lossy])
        share = lost / float(comparison.weight[group].sum())
        bounds.append(100.0 * share * rule_of_three(part.people(comparison), level))
    return float(np.mean(bounds))
