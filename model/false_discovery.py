"""Many tests at once: the share of false findings among those that are flagged.

References
----------
Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
Benjamini, Y. & Yekutieli, D. (2001). The control of the false discovery rate in multiple testing under
dependency. Annals of Statistics 29(4).
Benjamini, Y. & Yekutieli, D. (2005). False discovery rate-adjusted multiple confidence intervals for
selected parameters. JASA 100(469).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Method = Literal["bh", "by"]


def q_values(p_values: ArrayLike, method: Method = "bh") -> Floats:
    """Give the least false discovery rate at which each test would be flagged.

    Parameters
    ----------
    p_values
        From 0 to 1, shape (m,).
    method
        ``bh`` (Benjamini & Hochberg) holds for independent and for positively dependent tests, ``by``
        (Benjamini & Yekutieli) for any; it asks for more, by the factor 1 + 1/2 + ... + 1/m.

    Returns
    -------
    ndarray of shape (m,)
        Flag where it is at most q.
    """
    p = np.asarray(p_values, dtype=np.float64)
    m = p.size
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, m + 1)
    factor = float((1.0 / ranks).sum()) if method == "by" else 1.0
    stepped = p[order] * (m * factor) / ranks
    found = np.empty(m, dtype=np.float64)
    found[order] = np.minimum(1.0, np.minimum.accumulate(stepped[::-1])[::-1])
    return found


def level_when_picked(picked: int, tests: int, level: float = 0.95) -> float:
    """Give the level at which each interval of the picked ones is to be built.

    The largest of many are picked because chance made them large, so of their plain intervals fewer hold
    than claimed. With the level ``1 - (1 - level) * picked / tests`` the expected share of picked
    intervals that miss stays at ``1 - level`` (Benjamini & Yekutieli 2005).

    Parameters
    ----------
    picked, tests
        How many were picked, and out of how many.
    level
        What is claimed of the picked ones, between 0 and 1.
    """
    return 1.0 - (1.0 - level) * min(1.0, picked / tests) if tests else level
