"""Sums over responses whose errors are told by respondent, and the covariance of what is computed from them.

A figure that compares groups (a difference of means, a share times a mean) is a function f of sums over
responses. With M the matrix of respondents times sums, the sums are the totals of its columns, and to first
order f moves with respondent p by ``J M_p``, J being the derivatives of f. So its covariance is
``J (M' M) J'``: linearised and clustered by respondent, who may have answered in both groups. It asks that f
does not depend on the unit of the weights, as then the ``J M_p`` sum to 0; all figures here are such.

References
----------
Liang, K. & Zeger, S. (1986). Longitudinal data analysis using generalized linear models. Biometrika 73(1).
Binder, D. (1983). On the variances of asymptotically normal estimators from complex surveys. International
Statistical Review 51(3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model.points_lost import ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PersonSums:
    """Mergeable sums: enough for every smooth function of the totals and its covariance.

    Sums of parts add up to the sums of the whole wherever no respondent has responses in two parts.

    Attributes
    ----------
    totals
        The sums, shape (d,).
    products
        Sum over respondents of the products of what they add to two sums, shape (d, d).
    """

    totals: Floats
    products: Floats

    @classmethod
    def of(cls, person: Ints, added: csr_array) -> PersonSums:
        """Sum what responses add.

        Parameters
        ----------
        person
            The respondent's position of each response, shape (n,).
        added
            What each response adds to each sum, weighted, shape (n, d).
        """
        n, people = person.size, int(person.max(initial=-1)) + 1
        gather = csr_array((np.ones(n), (person, np.arange(n))), shape=(people, n))
        by_person = gather @ added
        return cls(
            np.asarray(added.sum(axis=0), dtype=np.float64).ravel(), (by_person.T @ by_person).toarray()
        )

    def __add__(self, other: PersonSums) -> PersonSums:
        return PersonSums(self.totals + other.totals, self.products + other.products)

    def covariance(self, derivatives: Floats, people: Ints) -> Floats:
        """Give the covariance of functions of the totals.

        Parameters
        ----------
        derivatives
            Of each function by each total, shape (q, d).
        people
            The distinct respondents in the group that each total belongs to, shape (d,): a group of G has
            the factor G / (G - 1) of a sample's variance.

        Returns
        -------
        ndarray of shape (q, q)
            NaN for functions that depend on a group of fewer than two respondents.
        """
        alone = people < 2
        factor = np.sqrt(people / np.where(alone, 1, people - 1))
        lever = derivatives * factor
        covariance: Floats = lever @ self.products @ lever.T
        size = np.sqrt(np.maximum(0.0, np.diag(np.abs(lever) @ np.abs(self.products) @ np.abs(lever).T)))
        covariance[np.abs(covariance) <= ROUNDING * np.outer(size, size)] = 0.0
        unknown = (derivatives[:, alone] != 0).any(axis=1)
        covariance[unknown, :] = np.nan
        covariance[:, unknown] = np.nan
        return covariance
