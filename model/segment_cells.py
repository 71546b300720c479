"""Points lost to a code in each value of a segment, shrunk towards the code's overall value.

A value with few mentions is mostly noise: the largest of fifty such cells is large by chance. Empirical
Bayes takes from all values of one code how much they truly differ, and moves each towards the code's overall
value by as much as its own noise asks for. Codes are never shrunk towards each other.

A cell's points are a sum of rare amounts of one sign, whose variance is proportional to their mean, as a
count's is; so the model is that of counts: Poisson within a cell, gamma between the cells of a code (Clayton
& Kaldor 1987). How much the cells differ is not estimated by one number, which would often be 0 and leave
intervals far too short, but averaged over with the uniform shrinkage prior (Daniels 1999).

References
----------
Efron, B. & Morris, C. (1975). Data analysis using Stein's estimator and its generalizations. JASA 70.
Clayton, D. & Kaldor, J. (1987). Empirical Bayes estimates of age-standardized relative risks for use in
disease mapping. Biometrics 43(3).
Daniels, M. (1999). A prior for the variance in hierarchical models. Canadian Journal of Statistics 27(3).
Armstrong, T., Kolesar, M. & Plagborg-Moller, M. (2022). Robust empirical Bayes confidence intervals.
Econometrica 90(6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln, ndtr, ndtri

from data.scale import Scale
from model.cause_sums import CauseSums
from model.contributions import ELIGIBLE, SHOWN
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses
from model.periods import MONTH, WEEK
from model.points_lost import mean_interval

Floats = NDArray[np.float64]

NODES = 24
"""Of the average over how much cells differ; twice as many change the third digit."""

HALVINGS = 50
"""Of the search for a quantile."""

PULLS = np.linspace(0.0, 0.99, 100)
"""Where the widening of intervals is computed; it is interpolated between them."""

MOST_VALUES = 200
"""A segment with more values is not shrunk: it would take long, and nobody compares so many."""

Reason = Literal["periods", "too_many_values", "no_eligible_code"]

_WHY_NONE: dict[Reason, str] = {
    "periods": "Periods follow each other and are not drawn from one law, so they are not shrunk: "
    "`whyscore trends` and `whyscore findings` tell what changed over time.",
    "too_many_values": f"'{{segment}}' has more than {MOST_VALUES} values, too many to be shrunk.",
    "no_eligible_code": "No cause is mentioned by ten people or more, so nothing is shrunk.",
}


@dataclass(frozen=True)
class SegmentCell:
    """Points lost to a code in a value of a segment.

    Attributes
    ----------
    code, value
        Which cell; ``""`` holds the responses without a value.
    points_lost
        As the value's responses have it.
    shrunk, low, high
        The same, shrunk towards the code's overall value, with its interval.
    pull
        How far it was shrunk: 0 not at all, 1 all the way.
    overall
        The code's overall value.
    responses, mentions, respondents
        Responses with the value; those that mention the code, and the people behind these.
    """

    code: str
    value: str
    points_lost: float
    shrunk: float
    low: float
    high: float
    pull: float
    overall: float
    responses: int
    mentions: int
    respondents: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SegmentCells:
    """The cells of every eligible code in every value of a segment.

    Attributes
    ----------
    segment
        The segment.
    rows
        Sorted by code, then by value.
    level
        The confidence level.
    note
        The sentence that belongs beside shrunk figures, or says why there are none.
    reason
        Why there are none: ``periods``, ``too_many_values`` or ``no_eligible_code``.
    """

    segment: str
    rows: tuple[SegmentCell, ...]
    level: float
    note: str
    reason: Reason | None = None

    @classmethod
    def none(cls, segment: str, reason: Reason, level: float = 0.95) -> SegmentCells:
        """Give no cells, and why."""
        return cls(segment, (), level, _WHY_NONE[reason].format(segment=segment), reason)

    @cached_property
    def _places(self) -> dict[tuple[str, str], SegmentCell]:
        return {(row.code, row.value): row for row in self.rows}

    def of(self, code: str, value: str) -> SegmentCell | None:
        """Give a cell; None where the code is not eligible or the value too rare."""
        return self._places.get((code, value))

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self) | {"rows": [row.to_dict() for row in self.rows]}


def segment_cells(responses: ScoredResponses, segment: str, *, level: float = 0.95) -> SegmentCells:
    """Shrink the points lost to each eligible code in each value of a segment.

    Eligible are codes with ten respondents; a value with fewer than five people is no cell. Weeks and months
    are not shrunk, since one period is not like a draw from all others, nor are segments with more than
    `MOST_VALUES` values.

    Parameters
    ----------
    responses
        All scored responses.
    segment
        One of their segments.
    level
        The confidence level, between 0 and 1.

    Raises
    ------
    InputError
        If there is no such segment, or it has too many values.
    """
    parts = responses.by_segment(segment)
    hierarchy = Hierarchy.of(responses.codes)
    overall = CauseSums.of(responses, hierarchy)
    sums = {value: CauseSums.of(part, hierarchy) for value, part in parts.items()}
    return cells_from_sums(segment, responses.scale, overall, sums, level=level)


def cells_from_sums(
    segment: str, scale: Scale, overall: CauseSums, parts: Mapping[str, CauseSums], *, level: float = 0.95
) -> SegmentCells:
    """Shrink the cells of a segment, wherever the sums of its values were computed; see `segment_cells`.

    Parameters
    ----------
    segment, scale, level
        The segment, the declared scale, the confidence level.
    overall, parts
        Sums over all responses, and over those of each value, of the same columns.
    """
    if segment in (WEEK, MONTH):
        return SegmentCells.none(segment, "periods", level)
    if len(parts) > MOST_VALUES:
        return SegmentCells.none(segment, "too_many_values", level)
    shown = {name: part for name, part in sorted(parts.items()) if part.loss.respondents >= SHOWN}
    rows: list[SegmentCell] = []
    if shown and overall.loss.respondents >= ELIGIBLE:
        rows = list(_cells(overall, shown, scale, level))
    if not rows:
        return SegmentCells.none(segment, "no_eligible_code", level)
    note = (
        f"Cells by {segment} are shrunk towards the cause's overall value (empirical Bayes): "
        "the fewer the mentions behind a cell, the more. Compare values by the shrunken figures: the largest "
        "of many plain ones is large partly by chance. A plain figure is of its own responses alone."
    )
    return SegmentCells(segment, tuple(rows), level, note)


def _cells(
    overall: CauseSums, parts: Mapping[str, CauseSums], scale: Scale, level: float
) -> Iterator[SegmentCell]:
    """Give the cells of every eligible code."""
    means = overall.contributions.means()
    errors = np.sqrt(np.diag(overall.contributions.covariance()))
    people = overall.loss.respondents
    low, high = mean_interval(
        means,
        errors,
        respondents=people,
        effective_n=overall.loss.effective_respondents,
        worst=100.0 * scale.worst_loss,
        level=level,
    )
    lost = np.stack([part.contributions.means() for part in parts.values()])
    # In a small value a mean varies as much more as it is worth fewer responses, or people if these differ.
    scarce = [
        max(
            overall.loss.kish_n / part.loss.kish_n,
            overall.loss.effective_respondents / part.loss.effective_respondents,
        )
        for part in parts.values()
    ]
    for column, code in enumerate(overall.hierarchy.codes):
        if overall.respondents[column] < ELIGIBLE or errors[column] <= 0:
            continue
        noise = errors[column] ** 2 * (people - 1) / people * np.array(scarce)
        whole = float(means[column]), float(low[column]), float(high[column])
        figures = _shrunk(lost[:, column], noise, whole, level)
        for place, (value, part) in enumerate(parts.items()):
            shrunk, least, most, pull = (float(figure[place]) for figure in figures)
            yield SegmentCell(
                code=code,
                value=value,
                points_lost=float(lost[place, column]),
                shrunk=shrunk,
                low=max(0.0, least),
                high=most,
                pull=pull,
                overall=whole[0],
                responses=part.loss.n,
                mentions=int(part.mentions.mentions[column]),
                respondents=int(part.respondents[column]),
            )


def _shrunk(points: Floats, noise: Floats, whole: tuple[float, float, float], level: float) -> Floats:
    """Shrink the cells of a code.

    Parameters
    ----------
    points, noise
        Of each value, shape (k,): the points lost, and their variance where the values do not differ.
    whole
        The code's overall value, with its interval.
    level
        The confidence level.

    Returns
    -------
    ndarray of shape (4, k)
        The shrunken points, their lower and upper bounds, and how far each was shrunk.
    """
    overall, low, high = whole
    mix = _Mixture.of(points, noise, overall)
    centre, pull = mix.means(), mix.pulls()
    wider = np.interp(pull, PULLS, _widening(level))
    below = wider * (centre - mix.quantiles(0.5 - level / 2))
    above = wider * (mix.quantiles(0.5 + level / 2) - centre)
    # The overall value is estimated too, and each cell leans on it by its pull.
    less = np.sqrt(below**2 + (pull * (overall - low)) ** 2)
    more = np.sqrt(above**2 + (pull * (high - overall)) ** 2)
    return np.stack([centre, centre - less, centre + more, pull])


@lru_cache(maxsize=8)
def _widening(level: float) -> Floats:
    """Give by how much an interval is to be wider than the mixture's own, at each of `PULLS`.

    A cell that is shrunk by the share B misses its own value by ``B`` times its distance from the overall
    one, of which the data tell the variance alone. The factor holds for the worst law of that variance:
    most cells at the overall value, few far away.
    """
    narrow = float(ndtri(0.5 + level / 2))
    ratio = PULLS / (1.0 - PULLS)
    far = (
        ratio * np.exp(np.linspace(0.0, 12.0, 400))[:, None]
    )  # variances of those few; as rare as they are far
    share = np.divide(ratio, far, out=np.ones_like(far), where=far > 0)
    low, high = np.full(PULLS.size, narrow), narrow + 5.0 + np.sqrt(ratio / (1.0 - level))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        missed = (1.0 - share) * 2.0 * ndtr(-middle) + share * (
            ndtr(np.sqrt(far) - middle) + ndtr(-np.sqrt(far) - middle)
        )
        wide = missed.max(axis=0) <= 1.0 - level
        low, high = np.where(wide, low, middle), np.where(wide, middle, high)
    factor: Floats = np.maximum(1.0, high * np.sqrt(1.0 - PULLS) / narrow)
    return factor


@dataclass(frozen=True, eq=False)
class _Mixture:
    """What the k cells of a code are, given the data: gamma laws, averaged over how much cells differ.

    Attributes
    ----------
    shape, rate
        Of each law, shape (k, nodes).
    weight
        Of each node, shape (nodes,), of a sum of 1.
    prior
        The rate of the cells' common law at each node, shape (nodes,).
    """

    shape: Floats
    rate: Floats
    weight: Floats
    prior: Floats

    @classmethod
    def of(cls, points: Floats, noise: Floats, overall: float) -> _Mixture:
        """Weigh the nodes by the likelihood of the cells (negative binomial).

        Parameters
        ----------
        points, noise
            Of each cell, shape (k,): the points lost and their variance where cells do not differ.
        overall
            The code's overall value.
        """
        exposure = overall / noise
        counts = points * exposure
        typical = points.size / float((1.0 / noise).sum())
        # Uniform over the shrinkage of a typical cell.
        pull = (np.arange(NODES) + 0.5) / NODES
        prior_shape = overall**2 * pull / (typical * (1.0 - pull))
        prior_rate = prior_shape / overall
        shape, rate = prior_shape + counts[:, None], prior_rate + exposure[:, None]
        fit = gammaln(shape) - gammaln(prior_shape) + prior_shape * np.log(prior_rate)
        likelihood = (fit - shape * np.log(rate)).sum(axis=0)
        weight = np.exp(likelihood - likelihood.max())
        return cls(shape, rate, weight / weight.sum(), prior_rate)

    def means(self) -> Floats:
        """Give the mean of each cell, shape (k,)."""
        means: Floats = (self.shape / self.rate) @ self.weight
        return means

    def pulls(self) -> Floats:
        """Give how far each cell is shrunk, shape (k,)."""
        pulls: Floats = (self.prior / self.rate) @ self.weight
        return pulls

    def quantiles(self, share: float) -> Floats:
        """Give a quantile of each cell's mixture, shape (k,), by halving."""
        spread = np.sqrt(self.shape) / self.rate
        low = np.zeros(self.shape.shape[0])
        high = (self.shape / self.rate + 12.0 * spread + 12.0 / self.rate).max(axis=1)
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            below = gammainc(self.shape, self.rate * middle[:, None]) @ self.weight < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found: Floats = (low + high) / 2.0
        return found
