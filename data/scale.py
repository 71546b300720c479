"""The metrics of satisfaction surveys: their scales, and what each answer loses of the best score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError


@dataclass(frozen=True)
class Scale:
    """A declared answer scale.

    Attributes
    ----------
    name
        What ``--scale`` takes: ``nps``, ``csat5`` or ``ces7``.
    metric
        The metric's name for people.
    low, high
        The least and the greatest answer.
    detractor_max, passive_max
        Answers up to the first lose the most; up to the second they lose half of it (NPS alone
        has a middle class; elsewhere the two are equal).
    """

    name: str
    metric: str
    low: int
    high: int
    detractor_max: int
    passive_max: int

    @property
    def worst_loss(self) -> int:
        """The loss of the lowest class: 2 for NPS (which spans -100 to 100), else 1."""
        return 2 if self.passive_max > self.detractor_max else 1

    def loss(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Give what each answer loses.

        The metric is ``100 * (1 - mean(loss))``: NPS as Reichheld (2003) defines it, CSAT and CES
        as the share of 4-5 and of 5-7.

        Parameters
        ----------
        scores
            Answers on this scale, shape (n,).

        Returns
        -------
        ndarray of shape (n,)
            NPS: 2 for a detractor, 1 for a passive, 0 for a promoter. CSAT, CES: 1 or 0.

        Raises
        ------
        InputError
            If an answer lies outside the scale or is not a number.
        """
        try:
            values = np.asarray(scores, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            raise InputError("a score is not a number") from None
        if values.size and not bool(np.all((values >= self.low) & (values <= self.high))):
            raise InputError(f"a score lies outside the {self.metric} scale {self.low}-{self.high}")
        worst = values < self.detractor_max + 1
        middle = ~worst & (values < self.passive_max + 1)
        loss: NDArray[np.float64] = worst * float(self.worst_loss) + middle * 1.0
        return loss

    def value(self, loss: ArrayLike, weight: ArrayLike | None = None) -> float | None:
        """Give the metric of some losses, ``100 * (1 - weighted mean)``; None if there are none.

        Parameters
        ----------
        loss, weight
            Shape (n,) each; weights default to 1.
        """
        values = np.asarray(loss, dtype=np.float64)
        weights = np.ones_like(values) if weight is None else np.asarray(weight, dtype=np.float64)
        total = float(weights.sum())
        return None if total <= 0 else 100.0 * (1.0 - float(np.dot(values, weights)) / total)


NPS = Scale("nps", "NPS", 0, 10, 6, 8)
CSAT5 = Scale("csat5", "CSAT", 1, 5, 3, 3)
CES7 = Scale("ces7", "CES", 1, 7, 4, 4)
SCALES = {scale.name: scale for scale in (NPS, CSAT5, CES7)}


def scale_named(name: str) -> Scale:
    """Give the scale of that name; raises `InputError` where there is none."""
    if name not in SCALES:
        raise InputError(f"the scale '{name}' is not known; use one of {', '.join(SCALES)}")
    return SCALES[name]
