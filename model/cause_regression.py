"""The regression behind adjusted effects: scores on all codes at once, and the segments held equal.

Weighted least squares (`statsmodels`) with HC3 residuals (MacKinnon & White 1985), added up within
respondents who answered more than once (Cameron & Miller 2015), and Student's t on the degrees of freedom of
Bell & McCaffrey (Imbens & Kolesar 2016), which are few for a rare code. The share of mentions is estimated
as well: the standard error holds its part, and the interval is put together from those of the share and of
beta (Zou & Donner 2008).

References
----------
MacKinnon, J. & White, H. (1985). Some heteroskedasticity-consistent covariance matrix estimators with
improved finite sample properties. Journal of Econometrics 29(3).
Cameron, A. & Miller, D. (2015). A practitioner's guide to cluster-robust inference. Journal of Human
Resources 50(2).
Imbens, G. & Kolesar, M. (2016). Robust standard errors in small samples: some practical advice. Review of
Economics and Statistics 98(4).
Zou, G. & Donner, A. (2008). Construction of confidence limits about effect measures: a general
approach. Statistics in Medicine 27(10).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from model.control_columns import ControlColumns
from model.group_sums import sums_by
from model.mentions import ScoredResponses
from model.points_lost import mean_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST_PEOPLE = 10
"""Respondents who mention a code in the regression, below whom it has no effect."""

DEPENDENT = 1e-9
"""A direction with less than this share of the scaled design's variance is no direction of its own."""


@dataclass(frozen=True)
class Estimate:
    """An effect with its error and interval in points, or the reason why there is none."""

    value: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class CauseRegression:
    """The regression as far as the effects need it; the codes' columns come first.

    Attributes
    ----------
    mentions
        Shape (n, codes): 0 or 1.
    beta
        Shape (codes,).
    lever
        Each response's pull on each beta, for a residual of 1; shape (codes, n).
    residual
        Shape (n,), as HC3 has it.
    clear
        Whether a code's beta is told apart from those of all other columns, shape (codes,).
    weight, person
        Of each response, shape (n,): the weight, of a sum of 1; the person's position.
    by_person
        The weight of each person.
    reason
        Why there is no regression; then beta, lever, residual and clear are empty.
    """

    mentions: Floats
    beta: Floats
    lever: Floats
    residual: Floats
    clear: Bools
    weight: Floats
    person: Ints
    by_person: Floats
    reason: str | None

    @classmethod
    def of(
        cls, responses: ScoredResponses, codes: Sequence[str], controls: ControlColumns
    ) -> CauseRegression:
        """Fit y on the codes and the controls."""
        mentions = _mentions(responses, codes)
        people, person = np.unique(responses.respondent, return_inverse=True)
        weight = responses.weight / responses.weight.sum()
        by_person = sums_by(person, weight, people.size)
        nothing = np.empty(0)
        unclear = np.zeros(len(codes), dtype=np.bool_)
        reason = None
        if np.ptp(responses.loss) == 0:
            reason = "all_in_one_class"
        elif min(responses.n, people.size) <= len(codes) + controls.width + 1:
            reason = "too_few"
        if reason is not None:
            return cls(mentions, nothing, nothing, nothing, unclear, weight, person, by_person, reason)
        model, fit = _fitted(
            1.0 - responses.loss, np.concatenate([mentions, controls.matrix()], axis=1), weight
        )
        leverage = np.einsum("ij,ji->i", model.wexog, model.pinv_wexog)
        # A response that alone decides its own fit has no residual to tell an error from.
        free = leverage < 1.0 - 1e-8
        residual = np.where(free, fit.wresid / np.where(free, 1.0 - leverage, 1.0), 0.0)
        clear = _clear(model.wexog)[: len(codes)]
        beta, lever = fit.params[: len(codes)], model.pinv_wexog[: len(codes)]
        return cls(mentions, beta, lever, residual, clear, weight, person, by_person, None)

    def estimate(self, column: int, level: float) -> Estimate:
        """Give the effect of a code."""
        mentioned = self.mentions[:, column] > 0
        reason = self.reason
        if reason is None and bool(mentioned.all()):
            reason = "mentioned_by_all"
        if reason is None and np.unique(self.person[mentioned]).size < FEWEST_PEOPLE:
            reason = "too_few"
        if reason is None and not self.clear[column]:
            reason = "collinear"
        if reason is not None:
            return Estimate(reason=reason)
        people = self.by_person.size
        share = float(self.weight @ self.mentions[:, column])
        pull = self.lever[column]
        of_beta = sums_by(self.person, pull * self.residual, people)
        own = sums_by(self.person, self.weight * mentioned, people)
        of_share = (own - share * self.by_person) * (people / (people - 1)) ** 0.5
        squares = sums_by(self.person, pull**2, people)
        freedom = max(1.0, float(squares.sum()) ** 2 / float(squares @ squares) - 1.0)
        reach = float(stdtrit(freedom, 0.5 + level / 2))
        return _product(float(self.beta[column]), share, of_beta, of_share, reach, self._size(), level)

    def _size(self) -> float:
        """Give the number of equally weighted people that the people are worth."""
        return 1.0 / float(self.by_person @ self.by_person)


