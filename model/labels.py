"""The label space: which (code, polarity) pairs a classifier knows, and annotations as arrays over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.annotations import POLARITIES, Target


@dataclass(frozen=True)
class LabelSpace:
    """The codes of a classifier, in the order of its outputs; every code has the three polarities."""

    codes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_codes, n_polarities)."""
        return len(self.codes), len(POLARITIES)

    def encode(self, targets: Sequence[Target]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Turn targets into arrays.

        Parameters
        ----------
        targets
            One for each comment; pairs of codes outside the space are dropped.

        Returns
        -------
        present : ndarray of shape (n_comments, n_codes, n_polarities)
            1 where the pair applies.
        known : ndarray of shape (n_comments, n_codes)
            0 where the annotator could not have chosen the code: to be masked in loss and metrics.
        """
        index = {code: i for i, code in enumerate(self.codes)}
        present = np.zeros((len(targets), *self.shape), np.float32)
        known = np.ones((len(targets), len(self.codes)), np.float32)
        for row, target in enumerate(targets):
            for code, polarity in target.labels:
                if code in index:
                    present[row, index[code], POLARITIES.index(polarity)] = 1.0
            for code in target.unknown:
                if code in index:
                    known[row, index[code]] = 0.0
        return present, known
