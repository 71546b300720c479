"""The survey metric (NPS, CSAT, CES) with its interval, and the test for its change.

Everything is computed from `LossSums`: sums over classes of answers that add up over parts of the data.

References
----------
Reichheld, F. (2003). The one number you need to grow. Harvard Business Review 81(12).
Rocks, B. (2016). Interval estimation for the "Net Promoter Score". The American Statistician 70(4).
Agresti, A. & Coull, B. (1998). Approximate is better than "exact" for interval estimation of
binomial proportions. The American Statistician 52(2).
Agresti, A. & Caffo, B. (2000). Simple and effective confidence intervals for proportions and
differences of proportions result from adding two successes and two failures. The American Statistician 54(4).
Kish, L. (1965). Survey Sampling. Wiley.
Korn, E. & Graubard, B. (1998). Confidence intervals for proportions with small expected number of
positive counts estimated from survey data. Survey Methodology 24(2).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from data.errors import InputError
from data.scale import Scale
from model.group_sums import counts_by, sums_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LossSums:
    """Mergeable sums of answers by class: lowest (detractors), middle (passives), best (promoters).

    On two-class scales the middle is empty. Sums of parts add up to the sums of the whole wherever
    no respondent has responses in two parts. Responses of weight 0 add nothing, not even to counts.

    Attributes
    ----------
    class_losses
        What an answer of each class loses, shape (3,): 2, 1, 0 for NPS; 1, 0, 0 elsewhere.
    counts
        Responses in each class, shape (3,).
    weights, squares
        Sum of their weights, and of the squared weights, shape (3,) each.
    products
        Sum over respondents of the products of their weight in one class and in another, shape (3, 3);
        the diagonal matrix of `squares` where nobody answered twice.
    respondents
        Distinct respondents.
    """

    class_losses: Floats
    counts: Ints
    weights: Floats
    squares: Floats
    products: Floats
    respondents: int

    @classmethod
    def of(
        cls,
        scale: Scale,
        loss: ArrayLike,
        weight: ArrayLike | None = None,
        respondent: ArrayLike | None = None,
    ) -> LossSums:
        """Sum losses as `Scale.loss` gives them.

        Parameters
        ----------
        scale
            The declared scale.
        loss, weight
            Shape (n,) each; weights are at least 0 and default to 1.
        respondent
            Integer ids of respondents, shape (n,); by default each response has its own.
        """
        losses = np.asarray(loss, dtype=np.float64)
        weights = np.ones_like(losses) if weight is None else np.asarray(weight, dtype=np.float64)
        ids = np.arange(losses.size) if respondent is None else np.asarray(respondent)
        counted = weights > 0
        losses, weights = losses[counted], weights[counted]
        people, person = np.unique(ids[counted], return_inverse=True)
        kind = np.where(losses == scale.worst_loss, 0, np.where(losses > 0, 1, 2))
        by_person = sums_by(person * 3 + kind, weights, 3 * people.size).reshape(-1, 3)
        return cls(
            class_losses=np.array([scale.worst_loss, 1 if scale.worst_loss == 2 else 0, 0], dtype=np.float64),
            counts=counts_by(kind, 3),
            weights=sums_by(kind, weights, 3),
            squares=sums_by(kind, weights**2, 3),
            products=by_person.T @ by_person,
            respondents=int(people.size),
        )

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            class_losses=self.class_losses,
            counts=self.counts + other.counts,
            weights=self.weights + other.weights,
            squares=self.squares + other.squares,
            products=self.products + other.products,
            respondents=self.respondents + other.respondents,
        )

    @property
    def n(self) -> int:
        """Responses that carry weight."""
        return int(self.counts.sum())

    @property
    def weight(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum())

    @property
    def mean(self) -> float:
        """Weighted mean of the losses; NaN where there is no weight."""
        return float(self.weights @ self.class_losses) / self.weight if self.n else float("nan")

    @property
    def moments(self) -> Floats:
        """Sums over respondents of products of (their weight, their weighted loss), shape (2, 2)."""
        basis = np.stack([np.ones(3), self.class_losses])
        moments: Floats = basis @ self.products @ basis.T
        return moments

    @property
    def effective_respondents(self) -> float:
        """Kish's effective number of respondents, ``(sum W_g)^2 / sum W_g^2``; 0 where there are none."""
        return self.weight**2 / float(self.products.sum()) if self.n else 0.0

    @property
    def kish_n(self) -> float:
        """Kish's effective number of responses, ``(sum w)^2 / sum w^2``; 0 where there are none."""
        return self.weight**2 / float(self.squares.sum()) if self.n else 0.0

    @property
    def effective_n(self) -> float:
        """Responses that independent, equally weighted ones would match; 0 where there are none.

        `kish_n`, divided by the design effect of respondents who answered more
        than once (the clustered variance of the mean over the unclustered one, Korn & Graubard 1998,
        never below 1).
        """
        if not self.n:
            return 0.0
        if self.respondents == self.n:
            return self.kish_n
        deviations = self.class_losses - self.mean
        independent = float(self.squares @ deviations**2) * self.n
        if self.respondents < 2 or independent <= 1e-12 * float(self.squares.sum()) * self.n:
            return self.effective_respondents
        clustered = float(deviations @ self.products @ deviations) * self.respondents
        effect = (clustered / (self.respondents - 1)) / (independent / (self.n - 1))
        return self.kish_n / max(1.0, effect)