def _fitted(y: Floats, design: Floats, weight: Floats) -> tuple[Any, Any]:
    """Fit weighted least squares; of dependent columns the pseudo-inverse takes the shortest solution."""
    from statsmodels.regression.linear_model import WLS  # here: it takes seconds to import
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)  # `clear` tells which columns it concerns
        model = WLS(y, design, weights=weight)
        return model, model.fit()


def _mentions(responses: ScoredResponses, codes: Sequence[str]) -> Floats:
    """Give the 0/1 matrix of responses and the given codes."""
    place = {code: position for position, code in enumerate(codes)}
    position = np.array([place.get(code, -1) for code in responses.codes], dtype=np.int64)
    column = position[responses.mention_codes]
    matrix = np.zeros((responses.n, len(codes)))
    matrix[responses.mention_rows[column >= 0], column[column >= 0]] = 1.0
    return matrix


def _clear(design: Floats) -> Bools:
    """Tell which columns are no combination of others: those without a part in any null direction."""
    gram = design.T @ design
    size = np.sqrt(np.diag(gram))
    held = size > 0
    scaled = gram / np.where(np.outer(size, size) > 0, np.outer(size, size), 1.0)
    roots, directions = np.linalg.eigh(scaled)
    null = directions[:, roots < DEPENDENT * roots[-1]]
    clear: Bools = held & (np.abs(null).max(axis=1, initial=0.0) < 1e-4)
    return clear


def _product(
    beta: float, share: float, of_beta: Floats, of_share: Floats, reach: float, size: float, level: float
) -> Estimate:
    """Give the effect from beta and the share with each person's influence on them.

    Parameters
    ----------
    beta, share
        The estimates.
    of_beta, of_share
        Influences, shape (people,) each; their sums of squares are the variances.
    reach
        The quantile of Student's t for beta.
    size, level
        For the share's interval, as `mean_interval` takes them.
    """
    error, share_error = (float(part @ part) ** 0.5 for part in (of_beta, of_share))
    both = share * of_beta + beta * of_share
    low, high = mean_interval(
        [share], [share_error], respondents=of_beta.size, effective_n=size, worst=1.0, level=level
    )
    gaps = beta * (share - float(low[0])), beta * (float(high[0]) - share)
    less, more = (abs(gap) for gap in (gaps if beta > 0 else gaps[::-1]))
    product = error * share_error * (1 if beta > 0 else -1)
    likeness = float(of_beta @ of_share) / product if product else 0.0
    half = share * reach * error
    down, up = (max(0.0, half**2 + part**2 + 2.0 * likeness * half * part) ** 0.5 for part in (less, more))
    value = share * beta
    return Estimate(
        value=100.0 * value,
        se=100.0 * float(both @ both) ** 0.5,
        low=100.0 * (value - down),
        high=100.0 * (value + up),
    )
