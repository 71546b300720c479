"""Many tests at once: the share of false findings among those that are flagged.

References
----------
Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
Benjamini, Y. & Yekutieli, D. (2001). The control of the false discovery rate in multiple testing under
dependency. Annals of Statistics 29(4).
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