@dataclass(frozen=True)
class Metric:
    """A metric and its confidence interval, in points of 100.

    Attributes
    ----------
    name
        ``NPS``, ``CSAT`` or ``CES``.
    value, low, high
        None where there is no response. The interval is centred on the adjusted value, so it need
        not be symmetric about `value`.
    n, respondents
        Responses (of weight above 0) and the distinct people behind them.
    effective_n
        The number of independent, equally weighted responses they are worth; None where n is 0.
    level
        The confidence level.
    detractors, passives, promoters
        Responses of each class (NPS alone).
    detractor_share, passive_share, promoter_share
        Their weighted shares, from 0 to 1 (NPS alone).
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    respondents: int
    effective_n: float | None
    level: float
    detractors: int | None = None
    passives: int | None = None
    promoters: int | None = None
    detractor_share: float | None = None
    passive_share: float | None = None
    promoter_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def measure(scale: Scale, sums: LossSums, level: float = 0.95) -> Metric:
    """Give the metric with its interval.

    NPS: the adjusted Wald interval of Rocks (2016): three answers are added, three quarters of one to
    promoters, three quarters to detractors and the rest to passives. CSAT and CES: the adjusted Wald
    interval of Agresti & Coull (1998). Both use the effective n in place of n, so they hold with
    weights (Kish 1965) and with respondents who answered more than once (Korn & Graubard 1998).

    Parameters
    ----------
    scale
        The declared scale.
    sums
        The sums of the losses.
    level
        The confidence level, between 0 and 1.
    """
    if not sums.n:
        return Metric(scale.metric, None, None, None, 0, 0, None, level)
    shares = sums.weights / sums.weight
    size = sums.effective_n
    value = 100.0 * (1.0 - float(shares @ sums.class_losses))
    if scale.worst_loss == 1:
        low, high = _agresti_coull(float(shares[2]), size, level)
        return Metric(scale.metric, value, low, high, sums.n, sums.respondents, size, level)
    centre, variance = _adjusted_nps(float(shares[0]), float(shares[2]), size)
    reach = float(ndtri(0.5 + level / 2)) * variance**0.5
    # Of one or two answers the added ones could keep the interval from what was seen.
    low = min(value, 100.0 * max(-1.0, centre - reach))
    high = max(value, 100.0 * min(1.0, centre + reach))
    counts, parts = [int(count) for count in sums.counts], [float(share) for share in shares]
    return Metric(scale.metric, value, low, high, sums.n, sums.respondents, size, level, *counts, *parts)


def _adjusted_nps(detractors: float, promoters: float, size: float) -> tuple[float, float]:
    """Give the adjusted NPS (from -1 to 1) and its variance from two shares and the (effective) n."""
    adjusted = size + 3.0
    against, favour = (detractors * size + 0.75) / adjusted, (promoters * size + 0.75) / adjusted
    centre = favour - against
    return centre, (favour + against - centre**2) / adjusted


def _agresti_coull(share: float, size: float, level: float) -> tuple[float, float]:
    """Give the adjusted Wald interval of a share, in points of 100."""
    z = float(ndtri(0.5 + level / 2))
    adjusted = size + z**2
    centre = (share * size + z**2 / 2) / adjusted
    reach = z * (centre * (1.0 - centre) / adjusted) ** 0.5
    return 100.0 * max(0.0, centre - reach), 100.0 * min(1.0, centre + reach)


@dataclass(frozen=True)
class MetricChange:
    """A metric's change between two independent samples, in points of 100.

    Attributes
    ----------
    value, low, high
        After minus before, with its interval; None where a sample is empty.
    z, p_value
        The test of no change (two-sided).
    level
        The confidence level of the interval.
    """

    value: float | None
    low: float | None
    high: float | None
    z: float | None
    p_value: float | None
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def metric_change(before: Metric, after: Metric, level: float = 0.95) -> MetricChange:
    """Test whether a metric changed between two samples of different people.

    NPS: the z test on the two adjusted values of Rocks (2016), each with its own variance. CSAT and
    CES: the same with one success and one failure added to each sample (Agresti & Caffo 2000).
    The samples are taken as independent.

    Parameters
    ----------
    before, after
        As `measure` gives them.
    level
        The confidence level, between 0 and 1.

    Raises
    ------
    InputError
        If the two are not the same metric.
    """
    if before.name != after.name:
        raise InputError(
            f"a change from {before.name} to {after.name} has no meaning; compare one metric with itself"
        )
    if before.value is None or after.value is None:
        return MetricChange(None, None, None, None, None, level)
    (first, first_variance), (second, second_variance) = _adjusted(before), _adjusted(after)
    change, error = second - first, (first_variance + second_variance) ** 0.5
    reach = float(ndtri(0.5 + level / 2)) * error
    z = change / error
    return MetricChange(
        value=after.value - before.value,
        low=100.0 * (change - reach),
        high=100.0 * (change + reach),
        z=z,
        p_value=2.0 * float(ndtr(-abs(z))),
        level=level,
    )


def _adjusted(metric: Metric) -> tuple[float, float]:
    """Give a metric's adjusted value (of 1, not of 100) and its variance."""
    size = metric.effective_n or 0.0
    if metric.detractor_share is not None and metric.promoter_share is not None:
        return _adjusted_nps(metric.detractor_share, metric.promoter_share, size)
    share = ((metric.value or 0.0) / 100.0 * size + 1.0) / (size + 2.0)
    return share, share * (1.0 - share) / (size + 2.0)
